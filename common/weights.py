"""Weights of the networks, and the configuration that they need: saved together, loaded strictly."""

import contextlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from common import storage
from common.cli import UserError
from model import Generator

CONFIG_NAME = "config.json"
WEIGHTS_EXTENSION = ".weights.h5"
EQUALIZERS_KEY = "equalisers"  # in config.json; the files of shipped models have this spelling


def versions() -> dict[str, str]:
    """Return the versions that a model is made with, for its configuration."""
    return {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}


def save_model(folder: Path, networks: Mapping[str, keras.Model], config: Mapping[str, Any]) -> None:
    """Write the weights of networks as `<name>.weights.h5`, and `config.json` in the same folder: all of them or none.

    All are written in full before the first one is renamed into place.

    Args:
        folder: the model's folder.
        networks: dict of name to network.
        config: dict of JSON values, with `model` (`base_filters` and `n_inputs` of the generator) at least.
    """
    with contextlib.ExitStack() as places:
        for name, network in networks.items():
            weights_path = Path(folder) / f"{name}{WEIGHTS_EXTENSION}"
            network.save_weights(places.enter_context(storage.atomic_write(weights_path)))
        storage.dump_json(places.enter_context(storage.atomic_write(Path(folder) / CONFIG_NAME)), config)


def load_generator(path: str | Path) -> tuple[keras.Model, dict[str, Any]]:
    """Load a trained generator, with all its weights or not at all.

    Args:
        path: a model's folder; a `.weights.h5` file in the same folder as its `config.json`; or a `.h5` file that
            TensorFlow 2.0 wrote with `model.save_weights`, from which the size of the network is read.

    Returns:
        The generator in float32, and the configuration, in which `model` has `base_filters` and `n_inputs`.

    Raises:
        UserError: if there is no such file, or the weights are not exactly those of the network.
    """
    path = Path(path)
    if path.is_dir():
        path /= f"generator{WEIGHTS_EXTENSION}"
    if not path.is_file():
        raise UserError(f"--model {path} does not exist; it must be a model's folder or a file of weights (.h5)")
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _load_legacy(path, group)
    except OSError:
        raise UserError(f"--model {path} is not an HDF5 file; it must hold a generator's weights") from None
    config_path = path.parent / CONFIG_NAME
    if not config_path.is_file():
        raise UserError(f"--model {path} has no {CONFIG_NAME} in its folder; the two belong together")
    config = storage.read_json(config_path)
    try:
        size = {key: int(config["model"][key]) for key in ("base_filters", "n_inputs")}
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{config_path} lacks model.base_filters or model.n_inputs; restore it") from None
    generator = Generator(**size, random_init=False)
    load_weights(generator, path)
    return generator, config


def load_weights(network: keras.Model, path: Path) -> None:
    """Load a `.weights.h5` file into a network.

    Raises:
        UserError: if it does not hold exactly the network's weights.
    """
    expected = sorted(tuple(variable.shape) for variable in network.weights)
    shapes = []
    try:
        with h5py.File(path, "r") as file:
            # Keras keeps weights in groups named vars. Those of seed generators (dropout) are state, not weights.
            file.visititems(
                lambda name, item: (
                    shapes.append(item.shape)
                    if isinstance(item, h5py.Dataset) and "seed_generator" not in name
                    else None
                )
            )
        if sorted(shapes) != expected:
            raise ValueError(f"it holds {len(shapes)} weights, not the {len(expected)} of this {network.name}'s shapes")
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} does not fit its configuration or is damaged: {reason}") from None


def load_weights_without_style(generator: keras.Model, path: Path) -> None:
    """Load the weights of a generator of the source alone into one that also takes a style.

    The filters of the first layer that see the style stay as they are.

    Args:
        generator: generator with two inputs.
        path: `.weights.h5` file of a generator with one input and as many filters.

    Raises:
        UserError: if the file does not fit.
    """
    narrow = Generator(generator.get_layer("down1_conv").filters, random_init=False)
    load_weights(narrow, path)
    for variable, loaded in zip(generator.weights, narrow.weights, strict=True):
        same = variable.shape == loaded.shape
        variable.assign(loaded if same else tf.concat([loaded, variable[:, :, 1:]], axis=2))


def halve_weights(source: Path, destination: Path) -> None:
    """Copy a `.weights.h5` file with its weights rounded to float16, half the size; it loads like the original.

    Raises:
        UserError: if float16 cannot hold a weight.
    """
    with h5py.File(source, "r") as old, h5py.File(destination, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if not isinstance(item, h5py.Dataset):
                group = new.require_group(name)
                group.attrs.update(item.attrs)
                return
            values = item[()]
            if values.dtype == np.float32:
                if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
                    raise UserError(f"{source} holds weights in {name} that float16 cannot hold")
                values = values.astype(np.float16)
            new.create_dataset(name, data=values).attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)


def _load_legacy(path: Path, group: h5py.Group) -> tuple[keras.Model, dict[str, Any]]:
    """Load weights by position: for each layer (a nested Sequential) its trainable weights, then the others."""
    arrays = []
    for layer_name in group.attrs["layer_names"]:
        layer = group[layer_name]
        arrays += [layer[weight_name][()] for weight_name in layer.attrs["weight_names"]]
    kernel = arrays[0].shape if arrays else ()
    if len(kernel) != 4 or kernel[2] not in (1, 2):
        raise UserError(f"--model {path} holds no weights of a generator of this kind (first kernel: {kernel})")
    size = {"base_filters": int(kernel[3]), "n_inputs": int(kernel[2])}
    generator = Generator(**size, random_init=False)
    expected = [tuple(variable.shape) for variable in generator.weights]
    found = [array.shape for array in arrays]
    if found != expected:
        differing = next(
            (number for number, shapes in enumerate(zip(found, expected, strict=False)) if shapes[0] != shapes[1]),
            min(len(found), len(expected)),
        )
        raise UserError(
            f"--model {path} does not hold this generator's weights: {len(found)} arrays, {len(expected)} expected, "
            f"and number {differing} differs"
        )
    generator.set_weights(arrays)
    return generator, {"model": size, "legacy": True}
