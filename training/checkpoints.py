"""The state of a training run: counters on the device, checkpoints on disk, requests to stop."""

import contextlib
import math
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common import storage
from common.cli import UserError
from training.ema import Averages
from training.steps import Metrics

STATE_NAME = "state.json"
_PREFIX = "ckpt"


class Diverged(Exception):
    """A loss or a weight is NaN or infinite. The text says at which step."""


class Counters:
    """Position and losses of the run, on the device: what a checkpoint holds besides networks and optimizers.

    Attributes:
        names: names of the metrics.
        validated: names of the metrics of validation.
        epochs_done: number of complete epochs.
        step: number of steps done in the present epoch.
        totals: sum and count of each metric in the present epoch, float64 [shape=(n_metrics, 2)].
        first_bad_step: the first step whose loss was not finite; -1 if there was none.
    """

    def __init__(self, names: Sequence[str], validated: Sequence[str] | None = None) -> None:
        self.names, self.validated = names, names if validated is None else validated
        self.epochs_done = tf.Variable(0, dtype=tf.int64)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.totals = tf.Variable(tf.zeros((len(names), 2), tf.float64))
        self.first_bad_step = tf.Variable(-1, dtype=tf.int64)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint must hold."""
        return [self.epochs_done, self.step, self.totals, self.first_bad_step]

    def add(self, totals: tf.Tensor) -> None:
        """Add the `metric_totals` of one step; runs inside the step's graph."""
        finite = tf.reduce_all(tf.math.is_finite(totals))
        self.totals.assign_add(totals)
        self.step.assign_add(1)
        self.first_bad_step.assign(tf.where(finite | (self.first_bad_step >= 0), self.first_bad_step, self.step))

    def finish_epoch(self, epoch: int) -> None:
        """Move on to the epoch after number `epoch`, counted from 0."""
        self.epochs_done.assign(epoch + 1)
        self.step.assign(0)
        self.totals.assign(tf.zeros_like(self.totals))

    def means(self) -> dict[str, float]:
        """Return the mean of each metric in the present epoch."""
        return metric_means(self.names, self.totals.numpy())


def metric_totals(metrics: Metrics, names: Sequence[str], batch_size: int | tf.Tensor) -> tf.Tensor:
    """Convert the metrics of a step to sums and counts.

    Args:
        metrics: dict of name to a mean over the batch, or to (sum, count) for a metric of a part of the batch.
        names: the metrics to convert, in this order.
        batch_size: slices of the batch.

    Returns:
        float64 [shape=(len(names), 2)].
    """
    size, rows = tf.cast(batch_size, tf.float64), []
    for name in names:
        if isinstance(metrics[name], tuple):
            rows.append(tf.stack([tf.cast(part, tf.float64) for part in metrics[name]]))
        else:
            rows.append(tf.stack([tf.cast(metrics[name], tf.float64) * size, size]))
    return tf.stack(rows)


def metric_means(names: Sequence[str], totals: np.ndarray) -> dict[str, float]:
    """Convert sums and counts [shape=(len(names), 2)] to means; metrics with a count of 0 are left out."""
    return {name: float(total / count) for name, (total, count) in zip(names, totals, strict=True) if count}


