"""Quiz of chapter 02."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Which of these is self-supervised learning?",
        (
            "Hiding half of an image and training a network to predict it",
            "The label is made from the data itself: the hidden half.",
        ),
        {
            "Training a GAN to make new images": "A GAN is a generative, unsupervised model: nothing in the data is "
            "hidden and asked for.",
            "Training an RBM by contrastive divergence": "That is unsupervised: it models how probable the data are, "
            "with no question that has an answer.",
            "Training on labels that a second doctor has checked": "That is supervised learning with better labels.",
        },
    ),
    numeric(
        "Two 3×3 convolutions, the first with stride 2, the second with stride 1. How many pixels wide is the "
        "receptive field?",
        lambda: 1 + (3 - 1) + (3 - 1) * 2,
        tolerance=0.01,
        feedback="1 + 2 from the first layer; the second layer's neighbours lie two pixels apart, so it adds 2·2.",
        mistakes={
            lambda: 1 + 2 + 2: "That forgets the stride of the first layer.",
            lambda: 1 + 2 * 2 + 2 * 2: "A stride acts on later layers, not on its own window.",
        },
    ),
    numeric(
        "Each step back in time multiplies a gradient by 0.9. Which percentage of it is left after 60 steps?",
        lambda: 100 * 0.9**60,
        tolerance=0.02,
        feedback="0.9 to the power 60, less than a fifth of a per cent: it vanishes exponentially.",
        mistakes={
            lambda: 100 * 0.9: "That is one step.",
            lambda: 100 * 0.9**6: "That is six steps.",
        },
    ),
]
