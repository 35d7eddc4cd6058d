"""Weights' files: saved and loaded as a whole, with their configuration, in two formats."""

import errno
import json
import math
import shutil

import h5py
import keras
import numpy as np
import pytest
from conftest import one_line

from common import weights, weights_file
from common.cli import UserError
from common.weights import halve_weights, load_generator, load_weights, save_model
from model import Discriminator, Generator


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    generator = Generator(4)
    generator.set_weights(
        [np.random.default_rng(0).random(w.shape).astype(np.float32) for w in generator.get_weights()]
    )
    return generator


@pytest.fixture(scope="module")
def scratch():
    return Generator(4, random_init=False)


@pytest.fixture(scope="module")
def saved_once(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save_model(folder, {"generator": small}, {"model": {"base_filters": 4, "n_inputs": 1}})
    return folder


@pytest.fixture
def saved(saved_once, tmp_path):
    """A copy of a saved model, which may be damaged."""
    return shutil.copytree(saved_once, tmp_path / "model")


def assert_same_weights(network, other):
    for values, expected in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(values, expected)


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
    with pytest.raises(UserError, match="its 72 arrays are not those of"):
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_legacy_weights_of_something_else_are_refused(tmp_path):
    write_legacy(tmp_path / "discriminator.h5", Discriminator(4))
    with pytest.raises(UserError, match="does not hold the weights"):
        load_generator(tmp_path / "discriminator.h5")
    write_legacy(tmp_path / "generator.h5", Generator(4))
    with h5py.File(tmp_path / "generator.h5", "r+") as file:
        file.attrs["layer_names"] = file.attrs["layer_names"][:-4]
    with pytest.raises(UserError, match="does not hold the weights"):
        load_generator(tmp_path / "generator.h5")


@pytest.mark.slow
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


def datasets(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return [name for name in found if "seed_generator" not in name]


def put(file, name, value):
    del file[name]
    file[name] = value


def fill(value, part="kernel"):
    """Returns a change of a file: one weight of the first kernel, or of a variance, becomes `value`."""

    def change(file):
        name = "layers/conv2d/vars/0" if part == "kernel" else "layers/batch_normalization/vars/3"
        file[name][(0,) * file[name].ndim] = value

    return change


def declare(name, shape, **options):
    """Returns a change of a file: a dataset gets a shape without data."""

    def change(file):
        del file[name]
        file.create_dataset(name, shape, "f4", **options)

    return change


def replace(name, value):
    return lambda file: put(file, name, value)


KERNEL = "layers/conv2d/vars/0"
CHANGES = {
    "NaN": (fill(np.nan), "down1_conv/kernel is from nan to nan"),
    "infinity": (fill(np.inf), "weights must be from -1e"),
    "huge": (fill(-1e10), "down1_conv/kernel is from -1e"),
    "negative variance": (fill(-0.5, "variance"), "moving_variance is from -0.5"),
    "group for a dataset": (lambda file: (file.pop(KERNEL), file.create_group(KERNEL)), "not those of a generator"),
    "text": (replace(KERNEL, "text"), "does not hold floating-point numbers"),
    "integers": (replace(KERNEL, np.zeros((4, 4, 1, 4), int)), "does not hold floating-point numbers"),
    "nothing": (replace(KERNEL, h5py.Empty("f4")), "does not hold floating-point numbers"),
    "soft link": (replace(KERNEL, h5py.SoftLink("/layers/conv2d_1/vars/0")), "is a link to another place"),
    "dangling link": (replace(KERNEL, h5py.SoftLink("/nowhere")), "is a link to another place"),
    "external link": (replace("layers", h5py.ExternalLink("other.h5", "/layers")), "is a link to another place"),
    "loop": (lambda file: file.__setitem__("layers/conv2d/again", file["layers"]), "there under another name"),
    "data elsewhere": (
        declare(KERNEL, (4, 4, 1, 4), external=[("other.raw", 0, 1024)]),
        "has its data in another file",
    ),
    "huge shape": (declare("layers/conv2d_7/vars/0", (4, 4, 1 << 20, 1 << 20), chunks=(4, 4, 64, 64)), "of the"),
    "other axes": (lambda file: put(file, KERNEL, file[KERNEL][()].reshape(4, 1, 4, 4)), "of a generator"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_damaged_weights_are_one_line(saved, scratch, name):
    change, message = CHANGES[name]
    (saved / "other.raw").write_bytes(bytes(1024))
    shutil.copy(saved / "generator.weights.h5", saved / "other.h5")
    with h5py.File(saved / "generator.weights.h5", "r+") as file:
        change(file)
    with pytest.raises(UserError) as error:
        load_generator(saved)
    assert message in one_line(str(error.value))
    with pytest.raises(UserError) as error:  # the same for a network that is there already
        load_weights(scratch, saved / "generator.weights.h5")
    assert str(saved / "generator.weights.h5") in one_line(str(error.value))


def test_a_virtual_dataset_is_not_followed(saved):
    path = saved / "generator.weights.h5"
    shutil.copy(path, saved / "other.h5")
    layout = h5py.VirtualLayout((4, 4, 1, 4), "f4")
    layout[:] = h5py.VirtualSource(str(saved / "other.h5"), KERNEL, (4, 4, 1, 4))
    with h5py.File(path, "r+") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    with pytest.raises(UserError, match="has its data in another file"):
        load_generator(saved)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        *(("model", {"base_filters": value, "n_inputs": 1}) for value in (0, -4, math.inf, 2**63, 2000, 8, "4", True)),
        *(("model", {"base_filters": 4, "n_inputs": value}) for value in (0, 2, 3, None, [1])),
        *(("model", {"base_filters": 4, "n_inputs": 1, "max_filters": value}) for value in (0, 8, 20, 32, "20", True)),
        *(("model", value) for value in ([], 3, None, {})),
        *(("data", value) for value in ([], 3, {"validation_pieces": 3}, {"validation_pieces": [3]})),
        *((section, []) for section in ("arguments", "training", "equalisers")),
        *(("origin", value) for value in ("../outside", "/etc", 3, ["a/b"], [[]], {"a": 1})),
        ("target", ["guitar_acoustic", "../../outside"]),
    ],
)
def test_a_damaged_configuration_is_one_line_and_takes_no_memory(saved, monkeypatch, section, value):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, section: value}))
    monkeypatch.setattr(weights, "Generator", None)  # refused before a network is built
    with pytest.raises(UserError, match=r"config\.json") as error:
        load_generator(saved)
    one_line(str(error.value))


