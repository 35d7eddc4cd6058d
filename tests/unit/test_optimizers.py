import keras
import numpy as np
import pytest
import tensorflow as tf

from training import optimizers
from training.optimizers import Adam, make_optimizer


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


def train_twenty_steps(precision, decay_steps):
    """Train a small network; return its weights, and the path and value of each of the optimizer's variables."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, dtype=precision, name="first"), keras.layers.Dense(1, name="second")]
    network = keras.Sequential([keras.Input((3,)), *layers], name="network")
    optimizer = make_optimizer(0.05, network, precision, decay_steps)
    if precision == "mixed_float16":
        optimizer.dynamic_growth_steps = 6  # the scale doubles on the way

    @tf.function
    def step(seed):  # gradients that do not depend on the weights, whose rounding would add up in float16
        shapes = enumerate(v.shape for v in network.trainable_variables)
        losses = [tf.random.stateless_normal(shape, (seed, index)) for index, shape in shapes]
        optimizer.apply([optimizer.scale_loss(loss) for loss in losses], network.trainable_variables)

    for seed in range(20):
        if precision == "mixed_float16" and seed == 9:  # an overflow: no update, and half the scale
            optimizer.apply([v + np.inf for v in network.trainable_variables], network.trainable_variables)
        step(tf.constant(seed))
    return network.get_weights(), [(v.path.partition("/")[2], v.numpy()) for v in optimizer.variables]


@pytest.mark.parametrize("decay_steps", [None, 30])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_twenty_steps_equal_those_of_keras(monkeypatch, precision, decay_steps):
    weights, state = train_twenty_steps(precision, decay_steps)
    monkeypatch.setattr(optimizers, "Adam", keras.optimizers.Adam)
    expected_weights, expected_state = train_twenty_steps(precision, decay_steps)
    for actual, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    assert [path for path, _ in state] == [path for path, _ in expected_state]
    for (_, actual), (_, expected) in zip(state, expected_state, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_the_kernel_is_used_and_not_keras_s_arithmetic(monkeypatch):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = make_optimizer(0.1, network, "float32")
    monkeypatch.setattr(keras.optimizers.Adam, "update_step", None)  # would be called
    optimizer.apply([tf.ones_like(v) for v in network.trainable_variables], network.trainable_variables)
    assert int(optimizer.iterations) == 1


def test_variants_that_the_kernel_does_not_know_are_left_to_keras():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    weights = network.get_weights()
    results = []
    for kind in (Adam, keras.optimizers.Adam):
        network.set_weights(weights)
        optimizer = kind(0.1, amsgrad=True)
        for gradient in (1.0, 0.1):
            optimizer.apply(
                [tf.fill(v.shape, gradient) for v in network.trainable_variables], network.trainable_variables
            )
        results.append(network.get_weights()[0])
    np.testing.assert_array_equal(*results)


def test_a_replica_is_updated_as_a_device_without_a_strategy_is():
    # The sum over several replicas takes several logical devices, which need a process of their own.
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        optimizer = make_optimizer(0.1, network, "float32")
    (before,) = network.get_weights()

    @tf.function
    def step():
        def on_replica():
            optimizer.apply([tf.ones_like(v) for v in network.trainable_variables], network.trainable_variables)

        strategy.run(on_replica)

    step()
    np.testing.assert_allclose(network.get_weights()[0], before - 0.1, rtol=1e-5)
