"""Quiz of chapter 00."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    numeric(
        "A slice is measured four times too coarse in both directions. What percentage of the k-space samples is left?",
        lambda: 100 / 4**2,
        tolerance=0.01,
        feedback="A quarter of the rows times a quarter of the columns: one sixteenth.",
        mistakes={
            lambda: 100 / 4: "That is one direction only; both are four times coarser.",
            lambda: 100 / 4**3: "A slice has two directions, not three.",
        },
    ),
    choice(
        "The network shows a thin dark line that zero-filling does not. What do you know about it?",
        (
            "It is a guess from the training images, and may be right or wrong",
            "Zero-filling already shows everything that was measured. What goes beyond comes from other brains.",
        ),
        {
            "It is in the measured data, but hidden": "Zero-filling loses nothing that was measured; the line is not "
            "in there.",
            "It must be real, because the PSNR went up": "PSNR is an average over all pixels; any single line can be "
            "wrong.",
            "It is certainly invented": "On average the added detail is nearer to the truth than none, or PSNR would "
            "fall.",
        },
    ),
    choice(
        "Made coarse again, the network's image equals its input, up to rounding. What does that prove?",
        (
            "Only that it does not contradict the measurement",
            "Infinitely many fine images have the same coarse version: what was not measured is free.",
        ),
        {
            "That the added detail is true": "The added detail lies in the frequencies that were cut away, where the "
            "test cannot see.",
            "That the network was trained well": "It holds for any weights: a projection makes it so.",
        },
    ),
    numeric(
        "The PSNR rises by 3 dB. By what factor is the mean squared error multiplied?",
        lambda: 10 ** (-3 / 10),
        tolerance=0.01,
        feedback="Ten decibels are a factor of ten, three are about two: the squared error halves.",
        mistakes={
            lambda: 10 ** (-3 / 20): "That is the factor of the root mean squared error.",
            lambda: 10 ** (3 / 10): "A larger PSNR means a smaller error.",
        },
    ),
    choice(
        "In the null run a claim still shows ✓. What is wrong with it?",
        (
            "Nothing, unless it claims that something was learned",
            "Operators and data consistency hold for any weights. A claim of learning that an untrained network passes "
            "is no evidence.",
        ),
        {
            "Every claim must fail in the null run": "Only those of kind “learned”: arithmetic stays true without "
            "training.",
            "The bound is too strict": "If it passes without training, it is too lax, if anything.",
        },
    ),
]
