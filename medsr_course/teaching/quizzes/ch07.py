"""Quiz of chapter 07."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A paper reports that its network beats NLM by 3 dB. What do you ask first?",
        (
            "How the strength of NLM was chosen, and whether it was told about the Rician bias",
            "A filter at a poor strength, or one that leaves air grey, loses decibels that no network had to earn.",
        ),
        {
            "How many parameters the network has": "Interesting, but it says nothing about whether the comparison is "
            "fair.",
            "Whether NLM was trained on the same data": "NLM is not trained; it has a strength, which must be chosen.",
        },
    ),
    choice(
        "Why does predicting the noise work better than sending the image through an autoencoder?",
        (
            "What is right in the input need not be redrawn",
            "The network leaves alone what it does not recognise as noise; a code must hold every detail of it.",
        ),
        {
            "Noise is random, so it is easier to predict": "Nobody can predict it; the network tells it from structure "
            "by looking at the neighbourhood.",
            "Autoencoders have too few parameters": "The dense one has many more than DnCNN, in the wrong place.",
        },
    ),
    choice(
        "Noise2Noise trains with noisy targets. Why does the network not learn to put out noise?",
        (
            "The target's noise is independent of the input, so the best guess is the targets' mean",
            "Under the squared error the best prediction of something unpredictable is its mean.",
        ),
        {
            "The network is too small to draw noise": "A huge network could not either: it is not in its input.",
            "The noise of input and target cancels": "They are different draws; nothing cancels in a single pair.",
        },
    ),
    numeric(
        "A network is trained by Noise2Noise on magnitudes with σ = 8 (grey levels). Which grey level will it give to "
        "air, whose true signal is 0?",
        lambda: 8 * np.sqrt(np.pi / 2),
        tolerance=0.1,
        feedback="It learns the mean of the targets, and a Rayleigh-distributed magnitude has the mean σ√(π/2).",
        mistakes={
            lambda: 0.0: "That would be so if the noise had mean zero; magnitudes cannot be negative.",
            lambda: 8.0: "σ is the standard deviation in each channel, not the mean of the magnitude.",
            lambda: 8 * np.sqrt(2): "That is the root of the mean square; the squared error leads to the mean of M.",
        },
    ),
    choice(
        "A network without biases was trained at 3 % of noise only. What happens to an image with 9 %?",
        (
            "More of the noise stays than need be",
            "It keeps as structure some specks that were too strong to be noise in its world; without biases much "
            "carries over all the same.",
        ),
        {
            "It smooths too much": "That happens the other way round: trained at 9 %, used at 3 %.",
            "Nothing special: noise is noise": "It learned where noise ends and structure begins; that border moves "
            "with the level.",
        },
    ),
    choice(
        "The error map of a denoised scan shows the outlines of the sulci, dark on one side and bright on the other. "
        "What does that mean?",
        (
            "Structure was removed together with the noise",
            "The error holds what differs from the truth; anatomy in it is anatomy that was lost or altered.",
        ),
        {
            "The network works well: it found the edges": "An error map without anatomy would be the good sign.",
            "The noise was stronger at the edges": "Noise of the scanner is equally strong everywhere in a channel.",
        },
    ),
]
