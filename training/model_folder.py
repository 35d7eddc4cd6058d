"""A model's folder: prepared for a run that starts or resumes; and initial weights from another model's folder."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from common import pretrained, storage, stored_generator, weights_file
from common.cli import UserError
from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION
from common.weights import copy_model, load_narrower, load_weights, most_filters, save_model
from model import Noise
from training.checkpoints import find_latest
from training.history import FILE_NAME as HISTORY_NAME
from training.history import History

# A run may be resumed with other values of these flags; any other change needs --restart or another folder.
CHANGEABLE = (
    "checkpoint_minutes",
    "dataset_path",
    "devices",
    "disc_lr",
    "epochs",
    "gen_lr",
    "gpu",
    "jit_compile",
    "lr",
    "models_path",
    "output_path",
    "sample_audio",
    "tensorboard",
    "threads",
)


def prepare(model_path: Path, config: Mapping[str, Any], defaults: Mapping[str, Any], restart: bool) -> None:
    """Prepare a model's folder for a run that starts or resumes, and write its `config.json`.

    Args:
        model_path: the folder.
        config: JSON values; `model`, `data` and `arguments` must be those of the run that is resumed.
        defaults: the default of each flag, which a run of a version without the flag had.
        restart: whether the contents of the folder may be removed.

    Raises:
        UserError: if the folder holds a run with other arguments, or a model without a checkpoint.
    """
    config_path = model_path / CONFIG_NAME
    checkpoints = model_path / "checkpoints"
    weights = sorted(model_path.glob(f"*{WEIGHTS_EXTENSION}"))
    if restart:
        shutil.rmtree(checkpoints, ignore_errors=True)
        shutil.rmtree(model_path / "last", ignore_errors=True)
        for path in (*weights, model_path / HISTORY_NAME, config_path):
            path.unlink(missing_ok=True)
    elif find_latest(checkpoints)[0]:
        if not config_path.is_file():
            raise UserError(
                f"{config_path} is missing, so the run cannot be resumed: restore it, or --restart to begin again"
            )
        _check_same_run(model_path, storage.read_json(config_path), config, defaults)
        return
    elif weights:
        raise UserError(
            f"{model_path} holds a trained model and no checkpoint to resume from: "
            "choose another --models_path, or --restart to replace the model"
        )
    storage.write_json(config_path, config)


def save_models(
    model_path: Path, networks: Mapping[str, keras.Model], config: Mapping[str, Any], history: History
) -> None:
    """Save the model of the last epoch in `last/` and, if the epoch is the best one, in the folder itself."""
    row, best = history.rows[-1], history.best
    progress = {"epoch": row["epoch"], "best_epoch": best["epoch"], history.selected: best[history.selected]}
    config = {**config, "training": progress}
    save_model(model_path / "last", networks, config)
    if best is row:
        copy_model(model_path / "last", model_path, networks)


def find_initial(model: str, names: Iterable[str], n_inputs: int, phase: str | None = None) -> Path:
    """Find the model whose weights a run begins with, and print which networks are randomly initialized.

    Args:
        model: folder or name; it is downloaded if need be.
        names: the networks to train; the model must have the first one.
        n_inputs: images that their generator takes.
        phase: how it represents the phase that it predicts; None if it predicts none.

    Returns:
        The model's folder.

    Raises:
        UserError: if there is no such model, or it predicts another phase.
    """
    path, names = pretrained.find(model, flag="--init_from"), list(names)
    if not (path / f"{names[0]}{WEIGHTS_EXTENSION}").is_file():
        raise UserError(f"--init_from {model} is no model's folder; it must hold {names[0]}{WEIGHTS_EXTENSION}")
    stored = _read_config(path).get("model", {})
    if stored.get("phase") not in (None, phase):
        raise UserError(f"--init_from {model} is a model of --phase {stored['phase']}, not of {phase or 'none'}")
    for name in names:
        if not (path / f"{name}{WEIGHTS_EXTENSION}").is_file():
            print(f"--init_from {model} has no {name}: it is randomly initialized")
    if n_inputs == 2 and stored.get("n_inputs") == 1:
        print(f"--init_from {model} takes no style: the filters that see the style are randomly initialized")
    if phase and not stored.get("phase"):
        print(f"--init_from {model} predicts no phase: what sees a phase begins with 0, what predicts it is random")
    return path


def load_initial(path: Path, networks: Mapping[str, keras.Model]) -> None:
    """Load the weights of a model's folder into networks; networks that it lacks stay as they are.

    Raises:
        UserError: if they do not fit.
    """
    config = _read_config(path)
    stored = config.get("model", {})
    for name, network in networks.items():
        weights = path / f"{name}{WEIGHTS_EXTENSION}"
        if not weights.is_file():
            continue
        if name == "phase":
            load_weights(network, weights)
            continue
        n_seen = [image.shape[-1] for image in network.inputs]
        plain = "phase" not in stored and n_seen[0] > 1
        n_inputs = _count_inputs(path, name, len(n_seen), config)
        whole_band = noise = False
        if name == "discriminator":
            _check_width(path, network, weights, n_inputs if plain else sum(n_seen[:n_inputs]))
            whole_band = _sees_whole_band(path, network, config)
            differs = whole_band != _is_of_whole_band(network)
        else:
            _check_filters(path, network, stored)
            noise = _draws_from_noise(path, network, stored)
            differs = noise != _has_noise(network)
        if plain or n_inputs < len(n_seen) or differs:
            load_narrower(network, weights, n_inputs, plain, whole_band, noise)
        else:
            load_weights(network, weights)


def _count_inputs(path: Path, name: str, n_inputs: int, config: Mapping[str, Any]) -> int:
    """Count the images that a stored network takes.

    Args:
        path: the model's folder.
        name: the network.
        n_inputs: images that the network takes that begins with it.
        config: the configuration of the folder.

    Raises:
        UserError: if it is a discriminator that sees a style, and the other does not.
    """
    if name == "generator":
        return 1 if config.get("model", {}).get("n_inputs") == 1 else n_inputs
    with_style = config.get("arguments", {}).get("disc_style", False)
    if with_style and n_inputs == 2:
        raise UserError(f"--init_from {path} has a discriminator that sees the style: add --disc_style")
    if not with_style and n_inputs == 3:
        print(f"--init_from {path} has a discriminator that does not see the style: those filters are random")
    return 3 if with_style else 2


def _has_noise(generator: keras.Model) -> bool:
    return any(isinstance(layer, Noise) for layer in generator.layers)


def _draws_from_noise(path: Path, generator: keras.Model, stored: Mapping[str, Any]) -> bool:
    """Tell whether a stored generator draws from noise.

    Args:
        path: the model's folder.
        generator: the network that begins with it.
        stored: what the configuration of the folder says of it.

    Raises:
        UserError: if it does, and the other does not.
    """
    noise = stored.get("noise", False)
    if noise and not _has_noise(generator):
        raise UserError(f"--init_from {path} has a generator that draws from noise: add --noise, with a discriminator")
    return noise


def _check_filters(path: Path, generator: keras.Model, stored: Mapping[str, Any]) -> None:
    """Check that a stored generator has as many filters as the generator, by what its configuration says.

    Raises:
        UserError: if not.
    """
    filters, limit = stored.get("base_filters"), stored.get("max_filters")
    ours = generator.get_layer("down1_conv").filters, most_filters(generator)
    most = filters * stored_generator.LEVELS[-1] if isinstance(filters, int) else 0
    if most and ours != (filters, min(limit or most, most)):
        advice = f"--base_filters {filters}" + (f" --max_filters {limit}" if limit else " and no --max_filters")
        raise UserError(f"--init_from {path} has a generator of other filters: take {advice}")


def _is_of_whole_band(network: keras.Model) -> bool:
    return network.output.shape[1] == 1


def _sees_whole_band(path: Path, discriminator: keras.Model, config: Mapping[str, Any]) -> bool:
    """Tell whether a stored discriminator sees the whole band.

    Args:
        path: the model's folder.
        discriminator: the network that begins with it.
        config: the configuration of the folder.

    Raises:
        UserError: if it does, and the other does not.
    """
    stored, ours = config.get("arguments", {}).get("disc_band", False), _is_of_whole_band(discriminator)
    if stored and not ours:
        raise UserError(f"--init_from {path} has a discriminator that sees the whole band: add --disc_band")
    if ours and not stored:
        print(f"--init_from {path} has a discriminator that sees patches: its last layer is randomly initialized")
    return stored


def _check_width(path: Path, discriminator: keras.Model, weights: Path, n_seen: int) -> None:
    """Check that a file of a discriminator's weights is of as many filters as the discriminator.

    Args:
        path: the model's folder.
        discriminator: the network.
        weights: the file.
        n_seen: channels that the first layer of the stored discriminator sees.

    Raises:
        UserError: if not.
    """
    with weights_file.open_weights(weights) as file:
        stored = weights_file.discriminator_filters(weights_file.find_weights(file), n_seen)
    filters = discriminator.get_layer("down1_conv").filters
    if stored != filters:
        raise UserError(
            f"--init_from {path} has a discriminator of {stored} filters, not of {filters}: add --disc_filters {stored}"
        )


def _read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a model's folder; nothing if there is none."""
    config_path = path / CONFIG_NAME
    return storage.read_json(config_path) if config_path.is_file() else {}


