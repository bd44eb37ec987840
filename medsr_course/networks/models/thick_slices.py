"""Networks that make thin slices of thick ones, in Keras 3 with ``keras.ops``: TensorFlow, JAX and PyTorch.

Every one reads what a classical method made (:func:`thick_slices.back_project`), divided by its intensity scale and
cut into steps: ``(n, steps, h, w, scale)``, the thin slices ``scale·k … scale·k + scale − 1`` being the channels of
step k. It begins at thick slice k. The output is the **residual** in the same shape: what to add. The last layer
starts at zero: an untrained network *is* the classical method. The same networks serve a series in time, steps being
frames.

Any height and width will do, and any number of steps where ``steps`` is None and the network is called directly (a
compiled graph, and an export, want a known number: ``steps=8``).
"""

from typing import Any

from medsr_course.networks.models.common import Tensor, check_scale, convolution, keras, last_convolution, layers

ops = keras.ops
Shape = tuple[Any, ...]


@keras.saving.register_keras_serializable("medsr_course")
class Slicewise(layers.Layer):
    """Applies a layer for images to every step: ``(n, steps, h, w, c)`` to ``(n, steps, h, w, c')``."""

    def __init__(self, layer: layers.Layer, **kwargs: Any) -> None:
        super().__init__(dtype=kwargs.pop("dtype", layer.dtype_policy), **kwargs)
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        self.layer.build((None, *input_shape[2:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], *self.layer.compute_output_shape((None, *input_shape[2:]))[1:])

    def call(self, x: Tensor) -> Tensor:
        _, steps, h, w, c = ops.shape(x)
        y = self.layer(ops.reshape(x, (-1, h, w, c)))
        return ops.reshape(y, (-1, steps, h, w, y.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Slicewise":
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)


@keras.saving.register_keras_serializable("medsr_course")
class ConvLSTM(layers.Layer):
    r"""A long short-term memory whose state is an image (Shi et al. 2015, eq. 3, without peepholes).

    ``(n, steps, h, w, c)`` to the states ``(n, steps, h, w, filters)``. With * a convolution and ⊙ element by element,

    .. math:: i, f, g, o = W_x * x_k + W_h * h_{k-1} + b, \quad
        c_k = \sigma(f) ⊙ c_{k-1} + \sigma(i) ⊙ \tanh g, \quad h_k = \sigma(o) ⊙ \tanh c_k

    With ``size=1`` every line through the slices runs through an LSTM of its own (Hochreiter & Schmidhuber 1997), all
    with the same weights.

    Parameters
    ----------
    size : int
        Of the kernels.
    reverse : bool
        From the last step to the first.
    """

    def __init__(self, filters: int, size: int = 3, reverse: bool = False, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.size, self.reverse, self.seed = filters, size, reverse, seed

    def build(self, input_shape: Shape) -> None:
        shape = (self.size, self.size)
        glorot, steady = (kind(seed=self.seed) for kind in (keras.initializers.GlorotUniform, _Steady))
        gates = 4 * self.filters
        self.from_input = self.add_weight(shape=(*shape, input_shape[-1], gates), initializer=glorot, name="input")
        self.from_state = self.add_weight(shape=(*shape, self.filters, gates), initializer=steady, name="state")
        self.bias = self.add_weight(shape=(gates,), initializer=_remember, name="bias")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def call(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        if steps is None:
            raise ValueError("the number of steps must be known here: build the network with steps=…")
        _, _, h, w, c = ops.shape(x)
        flat = ops.reshape(x, (-1, h, w, c))  # what comes from the input, for all steps at once
        driven = ops.conv(flat, self.from_input, padding="same", data_format="channels_last") + self.bias
        driven = ops.reshape(driven, (-1, steps, h, w, 4 * self.filters))
        state = memory = None
        states = [None] * steps
        for k in reversed(range(steps)) if self.reverse else range(steps):
            gates = driven[:, k]
            if state is not None:
                gates = gates + ops.conv(state, self.from_state, padding="same", data_format="channels_last")
            take, keep, new, show = ops.split(gates, 4, axis=-1)
            new = ops.sigmoid(take) * ops.tanh(new)
            memory = new if memory is None else ops.sigmoid(keep) * memory + new
            state = states[k] = ops.sigmoid(show) * ops.tanh(memory)
        return ops.stack(states, axis=1)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "size": self.size, "reverse": self.reverse, "seed": self.seed}
        return {**super().get_config(), **own}


class _Steady(keras.initializers.VarianceScaling):
    """Half of what keeps the variance: a state that is fed back must not grow."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(scale=0.5, mode="fan_in", distribution="truncated_normal", seed=seed)


def _remember(shape: Shape, dtype: Any = None) -> Tensor:
    """Returns the bias of the gates: 1 for the one that keeps the memory, else 0 (Gers et al. 2000)."""
    quarter = shape[0] // 4
    return ops.concatenate([ops.full((quarter,), value, dtype=dtype) for value in (0.0, 1.0, 0.0, 0.0)])


def convlstm(
    scale: int = 4,
    *,
    filters: int = 16,
    width: int = 32,
    size: int = 3,
    steps: int | None = None,
    directions: int = 2,
    seed: int = 0,
) -> keras.Model:
    """Returns a bidirectional ConvLSTM over the slices: two convolutions, a memory each way, two convolutions.

    Parameters
    ----------
    scale : int
        Thin slices in a step.
    filters, width : int
        Of each memory; of the convolutions around them.
    size : int
        Kernel size, of all.
    steps : int, optional
        Number of steps; by default any.
    directions : {1, 2}
        1: forwards alone, as a series that is still being measured demands.

    The model maps ``(n, steps, h, w, scale)`` to the residual of the same shape.
    """
    check_scale(scale, filters=(filters, 1), width=(width, 1))
    stack = keras.Input((steps, None, None, scale), name="steps")
    x = Slicewise(convolution(width, size, seed, first=True))(stack)
    x = Slicewise(convolution(width, size, seed + 1))(x)
    ways = [ConvLSTM(filters, size, reverse=bool(k), seed=seed + 2 + k)(x) for k in range(directions)]
    x = layers.Concatenate()([x, *ways])
    x = Slicewise(convolution(width, size, seed + 4))(x)
    return keras.Model(stack, _tail(x, scale, size), name=f"{'lstm' if size == 1 else 'convlstm'}_z{scale}")


def lstm(scale: int = 4, *, filters: int = 48, width: int = 64, steps: int | None = None, seed: int = 0) -> keras.Model:
    """Returns a bidirectional LSTM on profiles: :func:`convlstm` with 1 × 1 kernels, every line by itself."""
    return convlstm(scale, filters=filters, width=width, size=1, steps=steps, seed=seed)


def cnn25d(
    scale: int = 4, *, width: int = 52, depth: int = 4, neighbours: int = 2, steps: int | None = None, seed: int = 0
) -> keras.Model:
    """Returns a 2.5-D network: each step sees its neighbours as channels; two-dimensional convolutions do the rest.

    ``depth`` convolutions of ``width`` filters come before the last; ``neighbours`` steps are seen on either side,
    beyond the ends the first and the last again. The model maps as :func:`convlstm` does.
    """
    check_scale(scale, depth=(depth, 2), neighbours=(neighbours, 0))
    stack = keras.Input((steps, None, None, scale), name="steps")
    x = Neighbours(neighbours)(stack)
    x = entry = Slicewise(convolution(width, 3, seed, first=True))(x)
    for k in range(1, depth):
        x = Slicewise(convolution(width, 3, seed + k))(x)
    x = layers.Add()([entry, x])
    return keras.Model(stack, _tail(x, scale, 3), name=f"cnn25d_z{scale}")


@keras.saving.register_keras_serializable("medsr_course")
class Neighbours(layers.Layer):
    """Adds to each step its neighbours as channels: ``(n, steps, h, w, c)`` to ``(…, (2·reach + 1)·c)``."""

    def __init__(self, reach: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reach = reach

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], (2 * self.reach + 1) * input_shape[-1])

    def call(self, x: Tensor) -> Tensor:
        r = self.reach
        padded = ops.concatenate([x[:, :1]] * r + [x] + [x[:, -1:]] * r, axis=1)
        return ops.concatenate([padded[:, j : j - 2 * r or None] for j in range(2 * r + 1)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reach": self.reach}


def _tail(x: Tensor, scale: int, size: int) -> Tensor:
    # As in common.residual_tail, step by step.
    x = Slicewise(last_convolution(scale, size))(x)
    return layers.Rescaling(0.1, dtype="float32", name="residual")(x)


ARCHITECTURES = {"lstm": lstm, "convlstm": convlstm, "cnn25d": cnn25d}
