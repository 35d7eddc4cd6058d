import keras
import numpy as np
import pytest
import tensorflow as tf

from model import Discriminator, Generator, Noise


@pytest.mark.slow
def test_parameter_counts_are_the_papers():
    encoder = [(1, 64), (64, 128), (128, 256), (256, 512)] + 4 * [(512, 512)]
    decoder = [(512, 512)] + 3 * [(1024, 512)] + [(1024, 256), (512, 128), (256, 64)]
    norms = 4 * (sum(out for _, out in encoder[1:]) + sum(out for _, out in decoder))
    kernels = 16 * sum(i * o for i, o in encoder + decoder)
    assert Generator().count_params() == kernels + norms + 16 * 128 + 1 == 54_419_713
    assert Discriminator().count_params() == 2_766_337


def test_filters_are_limited_in_every_layer():
    network = Generator(4, max_filters=20)
    widths = [layer.filters for layer in network.layers if layer.name.endswith("_conv")]
    assert widths == [4, 8, 16, 20, 20, 20, 20, 20, 20, 20, 20, 20, 16, 8, 4]
    assert network(np.zeros((1, 256, 256, 1), np.float32)).shape == (1, 256, 256, 1)
    # The size of the shipped models: a tenth more weights than 16 filters without a limit.
    shipped, narrower = (Generator(*size, random_init=False).count_params() for size in ((24,), (16,)))
    limited = Generator(24, max_filters=128, random_init=False).count_params()
    assert 1.1 < limited / narrower < 1.11 < shipped / narrower


def test_options_that_layers_do_not_have_are_refused():
    with pytest.raises(TypeError, match="by_matmull"):
        Generator(4, by_matmull=True)


def test_shapes_and_ranges_of_the_networks():
    rng = np.random.default_rng(1)
    images = rng.random((2, 256, 256, 1)).astype(np.float32) * 2 - 1
    generator = Generator(4)
    generator.set_weights([rng.random(w.shape).astype(np.float32) for w in generator.get_weights()])  # large ones
    generated = generator(images)
    assert generated.shape == (2, 256, 256, 1)
    assert np.abs(generated).max() <= 1
    assert Generator(4, n_inputs=2)([images, images]).shape == (2, 256, 256, 1)
    assert Discriminator(4)([images, generated.numpy()]).shape == (2, 16, 16, 1)
    judge = Discriminator(4, with_style=True)
    logits, others = (judge([images, generated.numpy(), style]) for style in (images, -images))
    assert logits.shape == (2, 16, 16, 1)
    assert np.abs(logits - others).max() > 0


def test_a_logit_of_the_whole_band_sees_all_bins_and_one_of_a_patch_94():
    rng = np.random.default_rng(1)
    image = tf.constant(rng.random((1, 256, 256, 1)), tf.float32)
    for whole_band, shape, seen in ((False, (1, 16, 16, 1), 94), (True, (1, 1, 16, 1), 256)):
        judge = Discriminator(4, whole_band=whole_band)
        with tf.GradientTape() as tape:
            tape.watch(image)
            logits = judge([image, image])
            one = logits[0, shape[1] // 2, 8, 0]
        assert logits.shape == shape
        felt = np.abs(tape.gradient(one, image).numpy()[0, :, :, 0]) > 0
        bins, frames = np.flatnonzero(felt.any(1)), np.flatnonzero(felt.any(0))
        assert (np.ptp(bins) + 1, np.ptp(frames) + 1) == (seen, 94)


def test_the_strength_of_noise_is_learned_from_0():
    keras.utils.set_random_seed(1)
    image = tf.random.uniform((2, 256, 256, 1), -1, 1)
    generator = Generator(4, noise=True)
    strengths = [layer.strength for layer in generator.layers if isinstance(layer, Noise)]
    assert [strength.shape for strength in strengths] == [(32, 1, 16), (64, 1, 8), (128, 1, 4)]
    assert not any(np.any(strength) for strength in strengths)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(generator(image) - 0.5))
    assert all(np.abs(gradient).max() > 0 for gradient in tape.gradient(loss, [s.value for s in strengths]))


def test_noise_is_added_to_each_bin_of_a_channel_ten_times_as_strong_as_its_weight_says():
    layer, rng = Noise(), np.random.default_rng(1)
    features, image = (rng.random((2, 8, 4, count)).astype(np.float32) for count in (3, 1))
    np.testing.assert_array_equal(layer([features, image]), features)
    strength = rng.normal(size=(8, 1, 3)).astype(np.float32)
    layer.strength.assign(strength)
    expected = features + image * 10 * strength
    np.testing.assert_allclose(layer([features, image]), expected, rtol=1e-6)


@pytest.mark.slow
def test_layers_of_the_generator():
    generator = Generator(64)
    filters = [layer.filters for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert filters == [64, 128, 256, 512, 512, 512, 512, 512]
    transposed = [layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert [layer.filters for layer in transposed] == [512, 512, 512, 512, 256, 128, 64, 1]
    assert [layer.use_bias for layer in transposed] == 7 * [False] + [True]
    assert [layer.rate for layer in generator.layers if isinstance(layer, keras.layers.Dropout)] == 3 * [0.5]
    # Upsampled first, skip second.
    first, second = generator.get_layer("up1_skip").input
    assert (first.name, second.name) == (
        generator.get_layer("up1").output.name,
        generator.get_layer("down7").output.name,
    )
    slopes = {layer.negative_slope for layer in generator.layers if isinstance(layer, keras.layers.LeakyReLU)}
    assert len(slopes) == 1
    assert float(slopes.pop()) == pytest.approx(0.3)
    assert np.std(generator.get_layer("down8_conv").get_weights()[0]) == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_16_bit_and_returns_float32(precision):
    images = np.zeros((2, 256, 256, 1), dtype=np.float32)
    compute = precision.removeprefix("mixed_")
    for network, inputs in (
        (Generator(4, dtype=precision), images),
        (Discriminator(4, dtype=precision), [images, images]),
    ):
        layer = network.get_layer("down2_conv")
        assert (layer.compute_dtype, layer.variable_dtype) == (compute, "float32")
        assert network.get_layer("down2").output.dtype == compute
        assert keras.backend.standardize_dtype(network(inputs).dtype) == "float32"
