"""Quiz of chapter 08."""

import math

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "The article's loop calls combined.fit(z, valid) and nothing else, with everything trainable. What does the "
        "discriminator learn?",
        (
            "To say “valid” to everything",
            "Its only label is 1, and no measured image ever enters: a constant answer is perfect.",
        ),
        {
            "To tell measured images from made-up ones": "It never sees a measured one, nor the label 0.",
            "Nothing: it is frozen": "Nobody froze it. In a real game it is, in this step, and is trained in another.",
        },
    ),
    choice(
        "Why does a conditional judge see the noisy image, too?",
        (
            "Else a fine image of another patient would pass",
            "The pair lets it ask whether this answer can have given that measurement.",
        ),
        {
            "So that it learns to denoise as well": "It only judges; nobody asks it for an image.",
            "Two channels make its training faster": "Speed is not the reason; what it can *know* is.",
        },
    ),
    numeric(
        "Sixty-four scans of one slice have noise with a standard deviation of 3 in pixels of 0.5 mm; the noise is "
        "white. What is the noise power spectrum at any frequency (in units² · mm²)?",
        lambda: 3**2 * 0.5**2,
        tolerance=0.05,
        feedback="σ² a² = 9 · 0.25. Its integral over all frequencies, (1/a)² of them, is the variance.",
        mistakes={
            lambda: 3 * 0.5: "That is σ·a, an amplitude.",
            lambda: 3**2: "The pixel's area is missing.",
            lambda: 9 * 0.25 / 64: "That would be the noise of the mean of all scans.",
        },
    ),
    choice(
        "Two scans of one slice are denoised by the GAN. Their fine grain differs. What does it show?",
        (
            "That grain was made from the noise",
            "Anatomy is the same in both scans; what changes with the noise is none.",
        ),
        {
            "The network is broken": "It does what it was paid for: images that look like scans.",
            "One of the two scans is wrong": "Both are plausible, and neither's grain is the truth.",
        },
    ),
    numeric(
        "Of 100 throws of the dice a generator answers 90 times A and 10 times B, of eight places that are all "
        "possible. What is its effective number of answers?",
        lambda: 0.9**-0.9 * 0.1**-0.1,
        tolerance=0.05,
        feedback="exp(−0.9 log 0.9 − 0.1 log 0.1): B comes so seldom that it is hardly a second answer.",
        mistakes={
            lambda: 2.0: "You count the different answers; a rare one should weigh less.",
            lambda: -0.9 * math.log(0.9) - 0.1 * math.log(0.1): "That is the entropy H: take e to it.",
            lambda: 8.0: "Eight are possible, and it gives two of them.",
        },
    ),
    choice(
        "Mixing some of the noisy image back in, inside the head, also brings the spectrum nearer the truth. What does "
        "this rival teach?",
        (
            "A better spectrum alone proves no skill: compare at equal error",
            "Whoever wants to praise a GAN must show what it does better than adding noise.",
        ),
        {
            "That noise is signal": "It has power at the right frequencies, and knows nothing about the anatomy.",
            "That the GAN is useless": "It lost by these measures; other measures, and readers, have not been asked.",
        },
    ),
]
