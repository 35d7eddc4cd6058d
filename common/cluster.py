"""A Dask cluster that runs the tasks of data preparation, on one machine or many that share a folder."""

import argparse
import contextlib
import functools
import hashlib
import importlib.metadata
import logging
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path
from types import ModuleType
from typing import Any

from common import storage
from common.cli import UserError

_REPOSITORY = Path(__file__).resolve().parents[1]
_CONNECT_SECONDS = 10
# What decides about the last bits of audio and slices.
_PACKAGES = ("numpy", "scipy", "soxr", "soundfile", "mido", "pyfluidsynth", "distributed")
_START_SCHEDULER = f"start it and its workers with PYTHONPATH={_REPOSITORY}: see docs/large_data.md"
_START_WORKERS = f"start workers with PYTHONPATH={_REPOSITORY}: see docs/large_data.md"


def scheduler_address(text: str) -> str:
    """Parse `local:N`, N processes on this machine, or `tcp://host:port` of a scheduler (an argparse type)."""
    if not re.fullmatch(r"local:[1-9]\d{0,3}|(tcp|tls)://(\[[^\]/]+\]|[^:/\s]+):\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be local:N, such as local:4, or tcp://host:port")
    return text


def add_scheduler_argument(parser: argparse._ActionsContainer) -> None:
    """Add `--scheduler` to a script's arguments."""
    parser.add_argument(
        "--scheduler",
        type=scheduler_address,
        metavar="ADDRESS",
        help="let a Dask cluster do the work: tcp://host:port of its scheduler, or local:N for N processes here",
    )


@contextlib.contextmanager
def connect(address: str, folder: Path) -> Iterator[Executor]:
    """Connect to a scheduler, or start one with its workers on this machine.

    Args:
        address: what `scheduler_address` returned.
        folder: output folder of the run, which the workers see under the same path.

    Yields:
        An executor whose calls run on the workers. `result` tells what came of them. When the block ends, tasks that
        still run write nothing more.

    Raises:
        UserError: if Dask is missing, the scheduler cannot be reached, or it or its workers have other versions.
    """
    distributed = _import_distributed()
    with contextlib.ExitStack() as stack:
        if address.startswith("local:"):
            target = stack.enter_context(_local_cluster(distributed, int(address.partition(":")[2])))
        else:
            target = address
        try:
            client = stack.enter_context(distributed.Client(target, timeout=_CONNECT_SECONDS, set_as_default=False))
        except (OSError, TimeoutError):
            raise UserError(
                f"--scheduler {address} cannot be reached; start a scheduler there (dask scheduler), or take local:N"
            ) from None
        stack.callback(storage.remove_partial, folder)  # of workers that died
        run = stack.enter_context(storage.open_run(folder))
        _check_versions(client.get_versions())
        if not client.scheduler_info(n_workers=-1)["workers"]:
            print(f"{address} has no workers yet; {_START_WORKERS}", file=sys.stderr, flush=True)
        yield _TaskExecutor(client.get_executor(pure=False), run)


def result(future: Future) -> Any:
    """Return what a task returned, or a text if the worker died each time that it was tried.

    Raises:
        UserError: if the workers cannot run the tasks.
        ConnectionError: if the scheduler is lost.
        Exception: what the task raised.
    """
    distributed = sys.modules["distributed"]
    try:
        return future.result()
    except distributed.KilledWorker as error:
        return f"{error.allowed_failures + 1} workers died with it, perhaps for want of memory"
    except CancelledError:
        raise ConnectionError("the scheduler has gone; start it again, and the same command goes on") from None
    except ImportError as error:
        raise UserError(f"--scheduler: a worker cannot import {error.name}; {_START_WORKERS}") from None
    except RuntimeError as error:
        if "deserializ" not in str(error):
            raise
        raise UserError(f"--scheduler: the scheduler cannot import this project's code; {_START_SCHEDULER}") from None
    except storage.RunEnded as error:
        raise UserError(f"--scheduler: a worker does not see the output folder ({error})") from None


class _TaskExecutor(Executor):
    """Submits calls as tasks that write for a run."""

    def __init__(self, executor: Executor, run: Path) -> None:
        self._executor, self._run = executor, run

    def submit(self, function: Callable, /, *call: Any) -> Future:
        """Run a call on a worker."""
        return self._executor.submit(_run_task, function, call, self._run, environment())


def _run_task(function: Callable, call: tuple, run: Path, wanted: Mapping[str, str]) -> Any:
    """Call a function on a worker, if it is there with all that decides about its results."""
    if differing := [name for name, version in wanted.items() if environment().get(name) != version]:
        listed = ", ".join(f"{name} {environment().get(name)} instead of {wanted[name]}" for name in differing)
        raise UserError(f"--scheduler: a worker has {listed}; install the same versions, and start it again")
    with storage.write_for(run):
        return function(*call)


@functools.cache  # of the files that are loaded, not of those that a later checkout brings
def environment() -> dict[str, str]:
    """Return the versions that decide about the results: dict of name to version, and a hash of this project's code."""
    digest = hashlib.sha256()
    for folder in ("", "common", "synthesis", "dataset"):
        for path in sorted((_REPOSITORY / folder).glob("*.py")):
            digest.update(path.read_bytes())
    versions = {"this project's code": digest.hexdigest()[:8], "Python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _import_distributed() -> ModuleType:
    try:
        import distributed
    except ImportError:
        raise UserError("--scheduler needs Dask: pip install -r requirements-dask.txt") from None
    for name in ("distributed", "tornado"):  # what is expected is one line of ours
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return distributed


def _local_cluster(distributed: ModuleType, n_workers: int) -> contextlib.AbstractContextManager:
    """Start a scheduler and worker processes of one thread, which end with this process."""
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL + 1,
    )


def _check_versions(versions: Mapping[str, Any]) -> None:
    """Compare Python and Dask of scheduler and workers with those of this process.

    Tasks can be exchanged only between the same ones. `_run_task` compares the rest.
    """

    def of(side: Mapping[str, Any]) -> dict[str, str]:
        python = ".".join(side["host"]["python"].split(".")[:2])
        return {"Python": python, "distributed": side["packages"]["distributed"]}

    here = of(versions["client"])
    for place, side in {"the scheduler": versions["scheduler"], **versions["workers"]}.items():
        for name, version in of(side).items() if side else ():
            if version != here[name]:
                raise UserError(
                    f"--scheduler: {place} has {name} {version}, this process {here[name]}; install the same versions"
                )
