"""Quiz of chapter 17."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A hospital deletes the 18 identifiers that a law lists, and the faces. Are the brain scans anonymous?",
        (
            "No: another scan of the same head finds them",
            "Whoever has a gallery with names can match brains; the chapter did it across contrasts.",
        ),
        {
            "Yes, since nobody knows a person by the brain": "No person does, but a program did, at the first try.",
            "Yes, if the UIDs were replaced by a keyed hash": "UIDs link files. Brains link heads.",
        },
    ),
    choice(
        "Why a list of what may stay, and not a list of what must go?",
        (
            "New places of names are dropped unseen",
            "Vendors add private elements every year; what nobody listed goes.",
        ),
        {
            "It is longer, and so safer": "It is shorter: an image needs little.",
            "It keeps all that later readers may need": "It drops some of that, such as the geometry of mosaics.",
        },
    ),
    numeric(
        "A gallery holds 40 faces, and an attack that knows nothing guesses. What rank-1 accuracy (in %) is chance?",
        lambda: 100 / 40,
        tolerance=0.05,
        feedback="One guess in forty is right by luck.",
        mistakes={lambda: 50.0: "That is chance for two faces: the size of the gallery matters."},
    ),
    choice(
        "Three hospitals average weights, and no image leaves them. What may still leak?",
        (
            "Who was in the training data",
            "Weights are computed from images, so membership can be asked of them.",
        ),
        {
            "Nothing, since images stay": "The images stay; what was computed from them travels.",
            "The names in the DICOM headers": "Weights are computed from pixels; headers do not enter them.",
        },
    ),
    choice(
        "An attack on a shipped network has AUC 0.55, with an interval from 0.33 to 0.75. What follows?",
        (
            "This attack has not shown a leak",
            "The interval holds a coin and a useful attack: more people, or a better attack, may decide.",
        ),
        {
            "The network contains no patients": "Absence of proof in a few people is no proof of absence.",
            "The network leaks, for 0.55 is above 0.5": "A coin's AUC lies that far off often, with so few people.",
        },
    ),
    numeric(
        "The noise of a private sum stays the same, and people become 10 times as many. By which factor does the "
        "noise in their mean shrink?",
        lambda: 10.0,
        tolerance=0.1,
        feedback="The mean divides the sum, and the noise in it, by n.",
        mistakes={lambda: 10**0.5: "That holds for noise that every person brings; here it is added once, to the sum."},
    ),
]
