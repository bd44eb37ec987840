"""Quiz of chapter 11."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Somebody transforms magnitude images from DICOM files, keeps a quarter of the lines and reports 45 dB. What "
        "is the first doubt?",
        (
            "Was that k-space ever measured?",
            "Interpolated files have empty lines, and a magnitude mirrors its half: less was left out than it seems.",
        ),
        {
            "Is 45 dB possible at all?": "PSNR has no upper end; it depends on range, noise and how much is missing.",
            "Is a quarter of the lines enough?": "It is a usual acceleration. The question is of what.",
        },
    ),
    choice(
        "Why random lines rather than every fourth, with one coil?",
        (
            "Their aliasing looks like noise",
            "A prior separates noise from anatomy. Regular gaps make sharp copies, which look like anatomy.",
        ),
        {
            "They hold more information than regular ones": "As many numbers are measured either way.",
            "They are quicker to measure": "A line takes one repetition, wherever it lies.",
        },
    ),
    numeric(
        "At R = 4 with several coils the g-factor of a pixel is 1.5. By what factor is its noise greater than with all "
        "lines?",
        lambda: 1.5 * 4**0.5,
        tolerance=0.01,
        feedback="√R for the lines left out, g for solving ill-conditioned equations: 2 × 1.5.",
        mistakes={
            lambda: 1.5 * 4: "Noise goes with the square root of the number of samples.",
            lambda: 1.5: "That is what comes on top of √R.",
        },
    ),
    choice(
        "A cascade for R = 4 ends with hard data consistency. Which error is impossible?",
        (
            "A changed measured sample",
            "That is all it promises. Three quarters of k-space were not measured.",
        ),
        {
            "A small lesion that is not there": "Its k-space can lie where nothing was measured, or be made to.",
            "A blurred edge": "Blur is missing high frequencies, and those are mostly unmeasured.",
        },
    ),
    choice(
        "A paper's network beats compressed sensing by 3 dB. What would you ask first?",
        (
            "How was λ chosen?",
            "Over a factor of ten in λ the result moves by more than many published gains. A rival must be tuned, on "
            "validation data, too.",
        ),
        {
            "How many GPUs were used": "That says what it cost, not whether the comparison was fair.",
            "Whether more coils would help": "They would help both.",
        },
    ),
]
