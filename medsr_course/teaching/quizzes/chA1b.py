"""Quiz of chapter A1b."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    numeric(
        "Six convolutions with stride 2 are ported with the wrong side padded. How many input pixels is the end off?",
        lambda: sum(2**k for k in range(6)),
        tolerance=0.3,
        feedback="1 + 2 + 4 + 8 + 16 + 32: each layer adds one of its own pixels.",
        mistakes={
            lambda: 6.0: "A pixel of the second layer is two of the image.",
            lambda: 64.0: "That is one too many.",
        },
    ),
    choice(
        "A test with images of 97 × 97 pixels finds no fault in a port with stride 2. Is it right?",
        ("Not yet: try an even size", "On odd sizes both libraries pad alike."),
        {
            "Yes, for size does not matter": "With a stride, the place of the padding depends on the size.",
            "No: odd sizes cannot be padded": "They can, and just alike in both.",
        },
    ),
    choice(
        "Keras says momentum 0.99 for batch normalisation. What is that in PyTorch?",
        ("0.01", "There it is the share of the new value."),
        {
            "0.99": "Then nearly nothing of the past would be kept.",
            "0.1": "That is PyTorch's default, ten times faster.",
        },
    ),
    choice(
        "A paper resizes by bilinear interpolation and does not say how. What may its PSNR be off by?",
        ("Decibels", "Half a fine pixel of shift costs that much, as the chapter measured."),
        {
            "Rounding in the last digit": "Libraries agree so well only where they mean the same.",
            "Nothing, bilinear is defined": "The weights are; where pixels lie is not.",
        },
    ),
    numeric(
        "A square layer: how many times as wide as PyTorch's are Keras's first kernels (standard deviation)?",
        lambda: float(np.sqrt(3)),
        tolerance=0.04,
        feedback="The variances are 1/n and 1/(3n), with n inputs of a neuron.",
        mistakes={lambda: 3.0: "That is the ratio of variances.", lambda: 1.0: "Only with another initialiser."},
    ),
]
