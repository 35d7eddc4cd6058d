"""What a run is spread over: flags, TF_CONFIG, the parts of a batch, and agreement between workers."""

import io
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import ORIGIN, OTHER, TARGET, write_slices

import train_generator
from common import device_names
from common.cli import UserError
from dataset.paired_dataset import DatasetSettings, PairedDataset
from training import devices, messages, run, watch
from training.devices import Devices

WORKERS = {"worker": ["127.0.0.1:1234", "127.0.0.1:1235"]}


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), {"a": 7, "b": 6, "c": 5, "d": 4})


def make_dataset(dataset_path, worker=0, n_workers=1):
    pairs = [(ORIGIN, TARGET), (ORIGIN, OTHER)]
    return PairedDataset(DatasetSettings([dataset_path], pairs, 4, None, 0.5, 3, True, True, worker, n_workers))


def test_machines_read_their_parts_of_the_batches_of_one(dataset_path):
    whole = make_dataset(dataset_path)
    parts = [make_dataset(dataset_path, worker, 2) for worker in range(2)]
    for first_step in (0, 2):
        batches = [dataset.train_batches(1, first_step) for dataset in (whole, *parts)]
        n_batches = 0
        for expected, *own in zip(*batches, strict=True):
            n_batches += 1
            for column, *parts_of_it in zip(expected, *own, strict=True):  # sources are changed at random
                np.testing.assert_array_equal(column, np.concatenate(parts_of_it))
        assert n_batches == whole.steps - first_step


def test_machines_validate_each_slice_once(dataset_path):
    n_workers = 4

    def rows(dataset):
        columns = zip(*dataset.validation_batches(), strict=True)
        return [np.concatenate(column) for column in columns]

    whole = rows(make_dataset(dataset_path))
    parts = [rows(make_dataset(dataset_path, worker, n_workers)) for worker in range(n_workers)]
    assert len(whole[0]) % n_workers  # so that the parts differ in length
    for column, *own in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(column, np.concatenate(own))


def test_a_machine_without_validation_slices_reads_none(tmp_path):
    write_slices(tmp_path, {"a": 8, "b": 1})
    settings = DatasetSettings([tmp_path], [(ORIGIN, TARGET)], 4, None, 0.5, 0, n_workers=4)
    parts = [PairedDataset(settings._replace(worker=worker)) for worker in range(4)]
    assert all(part.validation_pieces == {"b"} for part in parts)
    n_rows = [sum(len(source) for source, _ in part.validation_batches()) for part in parts]
    assert n_rows == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, {}),
        ({}, {}),
        ({"cluster": {"worker": ["host:1"]}, "task": {"type": "worker", "index": 0}}, {}),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": "1"}}, WORKERS),
    ],
)
def test_tf_config_names_machines_if_there_are_several(monkeypatch, config, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config) if config is not None else "")
    assert device_names.read_cluster() == expected


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"cluster": WORKERS}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": {**WORKERS, "ps": ["host:1"]}, "task": {"type": "worker", "index": 0}}),
    ],
)
def test_a_wrong_tf_config_is_one_line(monkeypatch, call_script, tmp_path, text):
    monkeypatch.setenv("TF_CONFIG", text)
    words = ["--dataset_path", tmp_path, "--origin", ORIGIN, "--target", TARGET]
    status, _, stderr = call_script(train_generator, *words)
    assert status == 2
    assert "TF_CONFIG must be like" in stderr and len(stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "cpu:0"], "'cpu:0' must be the index of a GPU, all, or cpu:<number>"),
        (["--devices", "0", "all"], "0 all must be indices of GPUs"),
        (["--devices", "cpu:2", "--gpu", "-1"], "not together with --gpu"),
        (["--devices", "0,1"], "--devices 0 1: TensorFlow finds no GPU"),
        (["--devices", "all"], "--devices all: TensorFlow finds no GPU"),
    ],
)
def test_wrong_devices_are_one_line(call_script, tmp_path, words, message):
    flags = ["--dataset_path", tmp_path, "--origin", ORIGIN, "--target", TARGET]
    status, _, stderr = call_script(train_generator, *flags, *words)
    assert status == 2
    assert message in stderr and len(stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("n_gpus", "gpu", "words", "expected"),
    [
        (0, None, [], ([], "the CPU")),
        (2, None, [], ([0], "GPU 0")),
        (2, -1, ["cpu:3"], ([], "3 logical devices of the CPU")),
        (3, None, ["2", "0"], ([0, 2], "GPUs 0, 2")),
        (3, None, ["all"], ([0, 1, 2], "GPUs 0, 1, 2")),
        (3, None, ["1"], ([1], "GPU 1")),
    ],
)
def test_devices_are_chosen_and_named(n_gpus, gpu, words, expected):
    numbers, name = device_names.choose(gpu, words, n_gpus)
    assert numbers == expected[0]
    assert name.partition(" (")[0] == expected[1]


@pytest.mark.parametrize(("n_gpus", "gpu"), [(0, 0), (0, 1), (2, 2)])
def test_a_gpu_that_is_not_there_is_refused(n_gpus, gpu):
    with pytest.raises(UserError, match=f"--gpu {gpu}: .*-1 runs on the CPU"):
        device_names.choose(gpu, [], n_gpus)


