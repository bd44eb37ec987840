"""Quiz of chapter 15."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    numeric(
        "A network takes 80 % of the time from file to file. A colleague makes it four times as fast. How many times "
        "as fast is the whole?",
        lambda: 1 / (0.2 + 0.8 / 4),
        tolerance=0.02,
        feedback="What is left is 0.2 + 0.8 / 4 = 0.4 of the time (Amdahl's law).",
        mistakes={lambda: 4.0: "The other 20 % did not become faster.", lambda: 3.2: "Times add up, speeds do not."},
    ),
    choice(
        "Why may a student learn faster from a teacher's answers than from the truth?",
        (
            "They are near the mean of what is possible: less noise",
            "What cannot be predicted from the input is noise to any student.",
        ),
        {
            "The teacher knows details that the truth does not hold": "The truth has every detail, the teacher fewer.",
            "The teacher's answers are sharper than the true images": "They are smoother: a mean of what is possible.",
        },
    ),
    choice(
        'After `model.quantize("int8")` an image-to-image network gives exactly the same output. What do you conclude?',
        (
            "Nothing was quantised: rounding changes digits",
            "Compare size, output and time after every compression.",
        ),
        {
            "The quantisation lost nothing, so it is a good one": "Rounding always changes some digits.",
            "The weights were whole numbers before": "Trained weights are not.",
        },
    ),
    choice(
        "An int8 network was calibrated on images with tissue near 1. It is fed an image with tissue near 10. What "
        "comes out?",
        (
            "An image whose bright values are cut off",
            "Its steps were fixed when it was calibrated: values beyond the range all become the largest.",
        ),
        {
            "Ten times the right answer, as in float32": "That needs f(ax) = a f(x), which fixed ranges break.",
            "An error message about the range": "There is no error: the result is an image like any other.",
        },
    ),
    choice(
        "90 % of a convolution's weights are zero. Why is it not ten times as fast?",
        (
            "A dense convolution multiplies by zeros, too",
            "Only smaller matrices, or formats made for zeros, save time.",
        ),
        {
            "The zeros make it less exact, so it needs more steps": "A convolution has no steps that depend on values.",
            "Reading the file takes most of the time": "The file is read once; the network runs for every frame.",
        },
    ),
    numeric(
        "A coarse scan of 1 megabyte goes over a line of 2 megabits per second with a delay of 0.5 s, and is then "
        "computed in 3 s. After how many seconds is the result there?",
        lambda: 0.5 + 8 / 2 + 3,
        tolerance=0.05,
        feedback="Delay + bits over rate + computing: 0.5 + 8 / 2 + 3.",
        mistakes={lambda: 0.5 + 1 / 2 + 3: "A byte has eight bits, and lines are rated in bits."},
    ),
]
