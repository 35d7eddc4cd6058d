"""Small recordings and models to evaluate, and the tables that an evaluation leaves."""

import csv

import numpy as np
import soundfile
from conftest import ORIGIN, OTHER, TARGET

from common.weights import save_model
from model import Generator

GAIN = 0.5  # from source to target


def write_music(folder, pieces=("first", "second", "third"), seconds=5.0):
    """Writes pieces for a source, a target that is the source at half the level, and an unrelated second target."""
    time = np.arange(round(seconds * 44_100)) / 44_100
    for number, piece in enumerate(pieces):
        rng = np.random.default_rng(number)
        source = sum(
            np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * np.exp(-((time - start) % 1.0) * 3)
            for pitch, start in zip(rng.integers(45, 90, 6), rng.random(6), strict=True)
        )
        other = np.sin(2 * np.pi * (200 + 50 * number) * time)
        for instrument, audio in ((ORIGIN, 0.1 * source), (TARGET, GAIN * 0.1 * source), (OTHER, 0.3 * other)):
            (folder / instrument).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / instrument / f"{piece}.wav", audio, 44_100, subtype="PCM_16")
    return folder


def write_model(folder, name, targets, n_inputs=1, **config):
    size = {"base_filters": 4, "n_inputs": n_inputs}
    target = targets[0] if n_inputs == 1 else list(targets)
    origin = ORIGIN if n_inputs == 1 else [ORIGIN]
    save_model(
        folder / name, {"generator": Generator(**size)}, {"model": size, "origin": origin, "target": target, **config}
    )
    return folder / name


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read(path):
    return soundfile.read(path, dtype="float32")[0]


def summary_of(output):
    return {(row["target"], row["system"]): row for row in read_csv(output / "summary.csv")}


def write_material(folder):
    """Three pieces, and two models."""
    write_music(folder / "audios")
    write_model(folder, "plain", [TARGET])
    write_model(folder, "any", [TARGET, OTHER], n_inputs=2)
    return folder
