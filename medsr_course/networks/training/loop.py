"""The training loop: Adam, a cosine schedule, averaged weights, and a checkpoint that survives a kill.

Only ``train_on_batch`` talks to the backend, so the same loop runs on TensorFlow, JAX and PyTorch.
"""

import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.networks.training.pairs import TrainingError

PRECISIONS = ("float32", "mixed_bfloat16")
CPUINFO = Path("/proc/cpuinfo")  # of Linux


class TrainingWarning(UserWarning):
    """A training that goes on, but probably to no good."""


@contextmanager
def precision(policy="auto"):
    """Networks built inside compute in ``policy``, one of "float32", "mixed_bfloat16" and "auto".

    "auto" is "mixed_bfloat16" where the machine is fast at it: on a GPU, or on a processor whose instructions (Linux
    lists them) know bfloat16; elsewhere it would be ten times slower than float32. Weights, loss and the last layer
    stay in float32 anyway. On two cores with AVX512-BF16 a step takes 0.6 of the time, on a GPU less; a network built
    outside from the same weights computes in float32 again.

    Yields
    ------
    str
        The policy in use, never "auto".

    Raises
    ------
    ValueError
        For any other policy.
    """
    if policy not in (*PRECISIONS, "auto"):
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)} and auto, not {policy!r}")
    from medsr_course.networks.models import keras

    if policy == "auto":
        policy = "mixed_bfloat16" if _gpu() or _bfloat16_cpu() else "float32"
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield policy
    finally:
        keras.mixed_precision.set_global_policy(before)


def _gpu():
    """Whether the framework below Keras sees a GPU."""
    from medsr_course.networks.models import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    if backend == "jax":
        import jax

        return jax.default_backend() in ("gpu", "cuda", "rocm")
    if backend == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    return False


def _bfloat16_cpu():
    """Whether the processor multiplies in bfloat16, as far as the system tells."""
    try:
        text = CPUINFO.read_text()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(text.split()))


def fit(model, batches, steps, *, learning_rate=1e-3, margin=0, loss=None, checkpoint=None, every=200, stop_after=None):
    """Train on the mean squared error, or on another loss.

    Parameters
    ----------
    model : keras.Model
        Trained in place; ends with the exponential average of its weights.
    batches : callable
        ``batches(k) -> (inputs, targets)`` or ``(inputs, targets, sample weights)``, a function of k alone.
    steps : int
        Total length; with 0 nothing happens.
    learning_rate : float
        Its peak, reached after 5 % of the steps; it then falls to 0 as a cosine.
    margin : int
        Border of the outputs that the loss leaves out: there the network lacks surroundings.
    loss : callable, optional
        ``loss(target, output)`` to one value per sample, ``(n,)``, instead of the mean squared error.
    checkpoint : path, optional
        Written every ``every`` steps; where it exists, training goes on from it.
    stop_after : int, optional
        Stop at this step all the same (as a kill would; for tests).

    Returns
    -------
    list of (int, float)
        Step and mean loss since the previous entry.

    Raises
    ------
    TrainingError
        If the loss is not finite, or the checkpoint belongs to another network or length.

    Warns
    -----
    TrainingWarning
        If half of the steps have passed and the loss is where it began.
    """
    if steps == 0:
        return []
    from medsr_course.networks.models import keras

    ops = keras.ops

    inner = inside(margin)

    def squared_error(target, output):
        return ops.mean(ops.square(target[inner] - output[inner]), axis=(1, 2, 3))

    warm = max(1, steps // 20)
    cool = max(1, steps - warm)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, cool, warmup_target=learning_rate, warmup_steps=warm)
    optimizer = keras.optimizers.Adam(
        schedule, use_ema=True, ema_momentum=min(0.999, 1 - 10 / max(steps, 20)), global_clipnorm=1.0
    )
    # Compiling with XLA takes longer than it saves on a CPU.
    model.compile(optimizer=optimizer, loss=loss or squared_error, jit_compile=False)
    optimizer.build(model.trainable_variables)
    history = restore([*model.weights, *optimizer.variables], steps, checkpoint)
    first = history[-1][0] if history else 0
    last = min(steps, stop_after or steps)
    recent = []
    bar = runtime.progress(range(first, last), model.name, unit="step")
    for k, batch in prefetch(batches, bar, last):
        model.reset_metrics()  # else some versions return a running mean
        recent.append(float(model.train_on_batch(*batch)))
        if not np.isfinite(recent[-1]):
            raise TrainingError(f"the loss is {recent[-1]} at step {k}: lower the learning rate ({learning_rate})")
        if (k + 1) % every == 0 or k + 1 == last:
            history.append((k + 1, float(np.mean(recent))))
            recent.clear()
            if hasattr(bar, "set_postfix"):
                bar.set_postfix(loss=f"{history[-1][1]:.3g}")
            if checkpoint:
                store([*model.weights, *optimizer.variables], steps, history, checkpoint)
            _advise_if_flat(history, steps, learning_rate)
    if last == steps:
        optimizer.finalize_variable_values(model.trainable_variables)
    return history


def inside(margin):
    """Index of a batch ``(n, h, w, …)`` without ``margin`` pixels at each border."""
    return (slice(None), slice(margin, -margin or None), slice(margin, -margin or None))


def prefetch(batches, numbers, last):
    """``(k, batches(k))`` for consecutive numbers k below ``last``; the next one is made while the caller uses this."""
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for k in numbers:
            batch = (coming or pool.submit(batches, k)).result()
            coming = pool.submit(batches, k + 1) if k + 1 < last else None
            yield k, batch


def _advise_if_flat(history, steps, learning_rate):
    """Once, at half time: is the loss still where it began?"""
    (_, start), (before, _), (now, value) = history[0], history[max(len(history) - 2, 0)], history[-1]
    if before < steps / 2 <= now and len(history) >= 5 and value > 0.98 * start:
        warnings.warn(
            f"after {now} of {steps} steps the loss is {value:.3g}, at the beginning it was {start:.3g}: "
            f"look at a batch (does the target depend on the input?), then change the learning rate ({learning_rate})",
            TrainingWarning,
            stacklevel=3,
        )


def store(variables, steps, history, path):
    """Everything the next process needs, in one file that is either the old one or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(variables)}
    with runtime.atomic_write(path) as part, open(part, "wb") as file:
        np.savez(file, steps=steps, history=np.array(history), **arrays)


def restore(variables, steps, path):
    """Put a checkpoint's values into ``variables``; returns its history, empty where there is no checkpoint.

    Raises
    ------
    TrainingError
        If it was made by another network or for another number of steps, or cannot be read; it is left alone.
    """
    if path is None or not Path(path).exists():
        return []
    try:
        # Not given to np.load by name: it leaves a damaged file open.
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file) as stored:
            values = [stored[f"v{i}"] for i in range(len(stored.files) - 2)]
            total, history = int(stored["steps"]), stored["history"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} cannot be read ({error}): delete or rename it") from None
    if total != steps or [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise TrainingError(f"{path} belongs to another network or another length: delete or rename it")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return [(int(row[0]), *(float(x) for x in row[1:])) for row in history]
