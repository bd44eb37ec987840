"""Quiz of chapter 12."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A network of any size is trained on the squared error, with endless data. What does it draw where several "
        "fine images fit the coarse one?",
        (
            "Their mean",
            "Nothing has a smaller expected squared error; the mean of sharp images is soft.",
        ),
        {
            "The most probable one of them": "That would minimise how often it is wrong, not how far on average.",
            "One of them at random": "That doubles the expected squared error, and is about what SRGAN does.",
        },
    ),
    numeric(
        "Of many plausible images, spread with variance 1 about their mean, one is the truth. A method returns another "
        "one, drawn independently. What is its expected squared error?",
        lambda: 1.0 + 1.0,
        tolerance=0.05,
        feedback="The truth's variance and the guess's own: together twice that of the mean, 3 dB more.",
        mistakes={lambda: 1.0: "That is the error of the mean itself; a drawn image adds its own spread."},
    ),
    choice(
        "Why is the feature network that measures another one than the network that taught?",
        (
            "The generator has learned to please its teacher, real improvement or not",
            "A measure that was optimised is no longer a measure.",
        ),
        {
            "Two networks are more precise than one": "Precision is not the point: the teacher's verdict is biased.",
            "The teacher cannot be run on whole slices": "Both are convolutional and take any size.",
        },
    ),
    choice(
        "The discriminator's loss stays near log 2. What does that say?",
        (
            "It cannot tell measured from made-up patches better than by guessing",
            "Either the generator is good, or the discriminator is weak: the loss alone does not say which.",
        ),
        {
            "The generator has reached the truth": "A discriminator too small or too slow shows the same.",
            "The training has broken down": "In a breakdown one player's loss runs to 0, the other's away.",
        },
    ),
    choice(
        "A restored image, cropped in k-space, is exactly the measured scan. It shows a bright spot half a coarse "
        "voxel across. What follows?",
        (
            "Nothing for sure: most of such a spot lies where the scan is blind",
            "Data consistency speaks of the measured band only; the rest may come from the training set.",
        ),
        {
            "The spot is real, for it agrees with the data": "So does the image without it, and so do many others.",
            "The spot is false, for networks invent small things": "It may be real: the coarse scan may hint at it.",
        },
    ),
    numeric(
        "A detector's threshold gives 5 % false alarms. It looks at 240 places without lesions. How many false lesions "
        "does it report on average?",
        lambda: 0.05 * 240,
        tolerance=0.4,
        feedback="240 × 0.05. A rate that sounds small is many alarms when many places are looked at.",
        mistakes={lambda: 0.05 * 240 / 2: "The threshold is one-sided already: the 5 % lie all above it."},
    ),
]
