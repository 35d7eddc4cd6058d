from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import OTHER, TARGET

from fast_layers import BatchNormalization, Conv2D
from losses import discriminator_loss, feature_matching_loss, linear_loss, mean_loss
from model import Discriminator, Generator, with_features
from training import steps
from training.loss_weights import PAPER, LossWeights
from training.optimizers import make_optimizer
from training.sound import level_loss

pytestmark = pytest.mark.usefixtures("shallow_networks")
EVERYTHING = LossWeights(l1=50.0, feature_matching=10.0, linear=1.0, r1=1.0)


def make_networks(precision="float32", rate=1e-3):
    keras.utils.set_random_seed(0)
    networks = {"generator": Generator(4, dtype=precision), "discriminator": Discriminator(4, dtype=precision)}
    optimizers = {name: make_optimizer(rate, network, precision) for name, network in networks.items()}
    return networks, optimizers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "jit_compile", "weights"),
    [
        ("float32", False, PAPER),
        ("mixed_float16", False, PAPER),
        ("mixed_bfloat16", False, PAPER),
        ("mixed_float16", False, EVERYTHING),
        ("mixed_bfloat16", False, EVERYTHING),
        ("float32", True, EVERYTHING),
    ],
)
def test_steps_learn_in_every_precision(precision, jit_compile, weights):
    networks, optimizers = make_networks(precision)
    rng = np.random.default_rng(0)
    source = tf.constant(rng.random((4, 256, 256, 1)), tf.float32)
    step = tf.function(steps.adversarial_steps(networks, optimizers, weights=weights)[0], jit_compile=jit_compile)
    rows = [step(source, source**2) for _ in range(8)]
    assert float(rows[-1]["gen_mae"]) < float(rows[0]["gen_mae"])
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
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
@pytest.mark.parametrize("with_style", [False, True])
def test_the_discriminator_sees_source_and_target_and_the_generator_source_and_style(with_style):
    discriminator = Discriminator(4, with_style=with_style)
    networks = {"generator": Watched(Generator(4, n_inputs=2)), "discriminator": Watched(discriminator)}
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
        styles = [style] if with_style else []
        assert all(tensor is expected for tensor, expected in zip(real, [source, target, *styles], strict=True))
        assert all(tensor is expected for tensor, expected in zip(fake, [source, generated, *styles], strict=True))
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


def random_images(number, channels=1, size=256):
    """Images of noise in [-1, 1], each number others."""
    return tf.random.stateless_uniform((2, size, size, channels), (number, 7), -1, 1)


def cross_entropy(logits, label):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label * tf.ones_like(logits), logits))


@pytest.mark.slow
def test_by_default_losses_are_the_papers_to_the_bit():
    source, target = random_images(0), random_images(1)

    def papers_step(generator, discriminator, optimizers):
        with tf.GradientTape(persistent=True) as tape:
            generated = generator(source, training=True)
            real = discriminator([source, target], training=True)
            fake = discriminator([source, generated], training=True)
            mae = tf.reduce_mean(tf.reduce_mean(tf.abs(target - generated), axis=(1, 2, 3)))
            gen_loss = cross_entropy(fake, 1) + 100 * mae
            disc_loss = cross_entropy(real, 1) + cross_entropy(fake, 0)
        for network, loss, name in ((generator, gen_loss, "generator"), (discriminator, disc_loss, "discriminator")):
            optimizers[name].apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return {"gen_mae": mae, "gen_loss": gen_loss, "disc_loss": disc_loss}

    networks, optimizers = make_networks()
    expected = [papers_step(*networks.values(), optimizers) for _ in range(2)]
    step, _ = steps.adversarial_steps(*make_networks())
    for before in expected:
        assert {name: float(value) for name, value in step(source, target).items()} == {
            name: float(value) for name, value in before.items()
        }


@pytest.mark.slow
def test_feature_matching_moves_the_generator_alone_and_takes_no_further_run():
    source, target, results = random_images(0), random_images(1), []
    for weight in (0.0, 10.0):
        networks, optimizers = make_networks()
        step, _ = steps.adversarial_steps(networks, optimizers, weights=LossWeights(feature_matching=weight))
        results.append((step(source, target), *(network.get_weights() for network in networks.values())))
    (without, generator, discriminator), (metrics, moved, same) = results
    for ours, theirs in zip(same, discriminator, strict=True):  # also the moving statistics, which count runs
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert any(np.abs(ours - theirs).max() > 1e-4 for ours, theirs in zip(moved, generator, strict=True))
    networks, _ = make_networks()
    generated, network = networks["generator"](source, training=True), with_features(networks["discriminator"])
    (_, *real), (_, *fake) = (network([source, image], training=True) for image in (target, generated))
    assert [feature.shape[1:] for feature in real] == [(64, 64, 8), (32, 32, 16), (16, 16, 32)]
    added = 10 * float(feature_matching_loss(real, fake))
    assert added > 1
    assert float(metrics["gen_loss"] - without["gen_loss"]) == pytest.approx(added, rel=1e-4)
    assert float(metrics["disc_loss"]) == pytest.approx(float(without["disc_loss"]), rel=1e-6)


