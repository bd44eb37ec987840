"""Quiz of chapter 13."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A network for lesions is right about 99.8 % of all pixels. What do you know?",
        (
            "Little: “no lesion” everywhere may score that",
            "Where two pixels in a thousand are lesion, a network that finds none is right about the other 998.",
        ),
        {
            "It is nearly perfect: two pixels in a thousand fail": "Accuracy is decided by the common class; ask "
            "for Dice, and count lesions one by one.",
            "It finds most lesions, large and small ones alike": "It may find none at all and score 99.8 %.",
        },
    ),
    choice(
        "Why does a U-Net give the fine maps of its way down to its way up?",
        (
            "Pooling loses where an edge was; bridges keep it",
            "The deep levels hold what is there, the bridges hold where exactly.",
        ),
        {
            "To save weights, since the maps exist already": "Bridges make the layers that receive them wider: "
            "they cost weights.",
            "Because a network without bridges cannot be trained": "It can; its borders are blurred.",
        },
    ),
    numeric(
        "Truth and result are squares of 10 × 10 pixels; the result is shifted by two pixels along a row. What is "
        "their Dice overlap?",
        lambda: 2 * 80 / 200,
        tolerance=0.005,
        feedback="They share 8 × 10 of 100 pixels each: 2 · 80 / (100 + 100).",
        mistakes={
            lambda: 80 / 120: "That is intersection over union, the Jaccard index: 80 / 120.",
            lambda: 2 * 64 / 200: "The shift is along one axis only: they share 80 pixels.",
        },
    ),
    choice(
        "Soft Dice treats a class of 20 pixels and one of 20 000 alike. What does that cost?",
        (
            "The loss is noisy: few pixels decide it",
            "Two pixels more or less move it by a lot; summing over the whole batch helps.",
        ),
        {
            "Nothing: both classes are treated fairly": "Noise: with few pixels, chance decides the overlap.",
            "The large class is no longer learned": "Its overlap counts as much as that of the small one.",
        },
    ),
    choice(
        "An HR-trained network does better on super-resolved images than on ZIP. Tuned on ZIP images, it rises on "
        "those to what it had on super-resolved ones; tuning on HR costs nothing. What did super-resolution bring?",
        (
            "Images like those of the training set",
            "The coarse image held the same information; the network had not been trained on its blur.",
        ),
        {
            "Information from beyond the measured frequencies": "Then tuning on ZIP could not have caught up.",
            "Nothing that could help anybody, ever": "Where the segmentation program cannot be trained again, it helps "
            "in practice.",
        },
    ),
    choice(
        "On a real scan, labels of the super-resolved image and of the original agree at Dice 0.95. What is proved?",
        (
            "That the network treats both alike",
            "It may be wrong about both in the same way; only labels drawn by somebody else could tell.",
        ),
        {
            "That the segmentation is right at 0.95": "The original's labels are the same network's opinion, not "
            "the truth.",
            "That super-resolution restored the anatomy": "Only as far as this network looks, and it may "
            "miss what is wrong.",
        },
    ),
]
