"""The course's SRResNet in plain PyTorch: seconds of a training step and of an inference. Needs torch and NumPy alone.

    python tools/bench_torch.py inputs.npz outputs.npz float32|bfloat16 STEPS

``inputs.npz`` holds the weights ``w0`` … in Keras's order and layout, ``scale``, a training batch ``x`` and ``y`` and
``slices`` for inference, all channels last. ``outputs.npz`` gets ``training`` and ``inference`` (seconds) and
``result``. Both memory layouts are tried, and for inference ``torch.compile`` where there is a compiler; the quickest
counts.
"""

import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class SRResNet(nn.Module):
    """As ``networks.models.srresnet``: no bias, no normalisation, a skip over each block and one over all."""

    def __init__(self, kernels: list[np.ndarray], scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.convolutions = nn.ModuleList()
        for kernel in kernels:  # (height, width, in, out)
            height, _, before, after = kernel.shape
            layer = nn.Conv2d(before, after, height, padding=height // 2, bias=False)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
            self.convolutions.append(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *blocks, after, last = self.convolutions
        x = start = first(x)
        for one, two in zip(blocks[::2], blocks[1::2], strict=True):
            x = x + two(functional.relu(one(x)))
        x = start + functional.relu(after(x))
        with torch.autocast("cpu", enabled=False):  # the last layer is in float32 in the course, too
            return functional.pixel_shuffle(0.1 * last(x.float()), self.scale)


def channels_first(array: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def measure(
    stored: dict[str, np.ndarray], layout: torch.memory_format, half: bool, steps: int, compiled: bool = False
) -> tuple[float, float, np.ndarray]:
    """Seconds of a training step, seconds of the inference, its result."""
    kernels = [stored[f"w{i}"] for i in range(sum(key.startswith("w") for key in stored))]
    model = SRResNet(kernels, int(stored["scale"])).to(memory_format=layout)  # type: ignore[call-overload]
    x, y, slices = (channels_first(stored[key], layout) for key in ("x", "y", "slices"))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=half)
    parts = range(0, len(slices), int(stored["at_once"]))
    run = torch.compile(model) if compiled else model
    with torch.inference_mode(), autocast:
        run(slices[: int(stored["at_once"])])
        began = time.perf_counter()
        result = torch.cat([run(slices[k : k + int(stored["at_once"])]) for k in parts])
        inference = time.perf_counter() - began
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        with autocast:
            output = model(x)
        functional.mse_loss(output, y).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return float(np.median(times)), inference, result.permute(0, 2, 3, 1).float().numpy()


def main() -> None:
    source, target, precision, steps = sys.argv[1:]
    with np.load(source) as file:
        stored = dict(file)
    torch.set_num_threads(int(stored["threads"]))
    found = [
        measure(stored, layout, precision == "bfloat16", int(steps))
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    if len(stored["slices"]) > 2:  # worth the minute that it takes
        try:
            found.append(measure(stored, torch.channels_last, precision == "bfloat16", 0, compiled=True))
        except Exception as error:  # of many kinds: there is no C++ compiler, or not one it knows
            print(f"not compiled: {type(error).__name__}", file=sys.stderr)
    np.savez(
        target,
        training=min(training for training, _, _ in found),
        inference=min(inference for _, inference, _ in found),
        result=found[0][2],
        version=torch.__version__,
    )


if __name__ == "__main__":
    main()
