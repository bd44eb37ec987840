"""Quiz of chapter 19."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "What does zero-filling add to k-space?",
        ("Zeros", "The finer grid shows the same frequencies, more smoothly."),
        {
            "New detail": "No measurement was added: frequencies that were not measured stay zero.",
            "Noise": "Nothing random is added.",
        },
    ),
    choice(
        "Which sample stays in place?",
        ("Sample 0", "The course's grids share their first sample."),
        {"The centre": "Block-averaged grids share their centre; these do not.", "None": "Sample 0 does."},
    ),
    numeric(
        "A 128 × 128 slice is zero-filled by 2. How many pixels has the result?",
        lambda: (2 * 128) ** 2,
        tolerance=0.5,
        feedback="Both sides double, so there are four times as many pixels.",
    ),
]
