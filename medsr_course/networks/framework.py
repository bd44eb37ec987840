"""Keras, loaded quietly: ``from medsr_course.networks.framework import keras, layers, ops``.

A plain ``import keras`` does the same, but TensorFlow then writes start-up messages into the page. Where the reader's
``keras.json`` sets another image format or float type than the course's code is written for, that is said in one line.
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

for _key, _found, _wanted in (
    ("image_data_format", keras.config.image_data_format(), "channels_last"),
    ("floatx", keras.config.floatx(), "float32"),
):
    if _found != _wanted:
        raise runtime.CourseError(
            f"Keras is set to {_key} = {_found}, and the course's networks are written for {_wanted}: change {_key} in "
            "~/.keras/keras.json (or in the folder that KERAS_HOME names), or take that file away"
        )

__all__ = ["keras", "layers", "ops"]
