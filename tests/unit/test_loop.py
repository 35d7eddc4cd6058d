import contextlib
import errno
import itertools
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training import loop, messages, watch
from training.checkpoints import Counters, Diverged, Interruption, metric_totals
from training.devices import Devices
from training.history import epoch_bar, epoch_line, update_bar


def test_validation_means_count_slices_are_finite_and_can_be_stopped():
    batches = [(np.zeros((3, 1)),), (np.zeros((1, 1)),)]
    values = iter([2.0, 6.0, 2.0, np.nan])
    interruption = Interruption()
    interruption.requested = False

    def validate(batch):
        return metric_totals({"mae": next(values)}, ("mae",), len(batch))

    dataset = SimpleNamespace(validation=True, validation_batches=lambda: batches)
    counters = SimpleNamespace(validated=("mae",))
    position = loop._Position(counters, None, None, None, interruption, Devices())
    arguments = (validate, dataset, position)
    assert loop._validate(*arguments) == {"mae_val": 3.0}
    with pytest.raises(Diverged, match="validation"):
        loop._validate(*arguments)
    interruption.requested = True
    assert loop._validate(*arguments) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_requests_inside_the_block_and_handled_as_before_after_it(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        signal.raise_signal(number)
        assert interruption.requested
    assert signal.getsignal(number) is before


def test_bar_shows_losses_speed_and_remaining_time(monkeypatch, capsys):
    bar = epoch_bar("epoch 3/9", 2, 10, 8)
    update_bar(bar, 40, dict)
    bar.close()
    assert capsys.readouterr().err == ""  # no bar in a log file
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = epoch_bar("epoch 3/9", 2, 10, 8)
    assert "16/80" in str(bar)
    update_bar(bar, 40, lambda: {"gen_mae": 0.12345})
    shown = str(bar)
    bar.close()
    assert "epoch 3/9" in shown
    assert "40/80" in shown
    assert "gen_mae=0.1235" in shown or "gen_mae=0.1234" in shown
    assert "images/s" in shown
    assert "<" in shown  # the remaining time


def test_epoch_line_leaves_out_what_a_short_epoch_did_not_see():
    row = {"epoch": 2, "gen_mae": 0.5, "gen_mae_val": 0.25, "gen_mae_strings_val": 1.0, "seconds": 3.0}
    row["images_per_second"] = 7.0
    line = epoch_line(row, ("gen_mae", "gen_mae_strings"), 9, is_best=True)
    assert line == "epoch 2/9  gen_mae 0.5000 (val 0.2500)  3.0 s  7.0 images/s  best"


def test_the_command_that_resumes_a_run_does_not_restart_it(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--origin", "a b", "--restart", "--epochs", "3"])
    assert messages.resume_hint() == "to resume: python train.py --origin 'a b' --epochs 3"


@pytest.mark.parametrize(("record", "seconds", "images"), [({"epoch_seconds": 100.0}, 100, 16), ({}, 0, 12)])
def test_seconds_of_a_resumed_epoch_count_from_its_beginning(monkeypatch, record, seconds, images):
    clock = itertools.count(1000.0)
    for module in (loop, watch):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    counters = Counters(("gen_mae",))
    counters.step.assign(1)  # of 4
    saved = {}
    checkpoints = SimpleNamespace(record=record, check_finite=lambda: None, save=saved.update)
    averages = SimpleNamespace(in_place=contextlib.nullcontext)
    history = SimpleNamespace(rows=[])
    position = loop._Position(counters, averages, checkpoints, history, SimpleNamespace(requested=False), Devices())
    dataset = SimpleNamespace(steps=4, validation=None, train_batches=lambda epoch, step: [(), (), ()])
    settings = loop.LoopSettings(2, 5, 4, 10.0, False, 0.0)

    def train_step():
        counters.add(np.array([[2.0, 4.0]]))

    assert loop._run_epoch(1, train_step, None, dataset, settings, position)
    (row,) = history.rows
    assert row["epoch"] == 7
    assert seconds < row["seconds"] < seconds + 10
    assert row["images_per_second"] == pytest.approx(images / row["seconds"], abs=0.01)
    assert saved == {"history": [row], "outputs_of": 1, "epoch_seconds": 0.0}
    assert int(counters.epochs_done) == 2


def position_of(counters, save=None, latest=None):
    """A run that stands where the counters are, and saves with `save`."""
    checkpoints = SimpleNamespace(check_finite=lambda: None, save=save, latest=latest, folder=Path("checkpoints"))
    interruption = SimpleNamespace(requested=False)
    return loop._Position(counters, None, checkpoints, SimpleNamespace(rows=["row"]), interruption, Devices())


@pytest.mark.parametrize(("end", "steps"), [("none", 20), ("interruption", 8), ("infinity", 8)])
def test_an_epoch_ends_soon_after_its_reason_and_saves_every_few_minutes(monkeypatch, end, steps):
    clock = itertools.count(0.0, 100.0)  # a step takes longer than the checks wait
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    counters, saved = Counters(("gen_mae",)), []
    position = position_of(counters)

    def train_step():
        is_last = int(counters.step) == 7
        counters.add(np.array([[np.inf if is_last and end == "infinity" else 2.0, 4.0]]))
        position.interruption.requested = is_last and end == "interruption"

    settings = loop.LoopSettings(1, 0, 4, 10.0, False, 0.0)
    with epoch_bar("epoch", 0, 20, 4) as bar:
        loop._train_epoch(train_step, [()] * 20, position, settings, bar, lambda: saved.append(int(counters.step)))
    assert int(counters.step) == steps
    assert saved == [6, 12, 18][: steps // 6]  # every 10 minutes


def test_a_failure_says_what_is_saved(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    counters, saved = Counters(("gen_mae",)), []
    counters.add(np.array([[2.0, 4.0]]))
    error = OSError(errno.EIO, "Input/output error")

    def fail(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    message = loop._failure_message(3, error, position_of(counters, lambda **record: saved.append(record)))
    assert "stopped in epoch 3: " in message and "; saved at epoch 3, step 1; to resume: python train.py" in message
    assert saved == [{"history": ["row"]}]
    assert "; the last checkpoint is kept; " in loop._failure_message(3, error, position_of(counters, fail, "ckpt-1"))
    assert "; no checkpoint could be written; " in loop._failure_message(3, error, position_of(counters, fail))
