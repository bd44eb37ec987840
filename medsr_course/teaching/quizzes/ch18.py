"""Quiz of chapter 18."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Why does window attention stay cheap for large images?",
        (
            "Each pixel looks at one window only",
            "The window has a fixed number of pixels, so the cost grows with the area and not with its square.",
        ),
        {
            "Its weights are shared by all pixels": "Those of attention among all pixels are, too, and its cost grows.",
            "It works on few channels": "The number of channels is our choice, and does not change with the image.",
        },
    ),
    numeric(
        "The sides of an image are doubled. By which factor does the cost of attention among all pixels grow (the part "
        "that compares pixels)?",
        lambda: 4.0**2,
        tolerance=0.5,
        feedback="Four times as many pixels, each compared with four times as many.",
        mistakes={
            lambda: 4.0: "That holds for windows, and for a convolution.",
            lambda: 8.0: "Both the pixels and their partners become four times as many: multiply.",
        },
    ),
    choice(
        "Eight samples of a diffusion network differ at one place. What does their mean show there?",
        (
            "The guess with the least expected squared error",
            "If the samples are drawn rightly: their mean estimates the conditional mean, and is blurred like a CNN.",
        ),
        {
            "The truth, because errors average out": "What all samples share, right or wrong, does not average out.",
            "The sharpest of the eight": "The mean is softer than each of them: different details cancel.",
        },
    ),
    numeric(
        "A sample and the truth are drawn from one distribution with variance 1 at every voxel. What is the mean "
        "squared error of the sample?",
        lambda: 2.0,
        tolerance=0.05,
        feedback="Two independent deviations from the mean: 1 + 1. The mean itself has an error of 1: 3 dB better.",
        mistakes={
            lambda: 1.0: "That is the error of the mean. The sample has a deviation of its own.",
            lambda: float(np.sqrt(2)): "That is the root of it.",
        },
    ),
    choice(
        "A field of sines fits every measured sample of a scan to 0.1 %. What follows about the fine image?",
        (
            "Nothing: any field may lie between the samples",
            "What was measured is the low band; the rest is decided by the frequency ω₀ and by the length of training.",
        ),
        {
            "It is right to about 0.1 %": "That is the error where it was measured; the rest was never seen.",
            "It is zero-filling": "Zero-filling puts nothing into the rest; a field puts there what is easy for it.",
        },
    ),
    choice(
        "A paper reports from GPUs that attention beats convolution. Here the CNN is ahead after equal processor time. "
        "What may explain both?",
        (
            "Attention needs more steps, and each costs more here",
            "A GPU makes its products cheap, and papers train for days; a budget of minutes favours what learns fast.",
        ),
        {
            "One of the two must be wrong": "Both may hold: they answer for different budgets and data.",
            "Attention has too many weights": "Both networks of this chapter have about as many.",
        },
    ),
]
