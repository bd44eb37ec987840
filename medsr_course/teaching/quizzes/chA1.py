"""Quiz of chapter A1."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Your port of a network differs from the original by 3 % after one step of SGD, in 32 bits. What is likely?",
        ("A convention differs", "Rounding is a hundred thousand times smaller; something is computed otherwise."),
        {
            "Rounding, which every step adds to": "Rounding is about one part in a million after one step.",
            "Another random seed": "With weights and batches given there is nothing left to draw.",
        },
    ),
    choice(
        "Two stacks drift apart by as much in 64 bits as in 32. What does that tell?",
        ("Rounding of sums is not the cause", "It would shrink by a factor of a hundred million."),
        {
            "That 64 bits are too few": "They hold fifteen digits; the drift is in the fifth.",
            "That training is chaotic": "Twenty steps are few: in this chapter exact constants ended the drift.",
        },
    ),
    choice(
        "A kernel of shape (3, 3, 16, 16) is loaded, and no error is shown. What do you know?",
        ("Its shape fits, nothing more", "In and out have the same size here, so even their exchange goes unnoticed."),
        {
            "Its axes stand in the right order": "Any order of equal sizes fits.",
            "It came from a library with channels last": "A reshape makes that shape of anything.",
        },
    ),
    numeric(
        "A compiled function counts its own runs in Python. It is called with 7 tensors of one shape, then with 4 "
        "tensors of another shape, sizes fixed. How often has its Python code run?",
        lambda: 2,
        tolerance=0.2,
        feedback="Once for each shape: each gets a graph.",
        mistakes={lambda: 11.0: "Later calls run the graph.", lambda: 1.0: "A graph of fixed sizes fits one shape."},
    ),
    numeric(
        "Adam, β₂ = 0.999, ε placed as in Keras. By which factor is ε in effect larger at the first step?",
        lambda: 1 / np.sqrt(1 - 0.999),
        tolerance=0.5,
        feedback="1/√(1 − β₂), because the root was not yet corrected.",
        mistakes={lambda: 1000.0: "The correction stands under the root.", lambda: 1.0: "That is PyTorch's place."},
    ),
]
