"""What is stored of a trained model and told about it: docs/training/ship_model.py and write_card.py."""

import sys

import h5py
import numpy as np
import pytest
from conftest import REPOSITORY, read_json

from common import storage
from common.weights import save_model
from model import Generator

sys.path.insert(0, str(REPOSITORY / "docs" / "training"))
import ship_model
import write_card

PAIR = "keyboard_acoustic/guitar_acoustic"
RUN = {"base_filters": 2, "disc_lr": 5e-5, "batch_size": 8, "steps_per_epoch": 100, "noise": True}
SCORES = "epoch,gen_mae,gen_mae_val,sound_val,seconds\n"


def save_run(folder, equaliser, **changes):
    """Write what a train script leaves of a run that ship_model.py and write_card.py read."""
    config = {
        "model": {"base_filters": 2, "n_inputs": 1, "noise": True},
        "arguments": {**RUN, "dataset_path": ["/home/me/features"], "init_from": "/home/me/start"},
        "data": {"slices": 4000},
        "training": {"epoch": 2, "best_epoch": 2},
        "equalisers": {PAIR: [equaliser]},
        **changes,
    }
    save_model(folder, {"generator": Generator(2, noise=True)}, config)
    (folder / "history.csv").write_text(f"{SCORES}1,0.3,0.31,0.2,60\n2,0.2,0.21,0.1,60\n")
    (folder / "plots").mkdir()
    return folder


@pytest.fixture
def shipped(call_script, tmp_path):
    """A run that went on from one on a GPU, as ship_model.py stores it."""
    on_gpu = {
        "arguments": {"base_filters": 2, "disc_lr": 2e-4, "models_path": "/home/me/models"},
        "machine": {"gpu": "GPU", "torch": "2.11", "models_at_once": 8},
        "training": {"epoch": 8, "best_epoch": 8, "slices": 80_000},
    }
    earlier = save_run(tmp_path / "earlier", 1.0, script="train_on_gpu.py", **on_gpu)
    model = save_run(tmp_path / "model", 2.0, mixed={"with": "alone", "weight": 0.9})
    words = ("--model", model, "--earlier", earlier, "--output", tmp_path / "ship", "--name", "shipped")
    status, _, stderr = call_script(ship_model, *words)
    assert status == 0, stderr
    return tmp_path / "ship" / "shipped"


def test_a_shipped_model_holds_both_runs_and_no_paths(shipped, tmp_path):
    config = read_json(shipped / "config.json")
    assert "/home/me" not in (shipped / "config.json").read_text()
    assert config["arguments"] == RUN
    assert config["earlier"]["arguments"] == {"base_filters": 2, "disc_lr": 2e-4}
    assert config["earlier"]["machine"]["gpu"] == "GPU"
    assert config["equalisers"] == {PAIR: [1.0]}  # so that both models of a target are compared with one equalizer
    assert (shipped / "earlier.csv").read_text() == (tmp_path / "earlier" / "history.csv").read_text()
    with (
        h5py.File(shipped / "generator.weights.h5") as half,
        h5py.File(tmp_path / "model/generator.weights.h5") as whole,
    ):
        name = "layers/conv2d/vars/0"
        assert half[name].dtype == np.float16
        np.testing.assert_allclose(half[name], whole[name], rtol=1e-3, atol=1e-7)


def test_the_card_tells_how_a_shipped_model_was_made(shipped):
    table = write_card.training_table(storage.read_json(shipped / "config.json"), shipped)
    rows = dict(line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    assert rows["script"].startswith("`train.py`")
    assert rows["flags"] == "`--base_filters 2 --disc_lr 5e-05 --batch_size 8 --noise`"
    assert "an earlier run of 80,000 slices, on one GPU beside 7 other models" in rows["initial weights"]
    assert "back to those of `…_generator`" in rows["initial weights"]
    assert "a new one, which first learned alone" in rows["initial weights"]
    assert rows["length"] == "2 epochs of 800 slices, 2 minutes on one core"
    assert rows["best epoch"].startswith("2: `sound_val` 0.100, `gen_mae_val` 0.2100")
    assert rows["afterwards"] == "mixed with `alone` by `interpolate.py --weight 0.9`"
