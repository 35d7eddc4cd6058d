"""Weights between those of two models: docs/training/interpolate.py."""

import sys

import numpy as np
import pytest
from conftest import REPOSITORY, read_json

from common.weights import load_generator, save_model
from model import Generator

sys.path.insert(0, str(REPOSITORY / "docs" / "training"))
import interpolate


def save(folder, value, noise):
    generator = Generator(4, random_init=False, noise=noise)
    for weights in generator.weights:
        weights.assign(np.full(weights.shape, value, np.float32))
    config = {"base_filters": 4, "n_inputs": 1, **({"noise": True} if noise else {})}
    save_model(folder, {"generator": generator}, {"model": config})
    (folder / "history.csv").write_text("epoch\n1\n")
    (folder / "plots").mkdir()
    return folder


def test_weights_lie_between_and_noise_is_multiplied(call_script, tmp_path):
    models = save(tmp_path / "alone", 1, noise=False), save(tmp_path / "noisy", 2, noise=True)
    words = ("--models", *models, "--weight", 0.75, "--noise", 1.5, "--output", tmp_path / "mixed")
    status, _, stderr = call_script(interpolate, *words)
    assert status == 0, stderr
    generator, config = load_generator(tmp_path / "mixed")
    assert config["mixed"] == {"with": "alone", "weight": 0.75, "noise": 1.5}
    assert read_json(tmp_path / "noisy" / "config.json").keys() == config.keys() - {"mixed"}
    for weights in generator.weights:
        np.testing.assert_allclose(weights, 3 if "strength" in weights.path else 1.75)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--weight", 1.5), "--weight"),
        (("--weight", 0.5, "--noise", 3), "--noise"),
        (("--weight", 0.5), "draw from noise"),
    ],
)
def test_what_does_not_fit_is_refused(call_script, tmp_path, words, told):
    models = save(tmp_path / "noisy", 2, noise=True), save(tmp_path / "alone", 1, noise=False)
    status, _, stderr = call_script(interpolate, "--models", *models, *words, "--output", tmp_path / "mixed")
    assert (status, told in stderr.splitlines()[-1]) == (2, True)
    assert not (tmp_path / "mixed").exists()