class Recorder:
    """An optimizer that only remembers losses."""

    def __init__(self):
        self.losses, self.iterations = [], tf.constant(3, tf.int64)

    def scale_loss(self, loss):
        self.losses.append(float(loss))
        return loss

    def apply(self, gradients, variables):
        pass


def test_each_weight_counts_in_the_loss_of_its_network():
    networks, _ = make_small()
    source, target = random_images(0), random_images(1)
    linear, mean, level = (
        float(loss(target, networks["generator"](source, training=True)))
        for loss in (linear_loss, mean_loss, level_loss)
    )

    def run(make, **weights):
        optimizers = {name: Recorder() for name in networks}
        metrics = make(networks, optimizers, weights=LossWeights(**weights))[0](source, target)
        return {name: float(value) for name, value in metrics.items()}, *(o.losses for o in optimizers.values())

    metrics, (loss,), (disc_loss,) = run(steps.adversarial_steps, l1=0.0)
    (_, real), (_, fake) = networks["discriminator"].seen[-2:]
    assert loss == metrics["gen_loss"] == float(cross_entropy(fake, 1))
    assert disc_loss == metrics["disc_loss"] == float(discriminator_loss(real, fake))
    metrics, (loss,), _ = run(steps.adversarial_steps, l1=10.0, linear=2.0, mean=3.0, level=4.0)
    assert loss == metrics["gen_loss"]
    expected = float(cross_entropy(fake, 1)) + 10 * metrics["gen_mae"] + 2 * linear + 3 * mean + 4 * level
    assert loss == pytest.approx(expected, rel=1e-6)
    metrics, (loss,), _ = run(steps.generator_steps, linear=2.0, mean=300.0, level=400.0)
    assert loss == pytest.approx(metrics["gen_mae"] + 0.02 * linear + 3 * mean + 4 * level, rel=1e-6)
    assert run(steps.generator_steps)[1] == [metrics["gen_mae"]]
    # Each logit of this discriminator is linear in a square of its own: its gradient is the kernel.
    (layer,) = (layer for layer in networks["discriminator"].layers if layer.weights)
    penalty = float(tf.reduce_sum(layer.kernel[:, :, 1] ** 2)) / 2
    for make in (steps.adversarial_steps, lambda *args, **options: [steps.discriminator_step(*args, **options)]):
        metrics, _, (loss,) = run(make, r1=3.0)
        assert loss == metrics["disc_loss"] == pytest.approx(disc_loss + 3 * penalty, rel=1e-5)


@pytest.mark.slow
def test_the_gradient_of_r1_is_that_of_finite_differences():
    """Through the fused normalization and the convolution with its own gradient, which are differentiated twice."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((8, 8, channels)) for channels in (1, 31)]
    x = Conv2D(3, 4, strides=2, padding="same", by_matmul=True)(keras.layers.Concatenate()(inputs))
    x = keras.layers.Activation("tanh")(BatchNormalization(beta_initializer="ones")(x))
    discriminator = keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))
    optimizer = SimpleNamespace(iterations=tf.constant(3, tf.int64))
    images = [random_images(number, channels, 8) for number, channels in enumerate((1, 31, 31))]

    @tf.function
    def loss_and_gradients(weight):
        with tf.GradientTape() as tape:
            *_, loss = steps._make_judge(discriminator, optimizer, LossWeights(r1=weight))(*images, True)
        return loss, tape.gradient(loss, discriminator.trainable_variables)

    def check(weight):
        _, gradients = loss_and_gradients(weight)
        for variable, gradient in zip(discriminator.trainable_variables, gradients, strict=True):
            value, direction = variable.numpy(), np.sign(gradient)
            losses = []
            for step in (1e-3, -1e-3):
                variable.assign(value + step * direction)
                losses.append(float(loss_and_gradients(weight)[0]))
            variable.assign(value)
            slope = float(tf.reduce_sum(tf.abs(gradient)))
            assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(slope, rel=0.01, abs=2e-3), variable.path
        return gradients

    plain, penalized = check(0.0), check(10.0)
    kernel, gamma = 0, 1
    for index in (kernel, gamma):
        assert float(tf.norm(penalized[index])) > 3 * float(tf.norm(plain[index]))


def test_signs_are_drawn_anew_in_each_step():
    logits = tf.zeros((4, 16, 16, 1))
    signs = [steps._random_signs(logits, tf.constant(step, tf.int64)).numpy() for step in (0, 1, 1)]
    assert set(np.unique(signs[0])) == {-1, 1}
    assert abs(signs[0].mean()) < 0.2
    assert 0.3 < (signs[0] != signs[1]).mean() < 0.7
    np.testing.assert_array_equal(signs[1], signs[2])
