"""Keras, loaded quietly: ``from medsr_course.networks.framework import keras, layers, ops``.

A plain ``import keras`` does the same, but TensorFlow then writes start-up messages into the page.
"""

from medsr_course import runtime

runtime.quiet_frameworks()
with runtime.hushed():
    import keras
    from keras import layers, ops

    ops.zeros(1)  # wakes TensorFlow up, which reports a missing GPU only when it is first used

__all__ = ["keras", "layers", "ops"]
