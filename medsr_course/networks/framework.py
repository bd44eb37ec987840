"""Keras, loaded quietly: ``from medsr_course.networks.framework import keras, layers, ops``.

A plain ``import keras`` does the same, but TensorFlow then writes start-up messages into the page. Where the reader's
``keras.json`` sets another image format or float type than the course's code is written for, that is said in one line.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.types import Array

runtime.quiet_frameworks()
with runtime.hushed():
    try:
        import keras
        from keras import layers, ops

        ops.zeros(1)  # wakes TensorFlow up, which reports a missing GPU only when it is first used
    except Exception as error:  # each backend fails in a way of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise runtime.CourseError(
            f"Keras does not start ({reason}): set KERAS_BACKEND to an installed one of tensorflow, jax and torch, "
            "or run `make lab`; shipped networks run without it"
        ) from error

for _key, _found, _wanted in (
    ("image_data_format", keras.config.image_data_format(), "channels_last"),
    ("floatx", keras.config.floatx(), "float32"),
):
    if _found != _wanted:
        raise runtime.CourseError(
            f"Keras is set to {_key} = {_found}, and the course's networks are written for {_wanted}: change {_key} in "
            "~/.keras/keras.json (or in the folder that KERAS_HOME names), or take that file away"
        )


def gradient(function: Callable[[Any], Any], at: Array) -> Array:
    """Returns the gradient of a function, made of networks and ``keras.ops``, whatever the backend below Keras.

    Parameters
    ----------
    function : callable
        From a tensor of the shape of ``at`` to a single number (a tensor of one element).
    at : array
        Where; taken as float32.

    Returns
    -------
    float32 array
        Of the shape of ``at``.

    >>> gradient(lambda x: ops.sum(x**2), np.array([1.0, 3.0])).tolist()
    [2.0, 6.0]
    """
    start = ops.convert_to_tensor(np.asarray(at, np.float32))
    backend = keras.backend.backend()
    if backend == "torch":
        start = start.detach().requires_grad_(True)
        ops.sum(function(start)).backward()
        return ops.convert_to_numpy(start.grad)
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: ops.sum(function(x)))(start))
    import tensorflow

    with tensorflow.GradientTape() as tape:
        tape.watch(start)
        value = ops.sum(function(start))
    return np.asarray(tape.gradient(value, start))


__all__ = ["gradient", "keras", "layers", "ops"]
