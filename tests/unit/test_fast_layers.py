import keras
import numpy as np
import pytest
import tensorflow as tf

from fast_layers import BatchNormalization, Conv2D, Conv2DTranspose
from model import Generator

# Largest differences: a few units in the last place of the values, which are at most about 4.
ROUNDING = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}


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


def test_weights_go_by_the_names_of_keras_s_layer():
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


def convolve(kind, images, **options):
    """Run a layer; return its output, the gradients of images and weights, and the paths of the weights."""
    layer = kind(kernel_size=4, padding="same", name="layer", **options)
    layer.build(images.shape)
    rng = np.random.default_rng(2)
    layer.set_weights([rng.normal(size=v.shape).astype(np.float32) for v in layer.weights])

    @tf.function(input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)])
    def run(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images)
            loss = tf.reduce_sum(tf.sin(outputs))
        return outputs, *tape.gradient(loss, [images, *layer.trainable_variables])

    graph = run.get_concrete_function().graph
    operations = {operation.type for operation in graph.get_operations()}
    return [result.numpy() for result in run(tf.constant(images))], [v.path for v in layer.weights], operations


@pytest.mark.parametrize("height", [2, 4, 16])
@pytest.mark.parametrize(
    ("kind", "channels", "options"),
    [
        ("Conv2D", 32, {"filters": 5, "strides": 2, "use_bias": False}),
        ("Conv2D", 2, {"filters": 5, "strides": 2}),
        ("Conv2D", 32, {"filters": 1, "strides": 1}),
        ("Conv2DTranspose", 5, {"filters": 32, "strides": 2, "use_bias": False}),
        ("Conv2DTranspose", 5, {"filters": 3, "strides": 2, "use_bias": False}),
        ("Conv2DTranspose", 8, {"filters": 1, "strides": 2}),
    ],
)
def test_convolutions_by_matrix_products_are_those_of_keras(kind, channels, options, height):
    images = np.random.default_rng(1).normal(size=(3, height, 2 * height, channels)).astype(np.float32)
    ours = {"Conv2D": Conv2D, "Conv2DTranspose": Conv2DTranspose}[kind]
    results, paths, _ = convolve(ours, images, by_matmul=True, **options)
    expected, expected_paths, _ = convolve(getattr(keras.layers, kind), images, **options)
    assert paths == expected_paths
    for actual, wanted in zip(results, expected, strict=True):
        assert actual.shape == wanted.shape
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_matrix_products_are_used_where_they_are_asked_for():
    images = np.zeros((2, 8, 8, 32), np.float32)
    options = {"filters": 4, "strides": 2, "use_bias": False}
    assert "Conv2DBackpropFilter" not in convolve(Conv2D, images, by_matmul=True, **options)[2]
    assert "MatMul" not in convolve(Conv2D, images, **options)[2]


def test_a_network_with_matrix_products_learns_as_one_without():
    images = np.random.default_rng(1).uniform(-1, 1, (4, 256, 256, 1)).astype(np.float32)
    gradients = []
    for by_matmul in (False, True):
        keras.utils.set_random_seed(1)
        network = Generator(4, dropout=0, by_matmul=by_matmul)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(images, training=True) ** 2)
        gradients.append(tape.gradient(loss, network.trainable_variables))
    for plain, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(other, plain, rtol=1e-3, atol=1e-4 * np.abs(plain).max())
