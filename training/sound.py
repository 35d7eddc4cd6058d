"""What the mean absolute error does not hear: texture and level by octave band, on validation slices and as a loss.

An error that is least for the median of all that may come next prefers blur, and a blurred picture is quiet and smooth.
The texture tells how much of the fast changes is there, the level how much of the energy (docs/method.md).
"""

import math
from collections.abc import Mapping

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

import data
from common import bands
from losses import MEAN_FRAMES

SCORE = "sound"
_DB_THAT_DOUBLE = 6.0
_LEAST_RATIO = 1e-12
_LEVEL_FRAMES = 32  # of one level in `level_loss`: 0.37 s
_FAR = math.log(10)  # 10 dB: from there on, what is too quiet costs `level_loss` no more for each further dB


def sound_totals(target: tf.Tensor, generated: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Sum what texture and level are ratios of, over a batch.

    Args:
        target: true images, float32 (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        dict of `texture_<Hz>` and `level_<Hz>`, for the lower limit of each band, to (sum over the generated images,
        sum over the true ones), float32 scalars: of the squared fast changes of log-magnitude without what they have in
        common every 32 frames in all images, and of the energy.
    """
    sums = {name: _sums(images) for name, images in (("generated", generated), ("target", target))}
    return {key: (sums["generated"][key], sums["target"][key]) for key in sums["target"]}


def names() -> list[str]:
    """Return the keys of `sound_totals`."""
    return [f"{kind}_{low}" for kind in ("texture", "level") for low, _ in bands.OCTAVES]


def summarize(means: Mapping[str, float]) -> dict[str, float]:
    """Turn ratios of sums into texture and level, and into the score that may select the best epoch.

    The score is the mean absolute error, times 1 plus 1/6 for each dB by which texture and level are wrong, in the mean
    over the bands. It is low only where all three are right.

    Args:
        means: dict of metric to mean, `gen_mae` among them. The means of `sound_totals` are ratios; a band in which the
            true images are silent is missing.

    Returns:
        The same dict with `texture_<Hz>` (a ratio; 1 is right), `level_<Hz>` (dB; 0 is right) and `sound`; without any
        ratio, the dict as it is.
    """
    result, wrong = dict(means), {"texture": [], "level": []}
    for key in names():
        if key in means:
            kind, decibels = key.partition("_")[0], 10 * math.log10(max(means[key], _LEAST_RATIO))
            wrong[kind].append(abs(decibels))
            result[key] = math.sqrt(means[key]) if kind == "texture" else decibels
    excess = [sum(values) / len(values) for values in wrong.values() if values]
    if excess:
        result[SCORE] = means["gen_mae"] * (1 + sum(excess) / _DB_THAT_DOUBLE)
    return result


def level_loss(target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the Itakura-Saito divergence of the energy in each octave (150 to 9600 Hz) and each 0.37 s.

    An error of log-magnitudes aims at their median or mean. Where partials beat or shimmer, energy is in the peaks, so
    that a right mean is too quiet; and a level that does not follow from the source has a mean in dB that is below
    that of its energy. p / q - ln(p / q) - 1 (Févotte et al. 2009, section 2.1) depends on the ratio alone, as decibels
    do, but is least in the mean where the energy q is the mean of p. Where p is above 10 q, it goes on along its
    tangent: silence instead of a note costs a limited slope.

    Args:
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        float32 scalar, scaled to square bels for small errors: 0.01 for 1 dB everywhere. For 10 dB, it is 0.53 if the
        generated images are too loud, 2.5 if they are too quiet.
    """
    log_ratio = _levels(target) - _levels(generated)
    near = tf.minimum(log_ratio, _FAR)
    divergence = tf.exp(near) - near - 1 + (log_ratio - near) * (math.exp(_FAR) - 1)
    return 2 / math.log(10) ** 2 * tf.reduce_mean(divergence)


def _levels(images: tf.Tensor) -> tf.Tensor:
    """Compute logarithms of energies, (batch, 6, 8); silence has that of the smallest step of magnitude."""
    energy = _energy(data.from_network(tf.cast(images, tf.float32))[..., 0])
    energy = tf.reshape(energy, (-1, data.N_BINS, data.SLICE_FRAMES // _LEVEL_FRAMES, _LEVEL_FRAMES))
    energy = tf.reduce_mean(energy, axis=3)
    octaves = [tf.reduce_mean(energy[:, bands.bins(*band)], axis=1) for band in bands.OCTAVES]
    return tf.math.log(tf.stack(octaves, axis=1) + data.AMIN**2)


def _energy(log_magnitude: tf.Tensor) -> tf.Tensor:
    return tf.square(data.expand_magnitude(log_magnitude, tnp))


def _sums(images: tf.Tensor) -> dict[str, tf.Tensor]:
    log_magnitude = data.from_network(tf.cast(images, tf.float32))[..., 0]  # (batch, bin, frame)
    slow = tf.nn.avg_pool1d(
        tf.transpose(log_magnitude, (0, 2, 1)), bands.TEXTURE_FRAMES, 1, "SAME"
    )  # the edges: of fewer frames
    fast = _random_part(log_magnitude - tf.transpose(slow, (0, 2, 1)))
    energy = _energy(log_magnitude)
    result = {}
    for low, high in bands.OCTAVES:
        of_octave = bands.bins(low, high)
        result[f"texture_{low}"] = tf.reduce_sum(fast[of_octave])
        result[f"level_{low}"] = tf.reduce_sum(energy[:, of_octave])
    return result


def _random_part(changes: tf.Tensor) -> tf.Tensor:
    """Sum the squares of changes (batch, bin, frame) for each bin, without the pattern that all periods share.

    The squared deviations from the mean of a place over the n periods of a batch, times n / (n - 1): in the mean, what
    is random keeps all of its energy, and a checkerboard none.
    """
    periods = tf.reshape(changes, (-1, changes.shape[1], changes.shape[2] // MEAN_FRAMES, MEAN_FRAMES))
    n = tf.cast(tf.shape(periods)[0] * periods.shape[2], tf.float32)
    deviations = periods - tf.reduce_mean(periods, axis=(0, 2), keepdims=True)
    return tf.reduce_sum(tf.square(deviations), axis=(0, 2, 3)) * n / (n - 1)
