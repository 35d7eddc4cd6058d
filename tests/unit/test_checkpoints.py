import gc
import io
import json
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.cli import UserError
from model import Generator
from training import optimizers
from training.checkpoints import Checkpoints, Counters, find_latest
from training.ema import Averages
from training.steps import generator_steps


def make(folder):
    """A tiny network with its optimizer, and the checkpoints of both."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    networks, counters = {"generator": network}, Counters(("gen_mae",))
    return network, counters, Checkpoints(folder, counters, Averages(networks, 0.5), networks, {"generator": optimizer})


@pytest.mark.parametrize("name", ["checkpoints", "m[1]*?", "with space ü", "Pr\udce9lude"])
def test_a_checkpoint_is_found_and_restored_in_any_folder(tmp_path, name):
    network, counters, checkpoints = make(tmp_path / name)
    assert checkpoints.latest is None
    assert [int(number) for number in (counters.epochs_done, counters.step, counters.first_bad_step)] == [0, 0, -1]
    for epoch in range(3):
        counters.finish_epoch(epoch)
        checkpoints.save(history=[{"epoch": epoch + 1, "gen_mae": 0.1 + epoch}])
    weights = network.get_weights()
    files = {path.name for path in (tmp_path / name).iterdir()}
    assert files == {"state.json", "checkpoint", "ckpt-3.index", "ckpt-3.data-00000-of-00001"}
    other, counted, found = make(tmp_path / name)
    assert found.latest == tmp_path / name / "ckpt-3"
    assert found.record == {"history": [{"epoch": 3, "gen_mae": 2.1}]}
    found.restore()
    assert int(counted.epochs_done) == 3
    for before, after in zip(weights, other.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_a_killed_save_left_is_removed_and_the_latest_checkpoint_stays(tmp_path):
    _, _, checkpoints = make(tmp_path)
    checkpoints.save()
    (tmp_path / "ckpt-2_temp").mkdir()
    (tmp_path / "ckpt-2_temp" / "part").write_bytes(b"x")
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"x")
    _, _, found = make(tmp_path)
    assert found.latest.name == "ckpt-1"
    found.restore()
    found.save()
    assert {path.name for path in tmp_path.glob("ckpt*")} == {"ckpt-2.index", "ckpt-2.data-00000-of-00001"}


def test_a_folder_of_an_earlier_version_is_read(tmp_path):
    _, _, checkpoints = make(tmp_path)
    checkpoints.save(history=[])
    (tmp_path / "state.json").unlink()
    assert find_latest(tmp_path) == (tmp_path / "ckpt-1", {})


def damage_index(folder):
    (folder / "ckpt-1.index").write_bytes((folder / "ckpt-1.index").read_bytes()[:20])


def damage_data(folder):
    (folder / "ckpt-1.data-00000-of-00001").write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        damage_index,
        damage_data,
        lambda folder: (folder / "ckpt-1.index").unlink(),
        lambda folder: (folder / "state.json").write_bytes(b""),
        lambda folder: (folder / "state.json").write_bytes(b"\xff\xfe\0\1"),
        lambda folder: (folder / "state.json").write_text("{}"),
        lambda folder: (folder / "state.json").write_text(json.dumps({"checkpoint": "../../elsewhere"})),
        lambda folder: (folder / "state.json").write_text("[" * 100_000),
    ],
)
def test_damaged_checkpoints_are_one_clear_error(tmp_path, damage):
    _, _, checkpoints = make(tmp_path)
    checkpoints.save()
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        _, _, found = make(tmp_path)
        found.restore()
    assert str(tmp_path) in str(error.value)
    assert "restore it" in str(error.value)


def test_a_changed_byte_of_a_checkpoint_is_noticed_and_nothing_else_is_printed(tmp_path):
    _, _, checkpoints = make(tmp_path)
    checkpoints.save()
    path = tmp_path / "ckpt-1.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[0] ^= 1  # of a variable
    path.write_bytes(content)
    warnings, logger = io.StringIO(), tf.get_logger()
    handler, level = logging.StreamHandler(warnings), logger.level
    logger.addHandler(handler)
    try:
        with pytest.raises(UserError, match="ckpt-1 is damaged"):
            make(tmp_path)[2].restore()
        gc.collect()  # with what was not restored, TensorFlow's warnings would come
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert warnings.getvalue() == ""


def test_the_state_on_disk_is_that_of_before_until_the_new_one_is_complete(tmp_path, monkeypatch):
    _, counters, checkpoints = make(tmp_path)
    counters.finish_epoch(0)
    checkpoints.save(history=[1])

    def killed(*_, **__):
        raise KeyboardInterrupt

    counters.finish_epoch(1)
    monkeypatch.setattr("common.storage.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(history=[1, 2])
    _, counted, found = make(tmp_path)
    assert found.record == {"history": [1]}
    found.restore()
    assert int(counted.epochs_done) == 1


def test_a_run_of_keras_s_own_layers_and_adam_goes_on_with_the_fused_ones(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    batches = [[tf.constant(rng.uniform(-1, 1, (4, 256, 256, 1)), tf.float32) for _ in range(2)] for _ in range(3)]

    def learn(folder, n_steps):
        """Go on from a checkpoint in `folder`, if there is one; train, save, and return the state."""
        keras.utils.set_random_seed(1)
        networks = {"generator": Generator(2, dropout=0)}
        adam = {"generator": optimizers.make_optimizer(1e-3, networks["generator"], "float32")}
        checkpoints = Checkpoints(folder, Counters(("gen_mae",)), Averages(networks, 0), networks, adam)
        if checkpoints.latest:
            checkpoints.restore()
        step, _ = generator_steps(networks, adam)
        done = int(adam["generator"].iterations)
        for batch in batches[done : done + n_steps]:
            step(*batch)
        checkpoints.save()
        return networks["generator"].get_weights(), int(adam["generator"].iterations)

    with monkeypatch.context() as earlier:
        earlier.setattr("model.BatchNormalization", keras.layers.BatchNormalization)
        earlier.setattr(optimizers, "Adam", keras.optimizers.Adam)
        learn(tmp_path / "old", 2)
        uninterrupted, _ = learn(tmp_path / "whole", 3)
    weights, iterations = learn(tmp_path / "old", 1)
    assert iterations == 3
    for actual, expected in zip(weights, uninterrupted, strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-4)
