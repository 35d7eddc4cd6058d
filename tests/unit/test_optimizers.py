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