LEGACY_CHANGES = {
    "names that are numbers": lambda file: file.attrs.__setitem__("layer_names", np.arange(3)),
    "one name": lambda file: file.attrs.__setitem__("layer_names", "sequential"),
    "no names of weights": lambda file: file["sequential_1"].attrs.__delitem__("weight_names"),
    "a name of nothing": lambda file: file.attrs.__setitem__("layer_names", [b"nothing"]),
    "names in no encoding": lambda file: file.attrs.__setitem__("layer_names", [b"\xff\xfe"]),
    "a group for a weight": lambda file: file["sequential"].attrs.__setitem__("weight_names", [b"conv2d_0"]),
    "a huge kernel": declare("sequential/conv2d_0/kernel:0", (4, 4, 1, 1 << 40), chunks=(4, 4, 1, 64)),
    "huge kernels": declare("sequential_8/conv2d_8/kernel:0", (4, 4, 1 << 18, 1 << 19), chunks=(4, 4, 64, 64)),
    "a link": replace("sequential_3", h5py.SoftLink("/sequential_4")),
    "NaN": lambda file: file["sequential/conv2d_0/kernel:0"].__setitem__((0, 0, 0, 0), np.nan),
}


@pytest.mark.parametrize("name", LEGACY_CHANGES)
def test_damaged_legacy_weights_are_one_line(small, tmp_path, name):
    path = tmp_path / "generator.h5"
    write_legacy(path, small)
    with h5py.File(path, "r+") as file:
        LEGACY_CHANGES[name](file)
    with pytest.raises(UserError) as error:
        load_generator(path)
    assert str(path) in one_line(str(error.value))


@pytest.mark.slow
def test_weights_with_changed_bytes_load_with_sensible_values_or_are_one_line(saved):
    path = saved / "generator.weights.h5"
    content, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        changed = bytearray(content)
        for place in rng.integers(0, 40_000, 30):  # mostly the structure of the file
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            generator, _ = load_generator(saved)
        except UserError as error:
            one_line(str(error))
            refused += 1
        else:
            assert all(np.abs(values).max() <= weights_file.LARGEST_WEIGHT for values in generator.get_weights())
    assert refused > 10


def test_a_full_disk_is_found_before_weights_are_written(small, saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 1000, 10))
    with pytest.raises(OSError, match="No space left") as error:
        save_model(saved, {"generator": small}, {"model": {}})
    assert error.value.errno == errno.ENOSPC
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_weights_without_permission_to_read_are_no_damaged_ones(saved, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "generator.weights.h5")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError):
        load_generator(saved)
