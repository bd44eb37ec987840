"""Quiz of chapter 19."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A spot is in the enhanced image and not in desc-zip. What do you know?",
        (
            "It rests on what the network learned",
            "desc-zip holds all that was measured; what is in the result only was added from other people's images.",
        ),
        {
            "It was too small for the scanner, and is now recovered": "A coarse scan does not hold what it did not "
            "measure; a network guesses it, and may guess wrong.",
            "It is an artefact and can be ignored": "It may be real: the network's guesses are often right. "
            "You know only that the measurement alone does not show it.",
        },
    ),
    choice(
        "medsr enhance ends with exit code 4. What has happened?",
        (
            "It refused, and wrote nothing",
            "Code 4 is a refusal; the lines above it give the reason.",
        ),
        {
            "It wrote the result and warns of it": "That is code 3, caution: the result is there, with reasons.",
            "It crashed, and should be started again": "A refusal is a decision; the same file gives the same answer.",
        },
    ),
    choice(
        "Can an ideal observer have a higher AUC on the super-resolved image than on the coarse one?",
        (
            "No, at best the same",
            "The fine image is computed from the coarse one, so whatever it shows could be had from the coarse one.",
        ),
        {
            "Yes, because the fine image shows more detail": "The detail is computed from the same measurement and "
            "from other people; it holds no new information about this one.",
            "Yes, if the network has learned what lesions look like": "An ideal observer knows that already; the "
            "network can only help an observer who does not.",
        },
    ),
    choice(
        "A triage AI with an AUC of 0.95 is put into use. What happens to the mean wait of all cases?",
        (
            "It stays as it was",
            "The reader does not read faster: when one case moves forward, others move back.",
        ),
        {
            "It falls, since the urgent ones no longer wait": "They wait less, and as much is added to the others.",
            "It rises, since sorting takes time": "Sorting takes no time of the reader; only the order changes.",
        },
    ),
    numeric(
        "Hit rate 90 %, false-alarm rate 10 %, prevalence 1 %. How many per cent of the flagged are ill? (± 0.5)",
        lambda: 100 * 0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.1),
        tolerance=0.5,
        feedback="Of 1000 people 9 are flagged rightly and 99 wrongly: 9 of 108.",
        mistakes={
            lambda: 90.0: "That is the hit rate: the share of the ill who are flagged.",
            lambda: 0.9: "That is the share of all people who are ill and flagged; divide by all who are flagged.",
            lambda: 99.0: "That is the share of healthy people among all.",
        },
    ),
    choice(
        "Your method wins the challenge after fifty submissions. What does its score mean?",
        (
            "Less than it says: it was chosen by fifty looks",
            "The best of many tries on the same people is partly luck; only new people can tell how much.",
        ),
        {
            "Exactly what it says, since the people were held out": "They were held out of training, and then used "
            "fifty times to choose: that is training, too.",
            "Nothing, since every challenge can be cheated": "Honest choices on test people are not cheating; "
            "they make the score too high, not worthless.",
        },
    ),
]
