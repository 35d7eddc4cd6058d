"""Options of a training run: augmentation, a schedule, averaged weights, initial weights, dropout."""

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
    read_json,
    run_script,
    start_script,
    train_arguments,
    wait_for,
    write_slices,
)

import train
import train_generator
import train_multitarget
from common.cli import UserError
from common.weights import load_generator, save_model
from model import Discriminator, Generator
from training import model_folder
from training.checkpoints import find_latest

pytestmark = pytest.mark.usefixtures("shallow_networks")
NAME = f"{ORIGIN}_2_{TARGET}"
PIECES = {"a": 6, "b": 6, "c": 6, "d": 6}


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), PIECES)


def test_a_run_with_a_whole_recipe_goes_on_to_the_same_history(dataset_path, tmp_path):
    recipe = {"deterministic": True, "schedule": "cosine", "ema": 0.9, "augment": True, "epochs": 2}
    recipe |= {"gen_lr": None, "disc_lr": None, "lr": 1e-3}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_script("train_generator.py", *train_arguments(dataset_path, whole, **recipe), check=0)
    words = train_arguments(dataset_path, killed, **recipe)
    process = start_script("train_generator.py", *words)
    wait_for(lambda: (killed / "models" / f"{NAME}_generator" / "history.csv").is_file(), process)
    process.kill()
    process.wait()
    run_script("train_generator.py", *words, check=0)
    assert losses(killed, f"{NAME}_generator") == losses(whole, f"{NAME}_generator")


def test_the_cosine_ends_with_the_run(dataset_path, tmp_path, call_script, monkeypatch):
    steps = []

    def stop(*words):
        steps.append(words[-1])
        raise UserError("this is enough")

    monkeypatch.setattr("training.run.make_optimizer", stop)
    for schedule in ("cosine", "constant"):
        changes = {"gen_lr": None, "disc_lr": None, "epochs": 3, "steps_per_epoch": 2, "schedule": schedule}
        status, _, stderr = call_script(train_generator, *train_arguments(dataset_path, tmp_path, **changes))
        assert (status, "this is enough" in one_line(stderr)) == (2, True)
    assert steps == [6, None]


def test_the_model_that_is_saved_holds_the_averages(dataset_path, tmp_path, call_script):
    words = train_arguments(dataset_path, tmp_path, gen_lr=None, disc_lr=None, lr=1e-2, epochs=1, ema=0.9)
    assert call_script(train_generator, *words)[0] == 0
    model = tmp_path / "models" / f"{NAME}_generator"
    checkpoint, _ = find_latest(model / "checkpoints")
    reader = tf.train.load_checkpoint(str(checkpoint))
    saved = load_generator(model / "last")[0].get_weights()

    def stored(kind, index):
        return reader.get_tensor(f"{kind}/{index}/.ATTRIBUTES/VARIABLE_VALUE")

    averages = [stored("averages", index) for index in range(1, len(saved) + 1)]  # the first is the number of steps
    for ours, average in zip(saved, averages, strict=True):
        np.testing.assert_allclose(ours, average, rtol=1e-6)
    assert any(np.abs(stored("generator", 0) - saved[0]).ravel() > 1e-4)


def test_a_run_begins_with_the_weights_of_another_model(call_script, dataset_path, tmp_path):
    words = train_arguments(dataset_path, tmp_path, gen_lr=None, disc_lr=None, lr=1e-3, epochs=1)
    assert call_script(train_generator, *words)[0] == 0
    first = tmp_path / "models" / f"{NAME}_generator"
    # A rate so small that the weights stay.
    words = train_arguments(dataset_path, tmp_path, gen_lr=1e-12, disc_lr=1e-12, epochs=1, init_from=first)
    status, stdout, _ = call_script(train, *words)
    assert status == 0
    assert "has no discriminator: it is randomly initialized" in stdout
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
    for ours, theirs in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # A loaded network may have other kernels (`by_matmul`).
    np.testing.assert_allclose(loaded(images, training=False), trained(images, training=False), atol=1e-6)


def test_dropout_is_a_flag_of_all_train_scripts(call_script, dataset_path, tmp_path, monkeypatch):
    seen = []

    def stop(*args, **kwargs):
        seen.append(kwargs["dropout"])
        raise UserError("this is enough")

    monkeypatch.setattr("model.Generator", stop)
    changes = {
        train: {},
        train_multitarget: {"target": [TARGET, OTHER]},
        train_generator: {"gen_lr": None, "disc_lr": None},
    }
    for script, changed in changes.items():
        status, _, stderr = call_script(script, *train_arguments(dataset_path, tmp_path, dropout=0.25, **changed))
        assert (status, "this is enough" in one_line(stderr)) == (2, True)
    assert seen == [0.25, 0.25, 0.25]


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
    assert "takes no style" in stdout
    trained, _ = load_generator(tmp_path / "models" / f"{ORIGIN}_2_any_generator")
    kernel, *rest = trained.trainable_variables
    first_kernel, *first_rest = first.trainable_variables
    assert kernel.shape == (4, 4, 2, 4)
    np.testing.assert_allclose(kernel[:, :, :1].numpy(), first_kernel.numpy(), atol=1e-7)
    assert 0.01 < kernel[:, :, 1:].numpy().std() < 0.03  # drawn, as the paper does
    for ours, theirs in zip(rest, first_rest, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-7)


