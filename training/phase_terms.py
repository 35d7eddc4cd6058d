"""What a generator that predicts a phase beside the magnitude adds to the steps: its channels, metrics and losses."""

from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

import data
from common import phase_channels
from inference.keras_network import representation_of
from losses import direction_loss, inconsistency
from training.loss_weights import LossWeights

Terms = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor | float]]


def metric_names(representation: str | None, weights: LossWeights) -> tuple[str, ...]:
    """Return the names of the metrics of `make_terms`."""
    if not representation:
        return ()
    return ("phase_error", "inconsistency") if weights.consistency else ("phase_error",)


def make_to_channels(generator: keras.Model) -> Callable[[tuple], tuple]:
    """Make a function that turns the slices of a batch into the channels that a generator sees and is to generate.

    Returns:
        Function of a batch to a batch: source, style if there is one, target, and integers. It changes nothing for a
        generator of the magnitude alone.
    """
    representation, n_inputs = representation_of(generator), len(generator.inputs)
    if representation is None:
        return lambda batch: batch

    def to_channels(batch: tuple) -> tuple:
        seen = (phase_channels.input_channels(representation, slices, tnp) for slices in batch[:n_inputs])
        target = phase_channels.target_channels(representation, batch[n_inputs], batch[0], tnp)
        return (*seen, target, *batch[n_inputs + 1 :])

    return to_channels


def make_terms(generator: keras.Model, weights: LossWeights) -> Terms:
    """Make the function that measures the phase that a generator predicts.

    Returns:
        Function of (source, target, generated) to the metrics `phase_error` and, if it has a weight, `inconsistency`,
        and to the weighted sum of both. The source is slices that hold the phase, the others are channels. There are no
        metrics for a generator of the magnitude alone.
    """
    representation = representation_of(generator)
    if representation is None:
        return lambda source, target, generated: ({}, 0.0)

    def terms(source: tf.Tensor, target: tf.Tensor, generated: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        metrics = {"phase_error": _phase_error(representation, target, generated)}
        loss = weights.phase * metrics["phase_error"]
        if weights.consistency:
            direction = generated[..., 1:]
            if representation == "rotation":
                direction = _rotate(phase_channels.input_channels("angle", source, tnp)[..., 1:], direction)
            metrics["inconsistency"] = inconsistency(generated[..., 0], direction)
            loss += weights.consistency * metrics["inconsistency"]
        return metrics, loss

    return terms


def magnitude(images: tf.Tensor) -> tf.Tensor:
    """Return the first channel of images: the log-magnitude, (batch, 256, 256, 1)."""
    return images if images.shape[-1] == 1 else images[..., :1]


def of_unit_length(generated: tf.Tensor) -> tf.Tensor:
    """Scale the vectors of a phase to length 1, as those of true images are: lengths say nothing of the phase."""
    if generated.shape[-1] == 1:
        return generated
    vectors = [generated[..., first : first + 2] for first in range(1, generated.shape[-1], 2)]
    scaled = [vector / tf.sqrt(tf.reduce_sum(tf.square(vector), -1, keepdims=True) + 1e-6) for vector in vectors]
    return tf.concat([generated[..., :1], *scaled], axis=-1)


def derivative_errors(image: tf.Tensor, target: tf.Tensor, generated: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the means of 1 - cos of the errors of both derivatives, weighted by the square root of the magnitude.

    Args:
        image: the true log-magnitude, float32 (batch, 256, n_frames) in [-1, 1].
        target: the true channels of `phase_gradient.as_channels`, (batch, 256, n_frames, 4).
        generated: the predicted ones, times any length, of the same shape.

    Returns:
        Two float32 scalars in [0, 2], of the instantaneous frequency and of the group delay; random angles have 1.
    """
    weight = _weight(image)
    # There is no frame before the first one, and no bin below the lowest one.
    frequency = direction_loss(target[..., 1:, :2], generated[..., 1:, :2], weight[..., 1:])
    return frequency, direction_loss(target[:, 1:, :, 2:], generated[:, 1:, :, 2:], weight[:, 1:])


def _weight(image: tf.Tensor) -> tf.Tensor:
    # The square root lies between loudness, in which noise counts, and magnitude, in which a few bins do.
    return tf.sqrt(data.expand_magnitude(data.from_network(image), tnp))


def _phase_error(representation: str, target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the mean of 1 - cos of the errors of all angles, weighted by the square root of the true magnitude.

    Returns:
        float32 scalar in [0, 2]; random phases have 1.
    """
    if representation == "derivatives":
        return sum(derivative_errors(target[..., 0], target[..., 1:], generated[..., 1:])) / 2
    return direction_loss(target[..., 1:], generated[..., 1:], _weight(target[..., 0]))


def _rotate(direction: tf.Tensor, rotation: tf.Tensor) -> tf.Tensor:
    """Rotate vectors: the complex product of (..., cosine and sine)."""
    cosine = direction[..., 0] * rotation[..., 0] - direction[..., 1] * rotation[..., 1]
    sine = direction[..., 1] * rotation[..., 0] + direction[..., 0] * rotation[..., 1]
    return tf.stack([cosine, sine], axis=-1)
