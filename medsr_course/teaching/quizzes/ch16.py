"""Quiz of chapter 16."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A guided network gains 1 dB over one without a guide. Which test shows that the *guide* did it?",
        (
            "The same network, trained with another person's guide",
            "It has the same weights and inputs; only the anatomy in the guide no longer fits.",
        ),
        {
            "The same network with more filters and without a guide": "That asks about size. The control must keep "
            "everything but the fit of the guide.",
            "A second test on people whose guide is sharper": "A better guide may help more, and still nothing is "
            "compared with no guide.",
        },
    ),
    choice(
        "Why can the peak of a correlation not lay a T1w image over a T2w image of the same head?",
        (
            "Bright in one may be dark in the other",
            "Correlation wants equal brightness. Mutual information wants only that one predicts the other.",
        ),
        {
            "The two images have different noise": "Noise makes the peak less sharp; it does not put it elsewhere.",
            "Correlation can find shifts of whole pixels only": "Its peak can be found to a hundredth of a pixel.",
        },
    ),
    numeric(
        "A region has lost a fifth of its activity to its neighbours by blur, and nothing came in. It shows 3.2 units. "
        "How many are true?",
        lambda: 3.2 / (1 - 1 / 5),
        tolerance=0.05,
        feedback="3.2 is four fifths of the truth.",
        mistakes={lambda: 3.2 * (1 + 1 / 5): "A fifth of the *truth* was lost, not a fifth of what is left."},
    ),
    choice(
        "A prior ties each pixel to its likes in the MR image. A lesion is in PET only. What does a strong prior do?",
        (
            "It spreads the lesion over the tissue around",
            "In MR the lesion is like its surroundings, so the prior ties them to each other.",
        ),
        {
            "Nothing, for the counts decide": "The counts decide as long as the prior is weak; it has a strength.",
            "It makes the lesion hotter": "A quadratic penalty makes differences smaller, never larger.",
        },
    ),
    choice(
        "A fused image of PET and MR has a higher fusion score than the PET image. What follows?",
        (
            "That it holds more edges of both images",
            "This is what the score measures; whether activity is right is another question.",
        ),
        {
            "That its activity is nearer to the truth": "No score of this kind ever sees the truth.",
            "That a lesion is easier to measure in it": "Details of the MR image stand where activity stood.",
        },
    ),
    numeric(
        "Of eight neighbours Bowsher's prior keeps four. How many pixels may be tied to one pixel at most, "
        "if ties count in both directions?",
        lambda: float(np.size(np.zeros((3, 3))) - 1),
        tolerance=0.1,
        feedback="Each of the eight neighbours may choose it, whether it chose them or not.",
        mistakes={lambda: 4.0: "Four are those that it chooses; the others may choose it."},
    ),
]
