"""Kernels of a transposed convolution that cannot draw a checkerboard."""

import keras
import numpy as np
import pytest

from model import Generator
from training.optimizers import make_optimizer
from training.upsampling import Balanced, balance


def doubled(kernel, images):
    """Doubles images by a transposed convolution with a kernel (4, 4, n_out, n_in)."""
    layer = keras.layers.Conv2DTranspose(kernel.shape[2], 4, strides=2, padding="same", use_bias=False)
    layer.build(images.shape)
    layer.set_weights([kernel])
    return np.asarray(layer(images))


def test_a_balanced_kernel_doubles_an_even_image_evenly():
    kernel = np.random.default_rng(0).normal(size=(4, 4, 3, 5)).astype(np.float32)
    even = np.ones((1, 6, 6, 5), np.float32)
    balanced = np.asarray(Balanced()(kernel))
    assert np.ptp(doubled(kernel, even)[0, 2:-2, 2:-2], axis=(0, 1)).min() > 0.1
    np.testing.assert_allclose(np.ptp(doubled(balanced, even)[0, 2:-2, 2:-2], axis=(0, 1)), 0, atol=1e-5)
    # The mean of the result stays, and a balanced kernel stays as it is.
    np.testing.assert_allclose(balanced.sum(axis=(0, 1)), kernel.sum(axis=(0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Balanced()(balanced), balanced, atol=1e-6)


def test_a_resize_and_a_convolution_are_balanced():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 2, 4)).astype(np.float32)  # (row, column, n_in, n_out)
    images = np.random.default_rng(2).normal(size=(1, 8, 8, 2)).astype(np.float32)
    resized = images.repeat(2, axis=1).repeat(2, axis=2)
    expected = np.asarray(keras.ops.conv(resized, kernel, padding="same"))
    # A pixel of the result sees each input through the sum of the weights that meet it.
    rows = np.zeros((4, 4, 3, 3), np.float32)
    for tap, met in ((0, [2]), (1, [1, 2]), (2, [0, 1]), (3, [0])):
        rows[tap, tap, met, met] = 1
    to_taps = rows[range(4), range(4)].diagonal(axis1=1, axis2=2)  # (4, 3)
    transposed = np.einsum("ar,bc,rcio->aboi", to_taps, to_taps, kernel)
    np.testing.assert_allclose(doubled(transposed, images)[0, 1:-1, 1:-1], expected[0, 1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(Balanced()(transposed), transposed, atol=1e-6)


@pytest.mark.usefixtures("shallow_networks")
def test_a_balanced_network_stays_balanced_in_training():
    keras.utils.set_random_seed(0)
    network = Generator(4)
    upsampling = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    balance(network)
    first = [layer.get_weights()[0] for layer in upsampling]
    optimizer = make_optimizer(1e-2, network, "float32")
    rng = np.random.default_rng(0)
    optimizer.apply([rng.normal(size=v.shape) for v in network.trainable_variables], network.trainable_variables)
    for layer, before in zip(upsampling, first, strict=True):
        kernel = layer.get_weights()[0]
        assert np.abs(kernel - before).mean() > 1e-3
        np.testing.assert_allclose(Balanced()(kernel), kernel, atol=1e-6)
        np.testing.assert_allclose(Balanced()(before), before, atol=1e-6)
    constrained = {variable.path for variable in network.trainable_variables if variable.constraint}
    assert constrained == {layer.kernel.path for layer in upsampling}
