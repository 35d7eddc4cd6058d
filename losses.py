"""The losses of Pix2Pix (Isola et al. 2017, arXiv:1611.07004, section 3.1), in float32."""

import keras
import tensorflow as tf

L1_WEIGHT = 100  # lambda in the paper

_cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def l1_errors(target, generated):
    """Mean absolute error of each image, on their scale ([-1, 1]): (batch, 256, 256, 1) twice to (batch,)."""
    difference = tf.abs(tf.cast(target, tf.float32) - tf.cast(generated, tf.float32))
    return tf.reduce_mean(difference, axis=(1, 2, 3))


def l1_loss(target, generated):
    """Mean absolute error of a batch: a scalar, on the scale of the images ([-1, 1])."""
    return tf.reduce_mean(l1_errors(target, generated))


def generator_loss(fake_logits, target, generated):
    """Cross-entropy of taking the generated images for real ones, plus 100 times their mean absolute error.

    Args:
        fake_logits: the discriminator's logits for (source, generated), (batch, 16, 16, 1).
        target, generated: images, (batch, 256, 256, 1).

    Returns:
        Two scalars: the loss, and the mean absolute error in it.
    """
    mae = l1_loss(target, generated)
    return _cross_entropy(tf.ones_like(fake_logits), fake_logits) + L1_WEIGHT * mae, mae


def discriminator_loss(real_logits, fake_logits):
    """Cross-entropy of taking real pairs for real ones, plus that of taking generated ones for generated: a scalar."""
    real = _cross_entropy(tf.ones_like(real_logits), real_logits)
    return real + _cross_entropy(tf.zeros_like(fake_logits), fake_logits)
