"""Quiz of chapter 10."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    numeric(
        "A protocol says: slice thickness 3 mm, spacing between slices 4 mm, 40 slices. How wide is the gap between "
        "two slices, in mm?",
        lambda: 4 - 3,
        tolerance=0.05,
        feedback="Spacing is from centre to centre: what the thickness does not fill is gap. How little of the gap is "
        "seen depends on the profile.",
        mistakes={
            lambda: 4 + 3: "The spacing already contains the thickness.",
            lambda: 4: "That is the distance of the centres; the slices themselves fill part of it.",
        },
    ),
    choice(
        "Thick slices, simulated again from a restored stack, equal the measured ones exactly. What does that prove?",
        (
            "That the stack does not contradict the measurement",
            "Three quarters of the thin slices' freedom is invisible to thick slices: many stacks pass the same test.",
        ),
        {
            "That the restored detail is real": "Detail whose mean over the profile is zero passes unseen.",
            "That the network has learned": "One projection makes any stack pass, also that of random weights.",
        },
    ),
    choice(
        "A recurrent network gains 1 dB. Its slices shuffled, it still gains 1 dB. What have you found?",
        (
            "The gain does not come from the order of the slices",
            "Each slice alone, or the slices as an unordered heap, was enough: recurrence has earned nothing.",
        ),
        {
            "Its memory is longer than eight slices": "Length cannot show here: a memory that used the order would "
            "suffer when it is lost.",
            "A mistake in the test": "Possible, but the control exists to make you ask the other question first.",
        },
    ),
    choice(
        "Why does an LSTM on profiles gain so little on real scans?",
        (
            "It sees one line of voxels at a time",
            "Whether an edge between two slices lies nearer to the one or the other, the neighbouring lines know best.",
        ),
        {
            "Its memory is too short": "A handful of thick slices hold all that matters; longer memory changes little.",
            "It reads the slices in the wrong order": "They go in in order, and it runs both ways.",
        },
    ),
    numeric(
        "A ConvLSTM with 16 filters and 3 × 3 kernels reads 32 channels. How many weights has it, biases included, in "
        "one direction?",
        lambda: 4 * 16 * (9 * (32 + 16) + 1),
        tolerance=1,
        feedback="Four gates of 16 filters, each 3 × 3 over 32 input channels and 16 state channels, and a bias.",
        mistakes={
            lambda: 16 * (9 * (32 + 16) + 1): "That is one gate; there are four.",
            lambda: 4 * 16 * (9 * 32 + 1): "The state is convolved, too.",
        },
    ),
    choice(
        "Slices with wide gaps go through a network whose back-projection assumes FWHM = spacing. What happens?",
        (
            "It may do worse than the classical method with the right profile",
            "Back-projection undoes a blur that never happened; told the true profile, it would not, and the same "
            "weights would help.",
        ),
        {
            "Nothing: slices are slices": "Thick slices with gaps are sharper; undoing a blur that is not there "
            "overshoots every edge.",
            "It always fails with an error": "It cannot know. Numbers come out as ever; that is the danger.",
        },
    ),
]
