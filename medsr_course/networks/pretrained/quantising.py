"""From float32 to int8: a copy of a network that multiplies bytes instead of floating-point numbers.

Static quantisation of ONNX Runtime (Jacob et al. 2018): weights get a step for each output channel, every layer's
output a step of its own, from the range that it has on a **sample** of images. So the sample has to look like what the
network will see, in the same unit; chapter 15 shows what becomes of one that does not. Needs the package ``onnx``.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from medsr_course.types import Array, PathLike


def quantised(
    path: PathLike, target: PathLike, sample: Sequence[Array], *, per_channel: bool = True, unsigned: bool = False
) -> Path:
    """Writes a copy of an ``.onnx`` file in int8 (QDQ format), and returns where it lies.

    Parameters
    ----------
    path : path
        A network with one entry, float32.
    target : path
        The file to be written.
    sample : sequence of float32 array (n, h, w, channels)
        Batches as the network receives them: divided by the intensity scale, with a noise map where it has one.
    per_channel : bool
        A step for each output channel of a convolution, not one for all its weights.
    unsigned : bool
        Outputs of layers as 0 … 255 instead of −128 … 127. That is quicker on x86 processors with VNNI instructions;
        on those without, sums of products may saturate, and the image be spoilt.

    Raises
    ------
    ValueError
        Without a sample there are no ranges.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not len(sample):
        raise ValueError("give some batches: the ranges of the layers' outputs are taken from them")

    class Ranges(quantization.CalibrationDataReader):
        def __init__(self, entry: str) -> None:
            self.rest = iter([{entry: batch} for batch in sample])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rest, None)

    kind = quantization.QuantType.QUInt8 if unsigned else quantization.QuantType.QInt8
    with TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"  # constants folded, shapes filled in
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready), str(target), Ranges(_entry(ready)), per_channel=per_channel, activation_type=kind
        )
    return Path(target)


def _entry(path: Path) -> str:
    """The name of a network's first entry."""
    import onnx

    return str(onnx.load(str(path)).graph.input[0].name)
