"""Exponential moving averages of the weights of networks in training: `--ema`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import keras
import tensorflow as tf


class Averages:
    """Moving averages of all variables of networks, the statistics of normalization included.

    In the first steps the decay is smaller; otherwise the averages would stay near the initial weights (see
    TensorFlow's `ExponentialMovingAverage`).
    """

    def __init__(
        self,
        networks: Mapping[str, keras.Model],
        decay: float,
        local_copy: Callable[[tf.Variable], tf.Variable] = lambda variable: variable,
    ) -> None:
        """Start averages at the present values.

        Args:
            networks: dict of name to network.
            decay: weight of the past, in [0, 1); 0 for no averages.
            local_copy: function that returns the copy of a variable to average, where several devices have one each.
        """
        self._step = tf.Variable(0, dtype=tf.int64)
        self._averaged = [v.value for network in networks.values() for v in network.variables if "float" in v.dtype]
        self._averaged = self._averaged if decay else []
        self._copies = [local_copy(variable) for variable in self._averaged]
        self._averages = tf.train.ExponentialMovingAverage(decay, num_updates=self._step)
        self._averages.apply(self._copies)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint must hold; empty without averages."""
        return [self._step, *map(self._averages.average, self._copies)] if self._averaged else []

    def add(self) -> None:
        """Include the present values; runs inside the step's graph."""
        if self._averaged:
            self._step.assign_add(1)
            self._averages.apply(self._copies)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the networks within a `with` block, and restore the networks after it."""
        kept = [variable.numpy() for variable in self._averaged]
        for variable, copy in zip(self._averaged, self._copies, strict=True):
            variable.assign(self._averages.average(copy))
        try:
            yield
        finally:
            for variable, value in zip(self._averaged, kept, strict=True):
                variable.assign(value)
