"""The shipped models: each loads, and converts the melody of docs/examples as well as its card says."""

import re

import pytest
from conftest import REPOSITORY, read_json

import data
from common import pretrained
from common.audio import load_audio
from common.weights import load_generator
from evaluation import metrics
from inference.keras_network import make_predict_fn
from inference.style import choose_slices
from inference.transfer import transfer_log_magnitude

EXAMPLES = REPOSITORY / "docs" / "examples"
CARD_LINE = re.compile(r"^\| melody, ([a-z_]+) \| .*\*\*(\d\.\d{4})\*\*", re.MULTILINE)
NAMES = pretrained.shipped()


def targets_of(config):
    return [config["target"]] if isinstance(config["target"], str) else config["target"]


def read_log_magnitude(instrument, piece="melody"):
    return data.log_magnitude(data.stft(load_audio(EXAMPLES / instrument / f"{piece}.wav")))


def test_models_are_small_enough_for_a_repository():
    sizes = [path.stat().st_size for path in pretrained.PRETRAINED.rglob("*") if path.is_file()]
    assert sum(sizes) < 64e6


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_as_good_as_its_card_says(name):
    folder = pretrained.PRETRAINED / name
    generator, config = load_generator(folder)
    scores = dict(CARD_LINE.findall((folder / "README.md").read_text()))
    targets = targets_of(config)
    assert sorted(scores) == sorted(targets)
    source = read_log_magnitude("keyboard_acoustic")
    for target in targets:
        true = read_log_magnitude(target)
        style = (
            data.to_network(choose_slices(read_log_magnitude(target, "style"))[0])
            if config["model"]["n_inputs"] == 2
            else None
        )
        generated = transfer_log_magnitude(source, make_predict_fn(generator, style))
        error = metrics.mean_absolute_error(generated, true)
        assert error == pytest.approx(float(scores[target]), abs=5e-4)
        assert error < metrics.mean_absolute_error(source, true)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_records_how_it_was_made_but_no_paths(name):
    config = read_json(pretrained.PRETRAINED / name / "config.json")
    assert config["training"]["best_epoch"] >= 1
    assert "dataset_path" not in config["arguments"]
    assert set(config["equalisers"]) == {f"keyboard_acoustic/{target}" for target in targets_of(config)}
