"""Keras, loaded quietly: ``from medsr_course.networks.framework import keras, layers, ops``.

A plain ``import keras`` does the same, but TensorFlow then writes start-up messages into the page, and the reader's
``~/.keras/keras.json`` decides what an image and a number are: the course's images are ``(n, h, w, channels)`` and its
numbers float32, whatever that file says. Which backend computes stays the reader's choice.
"""

from medsr_course import runtime

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

keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")

__all__ = ["keras", "layers", "ops"]
