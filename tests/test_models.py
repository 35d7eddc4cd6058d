"""The models that ship: each loads strictly, and plays the melody of docs/examples as well as its card says."""

import re
from pathlib import Path

import pytest
from conftest import REPOSITORY, read_json

import data
import metrics
import pretrained
from audio_files import load_audio
from model import load_generator
from styles import choose_slices
from transfer import make_generate, transfer_log_magnitude

EXAMPLES = REPOSITORY / "docs" / "examples"
CARD_LINE = re.compile(r"^\| melody, ([a-z_]+) \| .*\*\*(\d\.\d{4})\*\*", re.MULTILINE)
NAMES = pretrained.shipped()


def targets_of(config):
    return [config["target"]] if isinstance(config["target"], str) else config["target"]


def picture(instrument, piece="melody"):
    return data.log_magnitude(data.stft(load_audio(EXAMPLES / instrument / f"{piece}.wav")))


def test_models_are_small_enough_for_a_repository():
    sizes = [path.stat().st_size for path in (REPOSITORY / "models").rglob("*") if path.is_file()]
    assert sum(sizes) < 60e6


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_as_good_as_its_card_says(name):
    folder = Path(pretrained.find(name))
    generator, config = load_generator(folder)
    scores = dict(CARD_LINE.findall((folder / "README.md").read_text()))
    targets = targets_of(config)
    assert sorted(scores) == sorted(targets)
    source = picture("keyboard_acoustic")
    for target in targets:
        true = picture(target)
        style = (
            data.to_network(choose_slices(picture(target, "style"))[0]) if config["model"]["n_inputs"] == 2 else None
        )
        generated = transfer_log_magnitude(source, make_generate(generator, style))
        error = metrics.mean_absolute_error(generated, true)
        assert error == pytest.approx(float(scores[target]), abs=5e-4)
        assert error < metrics.mean_absolute_error(source, true)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_tells_how_it_was_made_and_no_paths(name):
    config = read_json(Path(pretrained.find(name)) / "config.json")
    assert config["training"]["best_epoch"] >= 1
    assert "dataset_path" not in config["arguments"]
    assert set(config["equalisers"]) == {f"keyboard_acoustic/{target}" for target in targets_of(config)}
