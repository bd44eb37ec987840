"""Quiz of chapter 14."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A classifier of brain slices is right on 99 % of its test slices. Train and test slices were drawn at random "
        "from the same 40 people. What does the 99 % show?",
        (
            "Perhaps only that it knows the people again",
            "Neighbouring slices of one person are almost the same image, so knowing the person is knowing the answer.",
        ),
        {
            "That it generalises to new slices, so to new people": "New slices of old people are not new people.",
            "That the test has too few slices": "More slices of the same people would show the same.",
        },
    ),
    numeric(
        "Labels are coin flips. A network judges 40 people it never saw, once each. How many right answers does it "
        "give, on average?",
        lambda: 40 * 0.5,
        tolerance=0.4,
        feedback="Each answer is right with probability ½, whatever the network has learned.",
        mistakes={lambda: 40.0: "Only under leakage: here no label can be known from the image."},
    ),
    numeric(
        "At a site 20 common scans gain 1.0 dB each, and the one rare scan loses 1.5 dB. What is the mean gain over "
        "all 21 scans, in dB?",
        lambda: (20 * 1.0 - 1.5) / 21,
        tolerance=0.02,
        feedback="(20 × 1.0 − 1.5) / 21: the mean looks fine, and the rare patients would be better off without.",
        mistakes={lambda: (1.0 - 1.5) / 2: "That is the mean over the two groups, each counting once."},
    ),
    choice(
        "You train on two people. Which augmentation adds what they lack?",
        (
            "None of them adds anatomy",
            "It teaches what should not matter (noise, contrast, orientation). Other people's folds stay unseen.",
        ),
        {
            "Turning and mirroring: eight times as many people": "Eight views of two people are two people.",
            "Mirroring the finished pairs, for twice the data": "Sample 0 moves: coarse and fine lie on shifted grids.",
        },
    ),
    choice(
        "A network was fine-tuned for a new scanner and gains more there. What must be measured before it replaces the "
        "old one everywhere?",
        (
            "Its gain on the old scanners",
            "It may have forgotten them; half a batch of old scans is the usual cure.",
        ),
        {
            "Its loss on the new scanner's training scans": "That only shows that it learned them.",
            "Nothing, since it knew the old scanners before": "What it knew lay in the weights that were changed.",
        },
    ),
    choice(
        "Ghosts of a moving head are in the coarse scan. What may you expect of a super-resolution network that was "
        "trained on still heads?",
        (
            "It passes the ghosts on, sharpened like edges",
            "It cannot know that an edge is false: in its training every edge was true.",
        ),
        {
            "It removes them, since training heads had none": "It learned coarse to fine, not bad to good.",
            "It leaves the region as zero-filling would": "It has no way to notice where it should hold back.",
        },
    ),
]