class Checkpoints:
    """The run's state on disk: all variables of networks and optimizers, the counters, and moving averages.

    `state.json` names the latest checkpoint and holds what is no variable (`record`). It is replaced as a whole once
    the checkpoint is on the disk, so that both are of the same moment, whenever the run is killed.

    Attributes:
        folder: the folder of checkpoints.
        latest: path of the latest checkpoint, without extension; None if there is none.
        record: JSON values that were saved with it.
    """

    def __init__(
        self,
        folder: Path,
        counters: Counters,
        averages: Averages,
        networks: Mapping[str, keras.Model],
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        writes: bool = True,
    ) -> None:
        """Collect what is saved, and find the latest checkpoint.

        Args:
            folder: the folder of checkpoints.
            counters: position and losses.
            averages: moving averages of the weights.
            networks: dict of name to network.
            optimizers: dict of name to optimizer, built.
            writes: whether to save. Of several workers one does, and all of them restore what it saved.
        """
        self.folder, self._counters, self._writes = folder, counters, writes
        # Named lists of plain TensorFlow variables, so that a restore can be strict.
        self._state = {name: [v.value for v in network.variables] for name, network in networks.items()}
        self._state |= {f"{name}_optimizer": [v.value for v in opt.variables] for name, opt in optimizers.items()}
        averaged = {"averages": averages.variables} if averages.variables else {}
        self._checkpoint = tf.train.Checkpoint(counters=counters.variables, **averaged, **self._state)
        self.latest, self.record = find_latest(folder)

    def restore(self) -> None:
        """Restore the latest checkpoint.

        Raises:
            UserError: if it is damaged or does not fit.
        """
        try:
            with _path_for_tensorflow(self.folder) as folder:
                self._checkpoint.restore(str(folder / self.latest.name)).assert_consumed()
        except (tf.errors.OpError, ValueError, AssertionError, LookupError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            tf.get_logger().setLevel("ERROR")  # it would warn of each value that was not restored
            raise UserError(f"{self.latest} is damaged ({reason}): restore it, or --restart to begin again") from None

    def check_finite(self) -> None:
        """Raise `Diverged` if a loss was not finite, or if a weight is not."""
        if self._counters.first_bad_step >= 0:
            raise Diverged(f"step {int(self._counters.first_bad_step)}")
        floats = [v for variables in self._state.values() for v in variables if v.dtype.is_floating]
        if not tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floats]):
            raise Diverged(f"step {int(self._counters.step)}")

    def save(self, **record: Any) -> None:
        """Save the state if it is finite; otherwise raise `Diverged`, and the last good checkpoint stays.

        Args:
            record: JSON values to change in `record`.
        """
        self.check_finite()
        if not self._writes:
            self.record = {**self.record, **record}
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_all_but_latest()  # what a save left that was killed or found no space
        with _path_for_tensorflow(self.folder) as folder:
            self.latest = self.folder / Path(self._checkpoint.save(str(folder / _PREFIX))).name
        for path in self.folder.glob(f"{self.latest.name}.*"):
            storage.sync(path)
        self.save_record(**record)
        self._remove_all_but_latest()

    def save_record(self, **record: Any) -> None:
        """Change `record`, beside the latest checkpoint."""
        self.record = {**self.record, **record}
        if not self._writes:
            return
        storage.write_json(self.folder / STATE_NAME, {**self.record, "checkpoint": self.latest.name})

    def _remove_all_but_latest(self) -> None:
        for path in self.folder.glob(f"{_PREFIX}-*"):
            if self.latest and path.name.startswith(f"{self.latest.name}."):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _path_for_tensorflow(folder: Path) -> Iterator[Path]:
    """Give a folder a path that TensorFlow can take: UTF-8, and without wildcards, as it reads from a pattern."""
    if not set(str(folder)) & set("*?[\\") and not any("\ud800" <= letter <= "\udfff" for letter in str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        link = Path(temporary) / "checkpoints"
        link.symlink_to(folder.resolve())
        yield link


def find_latest(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """Find the latest checkpoint of a run.

    Args:
        folder: the folder of checkpoints, which need not exist.

    Returns:
        Path of the checkpoint without extension, or None; and the record that was saved with it.

    Raises:
        UserError: if the files that name it are damaged.
    """
    state, legacy = folder / STATE_NAME, folder / "checkpoint"  # runs of version 0.1.0 have the second one alone
    if state.is_file():
        record = storage.read_json(state)
        name = record.pop("checkpoint", None)
        source = state
    elif legacy.is_file():
        match = re.search(r'model_checkpoint_path: "([^"]*)"', legacy.read_text(encoding="utf-8", errors="replace"))
        record, name, source = {}, match and match[1], legacy
    else:
        return None, {}
    if not isinstance(name, str) or not re.fullmatch(rf"{_PREFIX}-\d+", name):
        raise UserError(f"{source} is damaged: it names no checkpoint; restore it, or --restart to begin again")
    if not (folder / f"{name}.index").is_file():
        raise UserError(f"{folder / name}.index is missing: restore it, or --restart to begin again")
    return folder / name, record


def resume(
    checkpoints: Checkpoints,
    counters: Counters,
    optimizers: Mapping[str, keras.optimizers.Optimizer],
    epoch_offset: int,
) -> None:
    """Restore the latest checkpoint. Constant learning rates are those of this call; schedules continue."""
    constant = {
        name: optimizer
        for name, optimizer in optimizers.items()
        if any(variable.name == "learning_rate" for variable in optimizer.variables)
    }
    rates = {name: float(optimizer.learning_rate.numpy()) for name, optimizer in constant.items()}
    checkpoints.restore()
    for name, optimizer in constant.items():
        before = float(optimizer.learning_rate.numpy())
        if not math.isclose(before, rates[name], rel_tol=1e-6):
            print(f"the {name}'s learning rate was {before:g} and is {rates[name]:g} from here")
            optimizer.learning_rate = rates[name]
    print(f"resuming after epoch {epoch_offset + int(counters.epochs_done)}, step {int(counters.step)}")


class Interruption:
    """Turn SIGINT and SIGTERM into a flag within a `with` block, so that a run can save before it stops.

    Attributes:
        requested: whether a signal came.
    """

    def __enter__(self) -> "Interruption":
        self.requested = False
        self._previous = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
