"""The networks of Pix2Pix for spectrograms: a U-Net generator and a PatchGAN discriminator."""

import keras
import tensorflow as tf
from keras import layers

import data


class Dropout(layers.Dropout):
    """Keras's layer, with masks that do not depend on the number of devices: each one takes its rows of the mask.

    Keras would give all devices the same mask. The class keeps its name, as files of weights hold it.
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


def Generator(
    base_filters: int = 64,
    n_inputs: int = 1,
    dtype: str = "float32",
    random_init: bool = True,
    dropout: float = 0.5,
    sync_norm: bool = False,
) -> keras.Model:
    """Build the U-Net (Isola et al. 2017, appendix 6.1.1): 256 × 256 down to 1 × 1 and up again, with skips.

    Args:
        base_filters: filters of the first layer; the others scale with it. 64, the paper's, gives 54.4 M parameters.
        n_inputs: number of input images: 1 (source), or 2 (source, style).
        dtype: a Keras precision such as "mixed_float16". The output is always float32.
        random_init: whether the weights are drawn; otherwise they are 0, which takes less time, to be loaded.
        dropout: fraction that each of the decoder's first three layers drops in training; 0.5 is the paper's.
        sync_norm: whether normalization in training is over the batches of all devices, not over each by itself.

    Returns:
        Model of images (batch, 256, 256, 1) in [-1, 1], one or a list of `n_inputs`, to one such image.
    """
    inputs = [keras.Input(data.SLICE_SHAPE, name=name) for name in ("source", "style")[:n_inputs]]
    x = layers.Concatenate(dtype=dtype)(inputs) if n_inputs > 1 else inputs[0]

    encoder = [  # filters in units of base_filters, whether normalized; the shape afterwards, for base_filters 64
        (1, False),  # (batch, 128, 128, 64)
        (2, True),  # (batch, 64, 64, 128)
        (4, True),  # (batch, 32, 32, 256)
        (8, True),  # (batch, 16, 16, 512)
        (8, True),  # (batch, 8, 8, 512)
        (8, True),  # (batch, 4, 4, 512)
        (8, True),  # (batch, 2, 2, 512)
        (8, True),  # (batch, 1, 1, 512)
    ]
    skips = []
    for number, (factor, normalized) in enumerate(encoder, 1):
        x = _downsample(x, f"down{number}", base_filters * factor, normalized, dtype, random_init, sync_norm)
        skips.append(x)

    decoder = [  # filters, whether with dropout; the shape after the skip is concatenated
        (8, True),  # (batch, 2, 2, 1024)
        (8, True),  # (batch, 4, 4, 1024)
        (8, True),  # (batch, 8, 8, 1024)
        (8, False),  # (batch, 16, 16, 1024)
        (4, False),  # (batch, 32, 32, 512)
        (2, False),  # (batch, 64, 64, 256)
        (1, False),  # (batch, 128, 128, 128)
    ]
    for number, ((factor, drops), skip) in enumerate(zip(decoder, reversed(skips[:-1]), strict=True), 1):
        rate = dropout if drops else None
        x = _upsample(x, f"up{number}", base_filters * factor, rate, dtype, random_init, sync_norm)
        x = layers.Concatenate(name=f"up{number}_skip", dtype=dtype)([x, skip])

    x = layers.Conv2DTranspose(
        1, 4, strides=2, padding="same", kernel_initializer=_initializer(random_init), name="last", dtype=dtype
    )(x)  # (batch, 256, 256, 1)
    x = layers.Activation("tanh", name="generated", dtype="float32")(x)
    return keras.Model(inputs if n_inputs > 1 else inputs[0], x, name="generator")


def Discriminator(base_filters: int = 64, dtype: str = "float32", sync_norm: bool = False) -> keras.Model:
    """Build the PatchGAN (Isola et al. 2017, appendix 6.1.2), which judges patches of (source, target).

    Args:
        base_filters: filters of the first layer; 64, the paper's, gives 2.77 M parameters.
        dtype: a Keras precision such as "mixed_float16". The logits are always float32.
        sync_norm: as that of `Generator`.

    Returns:
        Model of [source, target], both (batch, 256, 256, 1) in [-1, 1], to logits (batch, 16, 16, 1).
    """
    source = keras.Input(data.SLICE_SHAPE, name="source")
    target = keras.Input(data.SLICE_SHAPE, name="target")
    x = layers.Concatenate(dtype=dtype)([source, target])  # (batch, 256, 256, 2)
    x = _downsample(x, "down1", base_filters, False, dtype)  # (batch, 128, 128, 64)
    x = _downsample(x, "down2", base_filters * 2, True, dtype, sync_norm=sync_norm)  # (batch, 64, 64, 128)
    x = _downsample(x, "down3", base_filters * 4, True, dtype, sync_norm=sync_norm)  # (batch, 32, 32, 256)
    x = _downsample(x, "down4", base_filters * 8, True, dtype, sync_norm=sync_norm)  # (batch, 16, 16, 512)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=_initializer(), name="last", dtype=dtype)(x)
    x = layers.Activation("linear", name="logits", dtype="float32")(x)  # (batch, 16, 16, 1)
    return keras.Model([source, target], x, name="discriminator")


def _initializer(random_init: bool = True) -> keras.initializers.Initializer | str:
    return keras.initializers.RandomNormal(0.0, 0.02) if random_init else "zeros"


def _convolution(kind: type, name: str, filters: int, dtype: str, random_init: bool) -> layers.Layer:
    """Make a layer that halves (Conv2D) or doubles (Conv2DTranspose) both axes; no bias, as a normalization follows."""
    return kind(
        filters,
        4,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(random_init),
        name=f"{name}_conv",
        dtype=dtype,
    )


def _downsample(
    x: keras.KerasTensor,
    name: str,
    filters: int,
    normalized: bool,
    dtype: str,
    random_init: bool = True,
    sync_norm: bool = False,
) -> keras.KerasTensor:
    x = _convolution(layers.Conv2D, name, filters, dtype, random_init)(x)
    if normalized:
        x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype, synchronized=sync_norm)(x)
    return layers.LeakyReLU(negative_slope=0.3, name=name, dtype=dtype)(x)


def _upsample(
    x: keras.KerasTensor,
    name: str,
    filters: int,
    dropout: float | None,
    dtype: str,
    random_init: bool,
    sync_norm: bool,
) -> keras.KerasTensor:
    x = _convolution(layers.Conv2DTranspose, name, filters, dtype, random_init)(x)
    x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype, synchronized=sync_norm)(x)
    if dropout is not None:
        x = Dropout(dropout, name=f"{name}_dropout", dtype=dtype)(x)
    return layers.ReLU(name=name, dtype=dtype)(x)