def _check_same_run(
    model_path: Path, old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    for section in ("model", "data", "arguments"):
        if not isinstance(old.get(section, {}), dict):
            raise UserError(f"{model_path / CONFIG_NAME} is damaged: {section} must be an object; restore it")
    changes = []
    for section in ("model", "data", "arguments"):
        before, now = old.get(section, {}), new[section]
        # What a version did not know yet was as it is by default; what data it did not describe cannot be compared.
        before = {**{key: defaults.get(key) if section == "arguments" else now[key] for key in now}, **before}
        for key in sorted(now):
            if section == "arguments" and (key in CHANGEABLE or _same_path(before[key], now[key])):
                continue
            if before[key] != now[key]:
                changes.append(_describe_change(section, key, before[key], now[key]))
    if changes:
        raise UserError(
            f"{model_path} holds a run that cannot be resumed with these arguments ({'; '.join(changes)}): "
            "use the old ones, another --models_path, or --restart to begin again"
        )


def _describe_change(section: str, key: str, before: Any, now: Any) -> str:
    if section == "data" and key in ("content", "fingerprint"):
        what = "contents" if key == "content" else "names"
        return f"the {what} of the training slices have changed"
    return f"{key} was {before}, is {now}"


def _same_path(before: Any, now: Any) -> bool:
    """Tell whether two values are spellings of one path."""
    if not isinstance(before, str) or not isinstance(now, str):
        return False
    return Path(now).exists() and Path(before).resolve() == Path(now).resolve()
