"""The losses of Pix2Pix (Isola et al. 2017, arXiv:1611.07004, section 3.1), in float32."""

import tensorflow as tf

L1_WEIGHT = 100  # lambda in the paper


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


def generator_loss(fake_logits: tf.Tensor, target: tf.Tensor, generated: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the generator's loss: the cross-entropy of generated images being judged real, plus 100 times the MAE.

    Args:
        fake_logits: the discriminator's logits for (source, generated), (batch, 16, 16, 1).
        target: true images, (batch, 256, 256, 1) in [-1, 1].
        generated: the generator's images, of the same shape and range.

    Returns:
        Two float32 scalars: the loss, and the mean absolute error that it contains.
    """
    mae = l1_loss(target, generated)
    return _cross_entropy(tf.ones_like(fake_logits), fake_logits) + L1_WEIGHT * mae, mae


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
