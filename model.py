"""The networks of Pix2Pix for spectrograms: a U-Net generator and a PatchGAN discriminator."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers, ops

import data
import phase_gradient
import source_noise
from fast_layers import BatchNormalization, Conv2D, Conv2DTranspose, Dropout

_ENCODER = [  # filters in units of base_filters, whether normalized; the shape afterwards, for base_filters 64
    (1, False),  # (batch, 128, 128, 64)
    (2, True),  # (batch, 64, 64, 128)
    (4, True),  # (batch, 32, 32, 256)
    (8, True),  # (batch, 16, 16, 512)
    (8, True),  # (batch, 8, 8, 512)
    (8, True),  # (batch, 4, 4, 512)
    (8, True),  # (batch, 2, 2, 512)
    (8, True),  # (batch, 1, 1, 512)
]
_DECODER = [  # filters, whether with dropout; the shape after the skip is concatenated
    (8, True),  # (batch, 2, 2, 1024)
    (8, True),  # (batch, 4, 4, 1024)
    (8, True),  # (batch, 8, 8, 1024)
    (8, False),  # (batch, 16, 16, 1024)
    (4, False),  # (batch, 32, 32, 512)
    (2, False),  # (batch, 64, 64, 256)
    (1, False),  # (batch, 128, 128, 128)
]
_NOISE_SIZES = (128, 64, 32)  # of what noise may be added to: a value for 2 to 8 frames


class LayerOptions(NamedTuple):
    """How the layers of a network begin, and compute.

    Attributes:
        dtype: a Keras precision such as "mixed_float16". The output is always float32.
        random_init: whether the weights are drawn; otherwise they are 0, which takes less time, to be loaded.
        by_matmul: whether some convolutions are computed as matrix products (`fast_layers`); the results are the same.
    """

    dtype: str = "float32"
    random_init: bool = True
    by_matmul: bool = False


def Generator(
    base_filters: int = 64,
    n_inputs: int = 1,
    dropout: float = 0.5,
    n_channels: tuple[int, int] = (1, 1),
    noise: bool = False,
    max_filters: int | None = None,
    **layer_options: Any,
) -> keras.Model:
    """Build the U-Net (Isola et al. 2017, appendix 6.1.1): 256 × 256 down to 1 × 1 and up again, with skips.

    Args:
        base_filters: filters of the first layer; the others scale with it. 64, the paper's, gives 54.4 M parameters.
        n_inputs: number of input images: 1 (source), or 2 (source, style).
        dropout: fraction that each of the decoder's first three layers drops in training; 0.5 is the paper's.
        n_channels: channels of each input image, and of the output.
        noise: whether the decoder draws from noise, which is made of the source (`source_noise`). Its strengths begin
            with 0: until they are learned, the network is that without noise. A variant of this project.
        max_filters: the most filters of a layer, more than twice `base_filters`; None for no limit. Most weights are
            those of the innermost layers: 24 with at most 128 have a tenth more than 16 without a limit.
        layer_options: as in `LayerOptions`.

    Returns:
        Model of images (batch, 256, 256, 1) in [-1, 1], one or a list of `n_inputs`, to one such image; with as many
        channels as `n_channels` says.
    """
    options = LayerOptions(**layer_options)._asdict()
    dtype, limit = options["dtype"], max_filters or 8 * base_filters
    shape = (*data.SLICE_SHAPE[:2], n_channels[0])
    inputs = [keras.Input(shape, name=name) for name in ("source", "style")[:n_inputs]]
    x = layers.Concatenate(dtype=dtype)(inputs) if n_inputs > 1 else inputs[0]

    noises = _noise_images(inputs[0]) if noise else {}
    skips = []
    for number, (factor, normalized) in enumerate(_ENCODER, 1):
        x = _downsample(x, f"down{number}", min(base_filters * factor, limit), normalized, options)
        skips.append(x)
    for number, ((factor, drops), skip) in enumerate(zip(_DECODER, reversed(skips[:-1]), strict=True), 1):
        added = noises.get(skip.shape[1])
        n_filters = min(base_filters * factor, limit)
        x = _upsample(x, f"up{number}", n_filters, dropout if drops else None, options, added)
        x = layers.Concatenate(name=f"up{number}_skip", dtype=dtype)([x, skip])

    x = _convolution(Conv2DTranspose, "last", n_channels[1], options, use_bias=True)(x)  # (batch, 256, 256, 1)
    x = layers.Activation("tanh", name="generated", dtype="float32")(x)
    return keras.Model(inputs if n_inputs > 1 else inputs[0], x, name="generator")


class SourceNoise(layers.Layer):
    """The noise of a source, as `source_noise.of_images` computes it."""

    def call(self, source: keras.KerasTensor) -> keras.KerasTensor:
        """Compute noise (batch, 128, 128, 1) from images (batch, 256, 256, channels) in [-1, 1]."""
        height, width = source.shape[1:3]
        rounded = ops.floor(source[..., 0] * source_noise.ROUNDING + 0.5)
        mixed = ops.matmul(source_noise.MATRIX, ops.reshape(rounded, (-1, 4, height // 4 * width)))
        digits = ops.reshape(mixed - ops.floor(mixed + 0.5), (-1, height, width, 1))
        return ops.average_pool(digits, 2) * source_noise.SCALE


class HalvedNoise(layers.Layer):
    """Noise of half the size and the same variance, as `source_noise.halve` computes it."""

    def call(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Halve the axes of noise (batch, height, width, 1)."""
        return 2 * ops.average_pool(image, 2)


