"""Networks that ship with the course: names, cards, and one function from image to image.

``super_resolve`` is what everybody calls. It needs no TensorFlow: the network runs in ONNX Runtime, zero-filling
and data consistency in NumPy around it::

    result = ZIP(x) + P(scale · network((x − offset) / scale))

with P, where the card asks for it, data consistency: "hard" removes whatever contradicts the measured k-space,
"soft" as much of it as the measurement is more certain than the network.
"""

import hashlib
import json
from functools import lru_cache

import numpy as np

from medsr_course import metrics, resources, runtime
from medsr_course.acquisition import kspace_crop
from medsr_course.classical import zero_fill

BATCH_PIXELS = 2**18  # coarse pixels that go through a network at a time: bounds the memory it takes
EDGE = 16  # coarse pixels wrapped round beyond each side: the reach of the shipped networks is smaller
LEAST_NOISE = 0.005  # in parts of the intensity scale: the ringing beside a head looks like that much noise
OWN_ERROR = 0.01  # of a network in the measured band, in parts of the intensity scale, as far as no card says better


class WeightError(runtime.CourseError):
    """A weight that is unknown, incomplete or not the one its card describes."""


def names(task="super-resolution"):
    """Names of the shipped networks for a task, e.g. ``["espcn-x4"]``.

    Parameters
    ----------
    task : str or None
        "super-resolution", "features" (encoders that losses and judges use), or None for all.
    """
    found = sorted(resources.path("weights").glob("*.json"))
    return [path.stem for path in found if task in (None, _read(path).get("task", "super-resolution"))]


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def card(name):
    """The model card of a shipped network, a dict.

    Holds ``architecture`` and its ``settings``, ``scale``, ``data_consistency`` ("hard" or None), ``recipe`` (the
    command that made it), ``data``, ``seed``, ``steps``, ``curve``, ``metrics``, ``intended_use``, ``not_for`` and
    ``files`` (file name → sha256).

    Raises
    ------
    WeightError
        If there is no network of that name.
    """
    if name not in names(task=None):
        raise WeightError(f"there is no trained network {name!r}; there are: {', '.join(names(task=None))}")
    return _read(resources.path("weights", f"{name}.json"))


def verify(name):
    """Check a network's files against its card; returns the card, raises :class:`WeightError` if one is altered."""
    about = card(name)
    for file in about["files"]:
        _verified(name, file.removeprefix(name))
    return about


def load(name):
    """A shipped network as a Keras model (imports Keras): coarse image in, residual over ZIP out.

    Those for the task "features" take a fine image to a list of feature maps.

    In a null run the weights are freshly initialised instead.

    Raises
    ------
    WeightError
        If the name is unknown, or the file is not the one the card describes.
    """
    from medsr_course import models

    about = card(name)
    model = models.build(about["architecture"], **about["settings"])
    if not runtime.is_null():
        model.load_weights(_verified(name, ".weights.h5"))
    return model


def super_resolve(name, stack):
    """Super-resolve a stack of slices with a shipped network.

    Parameters
    ----------
    name : str
        One of :func:`names`, e.g. ``"espcn-x4"``: a network and its scale s.
    stack : array (n, h, w)
        Coarse slices of one scan, in any unit, signed (HU) or not, any h and w. The intensity scale is
        taken from the whole stack, so give a scan's slices together.

    Returns
    -------
    float32 array (n, s·h, s·w)
        In the unit of ``stack``; sample 0 stays in place.

    Raises
    ------
    WeightError
        Unknown name, missing or altered weight file.
    ValueError
        If ``stack`` is not a finite, real array (n, h, w).
    """
    about = card(name)
    if "scale" not in about:
        raise WeightError(f"{name} is no super-resolution network; there are: {', '.join(names())}")
    return enhance(_network(name), stack, about["scale"], **consistency(about))


def consistency(about):
    """The part of a card that tells :func:`enhance` how to use the network, as keyword arguments."""
    return {
        "data_consistency": about["data_consistency"],
        "own_error": about.get("own_error", OWN_ERROR),
        "zero_filled": about.get("input") == "zip",
        "noise_map": about.get("noise_map", False),
    }


