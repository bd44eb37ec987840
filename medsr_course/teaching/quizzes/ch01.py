"""Quiz of chapter 01."""

import numpy as np

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "Why can one neuron not tell grey matter from the other tissues, however long it trains?",
        (
            "Grey matter lies between the two others, and a line has only two sides",
            "In T1w and in T2w grey matter is neither darkest nor brightest: it takes two borders to cut it out.",
        ),
        {
            "Its learning rate is too small": "The perceptron's rule finds a line if there is one, at any rate. "
            "Here there is none.",
            "There are too few training voxels": "More voxels fill the same three clouds; the middle one stays in the "
            "middle.",
            "The clouds overlap a little": "Overlap costs a few per cent. Without any overlap the middle cloud would "
            "still be in the middle.",
        },
    ),
    choice(
        "What does back-propagation do?",
        (
            "It computes the derivative of the loss by every weight",
            "By the chain rule, from the last layer to the first. What to do with the derivatives is the optimiser's "
            "affair.",
        ),
        {
            "It minimises the loss": "That is what an optimiser tries, using slopes from back-propagation.",
            "It sends the error back to the inputs and corrects them": "The inputs are data and stay as they are; "
            "the weights are changed.",
            "It approximates slopes by nudging each weight": "That is the gradient check: exact only as the nudge "
            "shrinks, and a forward pass or two for every weight.",
        },
    ),
    numeric(
        "How many weights and biases has a network with 3 inputs, hidden layers of 16 and 8 neurons, and 3 outputs?",
        lambda: sum((a + 1) * b for a, b in ((3, 16), (16, 8), (8, 3))),
        tolerance=0.5,
        feedback="Each neuron has a weight for every input and one bias: 4·16 + 17·8 + 9·3.",
        mistakes={
            lambda: 3 * 16 + 16 * 8 + 8 * 3: "Those are the weights; every neuron also has a bias.",
            lambda: 3 + 16 + 8 + 3: "Those are neurons; the numbers that learn sit on the connections between them.",
        },
    ),
    numeric(
        "A softmax layer gives the true tissue a probability of 1 %. What is the cross-entropy of this voxel?",
        lambda: -np.log(0.01),
        tolerance=0.05,
        feedback="−ln 0.01, about 4.6. At 100 % it would be 0.",
        mistakes={
            lambda: 0.5 * (0.01 - 1) ** 2: "That is the squared error, which never exceeds ½, however wrong one is.",
            lambda: 2: "That is the logarithm to base 10; cross-entropy takes the natural one.",
        },
    ),
    choice(
        "During training the loss on the training voxels falls on and on; on validation subjects it has begun to rise. "
        "What is happening?",
        (
            "Overfitting: it learns its voxels by heart",
            "It grows ever surer about accidents of those voxels. Stop at the lowest validation loss, or get more "
            "data.",
        ),
        {
            "Underfitting: it needs more neurons": "Then the training loss would be high, too.",
            "The learning rate is too large": "Then the training loss would jump or rise; here it falls steadily.",
            "The validation subjects are unusually difficult": "Then their loss would be high from the start; it fell "
            "at first, and rises now.",
        },
    ),
    choice(
        "A colleague splits the *voxels* of ten patients at random into training and test, and reports 99 %. What "
        "does the number say?",
        (
            "How well it does on other voxels of the same ten patients",
            "Neighbouring voxels, same head, same scanner: nearly copies. A new patient is a harder test.",
        ),
        {
            "How well it will do on the next patient": "No patient of the test was new. Split by subject, then ask "
            "again.",
            "Nothing: test voxels must never come from the same image": "It does measure something, memory for these "
            "ten; it answers another question than the clinic's.",
        },
    ),
]
