"""What a training run is spread over: one device, several, or several machines, through `tf.distribute`."""

import contextlib
import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
import tensorflow as tf

from common.cli import UserError
from common.device import held_back_stderr
from common.device_names import count_logical_cpus, read_cluster

Batch = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Devices:
    """One device, or several that hold the same networks and share each batch: device k of n takes the k-th part of it.

    Attributes:
        strategy: None for one device, which then runs without any of this.
        worker: index of this process among those that train together, one on each machine; 0 is the chief.
        n_workers: number of these processes.
    """

    strategy: tf.distribute.Strategy | None = None
    worker: int = 0
    n_workers: int = 1

    @property
    def count(self) -> int:
        """The number of devices of all workers."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def n_local(self) -> int:
        """The number of devices of this worker."""
        return self.count // self.n_workers

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that writes files."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Return the context in which networks and optimizers are made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def local_copy(self, variable: tf.Variable) -> tf.Variable:
        """Return the copy of a variable on the first device of this worker; all copies have the same value."""
        return self.strategy.experimental_local_results(variable)[0] if self.strategy else variable

    def split(self, batch: Batch) -> Batch:
        """Split this worker's part of a batch among its devices; the number of slices must be a multiple of theirs."""
        if self.n_local == 1:
            return batch
        with tf.device("CPU:0"):  # where the batch is; each part is copied to its device
            parts = [tf.split(tensor, self.n_local) for tensor in batch]

        # `context` is a ValueContext, which TensorFlow does not export.
        def pick(context: Any) -> Batch:
            return tuple(part[context.replica_id_in_sync_group % self.n_local] for part in parts)

        return self.strategy.experimental_distribute_values_from_function(pick)

    def splits(self, batch: Batch) -> bool:
        """Tell whether `split` divides a batch: among several devices, in equal parts."""
        return self.n_local > 1 and batch[0].shape[0] % self.n_local == 0

    def total(self, step: Callable[..., tf.Tensor], batch: Batch) -> tf.Tensor:
        """Run a step on all devices and sum what it returns; runs inside a graph."""
        if not self.strategy:
            return step(*batch)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, self.strategy.run(step, args=batch), axis=None)

    def local_total(self, step: Callable[..., tf.Tensor], batch: Batch) -> tf.Tensor:
        """Sum what a step returns on the devices of this worker alone, which are several; runs inside a graph."""
        return tf.add_n(self.strategy.experimental_local_results(self.strategy.run(step, args=batch)))

    def average(self, variables: Sequence[tf.Variable]) -> None:
        """Set float32 variables to their mean over all devices; runs inside a step."""
        if not (self.strategy and variables):
            return
        flat = tf.concat([tf.reshape(variable, [-1]) for variable in variables], 0)  # one transfer instead of dozens
        flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
        sizes = [variable.shape.num_elements() for variable in variables]
        for variable, part in zip(variables, tf.split(flat, sizes), strict=True):
            variable.assign(tf.reshape(part, variable.shape))

    def total_of_workers(self, values: np.ndarray | Sequence[float]) -> np.ndarray:
        """Sum numbers over all workers, each of which must call this at the same point: float64 array."""
        values = np.asarray(values, np.float64)
        if self.n_workers == 1:
            return values
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(values), axis=None).numpy()

    def agree(self, value: Any, message: str) -> None:
        """Check that all workers have the same JSON value; waits until all of them are at this point.

        Raises:
            UserError: with the message, if they have not.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        number = int.from_bytes(digest[:5], "big")  # sums of which float64 holds exactly
        if float(self.total_of_workers([number])[0]) != number * self.n_workers:
            raise UserError(f"worker {self.worker} of {self.n_workers}: {message}")

    @property
    def lost(self) -> tuple[type[Exception], ...]:
        """The errors that a worker gets when another one has died, for an `except` clause; none for one worker."""
        if self.n_workers == 1:
            return ()
        errors = tf.errors
        return (
            errors.UnavailableError,  # the connection is refused, or the heartbeat has stopped
            errors.AbortedError,
            errors.CancelledError,
            errors.DeadlineExceededError,
            errors.FailedPreconditionError,  # it was started again
            errors.InternalError,
        )


def connect(words: Sequence[str], batch_size: int, sync_norm: bool) -> Devices:
    """Make what a run is spread over, from `--devices` and TF_CONFIG; of several machines, wait for the others.

    What workers other than the chief print begins with their number from here on.

    Args:
        words: those of `--devices`, which `start_tensorflow` had, too.
        batch_size: slices a step, of all devices together.
        sync_norm: whether normalization is over the batches of all devices.

    Raises:
        UserError: if the batch cannot be divided equally, or the machines cannot be connected.
    """
    cluster, n_cpus = read_cluster(), count_logical_cpus(words)
    if cluster:
        devices = _connect_workers(cluster, n_cpus)
    else:
        names = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
        if n_cpus > 1:
            names = [f"CPU:{number}" for number in range(n_cpus)]
        if len(names) < 2:
            return Devices()
        with held_back_stderr():
            devices = Devices(tf.distribute.MirroredStrategy(names))
    if batch_size % devices.count:
        raise UserError(f"--batch_size {batch_size}: must be a multiple of {devices.count}, the number of devices")
    if batch_size == devices.count and not sync_norm:
        raise UserError(
            f"--batch_size {batch_size}: leaves one slice to each of {devices.count} devices, over which batch "
            "normalization cannot be computed; take a larger batch, or --sync_norm"
        )
    return devices


def _connect_workers(cluster: dict[str, list[str]], n_cpus: int) -> Devices:
    task = json.loads(os.environ["TF_CONFIG"])["task"]
    n_workers = sum(map(len, cluster.values()))
    worker = int(task["index"]) + (len(cluster.get("chief", [])) if task["type"] == "worker" else 0)
    if n_cpus > 1:
        raise UserError(
            f"--devices cpu:{n_cpus}: the CPU of a machine of several is one device; start more processes instead"
        )
    addresses = [address for job in ("chief", "worker") for address in cluster.get(job, [])]
    print(f"worker {worker} of {n_workers}, at {addresses[worker]}: waiting for the others", flush=True)
    if worker:
        sys.stdout, sys.stderr = (_Prefixed(stream, f"worker {worker}: ") for stream in (sys.stdout, sys.stderr))
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's would wait for the others, too
    try:
        with held_back_stderr():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"TF_CONFIG: the machines could not be connected ({reason})") from None
    finally:
        signal.signal(signal.SIGINT, handler)
    return Devices(strategy, worker, n_workers)


class _Prefixed(io.TextIOBase):
    """A text stream that begins each line with a prefix. It is no terminal, so that no bars are drawn on it."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix, self._at_start = stream, prefix, True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._stream.write(self._prefix + line if self._at_start else line)
            self._at_start = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()
