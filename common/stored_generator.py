"""A generator as it is stored, read without TensorFlow: its files, its configuration, and its weights as arrays."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from common import cli, representations, storage, weights_file
from common.cli import UserError

CONFIG_NAME = "config.json"
WEIGHTS_EXTENSION = ".weights.h5"
EQUALIZERS_KEY = "equalisers"  # in config.json; the files of shipped models have this spelling

LEVELS = (1, 2, 4, 8, 8, 8, 8, 8)  # of the encoder: filters in units of base_filters, as model.py has them
NOISY = 3  # layers of the decoder that may have noise, the last ones with normalization, as model.py has them


class StoredGenerator(NamedTuple):
    """Where a generator is stored, and what it is.

    Attributes:
        path: the file of weights.
        size: `base_filters`, `n_inputs` and, if the filters of its layers are limited, `max_filters`.
        config: its configuration.
        legacy: whether TensorFlow 2.0 wrote the file, with `model.save_weights`.
        phase: the representation of the phase that it predicts beside the magnitude; None if it predicts none.
        noise: whether its decoder draws from noise.
    """

    path: Path
    size: dict[str, int]
    config: dict[str, Any]
    legacy: bool
    phase: str | None = None
    noise: bool = False

    @property
    def n_channels(self) -> tuple[int, int]:
        """Channels of each input image, and of the output."""
        return representations.n_channels(self.phase)


class Convolution(NamedTuple):
    """The weights of a convolution and of the normalization that follows it, float32.

    Attributes:
        kernel: [shape=(4, 4, n_in, n_out)]; of a transposed convolution, [shape=(4, 4, n_out, n_in)].
        bias: [shape=(n_out,)]; None for most.
        normalization: scale, offset, mean and variance, each [shape=(n_out,)]; None for the first and the last.
        noise: what weighs the noise that is then added, [shape=(height, 1, n_out)]; None for most.
    """

    kernel: np.ndarray
    bias: np.ndarray | None
    normalization: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
    noise: np.ndarray | None = None


def find_generator(path: str | Path) -> StoredGenerator:
    """Find a trained generator, and read what it is; of its weights, only the shapes.

    Args:
        path: a model's folder; a `.weights.h5` file in the same folder as its `config.json`; or a `.h5` file that
            TensorFlow 2.0 wrote with `model.save_weights`, from which the size of the network is read.

    Raises:
        UserError: if there is no such file, it holds no generator, or not the one that its configuration describes.
    """
    path = Path(path)
    if path.is_dir():
        path /= f"generator{WEIGHTS_EXTENSION}"
    if not path.is_file():
        raise UserError(f"--model {path} does not exist; it must be a model's folder or a file of weights (.h5)")
    with weights_file.open_weights(path) as file:
        weights_file.find_datasets(file)  # refuses links before one is followed
        group = file.get("model_weights", file)
        if "layer_names" in group.attrs:
            size, phase = weights_file.generator_size(weights_file.find_legacy_weights(group))
            if phase:
                raise ValueError("it holds more channels than a generator of TensorFlow 2.0")
            return StoredGenerator(path, size, {"model": size, "legacy": True}, True)
        weights = weights_file.find_weights(file)
        size, phase = weights_file.generator_size(weights)
        noise = any(dataset.name == _noise_weight(0) for dataset in weights)
    config_path = path.parent / CONFIG_NAME
    if not config_path.is_file():
        raise UserError(f"--model {path} has no {CONFIG_NAME} in its folder; the two belong together")
    config = read_config(config_path)
    held = {**size, "max_filters": size.get("max_filters"), "phase": phase, "noise": noise}
    configured = {"max_filters": None, "phase": None, "noise": False} | config["model"]
    told = [key for key, value in held.items() if value or configured[key]]  # what neither has is not told
    held, configured = ({key: values[key] for key in told} for values in (held, configured))
    if held != configured:
        raise UserError(f"{path} does not fit its configuration: it holds {held}, {config_path} says {configured}")
    return StoredGenerator(path, size, config, False, phase, noise)


def require_magnitude(stored: StoredGenerator, purpose: str) -> None:
    """Check that a generator predicts the magnitude alone.

    Args:
        stored: the generator.
        purpose: what needs it, for the message.

    Raises:
        UserError: if it also predicts a phase.
    """
    if stored.phase:
        raise UserError(
            f"{stored.path} also predicts a phase ({stored.phase}); {purpose} a model of the magnitude alone"
        )


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a model.

    Raises:
        UserError: if it lacks the size of the generator, or a part is not what it must be.
    """
    config = storage.read_json(path)
    for section in ("model", "data", "arguments", "training", "versions", EQUALIZERS_KEY):
        if not isinstance(config.get(section, {}), dict):
            raise UserError(f"{path} is damaged: {section} must be an object; restore it")
    size = config.get("model", {})
    base_filters, n_inputs = size.get("base_filters"), size.get("n_inputs")
    if type(base_filters) is not int or base_filters < 1 or type(n_inputs) is not int or n_inputs not in (1, 2):
        raise UserError(
            f"{path} is damaged: model.base_filters must be at least 1 and model.n_inputs 1 or 2, not {base_filters} "
            f"and {n_inputs}; restore it"
        )
    max_filters = size.get("max_filters")
    fits = max_filters is None or (type(max_filters) is int and 2 * base_filters < max_filters < 8 * base_filters)
    if not fits:
        limits = f"above {2 * base_filters} and below {8 * base_filters}"
        raise UserError(f"{path} is damaged: model.max_filters must be {limits}, not {max_filters}; restore it")
    for key in ("origin", "target"):  # they become names of folders
        instruments = config.get(key) or []
        names = instruments if isinstance(instruments, list) else [instruments]
        if not all(map(_is_instrument, names)):
            raise UserError(f"{path} is damaged: {key} must name instruments, not {instruments}; restore it")
    pieces = config.get("data", {}).get("validation_pieces", [])
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise UserError(f"{path} is damaged: data.validation_pieces must be a list of names; restore it")
    return config


