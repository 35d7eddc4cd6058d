"""Models by name: in models/, in the cache, or downloaded as models/registry.json says."""

import sys
from pathlib import Path

import files
from cli import UserError

MODELS = Path(__file__).resolve().parent / "models"
REGISTRY_NAME = "registry.json"
GENERATOR_NAME = "generator.weights.h5"


def find(model, models=MODELS, cache=None, flag="--model"):
    """Finds a model, and downloads it if it must.

    Args:
        model: a path, or the name of a model.
        models: folder of models and of the registry: a JSON object of name to object of file name to `url` and
            `sha256`.
        cache: folder of downloaded models; None for the user's cache.
        flag: the flag that names it, for messages.

    Returns:
        Path of a model's folder or a file of weights.

    Raises:
        UserError: if there is none of that name, or it cannot be downloaded whole.
    """
    if Path(model).exists():
        return Path(model)
    if Path(model).name != str(model):
        raise UserError(
            f"{flag} {model} does not exist; it must be a model's folder, a file of weights (.h5), or a name"
        )
    if (models / model / GENERATOR_NAME).is_file():
        return models / model
    registry = read_registry(models)
    if model not in registry:
        known = ", ".join(sorted({*registry, *shipped(models)})) or "none so far"
        raise UserError(f"{flag} {model} is no path and no model's name (known: {known}); see --list_models")
    folder = _cache(cache) / model
    for name, source in registry[model].items():
        _fetch(f"{flag} {model}", folder, name, source)
    return folder


def read_registry(models=MODELS):
    """The registry; empty if there is none."""
    path = models / REGISTRY_NAME
    registry = files.read_json(path) if path.is_file() else {}
    for name, sources in registry.items():
        described = isinstance(sources, dict) and all(isinstance(source, dict) for source in sources.values())
        if not described or not all({"url", "sha256"} <= source.keys() for source in sources.values()):
            raise UserError(f"{path} is damaged: {name} must have files with a url and a sha256; restore it")
    return registry


def shipped(models=MODELS):
    """Names of the models that are in the folder."""
    return sorted(path.parent.name for path in models.glob(f"*/{GENERATOR_NAME}"))


def describe(models=MODELS, cache=None):
    """Lines that tell the models and where they are."""
    registry, here = read_registry(models), shipped(models)
    lines = [f"{name}: {models / name}" for name in here]
    for name in sorted(set(registry) - set(here)):
        folder = _cache(cache) / name
        there = all((folder / file).is_file() for file in registry[name])
        lines.append(f"{name}: {folder if there else 'to be downloaded'}")
    return lines or ["no models so far: train one (train.py), or put one into models/"]


def _cache(cache):
    if cache:
        return Path(cache)
    import pooch

    return Path(pooch.os_cache("pix2pix-timbre-transfer"))


def _fetch(asked, folder, name, source):
    """Downloads a file unless it is there and right: pooch checks the SHA-256, and moves it in place when whole."""
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
            f"{asked}: what {source['url']} gave is not {name}: its SHA-256 differs from that in "
            f"{REGISTRY_NAME}; try again later"
        ) from None
