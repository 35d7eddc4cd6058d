"""Weights of the networks, and the configuration that they need: saved together, loaded strictly."""

import contextlib
import errno
import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from common import storage, weights_file
from common.cli import UserError
from common.device import prefers_matmul
from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION, find_generator
from model import Discriminator, Generator


def versions() -> dict[str, str]:
    """Return the versions that a model is made with, for its configuration."""
    return {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}


def save_model(folder: Path, networks: Mapping[str, keras.Model], config: Mapping[str, Any]) -> None:
    """Write the weights of networks as `<name>.weights.h5`, and `config.json` in the same folder: all of them or none.

    All are written in full before the first one is renamed into place. Whether they have room is checked first: on a
    disk that fills up meanwhile, h5py prints errors of its own.

    Args:
        folder: the model's folder.
        networks: dict of name to network.
        config: dict of JSON values, with `model` (`base_filters` and `n_inputs` of the generator) at least.

    Raises:
        OSError: if the disk is full, or nothing can be written there.
    """
    folder = Path(folder)
    _check_space(folder, sum(4 * network.count_params() for network in networks.values()))  # float32
    with contextlib.ExitStack() as places:
        for name, network in networks.items():
            weights_path = folder / f"{name}{WEIGHTS_EXTENSION}"
            network.save_weights(places.enter_context(storage.atomic_write(weights_path)))
        storage.dump_json(places.enter_context(storage.atomic_write(folder / CONFIG_NAME)), config)


def copy_model(source: Path, folder: Path, names: Iterable[str]) -> None:
    """Write what `save_model` wrote in one folder also in another: all files or none.

    Args:
        source: the folder to copy from.
        folder: the model's folder.
        names: the networks.

    Raises:
        OSError: if the disk is full, or nothing can be written there.
    """
    files = [source / f"{name}{WEIGHTS_EXTENSION}" for name in names] + [source / CONFIG_NAME]
    _check_space(folder, sum(path.stat().st_size for path in files))
    with contextlib.ExitStack() as places:
        for path in files:
            shutil.copyfile(path, places.enter_context(storage.atomic_write(folder / path.name)))


def _check_space(folder: Path, n_bytes: int) -> None:
    """Make a folder; raise an error if its disk has less space."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def load_generator(path: str | Path) -> tuple[keras.Model, dict[str, Any]]:
    """Load a trained generator, with all its weights or not at all.

    Args:
        path: a model's folder or a file of weights; see `stored_generator.find_generator`.

    Returns:
        The generator in float32, and the configuration, in which `model` has `base_filters`, `n_inputs` and, if the
        filters of its layers are limited, `max_filters`.

    Raises:
        UserError: if there is no such file, the weights are not exactly those of the network, or values make no sense.
    """
    stored = find_generator(path)
    options = {"by_matmul": prefers_matmul(), "n_channels": stored.n_channels, "noise": stored.noise}
    generator = Generator(**stored.size, random_init=False, **options)
    if stored.legacy:
        _load_legacy(generator, stored.path)
    else:
        load_weights(generator, stored.path)
    return generator, stored.config


def load_weights(network: keras.Model, path: Path) -> None:
    """Load a `.weights.h5` file into a network.

    Raises:
        UserError: if it does not hold exactly the network's weights, or values make no sense.
    """
    expected = sorted(tuple(variable.shape) for variable in network.weights)
    with weights_file.open_weights(path) as file:
        shapes = sorted(dataset.shape for dataset in weights_file.find_weights(file))
        if shapes != expected:
            raise ValueError(f"its {len(shapes)} arrays are not the {len(expected)} of this {network.name}")
        network.load_weights(path)
    weights_file.check_values(network, path)


def load_narrower(
    network: keras.Model, path: Path, n_inputs: int, plain: bool, whole_band: bool = False, noise: bool = False
) -> None:
    """Load the weights of a network that sees or generates less into one that is otherwise the same.

    Filters of the first layer that see a style, where the file has none, stay as they are, and so does the strength of
    a generator's noise. Those that see the channels of a phase become 0, so that the network begins with what the other
    makes of the magnitude. Filters of the last layer that generate a phase stay as they are, and so does the last layer
    of a discriminator that sees the whole band, where the file's sees patches.

    Args:
        network: a generator or a discriminator.
        path: `.weights.h5` file of a network of the same kind with as many filters.
        n_inputs: images that that network takes.
        plain: whether it knows the magnitude alone.
        whole_band: whether it is a discriminator that sees the whole band.
        noise: whether it is a generator that draws from noise.

    Raises:
        UserError: if the file does not fit.
    """
    first = network.get_layer("down1_conv")
    seen = [image.shape[-1] for image in network.inputs]
    if network.name == "discriminator":
        n_channels = (1, 1) if plain else (seen[0], seen[1])
        narrow = Discriminator(first.filters, n_channels=n_channels, with_style=n_inputs == 3, whole_band=whole_band)
    else:
        n_channels = (1, 1) if plain else (seen[0], network.outputs[0].shape[-1])
        size = {"base_filters": first.filters, "max_filters": most_filters(network)}
        narrow = Generator(n_inputs=n_inputs, n_channels=n_channels, noise=noise, random_init=False, **size)
    load_weights(narrow, path)
    starts = np.cumsum([0, *seen])[:n_inputs]
    places = [start + np.arange(1 if plain else count) for start, count in zip(starts, seen, strict=False)]
    stored = {variable.path: variable for variable in narrow.weights}
    for variable in network.weights:
        loaded = stored.get(variable.path)
        if loaded is None:  # of the noise
            continue
        if variable.shape == loaded.shape:
            variable.assign(loaded)
            continue
        if network.name == "discriminator" and variable is not first.kernel:
            continue
        # A kernel of the first layer, a transposed kernel of the last one, or its bias.
        values, axis = variable.numpy(), max(0, len(variable.shape) - 2)
        rows = np.moveaxis(values, axis, 0)
        if variable is not first.kernel:
            rows[: loaded.shape[axis]] = np.moveaxis(loaded.numpy(), axis, 0)
        else:
            rows[: sum(seen[:n_inputs])] = 0
            rows[np.concatenate(places)] = np.moveaxis(loaded.numpy(), axis, 0)
        variable.assign(values)


def most_filters(generator: keras.Model) -> int:
    """Return the most filters of a layer of a generator."""
    return max(layer.filters for layer in generator.layers if layer.name.endswith("_conv"))


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


def _load_legacy(generator: keras.Model, path: Path) -> None:
    """Load weights by position."""
    expected = [tuple(variable.shape) for variable in generator.weights]
    with weights_file.open_weights(path) as file:
        weights = weights_file.find_legacy_weights(file.get("model_weights", file))
        found = [dataset.shape for dataset in weights]
        if found != expected:
            differing = next(
                (number for number, shapes in enumerate(zip(found, expected, strict=False)) if shapes[0] != shapes[1]),
                min(len(found), len(expected)),
            )
            counts = f"it has {len(found)} arrays, a generator has {len(expected)}"
            raise ValueError(f"{counts}, and number {differing} differs")
        generator.set_weights([dataset[()] for dataset in weights])
    weights_file.check_values(generator, path)
