"""Random changes of the source in training, for models that are robust to recordings unlike their data: `--augment`."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

import data

LEVEL_DB = 4.0  # the level changes by at most this much, up or down
EQUALIZER_DB = 4.0  # standard deviation of the equalizer's curve at each of its points
NOISE_DB = (-80.0, -45.0)  # range of the noise floor, root mean square relative to full scale, in half of the slices
_POINTS_HZ = (60, 170, 480, 1350, 3800, 10_700)  # an octave and a half apart
# White noise of root mean square 1 in one bin, on the scale of the magnitude.
_NOISE_IN_A_BIN = 2 * float(np.sqrt(np.square(data.WINDOW).sum())) / float(data.WINDOW.sum())


def make_augment(
    seed: int, epoch: int, worker: int = 0, n_workers: int = 1
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Make the function that changes the sources of a batch.

    Each slice gets a level, a smooth curve over the logarithm of frequency and, in half of the cases, a noise floor,
    drawn from seed, epoch, step and its place in the batch alone: a resumed run gets what an uninterrupted one gets,
    and several machines get what one gets. For that, each of them draws for the whole batch.

    Args:
        seed: of the run.
        epoch: number of the epoch.
        worker: index of this machine.
        n_workers: number of machines; each has an equal part of the batch.

    Returns:
        Function of (step, sources of this machine), float32 (batch, 256, 256, 1) in [-1, 1], to sources of that shape
        and range. Of slices that hold a phase, (batch, 256, 256, 2), the noise also changes the phase.
    """
    curves = _curves()

    def augment(step: tf.Tensor, sources: tf.Tensor) -> tf.Tensor:
        n_own = tf.shape(sources)[0]
        n_slices = n_own * n_workers
        keys = tf.random.split(tf.stack([tf.cast(seed, tf.int64) * 100_003 + epoch, tf.cast(step, tf.int64)]), 5)
        level = tf.random.stateless_uniform((n_slices, 1), keys[0], -LEVEL_DB, LEVEL_DB)
        points = EQUALIZER_DB * tf.random.stateless_normal((n_slices, len(_POINTS_HZ)), keys[1])
        gain = data.decibels_to_gain(level + points @ curves)[..., tf.newaxis, tf.newaxis]  # (batch, 256, 1, 1)
        noise = data.decibels_to_gain(tf.random.stateless_uniform((n_slices, 1, 1, 1), keys[2], *NOISE_DB))
        noise *= tf.cast(tf.random.stateless_uniform((n_slices, 1, 1, 1), keys[3]) < 0.5, tf.float32)

        def own(drawn: tf.Tensor) -> tf.Tensor:
            return drawn[n_own * worker : n_own * (worker + 1)]

        # The power of noise in a bin is exponentially distributed.
        images = sources if sources.shape[-1] == 1 else sources[..., :1]
        shape = tf.concat([[n_slices], tf.shape(images)[1:]], 0)
        power = -tf.math.log(own(tf.random.stateless_uniform(shape, keys[4], minval=1e-7)))
        magnitude = data.expand_magnitude(data.from_network(images), tnp) * own(gain)
        if sources.shape[-1] == 2:
            # Its phase is random, and the spectra add up.
            angle = 2 * np.pi * own(tf.random.stateless_uniform(shape, tf.random.fold_in(keys[4], 1)))
            amplitude, phase = tf.sqrt(power) * own(noise) * _NOISE_IN_A_BIN, sources[..., 1:] * np.float32(np.pi)
            real = magnitude * tf.cos(phase) + amplitude * tf.cos(angle)
            imaginary = magnitude * tf.sin(phase) + amplitude * tf.sin(angle)
            magnitude = tf.sqrt(tf.square(real) + tf.square(imaginary))
            image = data.to_network(data.compress_magnitude(magnitude, tnp))
            return tf.concat([image, tf.atan2(imaginary, real) / np.float32(np.pi)], axis=-1)
        magnitude = tf.sqrt(tf.square(magnitude) + power * tf.square(own(noise) * _NOISE_IN_A_BIN))
        return data.to_network(data.compress_magnitude(magnitude, tnp))

    return augment


def _curves() -> np.ndarray:
    """Compute the weights of the points in each bin, raised cosines between neighbors.

    Returns:
        float32 array [shape=(6, 256)].
    """
    hertz = np.maximum(np.arange(data.N_BINS) * data.SAMPLE_RATE / data.N_FFT, 1.0)
    places = np.interp(np.log(hertz), np.log(_POINTS_HZ), np.arange(len(_POINTS_HZ)))
    distances = np.abs(places - np.arange(len(_POINTS_HZ))[:, np.newaxis])
    return (0.5 + 0.5 * np.cos(np.pi * np.minimum(distances, 1))).astype(np.float32)
