"""Quiz of chapter 09."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A network is trained to put out fine − ZIP, and its last layer starts at zero. What does it give before the "
        "first step?",
        (
            "Exactly zero-filling",
            "It adds nothing to ZIP, so it starts where the best classical method stands.",
        ),
        {
            "Noise, as all untrained networks": "That is so when the last layer starts at random numbers; zero times "
            "anything is zero.",
            "A black image": "The network's output is black; ZIP is added to it outside.",
        },
    ),
    choice(
        "With hard data consistency a result, cropped in k-space, is the measured image again. What follows?",
        (
            "It does not contradict the measurement, and may still be wrong",
            "Everything the network adds lies at frequencies nobody measured: true or invented, the check passes it.",
        ),
        {
            "Its details are real": "The rule speaks of measured frequencies; details at ×2 live beyond them.",
            "It can be no better than ZIP": "ZIP leaves the unmeasured frequencies empty; filling them rightly helps.",
        },
    ),
    numeric(
        "A convolution has 48 × 48 kernels of 3 × 3. How many multiplications per fine pixel does it save when it runs "
        "on the coarse instead of the fine grid, at ×4?",
        lambda: 48 * 48 * 9 * (1 - 1 / 16),
        tolerance=1,
        feedback="A coarse pixel stands for 16 fine ones, so 15 of every 16 multiplications are saved.",
        mistakes={
            lambda: 48 * 48 * 9 * (1 - 1 / 4): "Four times fewer pixels along each axis are sixteen times fewer.",
            lambda: 48 * 48 * 9 / 16: "That is what remains, not what is saved.",
        },
    ),
    choice(
        "A network gains 3 dB on blurred images and loses 2 dB on k-space crops. What happened?",
        (
            "It learned to undo the blur, and does so where there is none",
            "Sharpening an image that was never blurred exaggerates every edge, ringing included.",
        ),
        {
            "It overfitted to its training subjects": "Then it would lose on unseen blurred subjects, too.",
            "k-space crops hold less information": "Then the gain would be smaller, but a careful network would stop "
            "at zero; this one falls below it.",
        },
    ),
    choice(
        "Why did the article's pool–flatten–dense network lose to ZIP, even with the best weights there are?",
        (
            "All its outputs lie in a plane of 128 dimensions",
            "A sum of 128 fixed pictures cannot come near all patches of 4096 pixels.",
        ),
        {
            "It was trained too briefly": "The bound holds for any training: it is the projection on the best plane.",
            "It has too few weights": "It has two million, far more than SRCNN: they are in the wrong places.",
        },
    ),
    choice(
        "On the cohort a network gains 2 dB, on ten real scans between −0.5 and +0.8. Which sentence belongs into the "
        "abstract?",
        (
            "The gains on real scans, each of them, with the losses",
            "The cohort resembles the training set; readers will use it on scans that do not.",
        ),
        {
            "“Gains 2 dB”": "That is true only of invented heads made by the same program as the training set.",
            "“Gains up to 0.8 dB on real scans”": "The best of ten hides that some came out worse than they went in.",
        },
    ),
]
