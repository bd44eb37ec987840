"""Quiz of chapter 17b."""

from medsr_course.tasks.studyplan import predictive_value
from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "A product was cleared because it is substantially equivalent to one on sale. What follows for your patients?",
        (
            "It must be measured on them",
            "A clearance rests on a stated use and on the cases tested then; your patients may be others.",
        ),
        {
            "It is as accurate on them as on the test cases": "Nobody tested your prevalence, scanner or age groups.",
            "It was compared with a radiologist who knows them": "It was compared with another device.",
        },
    ),
    choice(
        "A hospital sends results labelled *research only* to the reading room. What does the label do?",
        (
            "It does not undo the use",
            "What counts is the use: whoever uses it for patients answers for that.",
        ),
        {
            "It moves all responsibility to the radiologist": "She answers for her reading, not for the sending.",
            "It makes the maker of the network free of any duty": "Not of what the maker says and does elsewhere.",
        },
    ),
    numeric(
        "A lesion detector has a hit rate of 90 % and 10 % false alarms. Two of 100 patients have a lesion. How many "
        "per cent of its alarms are right?",
        lambda: 100 * predictive_value(0.9, 0.1, 0.02),
        tolerance=1,
        feedback="0.02 × 0.9 / (0.02 × 0.9 + 0.98 × 0.1).",
        mistakes={
            lambda: 100 * predictive_value(0.9, 0.1, 0.5): "That is where half of the patients have a lesion.",
        },
    ),
    choice(
        "A chart has limits from its first ten scans. What is to be expected?",
        (
            "Far more false alarms than planned",
            "Mean and spread of ten scans are uncertain, and the limits move with them.",
        ),
        {
            "As many false alarms as planned": "Only if mean and spread were known exactly.",
            "No alarms at all, for ten scans are always alike": "Ten people differ as much as any ten.",
        },
    ),
    choice(
        "No significant difference between men and women was found, with four women. What was shown?",
        (
            "Very little: only a huge gap would show",
            "With four people the power is small, so the interval of the gap is wide. Report it.",
        ),
        {
            "That the method is fair to women": "Absence of evidence: look at the interval of the gap.",
            "That women were harmed, since they are so few": "A small group makes a gap uncertain, not true.",
        },
    ),
    numeric(
        "Ten true null hypotheses are tested at 5 % each, independently. With what chance (in %) is at least one "
        "called significant?",
        lambda: 100 * (1 - 0.95**10),
        tolerance=1,
        feedback="1 − 0.95¹⁰: that is why Holm's correction is there.",
        mistakes={lambda: 5.0: "That is the chance for one test.", lambda: 50.0: "Chances of several do not add up."},
    ),
]
