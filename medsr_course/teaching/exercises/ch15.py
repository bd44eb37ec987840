"""Exercises of chapter 15: whole numbers for weights, what a convolution costs, frames dropped."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped

AXES = (0, 1, 2)  # of a kernel: all but the output channels


def _check_quantise(fn):
    rng = np.random.default_rng()
    for shape in ((3, 3, 4, 5), (1, 1, 6, 3), (5, 5, 2, 8)):
        weights = rng.normal(0, 0.1, shape) * 10.0 ** rng.uniform(-1.5, 0, shape[-1])
        _judge_quantised(answer(fn, weights.copy()), weights)
    weights[..., 1] = 0
    numbers, step = _parts(answer(fn, weights.copy()), weights)
    if not np.isfinite(step).all() or step.ravel()[1] != 1:
        raise Wrong("in a channel of zeros only, the step would be 0, and you would divide by it: give it the step 1")
    if np.any(numbers[..., 1]):
        raise Wrong("a channel of zeros should stay a channel of zeros")


def _parts(got, weights):
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things, (numbers, step)")
    numbers = shaped(got[0], weights.shape, f"the numbers should have the weights' shape, {weights.shape}, not {{}}")
    return numbers, np.asarray(got[1], float)


def _judge_quantised(got, weights):
    numbers, step = _parts(got, weights)
    if step.size == 1:
        raise Wrong("one step for all weights: each output channel, the last axis, should have its own")
    if step.size == weights.shape[2] != weights.shape[3]:
        raise Wrong("your steps belong to the input channels; the output channels are the last axis")
    if step.size != weights.shape[3]:
        raise Wrong(f"there should be {weights.shape[3]} steps, one for each output channel, not {step.size}")
    if numbers.dtype != np.int8:
        raise Wrong(f"the numbers are of type {numbers.dtype}: make them int8, or nothing is saved")
    want, right = quantise(weights)
    step = step.reshape(1, 1, 1, -1)
    if not np.allclose(step, right, rtol=1e-6):
        recognise(
            step,
            [
                (
                    right * 127 / 128,
                    "dividing by 128, the largest weight becomes 128, which int8 cannot hold: 127 is the most",
                ),
                (right * 127 / 255, "you divide by 255; whole numbers on each side of zero reach from −127 to 127"),
                (
                    weights.max(axis=AXES, keepdims=True) / 127,
                    "take the largest *absolute* weight, because negative weights count, too",
                ),
            ],
        )
        raise Wrong("the step should be the largest absolute weight of its channel, divided by 127")
    if np.array_equal(numbers, np.trunc(weights / right).astype(np.int8)) and not np.array_equal(numbers, want):
        raise Wrong("you cut off the decimals; round to the nearest whole number, which halves the largest error")
    if np.abs(numbers.astype(int) - want.astype(int)).max() > 0:
        raise Wrong("the steps are right, the numbers are not: weights / step, rounded to the nearest")


def quantise(weights):
    largest = np.abs(weights).max(axis=(0, 1, 2), keepdims=True)
    step = np.where(largest > 0, largest / 127, 1.0)
    return np.rint(weights / step).astype(np.int8), step


def _quantised_channel_by_channel(weights):
    numbers, steps = np.zeros(weights.shape, np.int8), np.ones(weights.shape[-1])
    for c in range(weights.shape[-1]):
        largest = np.max(np.abs(weights[..., c]))
        if largest:
            steps[c] = largest / 127
            numbers[..., c] = np.round(weights[..., c] / steps[c])
    return numbers, steps


def _quantised_with(step_of, rounded=np.rint, dtype=np.int8):
    def wrong(weights):
        step = step_of(weights)
        step = np.where(step > 0, step, 1.0)
        return rounded(weights / step).astype(dtype), step

    return wrong


def _steps(weights):
    return quantise(weights)[1]


def _check_cost(fn):
    rng = np.random.default_rng()
    for k, size in ((3, 4), (5, 1), (1, 2)):
        h, w, c_in, c_out = (int(n) for n in (*rng.integers(40, 90, 2), *rng.integers(3, 40, 2)))
        got = answer(fn, h, w, k, c_in, c_out, size)
        got = shaped(got, (2,), "return two numbers, (multiplications, bytes)")
        _judge_cost(float(got[0]), float(got[1]), h, w, k, c_in, c_out, size)


def _judge_cost(products, moved, h, w, k, c_in, c_out, size):
    want, right = convolution_cost(h, w, k, c_in, c_out, size)
    if np.isclose(products, want) and np.isclose(moved, right):
        return
    recognise(
        products,
        [
            (2 * want, "you count multiplications and additions: here a multiplication with its addition is one"),
            (want / c_in if c_in > 1 else -1, "every output channel reads *all* input channels"),
            (want / k if k > 1 else -1, "a kernel has k × k weights, not k"),
            (k * k * c_in * c_out, "that is the number of weights: each is used at every pixel"),
        ],
    )
    if not np.isclose(products, want):
        raise Wrong(f"there should be {want} multiplications here, yours are {products:g}")
    weights = size * k * k * c_in * c_out
    recognise(
        moved,
        [
            (right / size if size > 1 else -1, "you count numbers: each takes `size` bytes"),
            (right - weights, "the weights have to be read, too, once"),
            (weights, "those are the weights alone: the images are moved, too"),
            (right - size * h * w * c_out, "the outputs have to be written, too"),
            (right + size * h * w * c_in * (k * k - 1), "each input counts once, however many kernels' places read it"),
        ],
    )
    if not np.isclose(moved, right):
        raise Wrong(f"the multiplications are right; {right} bytes should be moved here, yours are {moved:g}")


def convolution_cost(h, w, k, c_in, c_out, size):
    weights = k * k * c_in * c_out
    return h * w * weights, size * (h * w * (c_in + c_out) + weights)


def _cost_by_shapes(h, w, k, c_in, c_out, size):
    inputs, outputs, kernel = np.zeros((h, w, c_in)), np.zeros((h, w, c_out)), np.zeros((k, k, c_in, c_out))
    return h * w * kernel.size, size * (inputs.size + outputs.size + kernel.size)


def _check_dropped(fn):
    rng = np.random.default_rng(15)
    for slow, interval in ((0.2, 100.0), (0.35, 40.0), (0.1, 10.0)):
        service = np.where(rng.random(400) < slow, 3.3 * interval, 0.6 * interval)
        service[5] = interval  # done at the very moment the next one arrives
        got = float(shaped(answer(fn, service.copy(), interval), (), "return one number, the share of frames dropped"))
        want = dropped(service, interval)
        if abs(got - want) < 0.5 / service.size:
            continue
        recognise(got, [(wrong(service, interval), why) for wrong, why in _DROPPED_WRONG], atol=0.5 / service.size)
        raise Wrong(f"a share of {want:.3f} is dropped here, yours is {got:.3f}")
    service = np.full(50, interval)
    if answer(fn, service, interval) > 0:
        raise Wrong("an engine that finishes at the very moment a frame arrives takes it: compare with <, not <=")


def dropped(service, interval):
    free, lost = 0.0, 0
    for k, spent in enumerate(service):
        arrival = k * interval
        if arrival < free:
            lost += 1
        else:
            free = arrival + spent
    return lost / len(service)


def _dropped_by_skipping(service, interval):
    k, taken = 0, 0
    while k < len(service):
        taken += 1
        k += max(1, int(np.ceil(service[k] / interval - 1e-9)))
    return 1 - taken / len(service)


def _share_slow(service, interval):
    return float(np.mean(np.asarray(service) > interval))


def _share_waiting(service, interval):
    waiting, count = 0.0, 0
    for spent in service:
        count += waiting > 0
        waiting = max(0.0, waiting + spent - interval)
    return count / len(service)


def _share_taken(service, interval):
    return 1 - dropped(service, interval)


def _by_the_mean(service, interval):
    return max(0.0, 1 - interval / float(np.mean(service)))


def _dropped_work(service, interval):
    """Dropped frames keep the engine busy all the same."""
    free, lost = 0.0, 0
    for k, spent in enumerate(service):
        lost += k * interval < free
        free = max(free, k * interval + spent)
    return lost / len(service)


_DROPPED_WRONG = [
    (_share_slow, "that is the share of slow frames; a frame is dropped if it *arrives* while the engine is busy"),
    (_share_waiting, "in your solution frames wait in a queue; here a frame that finds the engine busy is dropped"),
    (_share_taken, "that is the share of frames that are shown, not of those dropped"),
    (
        _by_the_mean,
        "the mean time is not enough: compare when each frame arrives with when the engine is free",
    ),
    (_dropped_work, "the engine does not work on a frame that is dropped: such a frame must not keep it busy"),
]


def _off_by_equality(service, interval):
    free, lost = -1.0, 0
    for k, spent in enumerate(service):
        if k * interval <= free:
            lost += 1
        else:
            free = k * interval + spent
    return lost / len(service)


EXERCISES = [
    Exercise(
        name="15-quantise",
        task="Return a kernel as whole numbers from −127 to 127, and one step for each of its output channels.",
        check=_check_quantise,
        hint="np.abs(weights).max(axis=(0, 1, 2), keepdims=True) / 127; np.where for the channels of zeros; np.rint.",
        reference=quantise,
        alternatives=(_quantised_channel_by_channel,),
        mistakes={
            "one step for all": _quantised_with(lambda w: np.abs(w).max() / 127),
            "input channels": _quantised_with(lambda w: np.abs(w).max(axis=(0, 1, 3))[None, None, :, None] / 127),
            "128": _quantised_with(lambda w: _steps(w) * 127 / 128),
            "cut off": _quantised_with(_steps, np.trunc),
            "floats": _quantised_with(_steps, dtype=np.float32),
            "largest, not absolute": _quantised_with(lambda w: w.max(axis=AXES, keepdims=True) / 127),
        },
    ),
    Exercise(
        name="15-cost",
        task="Return how often a convolution multiplies, and how many bytes it moves.",
        check=_check_cost,
        hint="Each of h · w · c_out outputs takes k · k · c_in products. Bytes: inputs, outputs, weights, each once.",
        reference=convolution_cost,
        alternatives=(_cost_by_shapes,),
        mistakes={
            "additions counted, too": lambda *a: (2 * convolution_cost(*a)[0], convolution_cost(*a)[1]),
            "one input channel": lambda *a: (convolution_cost(*a)[0] / a[3], convolution_cost(*a)[1]),
            "weights alone": lambda *a: (a[2] ** 2 * a[3] * a[4], convolution_cost(*a)[1]),
            "numbers, not bytes": lambda *a: (convolution_cost(*a)[0], convolution_cost(*a)[1] / a[5]),
            "without the weights": lambda h, w, k, a, b, size: (h * w * k * k * a * b, size * h * w * (a + b)),
        },
    ),
    Exercise(
        name="15-dropped",
        task="Frames arrive regularly, and one that finds the engine busy is dropped: return the share dropped.",
        check=_check_dropped,
        hint="Keep the time at which the engine is free. A frame that is taken sets it to its arrival + service[k].",
        reference=dropped,
        alternatives=(_dropped_by_skipping,),
        mistakes={
            "slow frames": _share_slow,
            "a queue": _share_waiting,
            "shown, not dropped": _share_taken,
            "dropped frames are worked on": _dropped_work,
            "busy at the very end": _off_by_equality,
        },
    ),
]
