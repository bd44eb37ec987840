"""Quiz of chapter 14."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A classifier of brain slices is right on 99 % of its test slices. Train and test slices were drawn at random "
        "from the same 40 people. What does the 99 % show?",
        (
            "Perhaps only that it recognises the people",
            "Neighbouring slices of one person are almost the same image, and share the person's label.",
        ),
        {
            "That it generalises to new slices, so to new people": "New slices of the same people are not new people.",
            "That the test has too few slices": "More slices of the same people would show the same result.",
        },
    ),
    numeric(
        "Labels are coin flips. A network gives one answer for each of 40 people on whom it was not trained. How many "
        "answers are right, on average?",
        lambda: 40 * 0.5,
        tolerance=0.4,
        feedback="Each answer is right with probability ½, whatever the network has learned.",
        mistakes={lambda: 40.0: "Only with a leak: here no image holds information about its label."},
    ),
    numeric(
        "At a site 20 common scans gain 1.0 dB each, and the one rare scan loses 1.5 dB. What is the mean gain over "
        "all 21 scans, in dB?",
        lambda: (20 * 1.0 - 1.5) / 21,
        tolerance=0.02,
        feedback="(20 × 1.0 − 1.5) / 21: the mean looks good, but the rare kind is worse than without it.",
        mistakes={lambda: (1.0 - 1.5) / 2: "That is the mean over the two groups, each counting once."},
    ),
    choice(
        "You train on two people. Which augmentation adds what they lack?",
        (
            "None of them adds anatomy",
            "It adds variations that should not matter (noise, contrast, orientation), but no folds of other people.",
        ),
        {
            "Turning and mirroring: eight times as many people": "Eight views of two people are two people.",
            "Mirroring the finished pairs, for twice the data": "Sample 0 moves: the two grids no longer agree.",
        },
    ),
    choice(
        "A network was fine-tuned for a new scanner and gains more there. What must be measured before it replaces the "
        "old one everywhere?",
        (
            "Its gain on the old scanners",
            "It may have forgotten them; the usual remedy is half a batch of old scans.",
        ),
        {
            "Its loss on the new scanner's training scans": "That only shows that it learned them.",
            "Nothing, since it knew the old scanners before": "Fine-tuning changed the weights that it used.",
        },
    ),
    choice(
        "A coarse scan shows ghosts of a moving head. What does a super-resolution network do that was trained on "
        "still heads?",
        (
            "It passes the ghosts on, sharpened like edges",
            "In its training every edge was true, so it treats false edges in the same way.",
        ),
        {
            "It removes them, since training heads had none": "It learned to make images finer, not to remove ghosts.",
            "It leaves the region as zero-filling would": "It treats all regions in the same way.",
        },
    ),
]