def is_adversarial(config: Mapping[str, Any]) -> bool:
    """Tell from a model's configuration whether it was trained with a discriminator; False if it does not say."""
    arguments = config.get("arguments", {})
    # A flag of the scripts that train a discriminator; one of them has a flag to leave it out.
    return "disc_lr" in arguments and not arguments.get("generator_alone", False)


def read_convolutions(stored: StoredGenerator) -> tuple[list[Convolution], list[Convolution]]:
    """Read the weights of a generator, all of them or none.

    Returns:
        Those of the encoder, from the first layer to the bottleneck, and those of the decoder, from there to the last.

    Raises:
        UserError: if the file does not hold exactly the weights of such a network, or values make no sense.
    """
    (n_in, n_out), base_filters = stored.n_channels, stored.size["base_filters"]
    limit = stored.size.get("max_filters", base_filters * LEVELS[-1])
    widths = [min(base_filters * level, limit) for level in LEVELS]
    layout = [_encoder(widths, stored.size["n_inputs"] * n_in), _decoder(widths, n_out, stored.noise)]
    names = [name for layers in layout for layer in layers for name in layer.names]
    with weights_file.open_weights(stored.path) as file:
        if stored.legacy:  # in the same order, under other names
            weights = weights_file.find_legacy_weights(file.get("model_weights", file))
            found = dict(zip(names, weights, strict=False))
        else:
            weights = weights_file.find_weights(file)
            found = {dataset.name: dataset for dataset in weights}
        if len(weights) != len(names):
            raise ValueError(f"its {len(weights)} arrays are not the {len(names)} of this generator")
        encoder, decoder = ([_read_convolution(found, layer, stored.path) for layer in layers] for layers in layout)
    return encoder, decoder


def _is_instrument(value: Any) -> bool:
    try:
        return bool(cli.instrument_name(value))
    except (argparse.ArgumentTypeError, TypeError):
        return False


class _Layer(NamedTuple):
    """A convolution as Keras 3 stores it."""

    kernel: str
    kernel_shape: tuple[int, ...]
    width: int
    bias: str | None = None
    normalization: str | None = None
    noise: str | None = None
    height: int = 0  # of the noise

    @property
    def names(self) -> list[str]:
        """The names of its weights, in the order in which Keras lists them."""
        normalization = [f"{self.normalization}/vars/{index}" for index in range(4)] if self.normalization else []
        return [self.kernel, *([self.bias] if self.bias else []), *normalization, *([self.noise] if self.noise else [])]


def _numbered(kind: str, number: int) -> str:
    """Return the name that Keras 3 gives to a layer in a file of weights."""
    return f"/layers/{kind}_{number}" if number else f"/layers/{kind}"


def _noise_weight(number: int) -> str:
    return f"{_numbered('noise', number)}/vars/0"


def _encoder(widths: Sequence[int], n_channels: int) -> list[_Layer]:
    layers = []
    for number, width in enumerate(widths):
        normalization = _numbered("batch_normalization", number - 1) if number else None
        kernel = f"{_numbered('conv2d', number)}/vars/0"
        layers.append(_Layer(kernel, (4, 4, n_channels, width), width, None, normalization))
        n_channels = width
    return layers


def _decoder(widths: Sequence[int], n_out: int, noise: bool) -> list[_Layer]:
    layers, n_channels = [], widths[-1]
    for number, width in enumerate(reversed(widths[:-1])):
        normalization = _numbered("batch_normalization", len(LEVELS) - 1 + number)
        kernel = f"{_numbered('conv2d_transpose', number)}/vars/0"
        noisy = number - (len(LEVELS) - 1 - NOISY)
        weight = _noise_weight(noisy) if noise and noisy >= 0 else None
        layers.append(_Layer(kernel, (4, 4, width, n_channels), width, None, normalization, weight, 2 ** (number + 1)))
        n_channels = 2 * width  # with the skip
    last = _numbered("conv2d_transpose", len(LEVELS) - 1)
    return [*layers, _Layer(f"{last}/vars/0", (4, 4, n_out, n_channels), n_out, f"{last}/vars/1")]


def _read_convolution(found: Mapping[str, h5py.Dataset], layer: _Layer, path: Path) -> Convolution:
    """Read and check the weights of a layer."""
    values = []
    for name in layer.names:
        shape = {layer.kernel: layer.kernel_shape, layer.noise: (layer.height, 1, layer.width)}.get(
            name, (layer.width,)
        )
        if name not in found or found[name].shape != shape:
            held = f"of shape {found[name].shape}" if name in found else "missing"
            raise ValueError(f"{name} must have the shape {shape} and is {held}")
        values.append(found[name][()].astype(np.float32))
        is_variance = layer.normalization is not None and name == f"{layer.normalization}/vars/3"
        weights_file.check_array(values[-1], name, path, is_variance)
    kernel, *others = values
    noise = others.pop() if layer.noise else None
    normalization = tuple(others) if layer.normalization else None
    return Convolution(kernel, others[0] if layer.bias else None, normalization, noise)
