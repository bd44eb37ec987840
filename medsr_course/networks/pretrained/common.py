"""What all networks are used with: checked stacks, images wrapped round at their edges."""

import numpy as np

BATCH_PIXELS = 2**18  # pixels that go through a network at a time: bounds the memory it takes
EDGE = 16  # coarse pixels wrapped round beyond each side: the reach of the shipped networks is smaller


def checked_stack(stack):
    """``stack`` as float32, if it is a finite, real array (n, h, w); ValueError otherwise."""
    stack = np.asarray(stack)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ValueError(f"expected a stack (n, h, w), got shape {stack.shape}: add an axis for a single slice")
    if np.iscomplexobj(stack) or not np.issubdtype(np.result_type(stack, np.float32), np.floating):
        raise ValueError(f"expected real numbers, got {stack.dtype}")
    if not np.isfinite(stack).all():
        raise ValueError("the stack holds NaN or infinite values: replace them first, e.g. np.nan_to_num(stack)")
    return stack.astype(np.float32, copy=False)


def to_numpy(out):
    """What a network said as a NumPy array: Keras on PyTorch hands out tensors that keep gradients."""
    return np.asarray(out.detach() if hasattr(out, "detach") else out)


def batch_size(h, w, factor=1):
    """How many slices (h, w) go through a network at a time; ``factor``: pixels it reads for each of theirs."""
    return max(1, BATCH_PIXELS // ((h + 2 * EDGE) * (w + 2 * EDGE) * factor))


def beyond_edges(network, batch, scale, factor):
    """The network's residual, with the image wrapped round beyond its edges; it makes ``factor`` times as many pixels.

    To a discrete Fourier transform an image is periodic: where a head is cut off, the ringing of its lower border comes
    in at the upper one. Convolutions that see what is there undo it; with zeros or a mirrored image instead, a CT
    cut at the border lost what the network had gained.
    """
    h, w = batch.shape[1:3]
    edge = EDGE * scale // factor
    around = ((0, 0), (edge, edge), (edge, edge), (0, 0))
    out = to_numpy(network(np.pad(batch, around, mode="wrap")))[..., 0]
    start = factor * edge
    return out[:, start : start + factor * h, start : start + factor * w]
