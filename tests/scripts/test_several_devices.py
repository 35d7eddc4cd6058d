"""Runs on two logical CPU devices and on two processes: the same numbers, and what happens when one is lost."""

import json
import os
import signal
import socket

import numpy as np
import pytest
from conftest import (
    ORIGIN,
    TARGET,
    history,
    one_line,
    read_json,
    run_script,
    start_script,
    train_arguments,
    wait_for,
    write_slices,
)
from ten_steps import BATCH_SIZE, CASES, N_STEPS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow_networks")]
NAME = f"{ORIGIN}_2_{TARGET}_generator"


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), {"a": 16, "b": 15, "c": 15, "d": 13})


def two_workers():
    """The environments of two processes on this machine that train together."""
    with socket.socket() as first, socket.socket() as second:
        addresses = []
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{each.getsockname()[1]}")
    shared = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # as users have it
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        yield {**shared, "TF_CONFIG": json.dumps(config)}


@pytest.fixture(scope="module")
def ten_steps(dataset_path, tmp_path_factory):
    """The results of ten steps on one device, on two logical CPU devices, and on two processes (both of theirs)."""
    folder = tmp_path_factory.mktemp("ten_steps")

    def start(name, *words, env=None):
        return start_script("tests/ten_steps.py", dataset_path, f"{folder / name}.npz", *words, env=env)

    runs = [start("one")], [start("two", "cpu:2")], [start(f"w{i}", env=env) for i, env in enumerate(two_workers())]
    for started in runs:
        for process in started:
            _, stderr = process.communicate(timeout=900)
            assert process.returncode == 0, stderr
    return {path.stem: dict(np.load(path)) for path in folder.iterdir()}


def test_two_logical_devices_equal_two_processes(ten_steps):
    assert ten_steps["two"].keys() == ten_steps["w0"].keys() == ten_steps["w1"].keys() == ten_steps["one"].keys()
    for key, value in ten_steps["two"].items():
        # The gradient of R1 jumps where an activation has its kink, so that rounding does not stay small.
        is_exact = not key.startswith("all terms")
        rtol, atol = (1e-5, 1e-6) if is_exact else (1e-3, 1e-3 * np.abs(value).max(initial=0))
        for worker in ("w0", "w1"):
            np.testing.assert_allclose(ten_steps[worker][key], value, rtol=rtol, atol=atol, err_msg=key)
        np.testing.assert_array_equal(ten_steps["w0"][key], ten_steps["w1"][key], err_msg=key)


@pytest.mark.parametrize("case", [name for name, (*_, sync_norm) in CASES.items() if sync_norm])
def test_with_synchronized_normalization_two_devices_equal_one(ten_steps, case):
    one, two = ten_steps["one"], ten_steps["two"]
    assert one[f"{case}/losses"].shape[0] == N_STEPS
    for kind in ("losses", "validation"):
        np.testing.assert_allclose(two[f"{case}/{kind}"], one[f"{case}/{kind}"], rtol=1e-3, err_msg=kind)
    # Adam makes a step of its whole rate of a gradient that is nothing but rounding, so that single weights differ.
    for kind in ("variables", "averages"):
        differences = np.abs(two[f"{case}/{kind}"] - one[f"{case}/{kind}"])
        assert differences.mean() < 1e-4 and differences.max() < 2e-2, kind
    gradients, expected = two[f"{case}/gradients"], one[f"{case}/gradients"]
    assert np.abs(gradients - expected).mean() < 0.02 * np.abs(expected).mean()
    counts = one[f"{case}/losses"][..., 1], two[f"{case}/losses"][..., 1]
    np.testing.assert_array_equal(*counts)
    assert (counts[0][:, 0] == BATCH_SIZE).all()


def test_each_device_normalizes_for_itself_by_default(ten_steps):
    one, two = (ten_steps[name]["each device for itself/losses"][:, 0, 0] for name in ("one", "two"))
    assert np.abs(one / two - 1).mean() > 2e-5  # with synchronized normalization, it is 1e-6 at most


