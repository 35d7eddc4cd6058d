import keras
import numpy as np
import tensorflow as tf

from training import ema


def test_averages_of_weights_and_statistics_take_their_place_and_give_way_again():
    network = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    moving = ema.Averages({"generator": network}, 0.75)
    add = tf.function(moving.add)
    weights = network.get_weights()  # gamma, beta, and the moving mean and variance
    expected = weights
    for step in range(1, 41):
        weights = [weight + step for weight in weights]
        network.set_weights(weights)
        add()
        decay = min(0.75, (1 + step) / (10 + step))
        expected = [decay * average + (1 - decay) * weight for average, weight in zip(expected, weights, strict=True)]
    with moving.in_place():
        for ours, theirs in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for ours, theirs in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    none = ema.Averages({"generator": network}, 0.0)
    with none.in_place():
        np.testing.assert_array_equal(network.get_weights()[0], weights[0])