def strategy_of(count):
    return SimpleNamespace(num_replicas_in_sync=count)


@pytest.mark.parametrize(
    ("batch_size", "sync_norm", "message"),
    [
        (6, False, "--batch_size 6: must be a multiple of 4"),
        (4, False, "leaves one slice to each of 4 devices"),
        (4, True, None),
        (8, False, None),
    ],
)
def test_a_batch_is_divided_equally(monkeypatch, batch_size, sync_norm, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: strategy_of(len(names)))
    if message is None:
        assert devices.connect(["cpu:4"], batch_size, sync_norm).count == 4
        return
    with pytest.raises(UserError, match=message):
        devices.connect(["cpu:4"], batch_size, sync_norm)


def test_one_device_runs_without_a_strategy(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    one = devices.connect([], 2, False)
    assert one == Devices(None, 0, 1)
    assert one.is_chief and one.count == one.n_local == 1 and one.lost == ()
    batch = (tf.zeros((2, 1)),)
    assert one.split(batch) is batch and not one.splits(batch)
    assert one.total(lambda part: part, batch) is batch[0]


def test_lines_of_other_workers_begin_with_their_number():
    stream = io.StringIO()
    prefixed = devices._Prefixed(stream, "worker 1: ")
    print("one\ntwo", file=prefixed)
    print("three", end="", file=prefixed)
    print(" four", file=prefixed)
    assert stream.getvalue() == "worker 1: one\nworker 1: two\nworker 1: three four\n"
    assert not prefixed.isatty()


class Meeting:
    """Workers in threads that wait for each other's numbers."""

    def __init__(self, n_workers):
        self._barrier, self._numbers = threading.Barrier(n_workers, timeout=20), [None] * n_workers
        self.n_workers = n_workers

    def member(self, worker):
        def total_of_workers(values):
            self._numbers[worker] = np.asarray(values, np.float64)
            self._barrier.wait()
            total = np.sum(self._numbers, axis=0)
            self._barrier.wait()
            return total

        members = {"n_workers": self.n_workers, "worker": worker, "is_chief": worker == 0}
        return SimpleNamespace(total_of_workers=total_of_workers, **members)


def test_workers_stop_and_save_after_the_same_step(monkeypatch):
    meeting, ends, saves = Meeting(2), {}, {0: [], 1: []}
    clocks = {0: itertools.count(0.0, 0.11), 1: itertools.count(5.0, 0.13)}
    clock = threading.local()
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: next(clocks[clock.worker])))

    def work(worker):
        clock.worker = worker
        interruption = SimpleNamespace(requested=False)
        watcher = watch.Watch(meeting.member(worker), interruption, 3.0)
        for step in range(1, 200):
            interruption.requested |= worker == 1 and step == 77  # a signal that one of them gets
            due = watcher.after_step()
            if due.save:
                saves[worker].append(step)
            if due.stop:
                ends[worker] = step
                return

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ends[0] == ends[1]
    assert 77 <= ends[0] < 77 + 25  # within about a second of the steps
    assert saves[0] == saves[1] != []


def test_one_worker_stops_at_once(monkeypatch):
    clock = itertools.count(0.0, 0.4)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    interruption = SimpleNamespace(requested=False)
    watcher = watch.Watch(Devices(), interruption, 1.5)
    dues = [watcher.after_step() for _ in range(4)]
    assert [due.check for due in dues] == [False, False, True, False]
    assert [due.save for due in dues] == [False, False, False, True]
    assert not any(due.stop for due in dues)
    interruption.requested = True
    assert watcher.after_step().stop


def refusals(*values):
    """What workers with these values are told as they compare them; None for those that go on."""
    meeting = Meeting(len(values))

    def agree(worker):
        try:
            Devices.agree(meeting.member(worker), values[worker], "other flags")
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(agree, range(len(values))))


def test_workers_that_differ_are_refused():
    assert refusals({"seed": 1, "lr": 0.1}, {"lr": 0.1, "seed": 1}) == [None, None]
    assert refusals({"seed": 1}, {"seed": 2}) == ["worker 0 of 2: other flags", "worker 1 of 2: other flags"]


def test_workers_may_have_paths_devices_and_threads_of_their_own():
    def compared(**changes):
        arguments = {"dataset_path": ["a"], "devices": [], "gpu": None, "threads": None, "seed": 0, **changes}
        return run._compared({"model": {}, "data": {}, "arguments": arguments})

    assert compared() == compared(dataset_path=["b"], devices=["all"], gpu=-1, threads=[2, 2])
    assert compared() != compared(seed=1)


def test_a_lost_worker_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "--restart"])
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 0}}))
    error = tf.errors.UnavailableError(None, None, "Graph error:\n\nCollective ops is aborted by: Socket\tclosed\nmore")
    line = messages.lost_message(error)
    assert line == (
        "stopped: another worker ended or cannot be reached (Socket closed); the last checkpoint is kept; "
        "to resume (on every machine): python train.py"
    )
