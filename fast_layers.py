"""Keras's layers through faster kernels, and on several devices. Weights, names and results are those of Keras.

The classes keep the names of Keras's, as files of weights hold them.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

_MIN_CHANNELS = 32  # of an image, from which on its filter gradient is faster as matrix products


class BatchNormalization(layers.BatchNormalization):
    """Keras's layer through TensorFlow's fused kernel: one operation forward and one backward, instead of a dozen.

    What the kernel cannot do is left to Keras: statistics over several devices (`synchronized`), masks, and images that
    are not (batch, height, width, channels).
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor | keras.KerasTensor:
        """Normalize images (batch, height, width, channels), in 16 or 32 bit; statistics are in float32."""
        uses_batch = bool(training and self.trainable)
        if not self._is_fusible(inputs, mask) or (uses_batch and self.synchronized):
            return super().call(inputs, training=training, mask=mask)
        mean, variance = (tf.convert_to_tensor(moving) for moving in (self.moving_mean, self.moving_variance))
        unused = tf.zeros([0]) if uses_batch else None  # the kernel wants no statistics when it computes them
        outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=unused if uses_batch else mean,
            variance=unused if uses_batch else variance,
            epsilon=self.epsilon,
            is_training=uses_batch,
        )
        if uses_batch:
            # The kernel's variance is divided by n - 1 (by 1 if n is 1), that of Keras by n.
            n = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            batch_variance *= tf.maximum(n - 1, 1) / n
            self.moving_mean.assign(mean * self.momentum + batch_mean * (1 - self.momentum))
            self.moving_variance.assign(variance * self.momentum + batch_variance * (1 - self.momentum))
        return outputs

    def _is_fusible(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> bool:
        is_image = len(inputs.shape) == 4 and self.axis in (-1, 3)
        return is_image and mask is None and self.scale and self.center and not getattr(self, "renorm", False)


def synchronize(network: keras.Model) -> None:
    """Let a network normalize, in training, over the batches of all devices instead of over each by itself."""
    for layer in network.layers:
        if isinstance(layer, BatchNormalization):
            layer.synchronized = True


class Dropout(layers.Dropout):
    """Keras's layer, with masks that do not depend on the number of devices: each one takes its rows of the mask.

    Keras would give all devices the same mask.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor | keras.KerasTensor:
        """Drop a fraction of the inputs (batch, …) in training."""
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1 or not training:
            return super().call(inputs, training=training)
        n_rows = tf.shape(inputs)[0]
        first = n_rows * context.replica_id_in_sync_group
        ones = tf.ones([n_rows * context.num_replicas_in_sync, *inputs.shape[1:]], inputs.dtype)
        return inputs * super().call(ones, training=training)[first : first + n_rows]


class Conv2D(layers.Conv2D):
    """Keras's convolution; with `by_matmul`, those that halve an image compute filter gradients as matrix products.

    oneDNN's filter gradients take up to 2.2 times as long on processors without AVX-512 (docs/benchmarks.md).
    """

    def __init__(self, *args: Any, by_matmul: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self._by_matmul = by_matmul

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolve; Keras's layer calls this."""
        if self._by_matmul and _halves(self) and inputs.shape[-1] >= _MIN_CHANNELS:
            return _convolve(inputs, tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)


class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras's transposed convolution; `by_matmul` as in `Conv2D`, and to a single channel the output itself.

    oneDNN computes eight channels to keep one.
    """

    def __init__(self, *args: Any, by_matmul: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self._by_matmul = by_matmul

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve images (batch, height, width, channels) to twice the height and width."""
        is_faster = self.filters == 1 or self.filters >= _MIN_CHANNELS
        if not (self._by_matmul and _halves(self) and is_faster and self.activation is keras.activations.linear):
            return super().call(inputs)
        outputs = _convolve_transposed(inputs, tf.convert_to_tensor(self.kernel))
        return outputs + self.bias if self.use_bias else outputs


def _halves(layer: layers.Layer) -> bool:
    sizes = layer.kernel_size, layer.strides, layer.dilation_rate
    return sizes == ((4, 4), (2, 2), (1, 1)) and layer.padding == "same" and getattr(layer, "groups", 1) == 1


@tf.custom_gradient
def _convolve(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    shape = tf.shape(images)

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.nn.conv2d_transpose(upstream, kernel, shape, 2, "SAME"), _filter_gradient(images, upstream)

    return tf.nn.conv2d(images, kernel, 2, "SAME"), gradients


@tf.custom_gradient
def _convolve_transposed(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    batch, height, width, _ = tf.unstack(tf.shape(images))
    n_filters = kernel.shape[2]

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        filters = (
            _filter_gradient(upstream, images)
            if n_filters > 1
            else tf.raw_ops.Conv2DBackpropFilter(
                input=upstream, filter_sizes=kernel.shape, out_backprop=images, strides=[1, 2, 2, 1], padding="SAME"
            )
        )
        return tf.nn.conv2d(upstream, kernel, 2, "SAME"), filters

    if n_filters == 1:
        outputs = _to_one_channel(images, kernel)
    else:
        outputs = tf.nn.conv2d_transpose(images, kernel, [batch, 2 * height, 2 * width, n_filters], 2, "SAME")
    return outputs, gradients


def _filter_gradient(images: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """Compute the filter gradient of a convolution 4 × 4 with stride 2 as four matrix products.

    Squares of 2 × 2 pixels become one pixel of four times the channels, of which a filter covers 2 × 2.

    Args:
        images: what was convolved, (batch, height, width, n).
        upstream: gradient of the result, (batch, height / 2, width / 2, m).

    Returns:
        Gradient of the kernel, (4, 4, n, m).
    """
    n, m = images.shape[-1], upstream.shape[-1]
    _, height, width, _ = tf.unstack(tf.shape(upstream))
    squares = tf.nn.space_to_depth(tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
    columns = tf.reshape(upstream, [-1, m])
    products = [
        tf.matmul(tf.reshape(squares[:, y : y + height, x : x + width], [-1, 4 * n]), columns, transpose_a=True)
        for y in (0, 1)
        for x in (0, 1)
    ]
    parts = tf.reshape(tf.stack(products), [2, 2, 2, 2, n, m])  # square y, square x, pixel y, pixel x
    return tf.reshape(tf.transpose(parts, [0, 2, 1, 3, 4, 5]), [4, 4, n, m])


def _to_one_channel(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Compute a transposed convolution 4 × 4 with stride 2 to one channel: a matrix product, and sums of its parts.

    Args:
        images: (batch, height, width, n).
        kernel: (4, 4, 1, n).

    Returns:
        (batch, 2 · height, 2 · width, 1).
    """
    n = images.shape[-1]
    batch, height, width, _ = tf.unstack(tf.shape(images))
    parts = tf.matmul(tf.reshape(images, [-1, n]), tf.reshape(kernel, [16, n]), transpose_b=True)
    parts = tf.pad(tf.reshape(parts, [batch, height, width, 4, 4]), [[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]])
    # Even rows: the filter's row 1 at the pixel itself and row 3 at the one above; odd rows: row 2, and row 0 below.
    here, above, below = parts[:, 1:-1], parts[:, :-2], parts[:, 2:]
    rows = tf.stack([here[:, :, :, 1] + above[:, :, :, 3], here[:, :, :, 2] + below[:, :, :, 0]], axis=2)
    rows = tf.pad(rows, [[0, 0], [0, 0], [0, 0], [1, 1], [0, 0]])  # (batch, height, 2, width + 2, 4)
    here, left, right = rows[:, :, :, 1:-1], rows[:, :, :, :-2], rows[:, :, :, 2:]
    both = tf.stack([here[..., 1] + left[..., 3], here[..., 2] + right[..., 0]], axis=4)
    return tf.reshape(both, [batch, 2 * height, 2 * width, 1])
