import keras
import numpy as np
import pytest
import tensorflow as tf

from model import BatchNormalization, Discriminator, Generator

# Largest differences: a few units in the last place of the values, which are at most about 4.
ROUNDING = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}


def test_parameter_counts_are_the_papers():
    encoder = [(1, 64), (64, 128), (128, 256), (256, 512)] + 4 * [(512, 512)]
    decoder = [(512, 512)] + 3 * [(1024, 512)] + [(1024, 256), (512, 128), (256, 64)]
    norms = 4 * (sum(out for _, out in encoder[1:]) + sum(out for _, out in decoder))
    kernels = 16 * sum(i * o for i, o in encoder + decoder)
    assert Generator().count_params() == kernels + norms + 16 * 128 + 1 == 54_419_713
    assert Discriminator().count_params() == 2_766_337


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


def normalize(kind, images, precision, training, jit_compile=False, **options):
    """Run a layer; return its output, the gradients of images, scale and offset, and the statistics that it leaves."""
    layer = kind(dtype=precision, **options)
    layer.build(images.shape)
    rng = np.random.default_rng(2)
    layer.set_weights([rng.uniform(0.5, 1.5, v.shape).astype(np.float32) for v in layer.weights])
    weights = tf.constant(rng.normal(size=images.shape).astype(np.float32))

    @tf.function(jit_compile=jit_compile)
    def run(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
            loss = tf.reduce_mean(tf.cast(outputs, tf.float32) * weights)
        return outputs, *tape.gradient(loss, [images, *layer.trainable_variables])

    outputs, *gradients = run(tf.constant(images))
    assert outputs.dtype == layer.compute_dtype
    scaled = [np.asarray(gradient, dtype=np.float32) * images.size**0.5 for gradient in gradients]
    return [np.asarray(tf.cast(outputs, tf.float32)), *scaled, *(v.numpy() for v in layer.non_trainable_variables)]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("precision", sorted(ROUNDING))
@pytest.mark.parametrize("shape", [(4, 8, 8, 16), (3, 1, 1, 16), (1, 1, 1, 8)])
def test_fused_normalization_is_that_of_keras(shape, precision, training, jit_compile):
    # At (3, 1, 1, 16), variances divided by n and by n - 1 differ by a half.
    images = np.random.default_rng(1).normal(1, 2, shape).astype(np.float32)
    fused = normalize(BatchNormalization, images, precision, training, jit_compile)
    expected = normalize(keras.layers.BatchNormalization, images, precision, training)
    for actual, wanted in zip(fused[:4], expected[:4], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=ROUNDING[precision], atol=ROUNDING[precision])
    for actual, wanted in zip(fused[4:], expected[4:], strict=True):  # the statistics are in float32
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


def test_the_fused_kernel_is_used(monkeypatch):
    monkeypatch.setattr(keras.layers.BatchNormalization, "call", None)
    names = {layer.name for layer in Generator(4).layers if isinstance(layer, BatchNormalization)}
    assert len(names) == 14
    Generator(4)(np.zeros((2, 256, 256, 1), np.float32), training=True)


def test_what_the_kernel_cannot_do_is_left_to_keras():
    images = np.random.default_rng(1).normal(1, 2, (4, 8, 8, 16)).astype(np.float32)
    options = {"synchronized": True}
    synchronized = normalize(BatchNormalization, images, "float32", True, **options)
    expected = normalize(keras.layers.BatchNormalization, images, "float32", True, **options)
    for actual, wanted in zip(synchronized, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    vectors = images[:, 0, 0]
    np.testing.assert_array_equal(
        *(
            normalize(kind, vectors, "float32", True)[0]
            for kind in (BatchNormalization, keras.layers.BatchNormalization)
        )
    )


def test_weights_go_by_the_names_of_keras_s_layer(tmp_path):
    layer = BatchNormalization(name="norm")
    layer.build((None, 4, 4, 3))
    expected = keras.layers.BatchNormalization(name="norm")
    expected.build((None, 4, 4, 3))
    assert [v.path for v in layer.weights] == [v.path for v in expected.weights]
    assert layer.get_config() == expected.get_config()
    assert layer.momentum == 0.99
    assert layer.epsilon == 1e-3


def test_a_network_predicts_as_with_keras_s_layers(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    network = Generator(4)
    network.set_weights(
        [rng.uniform(0.1, 0.6, w.shape).astype(np.float32) - 0.3 * (w.ndim == 4) for w in network.get_weights()]
    )
    network.save_weights(tmp_path / "fused.weights.h5")
    monkeypatch.setattr("model.BatchNormalization", keras.layers.BatchNormalization)
    expected = Generator(4)
    expected.load_weights(tmp_path / "fused.weights.h5")
    images = rng.uniform(-1, 1, (2, 256, 256, 1)).astype(np.float32)
    predicted = network(images, training=False).numpy()
    assert predicted.std() > 0.1
    np.testing.assert_allclose(predicted, expected(images, training=False).numpy(), atol=1e-5)
