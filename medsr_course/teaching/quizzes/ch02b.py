"""Quiz of chapter 02b."""

from medsr_course.teaching.quizzes._core import choice

QUESTIONS = [
    choice(
        "A generator returns training slices at random. Which measure tells it from a good generator?",
        (
            "How far unseen slices are from its nearest output",
            "Copies are close to real slices and as diverse, but they never show what was not in the training.",
        ),
        {
            "The distance of its outputs to the nearest training slice": "That distance is zero: the cheat looks "
            "perfect.",
            "How much its outputs differ from each other": "Training slices differ as much as real slices do: the "
            "cheat passes.",
        },
    ),
    choice(
        "Both losses of a GAN are steady near ln 2. What do you know about its images?",
        (
            "Not much: look at them, and count what is missing",
            "Each loss is measured against the other player. A forger with few modes can hold a balance as well.",
        ),
        {
            "They have the distribution of the real ones": "That would give ln 2, but not the other way round: a weak "
            "detective shrugs too.",
            "They have collapsed to one mode": "They may or may not have: the loss does not say.",
            "Training has failed, because the losses do not fall": "In a game losses need not fall: the opponent "
            "improves too.",
        },
    ),
    choice(
        "An agent that chooses lines of k-space ties with centre-out on brains. What is the best explanation?",
        (
            "The oracle gains next to nothing either, so there is nothing to win",
            "Energy falls steadily from the centre in every brain. Compute the ceiling before you train.",
        ),
        {
            "Reinforcement learning does not work for images": "On objects that differ in direction it wins by "
            "decibels, with the same code.",
            "It needs a deeper network": "No network can pass the oracle, which knows all energies in advance.",
            "The reward should be SSIM": "Another reward changes the goal, not the fact that brains are alike in "
            "k-space.",
        },
    ),
]
