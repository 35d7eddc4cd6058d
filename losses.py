"""The losses of Pix2Pix (Isola et al. 2017, arXiv:1611.07004, section 3.1) and further terms, in float32."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

import data

MEAN_FRAMES = 32  # the period in which `mean_loss` looks for a mean error
LINEAR_UNIT = 1e-3  # of linear magnitudes, -60 dB of full scale: near the mean of a slice of music


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    # Not Keras's loss: some versions of it also divide by the number of devices.
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def l1_errors(target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the mean absolute error of each image.

    Args:
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        float32 (batch,), on the scale of the images.
    """
    difference = tf.abs(tf.cast(target, tf.float32) - tf.cast(generated, tf.float32))
    return tf.reduce_mean(difference, axis=(1, 2, 3))


def l1_loss(target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the mean absolute error of a batch: the mean of `l1_errors`, a float32 scalar."""
    return tf.reduce_mean(l1_errors(target, generated))


def generator_loss(
    fake_logits: tf.Tensor, target: tf.Tensor, generated: tf.Tensor, l1_weight: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the generator's loss: the cross-entropy of generated images being judged real, plus the weighted MAE.

    Args:
        fake_logits: the discriminator's logits for (source, generated), (batch, 16, 16, 1).
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.
        l1_weight: weight of the mean absolute error; 100 in the paper (lambda).

    Returns:
        Two float32 scalars: the loss, and the mean absolute error that it contains.
    """
    mae = l1_loss(target, generated)
    return _cross_entropy(tf.ones_like(fake_logits), fake_logits) + l1_weight * mae, mae


def discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Compute the discriminator's loss: the cross-entropies of judging real pairs real and generated pairs generated.

    Args:
        real_logits: its logits for (source, target), (batch, 16, 16, 1).
        fake_logits: its logits for (source, generated), (batch, 16, 16, 1).

    Returns:
        float32 scalar.
    """
    real = _cross_entropy(tf.ones_like(real_logits), real_logits)
    return real + _cross_entropy(tf.zeros_like(fake_logits), fake_logits)


def feature_matching_loss(real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]) -> tf.Tensor:
    """Compute the mean over layers of the mean absolute difference of features (Wang et al. 2018, eq. 4, pix2pixHD).

    Args:
        real_features: the discriminator's features of (source, target), one tensor (batch, height, width, channels) of
            each layer, in 16 or 32 bit. They get no gradient.
        fake_features: those of (source, generated), of the same shapes.

    Returns:
        float32 scalar.
    """
    differences = [
        tf.reduce_mean(tf.abs(tf.stop_gradient(tf.cast(real, tf.float32)) - tf.cast(fake, tf.float32)))
        for real, fake in zip(real_features, fake_features, strict=True)
    ]
    return tf.add_n(differences) / len(differences)


def linear_loss(target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the mean absolute error of linear magnitudes, in units of 0.001 (-60 dB of full scale).

    Loud bins decide it, where the error of the images, which are logarithmic, counts all bins alike. The unit is
    constant: relative to a batch, silence would have no unit, and several devices would have several.

    Args:
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        float32 scalar. Music has magnitudes of 0.001 to 0.002 in the mean, so that silence instead of it gives 1 to 2.
    """
    true, ours = (
        data.expand_magnitude(data.from_network(tf.cast(images, tf.float32)), tnp) for images in (target, generated)
    )
    return tf.reduce_mean(tf.abs(true - ours)) / LINEAR_UNIT


def mean_loss(target: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Compute the mean square of the mean error at each place: what is wrong in the same way in all images of a batch.

    The places are those of a bin and of a frame within 32 frames; the mean is over the batch and over the eight periods
    of an image. What the images have at random cancels out, a wrong level and a checkerboard of the network remain. A
    definition of this project.

    Args:
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        float32 scalar, the square of a difference of images.
    """
    error = tf.cast(generated, tf.float32) - tf.cast(target, tf.float32)
    periods = tf.reshape(error, (-1, data.N_BINS, data.SLICE_FRAMES // MEAN_FRAMES, MEAN_FRAMES))
    return tf.reduce_mean(tf.square(tf.reduce_mean(periods, axis=(0, 2))))


def direction_loss(target: tf.Tensor, generated: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Compute the weighted mean of 1 - cos of the angles between vectors: blind to whole turns, and to lengths.

    Args:
        target: cosines and sines of the true angles, float32 (..., 2).
        generated: vectors whose angles are compared with them, of the same shape.
        weight: weight of each angle, float32 (...), at least 0.

    Returns:
        float32 scalar in [0, 2]: 0 if all are right, 1 for random angles.
    """
    cosine = tf.reduce_sum(target * generated, axis=-1) / _lengths(generated)
    return tf.reduce_sum(weight * (1 - cosine)) / (tf.reduce_sum(weight) + 1e-9)


def inconsistency(log_magnitude: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
    """Compute how far spectrograms are from those of audio: the energy that the inverse STFT and the STFT change.

    Of the inner frames, the sum of |S - STFT(iSTFT(S))|², relative to that of |S|² (Le Roux et al. 2010, "Fast signal
    reconstruction from magnitude STFT spectrogram based on spectrogram consistency"). The projection is that of Wisdom
    et al. 2018 (arXiv:1811.08521), which is differentiable. It is `data.istft` and `data.stft` of the lower 256 bins;
    the first and the last frame lack a neighbor and do not count.

    Args:
        log_magnitude: float32 (batch, 256, n_frames) in [-1, 1], at least three frames.
        direction: cosines and sines of the phase, times any length, float32 (batch, 256, n_frames, 2).

    Returns:
        float32 scalar, about 0 for spectrograms of audio below 11 kHz, about 0.5 for random phases.
    """
    magnitude = data.expand_magnitude(data.from_network(log_magnitude), tnp)
    scaled = direction * (magnitude / _lengths(direction))[..., tf.newaxis]
    spectrum = tf.transpose(tf.complex(scaled[..., 0], scaled[..., 1]), (0, 2, 1))  # (batch, n_frames, 256)
    window, hop = data.WINDOW, data.HOP_LENGTH
    frames = tf.signal.irfft(tf.pad(spectrum, ((0, 0), (0, 0), (0, data.N_FFT // 2 + 1 - data.N_BINS))), [data.N_FFT])
    frames *= window / np.tile((window**2).reshape(-1, hop).sum(axis=0), data.N_FFT // hop)
    hops = frames[:, 1:, :hop] + frames[:, :-1, hop:]  # audio where two frames overlap: (batch, n_frames - 1, hop)
    projected = tf.signal.rfft(tf.concat([hops[:, :-1], hops[:, 1:]], axis=-1) * window)[..., : data.N_BINS]
    inner = spectrum[:, 1:-1]
    return _energy(inner - projected) / (_energy(inner) + 1e-12)


def _lengths(vectors: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1) + 1e-6)


def _energy(spectrum: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum)))


def r1_penalty(gradient: tf.Tensor, n_logits: tf.Tensor) -> tf.Tensor:
    """Compute half the mean square norm of the gradients of logits: R1 (Mescheder et al. 2018, eq. 9), gamma 1.

    Each logit is a discriminator of its own, as in the cross-entropy, with a gradient g of its own. Summed with random
    signs s, all of them take one gradient: over the draws, the mean of |sum(s g)|^2 is sum(|g|^2). A plain sum would
    not do: normalization over the batch keeps the sum of its outputs constant, so that much of its gradient is 0.

    Args:
        gradient: gradient of the sum of all logits of real pairs, each times a random sign, with respect to the true
            images: float32 (batch, 256, 256, 1).
        n_logits: number of these logits.

    Returns:
        float32 scalar.
    """
    return tf.reduce_sum(tf.square(gradient)) / (2 * tf.cast(n_logits, tf.float32))
