"""Quiz of chapter 03."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A CT scanner may spend a fixed dose. It takes twice as many views, each with half the photons. "
        "There were plenty of views already. What happens to the noise in the image?",
        ("It stays about the same.", "Right: the same photons in all. Noise counts photons, not views."),
        {
            "It halves.": "That would take four times the photons. Views share the dose; they don't add to it.",
            "It falls by √2.": "That is what twice the *photons* would do. Here their number is unchanged.",
            "The image gets twice as sharp.": "Sharpness is set by the width of a detector element and the focal "
            "spot, once there are enough views.",
        },
    ),
    numeric(
        "μ of water is 0.020 /mm. A voxel has μ = 0.030 /mm. How many Hounsfield units is that?",
        lambda: 1000 * (0.030 - 0.020) / 0.020,
        tolerance=1,
        feedback="Half as much again as water: 1000 · 0.5 = 500 HU, spongy bone.",
        mistakes={(lambda: 1000 * 0.030 / 0.020): "Water has to come out as 0: subtract it before dividing."},
    ),
    numeric(
        "Fat at 3 T has T1 ≈ 370 ms. Which inversion time TI (ms) makes it disappear when TR is endless?",
        lambda: 370 * np.log(2),
        tolerance=3,
        feedback="TI = T1 · ln 2: half of the recovery from −1 to +1. This is the STIR sequence.",
        mistakes={(lambda: 370.0): "After one T1 the signal has passed zero already: 1 − 2/e = 0.26."},
    ),
    choice(
        "You keep only the central 5 % of k-space samples of a brain slice. What do you see?",
        (
            "The brain, blurred, with its contrasts.",
            "Right: the centre holds the large structures and nearly all energy.",
        ),
        {
            "The middle 5 % of the brain.": "k-space is not a map of places. Every sample holds a wave that covers "
            "the whole field of view.",
            "The outlines of the brain.": "Those are in the *outer* part of k-space, the fast waves.",
            "5 % of the brightness everywhere.": "The energy is not spread evenly: nearly all of it "
            "lies in the centre.",
        },
    ),
    choice(
        "MLEM has run for 20 iterations on noisy counts. The likelihood still rises with every iteration. "
        "Should you go on?",
        (
            "Not necessarily: the image may already be getting worse.",
            "Right: semi-convergence. From some point on the fit improves by explaining the noise.",
        ),
        {
            "Yes: higher likelihood means a better image.": "It means a better fit to *these counts, noise included*. "
            "The error against the truth falls, then rises.",
            "No: a rising likelihood shows that the adjoint is wrong.": "The other way round: with a matched adjoint "
            "it never falls.",
        },
    ),
    choice(
        "Two files hold the same scan, one stored as RAS, one as LPS. Voxel (10, 20, 30) of both is …",
        (
            "two different places in the body, each with its own millimetres.",
            "Right: an index means something only together with the affine of its own file.",
        ),
        {
            "the same place: it is the same scan.": "The axes run the other way, so index 10 counts from the other "
            "side. Only millimetres can be compared.",
            "the same place after swapping axes 0 and 1.": "LPS flips the directions of the first two axes, it "
            "doesn't swap them.",
        },
    ),
]
