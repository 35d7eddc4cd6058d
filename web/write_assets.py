#!/usr/bin/env python3
"""Write what the page needs beside its code: models, styles, an example, and a list of them (manifest.json).

Models are written as ONNX with 16-bit weights and a decoder that can compute the last frames alone. Recordings become
FLAC. Run `npm run build` after it; `make web` does both.

Example:
  python web/write_assets.py --output web/assets --models keyboard_acoustic_2_guitar_acoustic
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import pretrained, storage
from common.cli import UserError
from common.stored_generator import StoredGenerator, find_generator, is_adversarial, require_magnitude
from inference import onnx_network, onnx_variants

EXAMPLES = pretrained.REPOSITORY / "docs" / "examples"
FAMILIES = {"string": "strings"}  # of NSynth; the others are words already
SOURCES = ("acoustic", "electronic", "synthetic")  # how NSynth's names of instruments end
ALONE = "_generator"  # how the names of models end that train_generator.py made


def label_instrument(name: str) -> str:
    """Return an instrument's name for users: "guitar" for guitar_acoustic."""
    family, _, source = name.rpartition("_")
    family = family if source in SOURCES else name
    return FAMILIES.get(family, family.replace("_", " "))


def describe_model(path: Path, stored: StoredGenerator) -> dict[str, Any]:
    """Return what the page has to know of a model."""
    target = listed(stored.config.get("target"))
    takes_style = stored.size["n_inputs"] == 2
    label = "any, by its style" if takes_style else ", ".join(map(label_instrument, target)) or path.name
    if path.name.endswith(ALONE):
        label += " (without a discriminator)"
    return {
        "name": path.name,
        "label": label,
        "targets": target,
        "takesStyle": takes_style,
        "interleaves": is_adversarial(stored.config),  # by default, as the predict scripts choose
        "drawsNoise": stored.noise,
        "file": f"{path.name}.onnx",
    }


def listed(value: list[str] | str | None) -> list[str]:
    """Return a list of names from a list, a name or None."""
    return value if isinstance(value, list) else [value] if value else []


def write_model(stored: StoredGenerator, path: Path) -> None:
    """Write a model as the page loads it."""
    graph = onnx_variants.limit_decoder(onnx_network.build(stored, half=True))
    with storage.atomic_write(path) as partial:
        partial.write_bytes(graph)


def write_sound(source: Path, path: Path) -> None:
    """Write a recording as FLAC."""
    samples, sample_rate = soundfile.read(source, dtype="int16")
    with storage.atomic_write(path) as partial:
        soundfile.write(partial, samples, sample_rate, subtype="PCM_16", format="FLAC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=pretrained.REPOSITORY / "web" / "assets", help="folder")
    parser.add_argument("--models", nargs="+", help="names or folders of models (default: all in pretrained/)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    models, sounds = [], {}
    try:
        for name in arguments.models or pretrained.shipped():
            path = pretrained.find(name, flag="--models").resolve()
            stored = find_generator(path)
            require_magnitude(stored, "the page needs")
            write_model(stored, arguments.output / f"{path.name}.onnx")
            models.append(describe_model(path, stored))
    except UserError as error:
        parser.error(str(error))
    # A model for a single instrument comes first: it needs no style.
    models.sort(key=lambda model: model["takesStyle"])
    for target in sorted({target for model in models if model["takesStyle"] for target in model["targets"]}):
        source = EXAMPLES / target / "style.wav"
        if source.is_file():
            sounds[target] = {"name": target, "label": label_instrument(target), "file": f"style_{target}.flac"}
            write_sound(source, arguments.output / sounds[target]["file"])
    example = {"name": "example", "label": "Example: a keyboard", "file": "example.flac"}
    write_sound(EXAMPLES / "keyboard_acoustic" / "melody.wav", arguments.output / example["file"])
    manifest = {"models": models, "styles": list(sounds.values()), "example": example}
    with storage.atomic_write(arguments.output / "manifest.json") as partial:
        partial.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    print(f"{arguments.output}: {len(models)} models, {len(sounds)} styles")


if __name__ == "__main__":
    main()
