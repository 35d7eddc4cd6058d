"""Moving averages of the weights of networks in training: `--ema`."""

import contextlib

import tensorflow as tf


class Averages:
    """Moving averages of what networks hold, statistics of normalization included, beside what they hold.

    In the first steps they forget faster, as they would be of the first weights otherwise (see TensorFlow's
    `ExponentialMovingAverage`).
    """

    def __init__(self, networks, decay):
        self._step = tf.Variable(0, dtype=tf.int64)
        self._watched = [v.value for network in networks.values() for v in network.variables if "float" in v.dtype]
        self._watched = self._watched if decay else []
        self._averages = tf.train.ExponentialMovingAverage(decay, num_updates=self._step)
        self._averages.apply(self._watched)

    @property
    def variables(self):
        """What a checkpoint must hold; nothing where nothing is averaged."""
        return [self._step, *map(self._averages.average, self._watched)] if self._watched else []

    def add(self):
        """Takes in one step; runs inside the step's graph."""
        if self._watched:
            self._step.assign_add(1)
            self._averages.apply(self._watched)

    @contextlib.contextmanager
    def in_place(self):
        """Puts the averages into the networks, for a block."""
        kept = [variable.numpy() for variable in self._watched]
        for variable in self._watched:
            variable.assign(self._averages.average(variable))
        try:
            yield
        finally:
            for variable, value in zip(self._watched, kept, strict=True):
                variable.assign(value)
