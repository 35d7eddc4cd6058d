"""The steps of a network that learns the derivatives of a phase."""

import keras
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

import phase_gradient
from common import phase_channels
from training import phase_terms
from training.steps import Metrics, Networks, Optimizers, Step, scale_loss, update

METRICS = ("phase_error", "frequency_error", "delay_error")


def phase_steps(networks: Networks, optimizers: Optimizers) -> tuple[Step, Step]:
    """Make the steps of a network of the derivatives of the target's phase.

    A batch is (source, target), both float32 (batch, 256, 256, 2): log-magnitude in [-1, 1], and phase in half turns.

    Args:
        networks: dict with `phase`.
        optimizers: dict with the same key.

    Returns:
        Two functions of a batch: one that updates the network, and one that does not.
    """
    network = networks["phase"]

    def train_step(*batch: tf.Tensor) -> Metrics:
        with tf.GradientTape() as tape:
            metrics = _measure(network, *batch, training=True)
            scaled = scale_loss(optimizers["phase"], metrics["phase_error"])
        update(network, optimizers["phase"], tape, scaled)
        return metrics

    def validation_step(*batch: tf.Tensor) -> Metrics:
        return _measure(network, *batch, training=False)

    return train_step, validation_step


def channels(slices: tf.Tensor) -> tf.Tensor:
    """Compute the channels of both derivatives from slices (batch, 256, 256, 2): (batch, 256, 256, 4)."""
    return phase_channels.input_channels("derivatives", slices, tnp)[..., 1:]


def _measure(network: keras.Model, source: tf.Tensor, target: tf.Tensor, training: bool) -> Metrics:
    inputs = phase_gradient.network_input(target[..., 0], source[..., 0], channels(source), tnp)
    predicted = network(inputs, training=training)
    frequency, delay = phase_terms.derivative_errors(target[..., 0], channels(target), predicted)
    return {"phase_error": frequency + delay, "frequency_error": frequency, "delay_error": delay}
