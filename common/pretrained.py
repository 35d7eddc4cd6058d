"""Models by name: shipped in pretrained/, one's own in models/, or downloaded as pretrained/registry.json says."""

import re
import sys
from pathlib import Path
from typing import Any

from common import storage
from common.cli import UserError

REPOSITORY = Path(__file__).resolve().parents[1]
PRETRAINED = REPOSITORY / "pretrained"
OWN_MODELS = REPOSITORY / "models"
REGISTRY_NAME = "registry.json"
GENERATOR_NAME = "generator.weights.h5"
_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # no path leads out of a folder with it


def find(model: str | Path, folder: Path = PRETRAINED, cache: Path | None = None, flag: str = "--model") -> Path:
    """Find a model, and download it if need be.

    Args:
        model: a path, or the name of a model.
        folder: the shipped models and the registry: a JSON object of name to object of file name to `url` and `sha256`.
        cache: folder of downloaded models; None for the user's cache.
        flag: the flag that names the model, for messages.

    Returns:
        Path of a model's folder, or of a file of weights.

    Raises:
        UserError: if there is no such model, or it cannot be downloaded whole.
    """
    path = Path(model)
    if path.exists():
        return path
    if path.name != str(model):
        hint = f" (a model of that name is shipped: {flag} {path.name})" if path.name in shipped(folder) else ""
        raise UserError(
            f"{flag} {model} does not exist; it must be a model's folder, a file of weights (.h5), or a name{hint}"
        )
    for models in (folder, OWN_MODELS):
        if (models / path / GENERATOR_NAME).is_file():
            return models / path
    registry = read_registry(folder)
    if str(model) not in registry:
        known = ", ".join(sorted({*registry, *shipped(folder)})) or "none so far"
        raise UserError(f"{flag} {model} is no path and no model's name (known: {known}); see --list_models")
    target = _cache(cache) / path
    for name, source in registry[str(model)].items():
        _fetch(f"{flag} {model}", target, name, source)
    return target


def read_registry(folder: Path = PRETRAINED) -> dict[str, dict[str, dict[str, str]]]:
    """Read the registry; empty if there is none.

    Returns:
        dict of model name to dict of file name to dict with `url` and `sha256`.

    Raises:
        UserError: if it holds anything else.
    """
    path = folder / REGISTRY_NAME
    registry = storage.read_json(path) if path.is_file() else {}
    for name, sources in registry.items():
        if not isinstance(sources, dict) or not all(map(_is_source, sources.values())):
            raise UserError(
                f"{path} is damaged: {name} must have files with a url (https://…) and a sha256 (64 hexadecimal "
                "digits); restore it"
            )
        for part in (name, *sources):  # they become a folder and its files
            if not _PLAIN_NAME.fullmatch(part):
                raise UserError(
                    f"{path} is damaged: {part!r} must be a plain name of letters, digits, '_', '-' and '.'; restore it"
                )
    return registry


def _is_source(source: Any) -> bool:
    """Tell whether a value of the registry says where a file is, and its SHA-256."""
    if not isinstance(source, dict):
        return False
    url, sha256 = source.get("url"), source.get("sha256")
    return (
        isinstance(url, str)
        and url.startswith(("https://", "http://"))  # the hash protects from what http does not
        and isinstance(sha256, str)
        and re.fullmatch(r"[0-9a-fA-F]{64}", sha256) is not None
    )


def shipped(folder: Path = PRETRAINED) -> list[str]:
    """List the names of the models in a folder."""
    return sorted(path.parent.name for path in folder.glob(f"*/{GENERATOR_NAME}"))


def describe(folder: Path = PRETRAINED, cache: Path | None = None) -> list[str]:
    """List the models that are known by name and where they are, a line each."""
    registry, here = read_registry(folder), shipped(folder)
    lines = [f"{name}: {folder / name}" for name in here]
    for name in sorted(set(registry) - set(here)):
        target = _cache(cache) / name
        complete = all((target / file).is_file() for file in registry[name])
        lines.append(f"{name}: {target if complete else 'to be downloaded'}")
    lines += [f"{name}: {OWN_MODELS / name}" for name in shipped(OWN_MODELS) if name not in here]
    return lines or ["no models so far: train one (train.py), or put one into models/"]


def _cache(cache: Path | None) -> Path:
    if cache:
        return Path(cache)
    import pooch

    return Path(pooch.os_cache("pix2pix-timbre-transfer"))


def _fetch(asked: str, folder: Path, name: str, source: dict[str, str]) -> None:
    """Download a file unless it is there and right; pooch checks the SHA-256 before it moves the file into place."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(source["url"], f"sha256:{source['sha256']}", name, folder, progressbar=sys.stderr.isatty())
    except requests.RequestException as error:
        reason = type(error).__name__
        raise UserError(f"{asked}: {source['url']} cannot be downloaded ({reason}); are you offline?") from None
    except ValueError:  # the hash
        raise UserError(
            f"{asked}: the file at {source['url']} is not {name}: its SHA-256 differs from that in "
            f"{REGISTRY_NAME}; try again later"
        ) from None
