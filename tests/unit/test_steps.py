import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import OTHER, TARGET

from model import Discriminator, Generator
from training import steps
from training.optimizers import make_optimizer

pytestmark = pytest.mark.usefixtures("shallow_networks")


def make_networks(precision="float32", rate=1e-3):
    keras.utils.set_random_seed(0)
    networks = {"generator": Generator(4, dtype=precision), "discriminator": Discriminator(4, dtype=precision)}
    optimizers = {name: make_optimizer(rate, network, precision) for name, network in networks.items()}
    return networks, optimizers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "jit_compile"),
    [("float32", False), ("mixed_float16", False), ("mixed_bfloat16", False), ("float32", True)],
)
def test_steps_learn_in_every_precision(precision, jit_compile):
    networks, optimizers = make_networks(precision)
    rng = np.random.default_rng(0)
    source = tf.constant(rng.random((4, 256, 256, 1)), tf.float32)
    step = tf.function(steps.adversarial_steps(networks, optimizers)[0], jit_compile=jit_compile)
    maes = [float(step(source, source**2)["gen_mae"]) for _ in range(8)]
    assert maes[-1] < maes[0]
    assert (type(optimizers["generator"]).__name__ == "LossScaleOptimizer") == (precision == "mixed_float16")


@pytest.mark.slow
def test_validation_step_changes_nothing():
    networks, optimizers = make_networks()
    before = [weight.copy() for network in networks.values() for weight in network.get_weights()]
    images = tf.random.stateless_uniform((2, 256, 256, 1), (1, 2))
    validate = tf.function(steps.adversarial_steps(networks, optimizers)[1])
    assert float(validate(images, images)["gen_mae"]) == float(validate(images, images)["gen_mae"])
    after = [weight for network in networks.values() for weight in network.get_weights()]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


class Watched:
    """A network that remembers what it is given."""

    def __init__(self, network):
        self._network, self.seen, self.training = network, [], set()

    def __call__(self, inputs, training):
        result = self._network(inputs, training=training)
        self.seen.append((inputs, result))
        self.training.add(training)
        return result

    def __getattr__(self, name):
        return getattr(self._network, name)


@pytest.mark.slow
def test_the_discriminator_sees_source_and_target_and_the_generator_source_and_style():
    networks = {"generator": Watched(Generator(4, n_inputs=2)), "discriminator": Watched(Discriminator(4))}
    optimizers = {name: make_optimizer(1e-3, network, "float32") for name, network in networks.items()}
    measure = steps.make_target_errors([TARGET, OTHER])
    source, style, target = (tf.random.stateless_uniform((4, 256, 256, 1), (seed, 0)) for seed in range(3))
    indices = tf.constant([1, 0, 1, 1])
    for step in steps.adversarial_steps(networks, optimizers, measure):
        networks["generator"].seen.clear()
        networks["discriminator"].seen.clear()
        metrics = step(source, style, target, indices)
        ((given, generated),) = networks["generator"].seen
        assert given[0] is source
        assert given[1] is style
        (real, _), (fake, _) = networks["discriminator"].seen
        assert [tensor is expected for tensor, expected in zip(real, (source, target), strict=True)] == [True, True]
        assert [tensor is expected for tensor, expected in zip(fake, (source, generated), strict=True)] == [True, True]
        errors = np.abs(target - generated).mean(axis=(1, 2, 3))
        total, count = metrics[f"gen_mae_{OTHER}"]
        assert float(total) == pytest.approx(errors[[0, 2, 3]].sum(), rel=1e-5)
        assert float(count) == 3
        assert float(metrics["gen_mae"]) == pytest.approx(errors.mean(), rel=1e-5)


def make_small(n_inputs=1):
    """Networks of one layer each, watched, and their optimizers."""
    image = (256, 256, 1)
    inputs = [keras.Input(image) for _ in range(n_inputs)]
    pair = [keras.Input(image), keras.Input(image)]
    both = keras.layers.Concatenate()
    generated = keras.layers.Conv2D(1, 1)(both(inputs) if n_inputs > 1 else inputs[0])
    networks = {
        "generator": Watched(keras.Model(inputs if n_inputs > 1 else inputs[0], generated)),
        "discriminator": Watched(keras.Model(pair, keras.layers.Conv2D(1, 16, strides=16)(both(pair)))),
    }
    return networks, {name: make_optimizer(1e-2, network, "float32") for name, network in networks.items()}


@pytest.mark.parametrize("n_inputs", [1, 2])
@pytest.mark.parametrize(
    ("make", "learning"),
    [
        (steps.adversarial_steps, {"generator", "discriminator"}),
        (steps.generator_steps, {"generator"}),
        (lambda *learners: [steps.discriminator_step(*learners)], {"discriminator"}),
    ],
)
def test_training_steps_alone_run_in_training_mode_and_change_what_they_train(make, learning, n_inputs):
    networks, optimizers = make_small(n_inputs)
    batch = [tf.random.stateless_uniform((2, 256, 256, 1), (seed, 0)) for seed in range(n_inputs + 1)]
    source, target = batch[0], batch[-1]
    for step, is_training in zip(make(networks, optimizers), (True, False), strict=False):
        before = {name: network.get_weights() for name, network in networks.items()}
        for network in networks.values():
            network.seen.clear()
            network.training.clear()
        step(*batch)
        ((_, generated),) = networks["generator"].seen
        assert networks["generator"].training == {is_training}
        assert networks["discriminator"].training <= {is_training}
        if "discriminator" in learning:
            pairs = [inputs for inputs, _ in networks["discriminator"].seen]
            assert [[tensor is source for tensor in pair] for pair in pairs] == [[True, False]] * 2
            assert pairs[0][1] is target and pairs[1][1] is generated
        for name, network in networks.items():
            changed = any((old != new).any() for old, new in zip(before[name], network.get_weights(), strict=True))
            assert changed == (is_training and name in learning)
