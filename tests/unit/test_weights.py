"""Weights' files: saved and loaded as a whole, with their configuration, in two formats."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

from common.cli import UserError
from common.weights import halve_weights, load_generator, save_model
from model import Discriminator, Generator


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    generator = Generator(4)
    generator.set_weights(
        [np.random.default_rng(0).random(w.shape).astype(np.float32) for w in generator.get_weights()]
    )
    return generator


@pytest.fixture
def saved(small, tmp_path):
    save_model(tmp_path / "model", {"generator": small}, {"model": {"base_filters": 4, "n_inputs": 1}})
    return tmp_path / "model"


def assert_same_weights(network, other):
    for weights, expected in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)


def write_legacy(path, network):
    """Writes weights as `model.save_weights` of TensorFlow 2.0 did for a network of nested Sequentials.

    A block was a Sequential of a convolution and, mostly, a normalization; trainable weights come before the others.
    Layers without weights have groups, too.
    """
    blocks = {}
    for layer in network.layers:
        if layer.weights:
            blocks.setdefault(layer.name.split("_")[0], []).append(layer)
    with h5py.File(path, "w") as file:
        layer_names = ["input_1"]
        file.create_group("input_1").attrs["weight_names"] = np.array([], dtype="S1")
        for number, layers in enumerate(blocks.values()):
            name = f"sequential_{number}" if number else "sequential"
            group = file.create_group(name)
            named = []
            for attribute in ("trainable_weights", "non_trainable_weights"):
                for layer in layers:
                    kind = "batch_normalization_v2" if "norm" in layer.name else "conv2d"
                    for weight in getattr(layer, attribute):
                        named.append((f"{kind}_{number}/{weight.name}:0", weight.numpy()))
            for weight_name, array in named:
                group[weight_name] = array
            group.attrs["weight_names"] = np.array([weight_name.encode() for weight_name, _ in named])
            layer_names += [name, f"concatenate_{number}"]
            file.create_group(f"concatenate_{number}").attrs["weight_names"] = np.array([], dtype="S1")
        file.attrs["layer_names"] = np.array([name.encode() for name in layer_names])
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.2.4-tf"


def test_saved_model_loads_from_folder_and_file(small, saved):
    for path in (saved, saved / "generator.weights.h5"):
        generator, config = load_generator(path)
        assert config["model"] == {"base_filters": 4, "n_inputs": 1}
        assert_same_weights(generator, small)
    assert not list(saved.glob(".partial*"))


def test_saving_is_all_or_nothing(small, saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(TypeError):  # a configuration that JSON cannot hold comes last
        save_model(saved, {"generator": Generator(4)}, {"model": object()})
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_weights_of_another_size_are_refused(small, saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "model": {"base_filters": 8, "n_inputs": 1}}))
    with pytest.raises(UserError, match="does not fit its configuration"):
        load_generator(saved)


def test_a_part_of_the_weights_is_refused(small, saved):
    path = saved / "generator.weights.h5"
    with h5py.File(path, "r+") as file:
        datasets = []
        file.visititems(lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
        del file[next(name for name in datasets if "conv2d" in name)]
    with pytest.raises(UserError, match="does not fit"):
        load_generator(saved)


def test_truncated_missing_and_unconfigured_weights_are_refused(saved, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_generator(tmp_path / "nowhere")
    shutil.copy(saved / "generator.weights.h5", tmp_path / "generator.weights.h5")
    with pytest.raises(UserError, match=r"no config\.json in its folder"):
        load_generator(tmp_path / "generator.weights.h5")
    path = saved / "generator.weights.h5"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"generator\.weights\.h5"):
        load_generator(saved)
    path.write_bytes(b"not HDF5")
    with pytest.raises(UserError, match="not an HDF5 file"):
        load_generator(saved)


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_legacy_weights_load_without_a_configuration(tmp_path, n_inputs):
    generator = Generator(6, n_inputs)
    rng = np.random.default_rng(3)
    generator.set_weights([rng.random(w.shape).astype(np.float32) for w in generator.get_weights()])
    write_legacy(tmp_path / "generator.h5", generator)
    loaded, config = load_generator(tmp_path / "generator.h5")
    assert config["model"] == {"base_filters": 6, "n_inputs": n_inputs}
    assert_same_weights(loaded, generator)
    images = [rng.random((1, 256, 256, 1)).astype(np.float32) for _ in range(n_inputs)]
    inputs = images if n_inputs > 1 else images[0]
    np.testing.assert_allclose(loaded(inputs), generator(inputs), atol=1e-6)


def test_legacy_weights_of_something_else_are_refused(tmp_path):
    write_legacy(tmp_path / "discriminator.h5", Discriminator(4))
    with pytest.raises(UserError, match="does not hold this generator's weights"):
        load_generator(tmp_path / "discriminator.h5")
    write_legacy(tmp_path / "generator.h5", Generator(4))
    with h5py.File(tmp_path / "generator.h5", "r+") as file:
        file.attrs["layer_names"] = file.attrs["layer_names"][:-4]
    with pytest.raises(UserError, match="does not hold this generator's weights"):
        load_generator(tmp_path / "generator.h5")


def test_weights_of_half_precision_are_the_rounded_ones_in_half_the_space(tmp_path):
    size = {"base_filters": 8, "n_inputs": 1}
    generator = Generator(**size)
    save_model(tmp_path / "whole", {"generator": generator}, {"model": size})
    whole, half = (tmp_path / name / "generator.weights.h5" for name in ("whole", "half"))
    half.parent.mkdir()
    halve_weights(whole, half)
    (half.parent / "config.json").write_bytes((whole.parent / "config.json").read_bytes())
    loaded, _ = load_generator(half.parent)
    for variable, original in zip(loaded.weights, generator.weights, strict=True):
        if "seed_generator" not in original.path:
            assert variable.dtype == "float32"
            np.testing.assert_array_equal(variable.numpy(), original.numpy().astype(np.float16).astype(np.float32))
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    generator.get_layer("last").bias.assign([1e6])
    save_model(tmp_path / "whole", {"generator": generator}, {"model": size})
    with pytest.raises(UserError, match="float16 cannot"):
        halve_weights(whole, half)