def test_gradients_that_overflow_on_one_device_are_applied_on_none(ten_steps):
    for name in ("one", "two", "w0", "w1"):
        of = {key.partition("/")[2]: value for key, value in ten_steps[name].items() if key.startswith("overflow/")}
        assert of["infinite weight"] == 1
        assert of["infinite scale"] == 2**14  # half of Keras's initial scale
        assert np.isfinite(of["finite weight"]).all() and (of["finite weight"] < 1).all()
        assert of["finite scale"] == 2**14


def arguments(dataset_path, folder, **changes):
    changes = {"gen_lr": None, "disc_lr": None, "lr": 1e-3, "sync_norm": True, "epochs": 2, **changes}
    return train_arguments(dataset_path, folder, **changes)


def start_workers(words):
    # New processes, as a fork of one that has TensorFlow loaded prints other messages of it.
    return [start_script("train_generator.py", *words, env=env, new=True) for env in two_workers()]


def end(processes):
    """Wait for processes; return their exit statuses and what they printed."""
    printed = [process.communicate(timeout=600) for process in processes]
    return [process.returncode for process in processes], printed


@pytest.fixture(scope="module")
def uninterrupted(dataset_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run_script("train_generator.py", *arguments(dataset_path, folder), check=0)
    return folder


def check_history(folder, uninterrupted):
    rows, expected = history(folder, NAME), history(uninterrupted, NAME)
    assert len(rows) == len(expected) == 2
    for row, row_expected in zip(rows, expected, strict=True):
        for column in ("gen_mae", "gen_mae_val"):
            assert float(row[column]) == pytest.approx(float(row_expected[column]), rel=1e-3)


def test_a_killed_process_ends_the_run_and_one_device_goes_on(dataset_path, tmp_path, uninterrupted):
    words = arguments(dataset_path, tmp_path, checkpoint_minutes=1e-6)
    processes = start_workers(words)
    state = tmp_path / "models" / NAME / "checkpoints" / "state.json"
    wait_for(state.is_file, processes[0], 600)
    processes[1].kill()
    statuses, ((stdout, stderr), _) = end(processes)
    assert statuses == [1, -signal.SIGKILL]
    assert "stopped: another worker ended or cannot be reached" in one_line(stderr)
    assert "to resume (on every machine): python" in stderr
    assert "on 2 workers" in stdout
    result = run_script("train_generator.py", *words, check=0)
    assert "resuming after epoch" in result.stdout
    check_history(tmp_path, uninterrupted)


def test_a_signal_to_one_process_stops_both_and_two_devices_go_on(dataset_path, tmp_path, uninterrupted):
    words = arguments(dataset_path, tmp_path, checkpoint_minutes=1e-6)
    processes = start_workers(words)
    wait_for((tmp_path / "models" / NAME / "checkpoints" / "state.json").is_file, processes[0], 600)
    processes[1].send_signal(signal.SIGTERM)
    statuses, ((_, stderr), (_, other)) = end(processes)
    assert statuses == [1, 1]
    line = one_line(stderr)
    assert "stopped and saved" in line
    assert one_line(other) == f"worker 1: {line}"  # at the same step
    assert read_json(tmp_path / "models" / NAME / "config.json")["arguments"]["devices"] == []
    run_script("train_generator.py", *words, "--devices", "cpu:2", check=0)
    check_history(tmp_path, uninterrupted)


def test_two_processes_with_other_flags_are_refused(dataset_path, tmp_path):
    processes = [
        start_script("train_generator.py", *arguments(dataset_path, tmp_path, seed=seed), env=env)
        for seed, env in enumerate(two_workers())
    ]
    statuses, printed = end(processes)
    assert statuses == [2, 2]
    for _, stderr in printed:
        assert "its flags or its data set are not those of the others" in one_line(stderr)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("flag", ["--findlr", "--jit_compile"])
def test_what_is_for_one_device_is_refused_on_two(dataset_path, tmp_path, flag):
    result = run_script("train_generator.py", *arguments(dataset_path, tmp_path), "--devices", "cpu:2", flag, check=2)
    assert f"{flag}: is for one device" in one_line(result.stderr)
    assert not (tmp_path / "models").exists()
