import keras
import numpy as np
import tensorflow as tf

from training.optimizers import make_optimizer


def test_the_schedule_is_half_a_cosine_over_all_steps():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = make_optimizer(0.1, network, "float32", decay_steps=8)
    rates = []
    for _ in range(10):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.ones_like(v) for v in network.trainable_variables], network.trainable_variables)
    expected = 0.1 * (1 + np.cos(np.pi * np.minimum(np.arange(10), 8) / 8)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_the_momentum_is_the_papers():
    # With beta_1 = 0.5 the second of two opposite gradients leaves a first moment of 0.5 · (1 - 0.5) - 0.5 = -0.25.
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = make_optimizer(0.1, network, "float32")
    (variable,) = network.trainable_variables
    momentum = next(v for v in optimizer.variables if "momentum" in v.path)
    for gradient, expected in ((1.0, 0.5), (-1.0, -0.25)):
        optimizer.apply([tf.fill(variable.shape, gradient)], [variable])
        np.testing.assert_allclose(momentum.numpy(), expected, rtol=1e-6)
    assert optimizer.beta_2 == 0.999