class Noise(layers.Layer):
    """Add noise to features, at strengths that are learned, and are 0 at first (Karras et al. 2019).

    Each channel has a strength at each height, as octaves differ in how random they are. The weights are a tenth of the
    strengths (`source_noise.GAIN`), so that the optimizer moves these ten times as far.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Make the weights, (height, 1, channels)."""
        _, height, _, channels = input_shape[0]
        self.strength = self.add_weight(name="strength", shape=(height, 1, channels), initializer="zeros")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Add noise (batch, height, width, 1) to features (batch, height, width, channels)."""
        features, image = inputs
        return features + image * (self.strength * source_noise.GAIN)


def PhaseNetwork(filters: int = 16, dtype: str = "float32", random_init: bool = True) -> keras.Model:
    """Build a small convolutional network of the derivatives of a phase: five layers, no pooling.

    Of its input, it looks at the target's magnitude alone. With the input's magnitude and derivatives it learned more
    slowly (docs/phases.md).

    Args:
        filters: filters of each layer but the last; 16 gives 12,788 parameters.
        dtype: a Keras precision such as "mixed_float16". The output is always float32.
        random_init: whether the weights are drawn; otherwise they are 0, to be loaded.

    Returns:
        Model of `phase_gradient.network_input` (batch, 256, n_frames, 6) to (batch, 256, n_frames, 4): cosine and sine
        of the instantaneous frequency and of the group delay, times any length.
    """
    inputs = keras.Input((data.N_BINS, None, phase_gradient.N_INPUTS), name="source")
    x = inputs[..., :1]  # (batch, 256, n_frames, 1)
    for number in range(1, 6):
        n_filters = filters if number < 5 else phase_gradient.N_OUTPUTS
        initializer = "glorot_uniform" if random_init else "zeros"
        layer = layers.Conv2D(
            n_filters, (5, 3), padding="same", kernel_initializer=initializer, name=f"conv{number}", dtype=dtype
        )
        x = layer(x)
        if number < 5:
            x = layers.ReLU(name=f"relu{number}", dtype=dtype)(x)
    x = layers.Activation("linear", name="derivatives", dtype="float32")(x)  # (batch, 256, n_frames, 4)
    return keras.Model(inputs, x, name="phase")


def draws_noise(generator: keras.Model) -> bool:
    """Tell whether a generator draws from noise."""
    return any(isinstance(layer, SourceNoise) for layer in generator.layers)


def Discriminator(
    base_filters: int = 64,
    dtype: str = "float32",
    by_matmul: bool = False,
    n_channels: tuple[int, int] = (1, 1),
    with_style: bool = False,
    whole_band: bool = False,
) -> keras.Model:
    """Build the PatchGAN (Isola et al. 2017, appendix 6.1.2), which judges patches of (source, target).

    Args:
        base_filters: filters of the first layer; 64, the paper's, gives 2.77 M parameters.
        dtype: a Keras precision such as "mixed_float16". The logits are always float32.
        by_matmul: as in `Generator`.
        n_channels: channels of the source and of a style, and of the target.
        with_style: whether it also sees the style that the generator was given.
        whole_band: whether each logit judges 94 frames of all bins, instead of a patch of 94 bins and frames. The last
            layer then knows where in the band it looks. A variant of this project.

    Returns:
        Model of [source, target] or [source, target, style], each (batch, 256, 256, 1) in [-1, 1], to logits
        (batch, 16, 16, 1), or (batch, 1, 16, 1) of the whole band.
    """
    options = {"random_init": True, "dtype": dtype, "by_matmul": by_matmul}
    seen = {"source": n_channels[0], "target": n_channels[1], **({"style": n_channels[0]} if with_style else {})}
    inputs = [keras.Input((*data.SLICE_SHAPE[:2], channels), name=name) for name, channels in seen.items()]
    x = layers.Concatenate(dtype=dtype)(inputs)  # (batch, 256, 256, 2)
    x = _downsample(x, "down1", base_filters, False, options)  # (batch, 128, 128, 64)
    x = _downsample(x, "down2", base_filters * 2, True, options)  # (batch, 64, 64, 128)
    x = _downsample(x, "down3", base_filters * 4, True, options)  # (batch, 32, 32, 256)
    x = _downsample(x, "down4", base_filters * 8, True, options)  # (batch, 16, 16, 512)
    height = x.shape[1]
    size, strides = ((height, 4), (height, 1)) if whole_band else (4, 1)
    x = _convolution(Conv2D, "last", 1, options, size=size, strides=strides, use_bias=True)(x)
    x = layers.Activation("linear", name="logits", dtype="float32")(x)  # (batch, 16, 16, 1) or (batch, 1, 16, 1)
    return keras.Model(inputs, x, name="discriminator")


def with_features(discriminator: keras.Model) -> keras.Model:
    """Make a model of a discriminator's layers that also returns its features.

    Returns:
        Model of the same images to a list: the logits, and the output of each layer that is normalized, after its
        activation: for `base_filters` 64 (batch, 64, 64, 128), (batch, 32, 32, 256) and (batch, 16, 16, 512).
    """
    normalized = [
        name.removesuffix("_norm") for layer in discriminator.layers if (name := layer.name).endswith("_norm")
    ]
    features = [discriminator.get_layer(name).output for name in normalized]
    return keras.Model(discriminator.inputs, [discriminator.output, *features], name="features")


def _convolution(
    kind: type,
    name: str,
    filters: int,
    options: Mapping[str, Any],
    size: int | tuple[int, int] = 4,
    strides: int | tuple[int, int] = 2,
    use_bias: bool = False,  # a normalization follows
) -> layers.Layer:
    """Make a layer that, by default, halves (Conv2D) or doubles (Conv2DTranspose) both axes."""
    return kind(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02) if options["random_init"] else "zeros",
        name=name,
        dtype=options["dtype"],
        by_matmul=options["by_matmul"],
    )


def _normalization(name: str, options: Mapping[str, Any]) -> layers.Layer:
    return BatchNormalization(name=f"{name}_norm", dtype=options["dtype"])


def _downsample(
    x: keras.KerasTensor, name: str, filters: int, normalized: bool, options: Mapping[str, Any]
) -> keras.KerasTensor:
    x = _convolution(Conv2D, f"{name}_conv", filters, options)(x)
    if normalized:
        x = _normalization(name, options)(x)
    return layers.LeakyReLU(negative_slope=0.3, name=name, dtype=options["dtype"])(x)


def _upsample(
    x: keras.KerasTensor,
    name: str,
    filters: int,
    dropout: float | None,
    options: Mapping[str, Any],
    noise: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    dtype = options["dtype"]
    x = _convolution(Conv2DTranspose, f"{name}_conv", filters, options)(x)
    x = _normalization(name, options)(x)
    if noise is not None:
        x = Noise(name=f"{name}_noise", dtype=dtype)([x, noise])
    if dropout is not None:
        x = Dropout(dropout, name=f"{name}_dropout", dtype=dtype)(x)
    return layers.ReLU(name=name, dtype=dtype)(x)


def _noise_images(source: keras.KerasTensor) -> dict[int, keras.KerasTensor]:
    """Make the noise of a source for the last layers of the decoder: dict of height to image."""
    finest, *others = _NOISE_SIZES
    images = {finest: SourceNoise(name="noise", dtype="float32")(source)}
    for size in others:
        images[size] = HalvedNoise(name=f"noise_{size}", dtype="float32")(images[2 * size])
    return images
