"""Quiz of chapter 14b."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Five networks, trained alike on the same people, draw the same small vessel. What follows?",
        (
            "That they learned the same: right or wrong",
            "Spread holds only the part of the error that differs between members.",
        ),
        {
            "That the vessel is there, for five witnesses agree": "Five witnesses who heard one story are one witness.",
            "That the vessel is false, for networks invent": "Members agree on what is true, too: it says little.",
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
        "Error bars were calibrated on a million voxels of 14 people. How many cases are that for the next person?",
        (
            "About 14",
            "Voxels of one head share its contrast, noise and anatomy; the next head has others.",
        ),
        {
            "A million": "Then every voxel would be drawn anew, from anywhere; they come 70 000 to a head.",
            "None, for calibration needs a trained network": "It holds for any network, also for an untrained one.",
        },
    ),
    choice(
        "A scanner's software is updated and now interpolates. The mean spread of an ensemble falls. What follows?",
        (
            "Nothing: the error may have grown",
            "Smooth files leave members less to differ about, and the fine part is missing all the same.",
        ),
        {
            "The new files suit the networks better": "Only their agreement grew; the chapter measured the error, too.",
            "The conformal promise has become too careful": "It was made for files like those of the calibration.",
        },
    ),
    choice(
        "A method returns the same detail for two repetitions of a head, and none in a fruit. How may it still lie?",
        (
            "It erases small lesions, every time",
            "Both questions look for inconsistency, and an eraser is consistent.",
        ),
        {
            "It draws random texture": "Then the two repetitions would differ.",
            "It stamps a lesion into the middle of each image": "Then the fruit would have one.",
        },
    ),
    numeric(
        "Two results of one head differ by 2 % of the scale, root-mean-square. Under which root-mean-square error "
        "(in %) can their mean squared error not lie?",
        lambda: 2 / 2,
        tolerance=0.02,
        feedback="The best truth lies half-way, 1 % from each.",
        mistakes={
            lambda: 2.0: "That would need one of them to be right.",
            lambda: 2 / np.sqrt(2): "That is the noise of each if they share no mistake; half-way is nearer.",
        },
    ),
]
