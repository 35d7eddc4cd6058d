"""Training of generators that predict a phase beside the magnitude, and prediction with what it writes."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
from conftest import TARGET, one_line, read_json
from sounds import RATE, music

import data
import export
from common import phase_channels, representations
from common.cli import UserError
from common.stored_generator import find_generator
from common.weights import load_generator, save_model
from dataset.augment import make_augment
from evaluation.models import Model, load_phase_network
from inference import onnx_network, runtimes
from inference.settings import PHASES, ConvertSettings, PhaseSettings, TransferSettings
from losses import inconsistency
from model import Discriminator, Generator
from training import model_folder, steps
from training.loss_weights import LossWeights
from training.optimizers import make_optimizer

pytestmark = pytest.mark.usefixtures("shallow_networks")
REPRESENTATIONS = representations.PHASES_AS_CHANNELS


def slices(seed=0, n=1):
    """Slices of music as `phase_slices.batches` reads them."""
    images = [next(data.slices(music(4, seed=seed + number)[0], with_phase=True)) for number in range(n)]
    return np.stack([np.stack([data.to_network(image[..., 0]), image[..., 1]], -1) for image in images])


def random_generator(representation, n_inputs=1, base_filters=2):
    generator = Generator(base_filters, n_inputs, n_channels=representations.n_channels(representation))
    rng = np.random.default_rng(0)
    generator.set_weights([np.abs(rng.normal(0, 0.2, weight.shape)) for weight in generator.get_weights()])
    return generator


def store(folder, representation, n_inputs=1, **model):
    generator = random_generator(representation, n_inputs)
    of_phase = {"phase": representation} if representation else {}
    save_model(
        folder, {"generator": generator}, {"model": {"base_filters": 2, "n_inputs": n_inputs, **of_phase, **model}}
    )
    return generator


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_channels_are_the_same_in_tensorflow(representation):
    source, target = slices(0), slices(1)
    for function, given in (
        (phase_channels.input_channels, [source]),
        (phase_channels.target_channels, [target, source]),
    ):
        expected = function(representation, *given)
        result = tf.function(function)(representation, *map(tf.constant, given), xp=tnp)
        np.testing.assert_allclose(result, expected, atol=1e-4)
    shapes = [phase_channels.input_channels(representation, source).shape[-1], expected.shape[-1]]
    assert tuple(shapes) == representations.n_channels(representation)


def test_the_rotation_leads_from_the_inputs_phase_to_the_targets():
    source, target = slices(0), slices(1)
    cosine, sine = np.moveaxis(phase_channels.target_channels("rotation", target, source)[..., 1:], -1, 0)
    rotated = np.exp(1j * np.pi * source[..., 1]) * (cosine + 1j * sine)
    np.testing.assert_allclose(rotated, np.exp(1j * np.pi * target[..., 1]), atol=1e-5)


def test_inconsistency_is_what_the_inverse_stft_and_the_stft_change():
    rng = np.random.default_rng(0)
    magnitude, phase = rng.uniform(0, 0.1, (2, 256, 40)), rng.uniform(-np.pi, np.pi, (2, 256, 40))
    expected = np.zeros(2)
    for values, angle in zip(magnitude, phase, strict=True):
        spectrum = (values * np.exp(1j * angle)).astype(np.complex64)
        projected = data.stft(data.istft(spectrum, 39 * 512))[:256]
        inner = slice(1, -1)
        expected += [np.sum(np.abs((spectrum - projected)[:, inner]) ** 2), np.sum(np.abs(spectrum[:, inner]) ** 2)]

    def measure(magnitude, phase):
        image = data.to_network(data.compress_magnitude(magnitude))
        direction = 0.3 * np.stack([np.cos(phase), np.sin(phase)], -1)
        return float(inconsistency(tf.constant(image), tf.constant(direction, tf.float32)))

    assert measure(magnitude, phase) == pytest.approx(expected[0] / expected[1], rel=1e-2)
    assert measure(magnitude, phase) > 0.3
    time = np.arange(40 * 512) / RATE
    true = data.stft((0.2 * np.sin(2 * np.pi * (300 + 100 * time) * time)).astype(np.float32))[np.newaxis, :256]
    assert measure(np.abs(true) / 256, np.angle(true)) < 1e-4
    assert measure(np.abs(true) / 256, np.angle(true) + 1) < 1e-4  # blind to a phase that all bins share


def test_inconsistency_has_a_gradient():
    image = tf.Variable(data.to_network(np.random.default_rng(0).random((1, 256, 8), np.float32)))
    direction = tf.Variable(np.random.default_rng(1).normal(0, 1, (1, 256, 8, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = inconsistency(image, direction)
    for gradient in tape.gradient(loss, [image, direction]):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_generator_overfits_one_slice(representation):
    keras.utils.set_random_seed(0)
    n_channels = representations.n_channels(representation)
    batch = [tf.constant(slices(seed)) for seed in (1, 5)]
    networks = {"generator": Generator(4, n_channels=n_channels, dropout=0.0)}
    optimizers = {"generator": make_optimizer(1e-2, networks["generator"], "float32")}
    weights = LossWeights(consistency=0.0 if representation == "derivatives" else 1.0)
    train_step, validation_step = steps.generator_steps(networks, optimizers, weights=weights)
    step = tf.function(train_step)
    before = step(*batch)
    for _ in range(30):
        after = step(*batch)
    assert float(after["gen_mae"]) < 0.6 * float(before["gen_mae"])
    assert float(after["phase_error"]) < 0.85 * float(before["phase_error"])
    assert ("inconsistency" in after) == (representation != "derivatives")
    assert set(after) <= set(validation_step(*batch))


def test_all_but_the_terms_of_the_phase_is_about_the_magnitude():
    """With weights of 0 for the phase, the first channel learns as if there were no others."""
    source, target = (tf.constant(slices(seed, 2)) for seed in (1, 5))
    generator = random_generator("angle")
    networks = {"generator": generator, "discriminator": Discriminator(2, n_channels=(3, 3))}
    optimizers = {name: make_optimizer(1e-3, network, "float32") for name, network in networks.items()}
    measure = steps.make_target_errors([TARGET])
    _, validation_step = steps.adversarial_steps(networks, optimizers, measure)
    metrics = validation_step(source, target, tf.constant([0, 0]))
    generated = generator(phase_channels.input_channels("angle", source, tnp), training=False)
    error = np.abs(generated[..., 0] - target[..., 0]).mean()
    assert float(metrics["gen_mae"]) == pytest.approx(error, rel=1e-5)
    total, count = metrics[f"gen_mae_{TARGET}"]
    assert float(total / count) == pytest.approx(error, rel=1e-5)
    energy = (data.expand_magnitude(data.from_network(generated[..., 0].numpy())) ** 2).sum()
    assert sum(float(value[0]) for name, value in metrics.items() if name.startswith("level")) <= energy * 1.001


@pytest.mark.parametrize(("representation", "n_inputs"), [("angle", 1), ("derivatives", 2), ("rotation", 2)])
def test_a_stored_generator_gives_the_same_with_both_runtimes(representation, n_inputs, tmp_path):
    generator = store(tmp_path, representation, n_inputs)
    assert find_generator(tmp_path).phase == representation
    loaded, _ = load_generator(tmp_path)
    images = [slices(seed)[0] for seed in range(n_inputs)]
    seen = [phase_channels.input_channels(representation, image[np.newaxis]) for image in images]
    expected = generator(seen if n_inputs > 1 else seen[0], training=False)
    for runtime in ("onnx", "tensorflow"):
        network = runtimes.load(tmp_path, runtime, -1)
        assert network.takes_style == (n_inputs == 2)
        np.testing.assert_allclose(network.infer(images[0][np.newaxis], *images[1:]), expected, atol=1e-4)
    np.testing.assert_array_equal(loaded.get_weights()[0], generator.get_weights()[0])


@pytest.mark.parametrize(
    ("held", "said"), [("angle", None), (None, "angle"), ("rotation", "derivatives"), ("derivatives", "angle")]
)
def test_weights_that_do_not_fit_their_configuration_are_refused(held, said, tmp_path):
    store(tmp_path, held)
    config = {"model": {"base_filters": 2, "n_inputs": 1, **({"phase": said} if said else {})}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for load in (find_generator, load_generator):
        with pytest.raises(UserError, match="does not fit its configuration"):
            load(tmp_path)


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_a_model_of_the_magnitude_alone_gives_initial_weights(n_inputs, tmp_path):
    plain = {"generator": store(tmp_path, None, n_inputs), "discriminator": Discriminator(2)}
    save_model(tmp_path, plain, read_json(tmp_path / "config.json"))
    wide = {"generator": random_generator("rotation", n_inputs), "discriminator": Discriminator(2, n_channels=(5, 3))}
    model_folder.load_initial(tmp_path, wide)
    source, target = slices(0), slices(1)
    seen = phase_channels.input_channels("rotation", source)
    expected = phase_channels.target_channels("rotation", target, source)

    def several(images):
        return [images] * n_inputs if n_inputs > 1 else images

    generated = wide["generator"](several(seen), training=False)
    assert generated.shape[-1] == 3
    np.testing.assert_allclose(
        generated[..., :1], plain["generator"](several(seen[..., :1]), training=False), atol=1e-5
    )
    np.testing.assert_allclose(
        wide["discriminator"]([seen, expected], training=False),
        plain["discriminator"]([seen[..., :1], expected[..., :1]], training=False),
        atol=1e-5,
    )


def test_initial_weights_of_a_phase_may_lack_the_style(tmp_path):
    narrow, wide = store(tmp_path, "angle", 1), random_generator("angle", 2)
    style_filters = wide.get_layer("down1_conv").kernel.numpy()[:, :, 3:]
    model_folder.load_initial(tmp_path, {"generator": wide})
    kernel = wide.get_layer("down1_conv").kernel.numpy()
    np.testing.assert_array_equal(kernel[:, :, :3], narrow.get_layer("down1_conv").kernel)
    np.testing.assert_array_equal(kernel[:, :, 3:], style_filters)
    np.testing.assert_array_equal(wide.get_weights()[-1], narrow.get_weights()[-1])


def test_a_phase_is_chosen_by_the_model(tmp_path):
    for representation in (None, "angle"):
        store(tmp_path / str(representation), representation)
        network = runtimes.load(tmp_path / str(representation), "onnx", None)
        for name, expected in (("auto", "model" if representation else "griffinlim_input"), ("input", "input")):
            settings = ConvertSettings(transfer=TransferSettings(PhaseSettings(name)))
            chosen = runtimes.complete_phase(settings, tmp_path, network)
            assert chosen.transfer.phase.name == expected
    plain = runtimes.load(tmp_path / "None", "onnx", None)
    for phase, message in (
        (PhaseSettings("model"), "--phase model: .* predicts the magnitude alone"),
        (PhaseSettings("input", 0), "--phase_iterations 0 is for --phase model"),
    ):
        with pytest.raises(UserError, match=message):
            runtimes.complete_phase(ConvertSettings(transfer=TransferSettings(phase)), tmp_path, plain)
    assert "model" in PHASES


def test_an_evaluation_of_the_models_phase_takes_models_that_predict_one():
    generators = [random_generator(representation) for representation in ("angle", None)]
    with_phase, plain = (Model("m", generator, [], {}, "") for generator in generators)
    settings = SimpleNamespace(phases=[PhaseSettings("model")])
    assert load_phase_network(settings, [with_phase]) is settings
    with pytest.raises(UserError, match="--phase model: m predicts the magnitude alone"):
        load_phase_network(settings, [with_phase, plain])
    assert with_phase.make_predict_fn()(slices()).shape[-1] == 3
    assert plain.make_predict_fn()(slices()[..., :1]).shape[-1] == 1


def test_the_graph_of_a_phase_is_not_exported(tmp_path, call_script):
    store(tmp_path, "angle")
    assert onnx_network.build(find_generator(tmp_path))
    status, _, stderr = call_script(export, "--model", tmp_path, "--format", "onnx", "--output", tmp_path / "out")
    assert status == 2
    assert "also predicts a phase (angle)" in one_line(stderr)


def test_augmentation_adds_noise_with_a_phase():
    images = tf.constant(slices(0, 4))
    step = tf.constant(3, tf.int64)
    plain, changed = (make_augment(1, 2)(step, part).numpy() for part in (images[..., :1], images))
    images = images.numpy()
    assert changed.shape == images.shape
    turned = np.abs(np.angle(np.exp(1j * np.pi * (changed[..., 1] - images[..., 1]))))
    loud = images[..., 0] > 0.5
    assert turned[loud].max() < 0.3 < turned[~loud].max()
    np.testing.assert_allclose(changed[..., 0][loud], plain[..., 0][loud], atol=0.05)
    assert np.abs(changed[..., 1]).max() <= 1
