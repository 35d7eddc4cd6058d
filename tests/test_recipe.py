"""What a recipe adds to a run: sources changed by chance, a schedule, averaged weights, weights to begin with."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    ORIGIN,
    OTHER,
    TARGET,
    losses,
    one_line,
    run_script,
    start_script,
    train_arguments,
    wait_for,
    write_slices,
)

import augment
import averages
import data
import train
import train_generator
import train_multitarget
import training
from examples import Examples
from model import Generator, load_generator, save_model

NAME = f"{ORIGIN}_2_{TARGET}"
PIECES = {"a": 6, "b": 6, "c": 6, "d": 6}


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), PIECES)


def flat(level, count=4):
    """Slices with the same magnitude everywhere."""
    log_magnitude = data.amplitude_to_db(np.full((count, *data.SLICE_SHAPE), level, np.float32))
    return tf.constant(data.to_network(log_magnitude))


def decibels(image):
    return 20 * np.log10(data.db_to_amplitude(data.from_network(image.numpy()[..., 0])))


def test_sources_are_changed_by_seed_epoch_and_step_alone():
    images = flat(0.01)
    first = augment.make_augment(1, 2)(3, images).numpy()
    np.testing.assert_array_equal(augment.make_augment(1, 2)(3, images), first)
    for other in (augment.make_augment(1, 2)(4, images), augment.make_augment(1, 3)(3, images)):
        assert np.abs(other - first).mean() > 0.01
    assert not np.array_equal(augment.make_augment(2, 2)(3, images), first)
    assert first.shape == images.shape and first.dtype == np.float32
    assert -1 <= first.min() < first.max() <= 1


def test_level_and_spectrum_change_smoothly_and_alike_in_all_frames():
    changed = decibels(augment.make_augment(0, 0)(0, flat(0.1, count=64)))
    quiet = np.median(np.abs(np.diff(changed, axis=2)).max(axis=(1, 2))) < 0.01  # half of the slices have no noise
    assert quiet
    curves = changed.mean(axis=2) + 20  # of each slice, in dB: what was added to -20 dB
    steps = np.abs(np.diff(curves[:, 24:], axis=1)).max()
    assert steps < 1.5  # dB from bin to bin
    # Variances add up: a uniform level, and the equaliser's points.
    at_points = curves[:, round(1350 * data.N_FFT / data.SAMPLE_RATE)]
    expected = np.sqrt((2 * augment.LEVEL_DB) ** 2 / 12 + augment.EQUALISER_DB**2)
    assert at_points.std() == pytest.approx(expected, rel=0.25)
    assert abs(at_points.mean()) < 4 * expected / 8


def test_noise_is_as_loud_as_white_noise_of_that_level():
    noise = np.random.default_rng(0).normal(0, 0.01, 5 * data.SAMPLE_RATE).astype(np.float32)
    measured = data.db_to_amplitude(data.log_magnitude(data.stft(noise)))[2:, 4:-4]
    power = np.square(measured).mean()
    assert power == pytest.approx((0.01 * augment._NOISE_IN_A_BIN) ** 2, rel=0.03)
    assert np.square(measured).std() == pytest.approx(power, rel=0.1)  # exponential: as wide as its mean
    silent = augment.make_augment(0, 0)(0, flat(0.0, count=64)).numpy()
    powers = np.square(data.db_to_amplitude(data.from_network(silent))).mean(axis=(1, 2, 3))
    levels = 10 * np.log10(powers[powers > 0]) - 20 * np.log10(augment._NOISE_IN_A_BIN)
    low, high = augment.NOISE_DB
    assert 20 < len(levels) < 44
    assert low - 0.2 < levels.min() < low + 10 and high - 10 < levels.max() < high + 0.2


def test_targets_stay_and_a_run_that_goes_on_sees_the_same(dataset_path):
    def batches(augmented, first_step=0):
        examples = Examples([dataset_path], [(ORIGIN, TARGET)], 4, None, 0.25, 0, augmented=augmented)
        return list(examples.train_batches(1, first_step).as_numpy_iterator())

    plain, augmented = batches(False), batches(True)
    for (source, target), (changed, same) in zip(plain, augmented, strict=True):
        np.testing.assert_array_equal(same, target)
        assert np.abs(changed - source).mean() > 0.01
    for ours, theirs in zip(batches(True, first_step=2), augmented[2:], strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_the_schedule_is_half_a_cosine_over_all_steps():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = training.make_optimizer(0.1, network, "float32", decay_steps=8)
    rates = []
    for _ in range(10):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.ones_like(v) for v in network.trainable_variables], network.trainable_variables)
    expected = 0.1 * (1 + np.cos(np.pi * np.minimum(np.arange(10), 8) / 8)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_averages_of_weights_and_statistics_take_their_place_and_give_way_again():
    network = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    moving = averages.Averages({"generator": network}, 0.75)
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
    none = averages.Averages({"generator": network}, 0.0)
    with none.in_place():
        np.testing.assert_array_equal(network.get_weights()[0], weights[0])


def test_a_run_with_a_whole_recipe_goes_on_to_the_same_history(dataset_path, tmp_path):
    recipe = {"deterministic": True, "schedule": "cosine", "ema": 0.9, "augment": True, "epochs": 3}
    words = train_arguments(dataset_path, tmp_path / "whole", **recipe)
    run_script("train.py", *words, check=0)
    words = train_arguments(dataset_path, tmp_path / "killed", **recipe)
    process = start_script("train.py", *words)
    wait_for(lambda: (tmp_path / "killed" / "models" / NAME / "history.csv").is_file(), process)
    process.kill()
    process.wait()
    run_script("train.py", *words, check=0)
    assert losses(tmp_path / "killed", NAME) == losses(tmp_path / "whole", NAME)


def test_a_run_begins_with_the_weights_of_another_model(call_script, dataset_path, tmp_path):
    words = train_arguments(dataset_path, tmp_path, gen_lr=None, disc_lr=None, lr=1e-3, epochs=1)
    assert call_script(train_generator, *words)[0] == 0
    first = tmp_path / "models" / f"{NAME}_generator"
    # A rate so small that the weights stay.
    words = train_arguments(dataset_path, tmp_path, gen_lr=1e-12, disc_lr=1e-12, epochs=1, init_from=first)
    status, stdout, _ = call_script(train, *words)
    assert status == 0
    assert "has no discriminator: it begins fresh" in stdout
    before, after = (load_generator(path)[0] for path in (first, tmp_path / "models" / NAME))
    for ours, theirs in zip(after.trainable_variables, before.trainable_variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-7)


def test_weights_fit_whatever_was_dropped_while_they_were_trained(tmp_path):
    images = tf.random.stateless_uniform((2, 256, 256, 1), (0, 0))
    trained = Generator(4, dropout=0.0)
    np.testing.assert_array_equal(trained(images, training=True), trained(images, training=True))
    save_model(tmp_path, {"generator": trained}, {"model": {"base_filters": 4, "n_inputs": 1}})
    loaded, _ = load_generator(tmp_path)
    assert loaded.get_layer("up1_dropout").rate == 0.5
    np.testing.assert_array_equal(loaded(images, training=False), trained(images, training=False))


def test_dropout_is_a_flag_of_all_train_scripts(call_script, dataset_path, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("model.Generator", lambda *args, **kwargs: seen.append(kwargs) or Generator(*args, **kwargs))
    tiny = {"epochs": 1, "steps_per_epoch": 1, "dropout": 0.25}
    changes = {
        train: {},
        train_multitarget: {"target": [TARGET, OTHER]},
        train_generator: {"gen_lr": None, "disc_lr": None},
    }
    for script, changed in changes.items():
        status, _, stderr = call_script(script, *train_arguments(dataset_path, tmp_path, **tiny, **changed))
        assert status == 0, stderr
    assert [kwargs["dropout"] for kwargs in seen] == [0.25, 0.25, 0.25]


def test_a_run_with_styles_begins_with_a_model_that_knows_none(call_script, dataset_path, tmp_path):
    keras.utils.set_random_seed(3)
    first = Generator(4)
    size = {"base_filters": 4, "n_inputs": 1}
    save_model(tmp_path / "first", {"generator": first}, {"model": size})
    words = train_arguments(
        dataset_path, tmp_path, gen_lr=None, disc_lr=None, lr=1e-12, epochs=1, init_from=tmp_path / "first"
    )
    status, stdout, stderr = call_script(train_multitarget, *words, "--generator_alone", "--target", OTHER, TARGET)
    assert status == 0, stderr
    assert "knows no style" in stdout
    trained, _ = load_generator(tmp_path / "models" / f"{ORIGIN}_2_any_generator")
    kernel, *rest = trained.trainable_variables
    first_kernel, *first_rest = first.trainable_variables
    assert kernel.shape == (4, 4, 2, 4)
    np.testing.assert_allclose(kernel[:, :, :1].numpy(), first_kernel.numpy(), atol=1e-7)
    assert 0.01 < kernel[:, :, 1:].numpy().std() < 0.03  # drawn, as the paper does
    for ours, theirs in zip(rest, first_rest, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"init_from": "nowhere/at_all"}, "--init_from nowhere/at_all does not exist"),
        ({"init_from": "."}, "--init_from . is no model's folder"),
        ({"init_from": "other"}, "does not fit"),
        ({"ema": 1}, "argument --ema"),
        ({"dropout": 1}, "argument --dropout"),
        ({"schedule": "linear"}, "argument --schedule"),
    ],
)
def test_recipes_that_cannot_be_are_one_line_and_exit_2(
    call_script, dataset_path, tmp_path, monkeypatch, changes, told
):
    monkeypatch.chdir(tmp_path)
    if changes.get("init_from") == "other":
        size = {"base_filters": 8, "n_inputs": 1}
        changes = {"init_from": save_folder(tmp_path / "other", size)}
    status, _, stderr = call_script(train, *train_arguments(dataset_path, tmp_path, **changes))
    assert status == 2
    assert re.search(re.escape(told), one_line(stderr))
    assert not (tmp_path / "models").exists()


def save_folder(folder, size):
    save_model(folder, {"generator": Generator(**size)}, {"model": size})
    return folder
