"""Quiz of chapter 14b."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Five networks, trained alike on the same people, draw the same small vessel. What follows?",
        (
            "They learned the same, right or wrong",
            "Their spread shows only the part of the error that differs between them.",
        ),
        {
            "The vessel is there, because five networks agree": "Trained on the same data, they share most errors.",
            "The vessel is false, because networks invent detail": "They agree on true detail, too.",
        },
    ),
    numeric(
        "There are 24 calibration people, and 90 % is asked for. Which of their sorted scores is the factor (1 is the "
        "smallest)?",
        lambda: float(np.ceil(25 * 0.9)),
        tolerance=0.2,
        feedback="⌈25 × 0.9⌉: the next person is the 25th.",
        mistakes={lambda: float(np.ceil(24 * 0.9) - 1): "Count the next person too, n + 1, and round up."},
    ),
    choice(
        "Error bars were calibrated on a million voxels of 14 people. How many independent cases is that for the next "
        "person?",
        (
            "About 14",
            "Voxels of one head share its contrast, noise and anatomy; the next head has others.",
        ),
        {
            "A million": "Voxels of one head are not independent, and each head gives about 70 000 of them.",
            "None, because calibration needs a trained network": "It holds for any network, also for an untrained one.",
        },
    ),
    choice(
        "A scanner's software is updated and now interpolates. The mean spread of an ensemble falls. What follows?",
        (
            "Nothing: the error may be larger",
            "Members differ less on smooth files, but the fine part is still missing.",
        ),
        {
            "The new files suit the networks better": "Only their agreement grew; the chapter measured the error, too.",
            "The conformal promise has become too careful": "It holds only for files like those of the calibration.",
        },
    ),
    choice(
        "A method returns the same detail for two repetitions of a head, and none in a fruit. How can it be false?",
        (
            "It erases small lesions, every time",
            "Both questions find inconsistency only, and this method is consistent.",
        ),
        {
            "It draws random texture": "Then the two repetitions would differ.",
            "It draws a lesion in the middle of each image": "Then the fruit would have one.",
        },
    ),
    numeric(
        "Two results of one head differ by 2 % of the scale (root-mean-square). What is the smallest possible "
        "root-mean-square error (in %), taken over both results?",
        lambda: 2 / 2,
        tolerance=0.02,
        feedback="The nearest truth is half-way, 1 % from each.",
        mistakes={
            lambda: 2.0: "That is the error of one result if the other is right.",
            lambda: 2 / np.sqrt(2): "That is the error if they share none; if the truth is half-way, it is smaller.",
        },
    ),
]