def test_a_discriminator_may_see_the_style(call_script, dataset_path, tmp_path):
    words = (*train_arguments(dataset_path, tmp_path, epochs=1, steps_per_epoch=2), "--target", OTHER, TARGET)
    status, _, stderr = call_script(train_multitarget, *words, "--disc_style")
    assert status == 0, stderr
    folder = tmp_path / "models" / f"{ORIGIN}_2_any"
    assert read_json(folder / "config.json")["arguments"]["disc_style"] is True
    model_folder.load_initial(folder, {"discriminator": Discriminator(4, with_style=True)})
    status, _, stderr = call_script(train_multitarget, *words)
    assert (status, "disc_style was True, is False" in one_line(stderr)) == (2, True)
    assert call_script(train_multitarget, *words, "--disc_style")[0] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"init_from": "nowhere/at_all"}, "--init_from nowhere/at_all does not exist"),
        ({"init_from": "."}, "--init_from . is no model's folder"),
        ({"init_from": "wider"}, "has a generator of other filters: take --base_filters 8 and no --max_filters"),
        ({"init_from": "limited"}, "has a generator of other filters: take --base_filters 4 --max_filters 10"),
        ({"ema": 1}, "argument --ema"),
        ({"dropout": 1}, "argument --dropout"),
        ({"schedule": "linear"}, "argument --schedule"),
    ],
)
def test_recipes_that_cannot_be_are_one_line_and_exit_2(
    call_script, dataset_path, tmp_path, monkeypatch, changes, told
):
    monkeypatch.chdir(tmp_path)
    sizes = {"wider": {"base_filters": 8}, "limited": {"base_filters": 4, "max_filters": 10}}
    if size := sizes.get(changes.get("init_from")):
        changes = {"init_from": save_folder(tmp_path / "other", {**size, "n_inputs": 1})}
    status, _, stderr = call_script(train, *train_arguments(dataset_path, tmp_path, **changes))
    assert status == 2
    assert re.search(re.escape(told), one_line(stderr))
    assert not (tmp_path / "models").exists()


def save_folder(folder, size):
    save_model(folder, {"generator": Generator(**size)}, {"model": size})
    return folder


def kernels_are_balanced(folder):
    """Whether even and odd rows and columns of all kernels that double an image have equal sums, or of none."""
    layers = [layer for layer in load_generator(folder)[0].layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    kernels = [layer.get_weights()[0] for layer in layers]
    sums = [[kernel[row::2, column::2].sum((0, 1)) for row in (0, 1) for column in (0, 1)] for kernel in kernels]
    (answer,) = {bool(np.ptp(of_sets, axis=0).max() < 1e-5) for of_sets in sums}
    return answer


def test_a_run_has_the_losses_and_the_discriminator_of_its_flags(call_script, dataset_path, tmp_path):
    terms = {"disc_filters": 2, "l1_weight": 50, "feature_matching": 10, "linear_weight": 1, "r1": 1}
    terms |= {"balanced_upsampling": True, "disc_band": True, "noise": True, "max_filters": 10}
    flags = {"epochs": 1, "steps_per_epoch": 2, **terms}
    status, _, stderr = call_script(train, *train_arguments(dataset_path, tmp_path, **flags))
    assert status == 0, stderr
    model = tmp_path / "models" / NAME
    assert read_json(model / "config.json")["arguments"].items() >= terms.items()
    assert kernels_are_balanced(model)
    (row,) = losses(tmp_path, NAME)
    for suffix in ("", "_val"):
        assert float(row[f"gen_loss{suffix}"]) > 50 * float(row[f"gen_mae{suffix}"])
    refused = {
        "l1_weight was 50.0, is 100.0": {**flags, "l1_weight": None},
        "balanced_upsampling was True, is False": {**flags, "balanced_upsampling": None},
        "disc_filters was 2, is 4": {**flags, "disc_filters": None},
        "disc_band was True, is False": {**flags, "disc_band": None},
        "noise was True, is False": {**flags, "noise": None},
        "max_filters was 10, is None": {**flags, "max_filters": None},
        "add --noise": {"models_path": tmp_path / "others", "init_from": model, "max_filters": 10},
        "add --disc_filters 2": {
            "models_path": tmp_path / "others",
            "init_from": model,
            "max_filters": 10,
            "noise": True,
        },
    }
    for told, changes in refused.items():
        status, _, stderr = call_script(train, *train_arguments(dataset_path, tmp_path, **changes))
        assert (status, told in one_line(stderr)) == (2, True), stderr
    assert not (tmp_path / "others").exists()
    assert call_script(train, *train_arguments(dataset_path, tmp_path, **flags))[0] == 0
