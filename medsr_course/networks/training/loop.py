"""The training loop: Adam, a cosine schedule, averaged weights, and a checkpoint that survives a kill.

Only ``train_on_batch`` talks to the backend, so the same loop runs on TensorFlow, JAX and PyTorch.
"""

from __future__ import annotations

import gc
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medsr_course import runtime
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.types import Array, PathLike

if TYPE_CHECKING:
    import keras

Model: TypeAlias = "keras.Model"
Batches = Callable[[int], tuple]  # number k of a batch → (inputs, targets) or (inputs, targets, sample weights)
History = list[tuple[int, float]]
PRECISIONS = ("float32", "mixed_bfloat16")
CPUINFO = Path("/proc/cpuinfo")  # of Linux


class TrainingWarning(UserWarning):
    """A training that goes on, but probably to no good."""


@contextmanager
def precision(policy: str = "auto") -> Iterator[str]:
    """Networks built inside compute in ``policy``: "float32", "mixed_bfloat16" or "auto"; yields the one in use.

    "auto" is "mixed_bfloat16" where the machine is fast at it: on a GPU, or on a processor whose instructions (Linux
    lists them) include bfloat16; elsewhere it would be ten times slower than float32. Weights, loss and the last layer
    stay in float32 anyway. On two cores with AVX512-BF16 a step takes 0.6 of the time, on a GPU less. A network built
    outside from the same weights computes in float32 again. A ValueError for any other policy.
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


def _gpu() -> bool:
    """Whether the framework below Keras has a GPU."""
    from medsr_course.networks.models import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    if backend == "jax":
        import jax

        return jax.default_backend() in ("gpu", "cuda", "rocm")
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _bfloat16_cpu() -> bool:
    """Whether the processor multiplies in bfloat16, as far as the system tells."""
    try:
        text = CPUINFO.read_text()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(text.split()))


class Watch:
    """The gain of a network on development scans, ``gain(model)``, measured some ``times`` while it is trained.

    A loss that falls while the gain stays tells that the training is long enough; a gain that still grows, that it is
    not. Measured are the averaged weights, as they would ship; the training itself does not change. ``rows`` holds
    steps and gains, ``seconds`` the processor time that it took.
    """

    def __init__(self, gain: Callable[[Model], float], times: int = 10):
        self.gain, self.times = gain, times
        self.rows: History = []
        self.seconds = 0.0

    def look(self, model: Model, step: int, steps: int, average: Callable[[], None]) -> None:
        """Measures, if it is time; ``average`` puts the averaged weights into the model, which gets its own back."""
        if step * self.times >= steps * (len(self.rows) + 1):
            own, began = model.get_weights(), time.process_time()
            average()
            self.rows.append((step, float(self.gain(model))))
            model.set_weights(own)
            self.seconds += time.process_time() - began


def fit(
    model: Model,
    batches: Batches,
    steps: int,
    *,
    learning_rate: float = 1e-3,
    schedule: int | None = None,
    margin: int = 0,
    loss: Callable[[Any, Any], Any] | None = None,
    **options: Any,
) -> History:
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
    schedule : int, optional
        The steps after which it would be 0, where the training ends before: a stage that another one goes on from.
    margin : int
        Border of the outputs that the loss leaves out: there the network lacks surroundings.
    loss : callable, optional
        ``loss(target, output)`` to one value per sample, ``(n,)``, instead of the mean squared error.
    **options
        ``checkpoint``, ``every``, ``stop_after``, ``watch``: see :func:`run`.

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

    gc.collect()  # networks refer to themselves: what an earlier one held, its compiled graph too, goes only now

    ops, inner = keras.ops, inside(margin)

    def squared_error(target, output):
        return ops.mean(ops.square(target[inner] - output[inner]), axis=(1, 2, 3))

    whole = schedule or steps
    warm = max(1, whole // 20)
    cool = max(1, whole - warm)
    rate = keras.optimizers.schedules.CosineDecay(0.0, cool, warmup_target=learning_rate, warmup_steps=warm)
    optimizer = keras.optimizers.Adam(
        rate, use_ema=True, ema_momentum=min(0.999, 1 - 10 / max(whole, 20)), global_clipnorm=1.0
    )
    # Compiling with XLA takes longer than it saves on a CPU.
    model.compile(optimizer=optimizer, loss=loss or squared_error, jit_compile=False)
    optimizer.build(model.trainable_variables)

    def step(k: int, *batch: Array) -> float:
        model.reset_metrics()  # else some versions return a running mean
        value = float(model.train_on_batch(*batch))
        if not np.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {k}: lower the learning rate ({learning_rate})")
        return value

    return run(
        model,
        step,
        lambda: optimizer.finalize_variable_values(model.trainable_variables),
        [*model.weights, *optimizer.variables],
        batches,
        steps,
        label=model.name,
        after=lambda history: _advise_if_flat(history, steps, learning_rate),
        **options,
    )


def run(
    model: Model,
    step: Callable[..., Any],
    average: Callable[[], None],
    variables: list,
    batches: Batches,
    steps: int,
    *,
    label: str,
    every: int = 200,
    checkpoint: PathLike | None = None,
    stop_after: int | None = None,
    watch: Watch | None = None,
    after: Callable[[list], None] = lambda history: None,
) -> list[tuple]:
    """The loop of every training; returns rows of a step and the means since the row before.

    ``step(k, *batches(k))`` does a step and returns its loss, or several numbers; ``average()`` puts the averaged
    weights into the model, at the end and where ``watch`` measures; ``after(rows)`` is called at every new row.

    Parameters
    ----------
    variables : list
        What a checkpoint must hold.
    every : int
        Steps between two rows; that is when ``watch`` measures, too, and the checkpoint is written.
    checkpoint : path, optional
        Where it exists, training goes on from it.
    stop_after : int, optional
        Stop at this step all the same (as a kill would; for tests).
    """
    history = restore(variables, steps, checkpoint, watch)
    last = min(steps, stop_after or steps)
    recent: list = []
    bar = runtime.progress(range(history[-1][0] if history else 0, last), label, unit="step")
    for k, batch in _prefetch(batches, bar, last):
        recent.append(step(k, *batch))
        if (k + 1) % every == 0 or k + 1 == last:
            history.append((k + 1, *np.atleast_1d(np.mean(recent, axis=0)).tolist()))
            recent.clear()
            if hasattr(bar, "set_postfix"):
                bar.set_postfix(loss=f"{history[-1][1]:.3g}")
            if watch:
                watch.look(model, k + 1, steps, average)
            if checkpoint:
                store(variables, steps, history, checkpoint, watch)
            after(history)
    if last == steps:
        average()
    return history


def inside(margin: int) -> tuple[slice, slice, slice]:
    """Returns the index of a batch ``(n, h, w, …)`` without ``margin`` pixels at each border."""
    return (slice(None), slice(margin, -margin or None), slice(margin, -margin or None))


def _prefetch(batches: Batches, numbers: Iterable[int], last: int) -> Iterator[tuple[int, tuple]]:
    """Yields ``(k, batches(k))`` for consecutive k below ``last``; the next one is made while the caller uses this."""
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for k in numbers:
            batch = (coming or pool.submit(batches, k)).result()
            coming = pool.submit(batches, k + 1) if k + 1 < last else None
            yield k, batch


def _advise_if_flat(history: History, steps: int, learning_rate: float) -> None:
    """Once, at half time: is the loss still where it began?"""
    (_, start), (before, _), (now, value) = history[0], history[max(len(history) - 2, 0)], history[-1]
    if before < steps / 2 <= now and len(history) >= 5 and value > 0.98 * start:
        warnings.warn(
            f"after {now} of {steps} steps the loss is {value:.3g}, at the beginning it was {start:.3g}: "
            f"look at a batch (does the target depend on the input?), then change the learning rate ({learning_rate})",
            TrainingWarning,
            stacklevel=5,
        )


def store(variables: Iterable, steps: int, history: list[tuple], path: PathLike, watch: Watch | None = None) -> None:
    """Writes everything the next process needs, in one file that is either the old one or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f"v{i}": np.asarray(v) for i, v in enumerate(variables)}
    with runtime.atomic_write(path) as part, open(part, "wb") as file:
        np.savez(file, steps=steps, history=history, watched=watch.rows if watch else [], **arrays)


def restore(variables: list, steps: int, path: PathLike | None, watch: Watch | None = None) -> list[tuple]:
    """Puts a checkpoint's values into ``variables``; returns its history, empty where there is no checkpoint.

    Raises :class:`TrainingError` if it belongs to another network or number of steps, or cannot be read.
    """
    if path is None or not Path(path).exists():
        return []
    try:
        # Not given to np.load by name: it leaves a damaged file open.
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file) as stored:
            values = [stored[f"v{i}"] for i in range(len(stored.files) - 3)]
            total, history, watched = int(stored["steps"]), stored["history"], stored["watched"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} cannot be read ({error}): delete or rename it") from None
    if total != steps or [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise TrainingError(f"{path} belongs to another network or another length: delete or rename it")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    if watch:
        watch.rows = [(int(step), float(gain)) for step, gain in watched]
    return [(int(row[0]), *(float(x) for x in row[1:])) for row in history]
