"""Quiz of chapter 06."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Motion correction gives one transform, the way to an atlas another, the way to a finer grid a third. What do "
        "you do with the image?",
        (
            "Multiply the three, resample once",
            "Matrices multiply without loss; each resampling blurs.",
        ),
        {
            "Resample after each, to check the result": "Look by all means, but go on from the original: every "
            "interpolation costs detail that none of the later ones brings back.",
            "Resample after each, with the best spline": "A better kernel loses less each time; once is less still.",
        },
    ),
    choice(
        "Four MR scans in one plane, the field of view moved by half a pixel each time. What do they hold together "
        "that one of them does not?",
        (
            "Four noises to average",
            "Each measured the same band of k-space; a shift is a known phase.",
        ),
        {
            "Twice the resolution": "Interlaced pixels look like it, but every one of them could be computed from the "
            "first scan alone, by zero-filling.",
            "Four different bands of k-space": "A shift multiplies coefficients by a phase; it moves none of them.",
        },
    ),
    numeric(
        "By how many decibels does averaging four scans raise the signal-to-noise ratio?",
        lambda: 10 * np.log10(4),
        tolerance=0.1,
        feedback="Noise power falls to a quarter: 10·log₁₀ 4. In dB, amplitude and power tell the same story.",
        mistakes={
            lambda: 20 * np.log10(4): "That would be four times less noise amplitude; averaging four gives √4 = 2.",
            lambda: 10 * np.log10(2): "Half the amplitude is a quarter of the power, and dB count power.",
        },
    ),
    numeric(
        "Slices 6 mm thick, and you want 1.5 mm. How many stacks, each shifted by a whole number of thin slices, "
        "make as many equations as there are unknown thin slices?",
        lambda: 6 / 1.5,
        tolerance=0.01,
        feedback="Each thick stack has a quarter as many slices as the fine volume: four stacks.",
        mistakes={lambda: 2: "Two stacks give half as many equations as unknowns: a prior would have to do the rest."},
    ),
    choice(
        "Iterative back-projection explains the noisy frames better with every round. When do you stop?",
        (
            "When the residual has come down to the noise",
            "Beyond that, what is being explained is noise. It is called the discrepancy principle.",
        ),
        {
            "When nothing changes any more": "Then it has reached plain least squares, with all its amplified noise.",
            "When the residual is zero": "The truth itself has a residual: the noise. Only a wrong image explains it.",
        },
    ),
    choice(
        "Why does registering T1w to T2w by the sum of squared differences fail?",
        (
            "It wants equal intensities, and fluid is dark in one and bright in the other",
            "Mutual information only asks that one intensity predict the other.",
        ),
        {
            "The optimiser is too weak": "The very same optimiser succeeds with mutual information.",
            "The voxels are too large": "At the same voxels mutual information finds the motion to a fraction of one.",
        },
    ),
]
