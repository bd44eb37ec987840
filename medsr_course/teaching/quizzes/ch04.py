"""Quiz of chapter 04: resolution, noise and quality."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    numeric(
        "You want voxels half as wide in all three directions, at the same SNR. By what factor does the "
        "scan take longer?",
        lambda: (2**3) ** 2,
        tolerance=0.5,
        feedback="An eighth of the volume is an eighth of the signal; averaging wins with the square root of "
        "time, so 8² = 64.",
        mistakes={
            lambda: 2**3: "8 is the loss of signal. Averaging recovers it only with the square root of time.",
            lambda: 2: "There are three directions, and SNR grows only with the square root of time.",
        },
    ),
    numeric(
        "The real and the imaginary image each have Gaussian noise of σ = 8. What is the mean of the magnitude "
        "image in the air around the head?",
        lambda: 8 * np.sqrt(np.pi / 2),
        tolerance=0.06,
        feedback="Without signal the magnitude has Rayleigh's density, of mean σ√(π/2).",
        mistakes={
            lambda: 0: "The mean of each channel is 0, but a magnitude is never negative.",
            lambda: 8: "That is σ of one channel; the magnitude's mean is σ√(π/2).",
            lambda: 8 * np.sqrt(2 - np.pi / 2): "That is the standard deviation of the magnitude, not its mean.",
        },
    ),
    choice(
        "You average 100 magnitude images of one noisy slice. What becomes of the background?",
        ("It turns into an even grey.", "The scatter goes, the bias stays: every image has the same mean σ√(π/2)."),
        {
            "It becomes black.": "That is what averaging complex images does. A bias does not average out.",
            "It stays as grainy as before.": "The scatter about the mean falls tenfold; only the mean stays.",
            "It gets brighter with every scan.": "A mean of equal means does not grow.",
        },
    ),
    choice(
        "An image is blurred by a Gaussian, without any noise. Its Fourier ring correlation with the sharp image is…",
        (
            "close to 1 at nearly all frequencies.",
            "Weakening all of a ring cancels in the fraction: FRC sees lost agreement, not lost strength.",
        ),
        {
            "the MTF of the Gaussian.": "MTF is a ratio of strengths; FRC divides the strengths out.",
            "0 above the width of the Gaussian.": "A Gaussian weakens frequencies but removes none.",
            "negative at high frequencies.": "That would need a reversed sign; a Gaussian's transform is positive.",
        },
    ),
    numeric(
        "A target's brightest voxel is 1000. A colleague computes PSNR with R = 4095, because the file has 12 "
        "bits. By how many dB is her number higher than with R = 1000?",
        lambda: 20 * np.log10(4.095),
        tolerance=0.1,
        feedback="PSNR holds R², so it rises by 20·log10(4095/1000): not one voxel has become better.",
        mistakes={
            lambda: 10 * np.log10(4.095): "R enters squared: 20·log10, not 10·log10.",
            lambda: 0: "The error is the same, but PSNR compares it with R.",
        },
    ),
    choice(
        "A paper reports +6 dB over bicubic at ×2 after image-domain blur. Your network gains +1 dB over "
        "zero-filling after k-space cropping. What follows?",
        (
            "Nothing, until baseline, degradation, data and region agree.",
            "A gain is a sentence with four parts. Part of the +6 may be a known blur, undone.",
        ),
        {
            "Their network is better by 5 dB.": "The two gains start from other baselines and undo other things.",
            "Their data must have leaked.": "Possible, but not needed: degradation and baseline explain much.",
            "Your training was too short.": "Perhaps, but this comparison cannot show it.",
        },
    ),
]
