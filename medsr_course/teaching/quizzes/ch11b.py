"""Quiz of chapter 11b."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "You reconstruct a stranger's k-space with ifft2. The head looks sharp and natural. What may still be wrong?",
        (
            "Left and right may be swapped",
            "A sharp image says nothing about the sign of the exponent. Compare with a scan whose sides are known.",
        ),
        {
            "Its resolution: ifft2 halves it": "Both transforms use every sample; resolution stays as it is.",
            "Its noise: ifft2 amplifies it": "Both are unitary but for a constant factor; noise is the same.",
        },
    ),
    numeric(
        "A scanner samples 512 points along a readout that is oversampled twice. How many pixels wide is the image?",
        lambda: 512 / 2,
        tolerance=0.5,
        feedback="Twice the field of view was sampled; half of the pixels lie outside the wanted field.",
        mistakes={lambda: 512.0: "That is the image before the surplus at both ends is cut off."},
    ),
    choice(
        "Where does ESPIRiT get the sensitivities of the coils from?",
        (
            "From the fully sampled middle of the same scan",
            "Neighbouring samples of all coils depend on one another; the maps follow from how.",
        ),
        {
            "From a drawing of the coil array": "Positions alone do not give phases, and a body changes them.",
            "From images of many other patients": "Nothing is learned from others; each scan calibrates itself.",
        },
    ),
    choice(
        "A brain was measured at R = 8, and never in full. How can two reconstructions be compared by a number?",
        (
            "Predict measured samples that both were denied",
            "Samples put aside are real measurements. Their noise sets a floor below which no method comes.",
        ),
        {
            "By PSNR against the smoother of the two": "Then the smoother one has won before anything is measured.",
            "By how well each fits the samples it was given": "Whoever fits those exactly fits their noise, too.",
        },
    ),
    choice(
        "What must hold for partial Fourier to work?",
        (
            "The phase of the image is smooth",
            "It is estimated from the middle of k-space, which shows slow changes only.",
        ),
        {
            "There is more than one coil": "One will do: it uses the mirror symmetry of k-space.",
            "The image has few edges": "Edges come back, because their mirrored half was measured.",
        },
    ),
]
