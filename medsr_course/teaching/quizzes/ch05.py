"""Quiz of chapter 05."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A slice is zero-filled from 128 × 128 to 512 × 512 pixels. What happens to its resolution?",
        (
            "It stays as it was",
            "No frequency was added: the pixels are finer, the smallest visible detail is not.",
        ),
        {
            "It becomes four times better": "Pixel size is not resolution: resolution is set by how much of k-space "
            "was measured.",
            "It becomes worse, because zeros blur": "The measured coefficients are untouched; nothing is blurred.",
        },
    ),
    numeric(
        "What percentage of the coefficients of that 512 × 512 k-space was measured?",
        lambda: 100 * 128**2 / 512**2,
        tolerance=0.05,
        feedback="A quarter along each of two axes: a sixteenth.",
        mistakes={lambda: 100 * 128 / 512: "That is the share along one axis; k-space has two."},
    ),
    choice(
        "Why does an even number of samples need special care in zero-filling?",
        (
            "Its coefficient at −N/2 stands for both ±N/2 and must be shared",
            "On the coarse grid the two frequencies cannot be told apart; on the fine grid they are two.",
        ),
        {
            "The FFT only works for even lengths": "It works for every length; powers of two are merely fast.",
            "Its middle lies between two samples, so the image moves": "The grid keeps sample 0 in place whatever the "
            "length.",
        },
    ),
    choice(
        "A Hamming window over k-space makes the ripples beside the skull disappear. What did it cost?",
        (
            "Sharpness: measured high frequencies were weakened",
            "The window fades out true coefficients, so edges get wider (and PSNR falls).",
        ),
        {
            "Nothing: ringing is pure noise": "Ringing is what is left of true edges when k-space ends abruptly.",
            "Brightness: the mean of the image falls": "A window is 1 at frequency 0, so the mean stays.",
        },
    ),
    numeric(
        "Someone makes a slice with fine pixels of 0.5 mm, four times finer than measured, on a centre-aligned grid "
        "instead of one that keeps sample 0 in place. By how many millimetres does the image stand aside?",
        lambda: (4 - 1) / 2 * 0.5,
        tolerance=0.01,
        feedback="(s − 1)/2 fine pixels, here 1.5, of half a millimetre each.",
        mistakes={
            lambda: 0.25: "Half a fine pixel would be the offset at ×2; it grows with the scale.",
            lambda: (4 - 1) / 2: "That is in fine pixels; each of them measures half a millimetre.",
        },
    ),
    choice(
        "Paper A gains 4 dB over bicubic on slices shrunk in the image domain, paper B 1.5 dB over ZIP on cropped "
        "k-space. Which network is better?",
        (
            "One cannot tell",
            "Other degradation, other baseline: part of A's gain may be the undoing of a blur that B never had.",
        ),
        {
            "A, by 2.5 dB": "The two gains are counted from different baselines on different tasks.",
            "B, because ZIP is always better than bicubic": "That holds under k-space cropping; A's slices were made "
            "another way, and the networks differ, too.",
        },
    ),
]
