"""Training runs as whole commands: stopped, killed, resumed."""

import errno
import functools
import json
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    ORIGIN,
    TARGET,
    history,
    losses,
    one_line,
    read_json,
    run_script,
    start_script,
    train_arguments,
    wait_for,
    write_slices,
)

import train
from common import storage
from common.weights import load_generator
from dataset.paired_dataset import PairedDataset
from training import steps

pytestmark = pytest.mark.usefixtures("shallow_networks")
NAME = f"{ORIGIN}_2_{TARGET}"
PIECES = {"a": 10, "b": 10, "c": 9, "d": 5}


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), PIECES)


@pytest.fixture(scope="module")
def uninterrupted(dataset_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = run_script("train.py", *train_arguments(dataset_path, folder, deterministic=True, epochs=4), check=0)
    return folder, result


def test_a_run_leaves_history_weights_and_samples(uninterrupted):
    folder, result = uninterrupted
    rows = history(folder, NAME)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    for row in rows:
        values = [float(row[key]) for key in row if key != "epoch"]
        assert all(value > 0 for value in values)  # the validation columns too
    assert float(rows[-1]["gen_mae"]) < float(rows[0]["gen_mae"])
    model = folder / "models" / NAME
    config = read_json(model / "config.json")
    best = min(rows, key=lambda row: float(row["gen_mae_val"]))
    assert config["training"]["best_epoch"] == int(best["epoch"])
    equaliser = config["equalisers"][f"{ORIGIN}/{TARGET}"]
    assert len(equaliser) == 256
    # The target is half of the square of the source, which is below 1.
    assert -0.5 < min(equaliser) <= max(equaliser) < 0
    assert read_json(model / "last" / "config.json")["training"]["epoch"] == 4
    assert {path.name for path in (model / "last").iterdir()} >= {"generator.weights.h5", "discriminator.weights.h5"}
    assert (model / "discriminator.weights.h5").is_file()
    for epoch in range(1, 5):
        assert (folder / "output" / NAME / f"{epoch:03d}" / "spectrogram.png").is_file()
    assert "the CPU" in result.stdout
    assert "unchanged input" in result.stdout
    assert result.stderr == ""


def test_killed_run_goes_on_to_the_same_history(uninterrupted, dataset_path, tmp_path):
    words = train_arguments(dataset_path, tmp_path, deterministic=True, epochs=2, checkpoint_minutes=1e-6)
    process = start_script("train.py", *words)
    model = tmp_path / "models" / NAME
    wait_for(lambda: (model / "checkpoints" / "checkpoint").exists(), process)  # in the first epoch
    process.kill()
    process.communicate()
    result = run_script("train.py", *words, check=0, new=True)  # which shares no state with the run before
    assert "resuming after epoch" in result.stdout
    assert losses(tmp_path, NAME) == losses(uninterrupted[0], NAME)[:2]


def test_interrupted_run_saves_says_how_to_go_on_and_goes_on(uninterrupted, dataset_path, tmp_path):
    words = train_arguments(dataset_path, tmp_path, deterministic=True, epochs=3)
    process = start_script("train.py", *words)
    wait_for(lambda: (tmp_path / "models" / NAME / "history.csv").exists(), process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    line = one_line(stderr)
    assert "stopped and saved" in line
    assert "--gen_lr 0.001" in line
    run_script("train.py", *words, check=0)
    assert losses(tmp_path, NAME) == losses(uninterrupted[0], NAME)[:3]


@pytest.fixture
def call(call_script):
    return functools.partial(call_script, train)


@pytest.fixture
def finished(uninterrupted, tmp_path):
    """A copy of the finished run, to go on from."""
    shutil.copytree(uninterrupted[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_finished_run_goes_on_for_more_epochs_only(call, dataset_path, finished):
    before = losses(finished, NAME)
    weights = finished / "models" / NAME / "generator.weights.h5"
    bytes_before = weights.read_bytes()
    status, stdout, _ = call(*train_arguments(dataset_path, finished, deterministic=True, epochs=4))
    assert (status, "all 4 epochs are done" in stdout) == (0, True)
    status, _, stderr = call(*train_arguments(dataset_path, finished, deterministic=True, batch_size=5))
    assert status == 2
    assert "batch_size was 4, is 5" in one_line(stderr)
    assert weights.read_bytes() == bytes_before
    status, stdout, _ = call(*train_arguments(dataset_path, finished, deterministic=True, epochs=5, gen_lr=2e-3))
    assert status == 0
    assert "learning rate was 0.001 and is 0.002" in stdout
    assert losses(finished, NAME)[:4] == before
    assert len(losses(finished, NAME)) == 5


def test_trained_model_without_checkpoint_is_not_overwritten(call, dataset_path, tmp_path):
    model = tmp_path / "models" / NAME
    model.mkdir(parents=True)
    (model / "generator.weights.h5").write_bytes(b"precious")
    status, _, stderr = call(*train_arguments(dataset_path, tmp_path, epochs=1))
    assert status == 2
    assert "--restart" in one_line(stderr)
    wrong = train_arguments(dataset_path, tmp_path, epochs=1, restart=True, sample_audio=__file__)
    assert call(*wrong)[0] == 2  # before anything is removed
    assert (model / "generator.weights.h5").read_bytes() == b"precious"
    status, _, _ = call(*train_arguments(dataset_path, tmp_path, epochs=1, restart=True))
    assert status == 0
    assert (model / "generator.weights.h5").read_bytes() != b"precious"


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(call, dataset_path, finished):
    good = losses(finished, NAME)
    words = train_arguments(dataset_path, finished, deterministic=True, epochs=5)
    status, _, stderr = call(*words, "--gen_lr", 1e30, "--disc_lr", 1e30)
    assert status == 1
    assert "NaN or infinite at epoch 5, step" in one_line(stderr)
    assert losses(finished, NAME) == good
    status, stdout, stderr = call(*words)
    assert (status, stderr) == (0, "")
    assert "resuming after epoch 4, step 0" in stdout
    assert len(losses(finished, NAME)) == 5


def test_a_run_does_not_go_on_over_changed_slices(call, dataset_path, finished, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(dataset_path, changed)
    words = train_arguments(changed, finished, deterministic=True, epochs=4)
    assert call(*words)[0] == 0  # a data set may be moved
    for path in (changed / TARGET).iterdir():
        np.save(path, np.zeros((256, 256, 1), np.float16))
    status, _, stderr = call(*words)
    assert status == 2
    assert "the contents of the training slices have changed" in one_line(stderr)


def arrays(folder):
    """The weights of the model in a folder and of that in last/."""
    networks = (load_generator(path)[0] for path in (folder, folder / "last"))
    return [weight for network in networks for weight in network.get_weights()]


def test_what_a_killed_run_did_not_write_of_an_epoch_is_made_up_for(call, dataset_path, finished):
    model, output = finished / "models" / NAME, finished / "output" / NAME
    weights, predicted = arrays(model), np.load(output / "004" / "prediction.npy")
    table = (model / "history.csv").read_bytes()
    # As if killed right after the checkpoint of the last epoch, which is the best one, in a run of one epoch even.
    state = read_json(model / "checkpoints" / "state.json")
    (model / "checkpoints" / "state.json").write_text(json.dumps({**state, "outputs_of": 3}))
    for path in (model / "generator.weights.h5", model / "discriminator.weights.h5", model / "history.csv"):
        path.unlink()
    shutil.rmtree(model / "last")
    shutil.rmtree(output / "004")
    words = train_arguments(dataset_path, finished, deterministic=True, epochs=4)
    assert call(*words)[0] == 0
    assert (model / "history.csv").read_bytes() == table
    for before, after in zip(weights, arrays(model), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(predicted, np.load(output / "004" / "prediction.npy"))
    assert read_json(model / "checkpoints" / "state.json") == state


def test_a_second_run_in_a_folder_is_refused(call, dataset_path, finished):
    model = finished / "models" / NAME
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    with storage.lock(model):
        status, _, stderr = call(*train_arguments(dataset_path, finished, deterministic=True, epochs=5))
    assert status == 2
    assert "is in use by another run" in one_line(stderr)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(call, dataset_path, finished, monkeypatch):
    words = train_arguments(dataset_path, finished, deterministic=True, epochs=5)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("training.model_folder.save_model", full)
        status, _, stderr = call(*words)
    assert status == 1
    assert "no space left on device" in one_line(stderr)
    assert "to resume: python" in stderr
    status, stdout, stderr = call(*words)
    assert (status, stderr) == (0, "")
    assert "all 5 epochs are done" in stdout
    assert len(losses(finished, NAME)) == 5
    assert read_json(finished / "models" / NAME / "last" / "config.json")["training"]["epoch"] == 5


def test_a_slice_that_vanishes_is_one_line_after_a_checkpoint(call, dataset_path, finished, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(dataset_path, copy)
    words = train_arguments(copy, finished, deterministic=True, epochs=5, checkpoint_minutes=1e-6)
    real = PairedDataset.train_batches

    def vanishing(dataset, epoch, first_step):
        (copy / ORIGIN / "a_000.npy").unlink()
        (copy / ORIGIN / "b_000.npy").unlink()
        return real(dataset, epoch, first_step)

    with monkeypatch.context() as patch:
        patch.setattr(PairedDataset, "train_batches", vanishing)
        status, _, stderr = call(*words)
    assert status == 1
    line = one_line(stderr)
    assert "stopped in epoch 5" in line and "_000.npy" in line and "to resume" in line
    for name in ("a", "b"):
        shutil.copy(dataset_path / ORIGIN / f"{name}_000.npy", copy / ORIGIN)
    assert call(*words)[0] == 0
    assert len(losses(finished, NAME)) == 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 2**32}, "--seed"),
        ({"seed": -1}, "--seed"),
        ({"batch_size": 1}, "--batch_size: must be at least 2"),
        ({"batch_size": 1000}, "fewer than --batch_size 1000"),
        ({"target": ORIGIN}, "--target: must differ"),
        ({"target": "flute_acoustic"}, "no slices of flute_acoustic"),
        ({"gen_lr": -1}, "--gen_lr"),
        ({"validation_split": 1}, "--validation_split"),
        ({"validation_split": 0, "select": "sound"}, "--select sound needs pieces to validate with"),
        ({"gpu": 7}, "--gpu 7"),
        ({"sample_audio": "nowhere.wav"}, "--sample_audio"),
        ({"sample_audio": __file__}, "not an audio file"),
    ],
)
def test_wrong_calls_are_one_line_and_exit_2(call, dataset_path, tmp_path, changes, told):
    status, _, stderr = call(*train_arguments(dataset_path, tmp_path, **changes))
    assert status == 2
    assert told in one_line(stderr)


def test_steps_run_as_graphs(call, dataset_path, tmp_path, monkeypatch):
    made, calls = steps.adversarial_steps, []

    def counting_steps(*networks, **options):
        train_step, validation_step = made(*networks, **options)

        def counted(*batch):
            calls.append(tf.executing_eagerly())
            return train_step(*batch)

        return counted, validation_step

    monkeypatch.setattr(steps, "adversarial_steps", counting_steps)
    status, _, _ = call(*train_arguments(dataset_path, tmp_path, epochs=2))
    assert status == 0
    assert 1 <= len(calls) <= 2  # traced, where an eager run would call it for each of 12 steps
    assert not any(calls)
