"""Exercises of chapter 05: zero-filling a volume, cubic weights, where a fine sample lies."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_zero_fill(fn):
    rng = np.random.default_rng()
    for shape, scales in (((5, 7, 3), (2, 3, 1)), ((6, 4, 5), (1, 2, 4)), ((4, 8, 6), (2, 1, 3))):
        real = rng.normal(-0.5, 1, shape)
        for volume in (real, real + 1j * rng.normal(size=shape)):
            _judge_zero_fill(answer(fn, volume, scales), volume, scales)


def _judge_zero_fill(got, volume, scales):
    want = zero_fill_volume(volume, scales)
    size = f"a {'×'.join(map(str, volume.shape))} volume at scales {scales}"
    even = any(n % 2 == 0 and s > 1 for n, s in zip(volume.shape, scales, strict=True))
    got = shaped(got, want.shape, f"{size} should come back as {want.shape}, and yours is {{}}")
    if np.allclose(got, want, atol=1e-6):
        return
    if np.allclose(got * np.prod(scales), want, atol=1e-6):
        raise Wrong("all values are too small by the same factor: the inverse transform divides by the longer length")
    if np.allclose(got, np.abs(want), atol=1e-6):
        raise Wrong("you return magnitudes; negative values and the phase must survive")
    if np.iscomplexobj(want) and np.allclose(got, want.real, atol=1e-6):
        raise Wrong("the imaginary part of a complex volume is gone: take the real part of real volumes only")
    if even and np.allclose(got, _zero_fill_any(volume, scales, split=False), atol=1e-6):
        raise Wrong("odd sides are right, even ones are not: give half of the −N/2 coefficient to each of ±N/2")
    if np.allclose(got, _padded_alike(volume, scales), atol=1e-6):
        raise Wrong(
            "np.pad with as many zeros on both sides puts frequency 0 of some sides off the centre: index n // 2 of "
            "the short axis belongs at index n·s // 2 of the long one"
        )
    if np.allclose(got, _zeros_at_the_end(volume, scales), atol=1e-6):
        raise Wrong("the zeros stand at the end of the FFT's order, where the low negative frequencies belong")
    raise Wrong(f"the values differ from zero-filling for {size}: compare one axis at a time with my_zero_fill_axis")


def zero_fill_volume(volume, scales):
    result = np.asarray(volume)
    for axis, scale in enumerate(scales):
        n = result.shape[axis]
        spectrum = np.moveaxis(np.fft.fftshift(np.fft.fft(result, axis=axis), axes=axis), axis, -1)
        padded = np.zeros((*spectrum.shape[:-1], n * scale), complex)
        start = n * scale // 2 - n // 2
        padded[..., start : start + n] = spectrum
        if n % 2 == 0 and scale > 1:
            padded[..., start] /= 2
            padded[..., start + n] = padded[..., start]
        padded = np.fft.ifftshift(np.moveaxis(padded, -1, axis), axes=axis)
        result = np.fft.ifft(padded, axis=axis) * scale
    return result.real if np.isrealobj(volume) else result


def _zero_fill_grid(volume, scales):
    from medsr_course.physics import grid

    for axis, scale in enumerate(scales):
        volume = grid.pad_axis(volume, volume.shape[axis] * scale, axis)
    return volume


def _zero_fill_any(volume, scales, *, split=True, gain=True, end=False, output=None):
    """Zero-filling with one thing done differently."""
    result = np.asarray(volume, complex)
    for axis, scale in enumerate(scales):
        n = result.shape[axis]
        spectrum = np.moveaxis(np.fft.fft(result, axis=axis), axis, -1)
        padded = np.zeros((*spectrum.shape[:-1], n * scale), complex)
        high = n if end else (n + 1) // 2
        padded[..., :high] = spectrum[..., :high]
        if high < n:
            padded[..., high - n :] = spectrum[..., high:]
        if split and not end and n % 2 == 0 and scale > 1:
            padded[..., -(n // 2)] /= 2
            padded[..., n // 2] = padded[..., -(n // 2)]
        result = np.moveaxis(np.fft.ifft(padded), -1, axis) * (scale if gain else 1)
    output = output or (np.real if np.isrealobj(volume) and split else np.asarray)
    return output(result)


def _padded_alike(volume, scales):
    """np.pad of the shifted spectrum, the odd zero always at the end: the centre is missed where only n·s is even."""
    result = np.asarray(volume, complex)
    for axis, scale in enumerate(scales):
        n = result.shape[axis]
        spectrum = np.fft.fftshift(np.fft.fft(result, axis=axis), axes=axis)
        before = (n * scale - n) // 2
        width = [(0, 0)] * result.ndim
        width[axis] = before, n * scale - n - before
        result = np.fft.ifft(np.fft.ifftshift(np.pad(spectrum, width), axes=axis), axis=axis) * scale
    return result if np.iscomplexobj(volume) else result.real


def _zeros_at_the_end(volume, scales):
    return _zero_fill_any(volume, scales, end=True)


def _check_cubic(fn):
    rng = np.random.default_rng()
    for t in (0.0, 0.5, *rng.uniform(0.05, 0.45, 3), *rng.uniform(0.55, 0.95, 3)):
        why = "four neighbours need four weights, and yours has shape {}"
        got, want = shaped(answer(fn, float(t)), (4,), why, float), cubic_weights(t)
        if np.allclose(got, want, atol=1e-6):
            continue
        if np.allclose(got, want[::-1], atol=1e-6):
            raise Wrong("the weights are right and stand in the wrong order: first the neighbour at −1, last that at 2")
        if not np.isclose(got.sum(), 1):
            raise Wrong(f"your weights sum to {got.sum():.3f} at t = {t:.2f}: a constant image would change")
        if np.allclose(got, _keys(t, -0.75), atol=1e-6):
            raise Wrong("that is a = −¾, as OpenCV and PyTorch use: with a = −½ parabolas are reproduced exactly")
        if np.allclose(got, _keys(t, -1), atol=1e-6):
            raise Wrong("that is a = −1, which overshoots at edges: with a = −½ parabolas are reproduced exactly")
        if np.allclose(got, [0, 1 - t, t, 0], atol=1e-6):
            raise Wrong("that is linear interpolation: the two outer neighbours count, too")
        if np.allclose(got, _spline(t), atol=1e-6):
            raise Wrong("those are B-spline weights: they smooth, at t = 0 the measured value itself must come back")
        raise Wrong(
            f"at t = {t:.2f} the weights should be {np.round(want, 4).tolist()}, not {np.round(got, 4).tolist()}"
        )


def _keys(t, a=-0.5):
    d = np.abs(t - np.array([-1, 0, 1, 2]))
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    return np.where(d <= 1, near, a * (d**3 - 5 * d**2 + 8 * d - 4))


def _spline(t):
    return np.array([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6


def cubic_weights(t):
    a = -0.5
    distance = np.abs(t - np.array([-1, 0, 1, 2]))
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, far)


def _catmull_rom(t):
    return [(-t + 2 * t**2 - t**3) / 2, (2 - 5 * t**2 + 3 * t**3) / 2, (t + 4 * t**2 - 3 * t**3) / 2, (t**3 - t**2) / 2]


def _check_half_voxel(fn):
    for scale in (3, 2, 4):  # at ×2 two of the mistakes give the same number
        for j in (7, 1, 10, 0):
            for centred in (False, True):
                _judge_half_voxel(answer(fn, j, scale, centred), j, scale, centred)


def _judge_half_voxel(got, j, scale, centred):
    got = float(got)
    want = coarse_position(j, scale, centred)
    if np.isclose(got, want):
        return
    where = f"fine sample {j} at ×{scale}, centred={centred}"
    if np.isclose(got, coarse_position(j, scale, not centred)):
        raise Wrong(f"{where}: the two grids are swapped, or one formula serves both")
    if np.isclose(got, j * scale):
        raise Wrong(f"{where}: you multiply, but fine samples lie closer together than coarse ones")
    if centred and np.isclose(got, (j + 0.5) / scale):
        raise Wrong(f"{where}: measured from the outer border; but coarse position 0 is the *centre* of a pixel")
    if centred and np.isclose(got, (j - 0.5) / scale + 0.5):
        raise Wrong(f"{where}: both halves have the wrong sign; the first fine pixel lies *before* coarse centre 0")
    raise Wrong(f"{where} lies at {want:.4f} coarse samples, not at {got:.4f}")


def coarse_position(j, scale, centred):
    return (j + 0.5) / scale - 0.5 if centred else j / scale


def _position_by_offset(j, scale, centred):
    return j / scale - (scale - 1) / (2 * scale) * bool(centred)


EXERCISES = [
    Exercise(
        "05-zero-fill",
        "Take a volume, real or complex, and three whole scales; return the zero-filled volume.",
        _check_zero_fill,
        "One axis after the other, exactly as my_zero_fill_axis does; a real volume stays real, a complex one complex.",
        zero_fill_volume,
        alternatives=(_zero_fill_grid,),
        mistakes={
            "no gain": lambda v, s: _zero_fill_any(v, s, gain=False),
            "−N/2 not split": lambda v, s: _zero_fill_any(v, s, split=False),
            "magnitude": lambda v, s: _zero_fill_any(v, s, output=np.abs),
            "real part of complex data": lambda v, s: _zero_fill_any(v, s, output=np.real),
            "zeros at the end": _zeros_at_the_end,
            "np.pad alike on both sides": _padded_alike,
        },
    ),
    Exercise(
        "05-cubic-weights",
        "Take 0 ≤ t < 1; return the weights of the neighbours at −1, 0, 1 and 2.",
        _check_cubic,
        "The neighbour at p lies |t − p| away; the kernel has one formula up to distance 1 and another up to 2.",
        cubic_weights,
        alternatives=(_catmull_rom,),
        mistakes={
            "a = −¾": lambda t: _keys(t, -0.75),
            "a = −1": lambda t: _keys(t, -1),
            "reversed": lambda t: _keys(t)[::-1],
            "B-spline": _spline,
            "linear": lambda t: np.array([0, 1 - t, t, 0]),
            "one formula for all": lambda t: 1.5 * (d := np.abs(t - np.array([-1, 0, 1, 2]))) ** 3 - 2.5 * d**2 + 1,
        },
    ),
    Exercise(
        "05-half-voxel",
        "Take the number of a fine sample, the scale and the kind of grid; return its place in coarse samples.",
        _check_half_voxel,
        "On the centred grid measure from the outer border: fine pixel j has its centre at j + ½ fine pixels.",
        coarse_position,
        alternatives=(_position_by_offset,),
        mistakes={
            "always sample 0": lambda j, scale, centred: j / scale,
            "multiplied": lambda j, scale, centred: j * scale,
            "from the border": lambda j, scale, centred: (j + 0.5) / scale if centred else j / scale,
            "wrong sign": lambda j, scale, centred: (j - 0.5) / scale + 0.5 if centred else j / scale,
        },
    ),
]