def enhance(network, stack, scale, data_consistency="hard", *, own_error=OWN_ERROR, zero_filled=False, noise_map=False):
    """From image to image with any network that predicts the residual over zero-filling.

    Parameters
    ----------
    network : callable
        float32 ``(n, h, w, channels)`` to ``(n, scale·h, scale·w, 1)``: a Keras model, or an ONNX session wrapped.
    stack : array (n, h, w)
    scale : int
    data_consistency : {"hard", "soft", None}
        "hard": the result, cropped in k-space, is the input again. Right for input without noise; with noise it keeps
        the noise, too. "soft": the cropped result is the mean of the input and of what the network says, weighted by
        the inverse of their variances, σ² and ``own_error``² (Schlemper et al. 2018, eq. 6, with λ = own_error² / σ²);
        σ is measured in the background of a magnitude image, :func:`metrics.background_noise`. Where there is none,
        or no magnitude, or less noise than :data:`LEAST_NOISE`, it is 0, and soft is hard.
    own_error : float
        Standard deviation of the network's error in the measured band, in parts of the intensity scale.
    zero_filled : bool
        The network reads the zero-filled image, ``(n, scale·h, scale·w, 1)``.
    noise_map : bool
        The network reads a second channel, the noise measured as for "soft".

    Returns
    -------
    float32 array (n, scale·h, scale·w)
    """
    if data_consistency not in ("hard", "soft", None):
        raise ValueError(f"data_consistency must be hard, soft or None, not {data_consistency!r}")
    stack = _checked(stack)
    n, h, w = stack.shape
    offset, unit = intensity(stack)
    result = np.empty((n, scale * h, scale * w), np.float32)
    sigma = 0.0
    if (noise_map or data_consistency == "soft") and unit and offset == 0:
        sigma = metrics.background_noise(stack) / unit
        sigma = sigma if sigma > LEAST_NOISE else 0.0
    # Of what the network says in the measured band:
    kept = 1.0 if data_consistency is None else 0.0
    if data_consistency == "soft" and sigma:
        kept = sigma**2 / (sigma**2 + own_error**2)
    step = max(1, BATCH_PIXELS // ((h + 2 * EDGE) * (w + 2 * EDGE) * (scale**2 if zero_filled else 1)))
    for part in (slice(start, start + step) for start in range(0, n, step)):
        result[part] = zero_fill(stack[part], scale)
        if unit == 0:  # nothing but one value: no detail to add
            continue
        batch = ((result if zero_filled else stack)[part] - offset)[..., None] / unit
        if noise_map:
            batch = np.concatenate([batch, np.full_like(batch, sigma)], axis=-1)
        residual = _beyond_edges(network, batch, scale, 1 if zero_filled else scale) * unit
        if kept < 1:
            residual -= (1 - kept) * zero_fill(kspace_crop(residual, scale), scale)
        result[part] += residual
    return result


def _beyond_edges(network, batch, scale, factor):
    """The network's residual, with the image wrapped round beyond its edges; it makes ``factor`` times as many pixels.

    To a discrete Fourier transform an image is periodic: where a head is cut off, the ringing of its lower border comes
    in at the upper one. Convolutions that see what is there undo it; with zeros or a mirrored image instead, a CT
    cut at the border lost what the network had gained.
    """
    h, w = batch.shape[1:3]
    edge = EDGE * scale // factor
    around = ((0, 0), (edge, edge), (edge, edge), (0, 0))
    out = network(np.pad(batch, around, mode="wrap"))
    out = np.asarray(out.detach() if hasattr(out, "detach") else out)[..., 0]  # Keras on PyTorch keeps gradients
    start = factor * edge
    return out[:, start : start + factor * h, start : start + factor * w]


def intensity(stack):
    """Offset and scale that bring a stack to a network's range: ``(stack − offset) / scale``.

    Magnitudes: 0 and the 99.5th percentile of the positive voxels. Signed data (HU): the 0.5th percentile, and
    the span from there to the 99.5th. The little undershoot of a magnitude image beside sharp edges, below a tenth
    of its range, does not make it signed.

    Returns
    -------
    offset, scale : float
        Scale 0 for a stack of one value.
    """
    low, high = np.percentile(stack, [0.5, 99.5])
    if low < -0.1 * max(high, 0):
        return float(low), float(high - low)
    positive = stack[stack > 0]
    return 0.0, float(np.percentile(positive, 99.5)) if positive.size else 0.0


def _checked(stack):
    stack = np.asarray(stack)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ValueError(f"expected a stack (n, h, w), got shape {stack.shape}: add an axis for a single slice")
    if np.iscomplexobj(stack) or not np.issubdtype(np.result_type(stack, np.float32), np.floating):
        raise ValueError(f"expected real numbers, got {stack.dtype}")
    if not np.isfinite(stack).all():
        raise ValueError("the stack holds NaN or infinite values: replace them first, e.g. np.nan_to_num(stack)")
    return stack.astype(np.float32, copy=False)


def _network(name):
    """The callable behind a name: ONNX Runtime, or Keras where there is no .onnx file and in a null run."""
    if runtime.is_null() or f"{name}.onnx" not in card(name)["files"]:
        model = load(name)
        return lambda batch: model.predict_on_batch(batch)
    return _session(_verified(name, ".onnx"))


@lru_cache(maxsize=8)
def _session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.cpu_count()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    return lambda batch: session.run(None, {entry: batch})[0]


def _verified(name, suffix):
    """Path of a weight file whose sha256 is the card's."""
    file = f"{name}{suffix}"
    expected = card(name)["files"].get(file)
    path = resources.path("weights", file)
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise WeightError(f"{file} is not the file its card describes (checksum): restore it, or reinstall the course")
    return path
