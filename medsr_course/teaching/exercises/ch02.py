"""Exercises of chapter 02: families of deep learning."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise


def receptive_field(kernels, strides, dilations):
    """Side, in input pixels, of what one output pixel of a stack of convolutions sees."""
    side, jump = 1, 1
    for kernel, stride, dilation in zip(kernels, strides, dilations, strict=True):
        side += (kernel - 1) * dilation * jump
        jump *= stride  # neighbours in this layer's output lie that far apart in the input
    return side


def _field_backwards(kernels, strides, dilations):
    side = 1
    for kernel, stride, dilation in reversed(list(zip(kernels, strides, dilations, strict=True))):
        side = (side - 1) * stride + dilation * (kernel - 1) + 1
    return side


def _field_sum(kernels, strides, dilations):
    jumps = np.cumprod([1, *strides[:-1]])
    return int(sum(d * (k - 1) * j + 1 for k, d, j in zip(kernels, dilations, jumps, strict=True)))


def _field_stride_too_early(kernels, strides, dilations):
    jumps = np.cumprod(strides)
    return int(1 + sum(d * (k - 1) * j for k, d, j in zip(kernels, dilations, jumps, strict=True)))


_FIELD_MISTAKES = {
    "starts at 0": (
        lambda kernels, strides, dilations: receptive_field(kernels, strides, dilations) - 1,
        "one pixel short: without any layer a pixel already sees itself, so start at 1.",
    ),
    "kernels summed": (
        _field_sum,
        "each layer added 1 too many: neighbouring windows overlap, so a layer adds d·(k − 1) pixels, not k.",
    ),
    "no strides": (
        lambda kernels, strides, dilations: receptive_field(kernels, [1] * len(kernels), dilations),
        "strides are ignored: after a stride of 2, neighbours of the next layer lie 2 apart.",
    ),
    "stride on its own layer": (
        _field_stride_too_early,
        "a stride acts on the layers after its own, not on its own window.",
    ),
    "no dilations": (
        lambda kernels, strides, dilations: receptive_field(kernels, strides, [1] * len(kernels)),
        "dilations are ignored: a kernel of k spans d·(k − 1) + 1 pixels.",
    ),
    "k steps for k pixels": (
        lambda kernels, strides, dilations: receptive_field([k + 1 for k in kernels], strides, dilations),
        "a kernel of k pixels has k − 1 steps from end to end; count the steps.",
    ),
}


def _check_field(fn):
    rng = np.random.default_rng(21)
    cases = [([5, 3, 3], [2, 1, 3], [1, 2, 4])]
    cases += [tuple(rng.choice(s, n).tolist() for s in ((3, 5, 7), (2, 3), (2, 3))) for n in (2, 4)]
    for case in cases:
        got = answer(fn, *(list(part) for part in case))
        if np.ndim(got) != 0:
            raise Wrong(f"return one number; yours has shape {np.shape(got)}.")
        expected = receptive_field(*case)
        if np.isclose(got, expected):
            continue
        recognise(got, ((wrong(*case), why) for wrong, why in _FIELD_MISTAKES.values()))
        raise Wrong(f"kernels, strides, dilations {case} see {expected} pixels, not {float(got):g}.")


def forget_bias(share, steps):
    """Bias of a forget gate that keeps this share of a memory cell after so many steps (its other inputs zero)."""
    kept = share ** (1 / steps)
    return np.log(kept / (1 - kept))


def _bias_by_bisection(share, steps):
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-middle))) ** steps < share:
            low = middle
        else:
            high = middle
    return low


_BIAS_MISTAKES = {
    "the gate, not its bias": (
        lambda share, steps: share ** (1 / steps),
        "this is what the gate must give in each step; the sigmoid still has to be undone to get its bias.",
    ),
    "logarithm for logit": (
        lambda share, steps: np.log(share) / steps,
        "the logarithm undoes exp; the sigmoid is undone by log(p / (1 − p)).",
    ),
    "one step": (
        lambda share, steps: forget_bias(share, 1),
        "this keeps the share for one step; the factors of all steps multiply.",
    ),
    "share divided by the steps": (
        lambda share, steps: forget_bias(1 - (1 - share) / steps, 1),
        "losses per step do not add up: what is left is multiplied in each step.",
    ),
    "sign": (
        lambda share, steps: -forget_bias(share, steps),
        "the sign is wrong: a large positive bias keeps the memory, a negative one forgets.",
    ),
}


def _check_bias(fn):
    for share, steps in ((0.5, 60), (0.9, 12), (0.2, 3)):
        got = answer(fn, share, steps)
        if np.ndim(got) != 0:
            raise Wrong(f"return one number; yours has shape {np.shape(got)}.")
        if np.isclose(got, forget_bias(share, steps), atol=1e-4):
            continue
        recognise(got, ((wrong(share, steps), why) for wrong, why in _BIAS_MISTAKES.values()))
        left = (1 / (1 + np.exp(-float(got)))) ** steps
        raise Wrong(f"a bias of {float(got):.3g} leaves {100 * left:.3g} % after {steps} steps, not {100 * share:g} %.")


EXERCISES = [
    Exercise(
        name="02-receptive-field",
        task="receptive_field(kernels, strides, dilations) → side in input pixels; lists, first layer first",
        check=_check_field,
        hint="Keep two numbers: the side so far, and how many input pixels lie between two neighbours of this layer.",
        reference=receptive_field,
        alternatives=(_field_backwards,),
        mistakes={name: wrong for name, (wrong, _) in _FIELD_MISTAKES.items()},
    ),
    Exercise(
        name="02-forget-bias",
        task="forget_bias(share, steps) → bias b with sigmoid(b) to the power steps = share",
        check=_check_bias,
        hint="First the factor of one step: its power is the share. Then solve factor = 1 / (1 + exp(−b)) for b.",
        reference=forget_bias,
        alternatives=(_bias_by_bisection,),
        mistakes={name: wrong for name, (wrong, _) in _BIAS_MISTAKES.items()},
    ),
]
