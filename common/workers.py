"""Calls that run at the same time: in threads, or as tasks on a Dask cluster."""

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from common import cluster, storage
from common.processor import available_cores
from common.progress import progress

Name = TypeVar("Name", bound=Hashable)


class Workers(NamedTuple):
    """Who does the work.

    Attributes:
        jobs: calls at a time, in threads; None for one a core.
        scheduler: a Dask cluster that does it instead (see `cluster.scheduler_address`); None for threads.
    """

    jobs: int | None = None
    scheduler: str | None = None


class Pool:
    """Runs calls for an output folder. Threads, or the connection to the cluster, start with the first call.

    Threads serve on one machine, as nearly all the work is done in NumPy, soxr and libsndfile, which release the
    interpreter lock. They start at once and share memory.
    """

    def __init__(self, workers: Workers, folder: Path) -> None:
        """Take who does the work, and the output folder: locked by the caller and, for a cluster, shared."""
        self._workers, self._folder = workers, folder
        self._stack = contextlib.ExitStack()
        self._executor: Executor | None = None

    def __enter__(self) -> "Pool":
        storage.end_runs(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, function: Callable, calls: Mapping[Name, tuple], unit: str) -> Iterator[tuple[Name, Any]]:
        """Yield (name, what its call returned) as the calls finish, in any order.

        The first calls begin first. If the processes that run a call die again and again, a text that says so stands
        for what it returned.

        Args:
            function: what to call. For a cluster, it is one of a module, and its arguments can be pickled; the paths
                among them are absolute.
            calls: dict of name to the arguments of a call.
            unit: what a call makes, for the progress bar.

        Raises:
            UserError: if the cluster cannot be reached or cannot be used.
            ConnectionError: if the scheduler is lost on the way.
        """
        if not calls:
            return
        if self._executor is None:
            self._executor = self._stack.enter_context(self._start())
        futures: dict[Future, Name] = {}
        try:
            for name, call in calls.items():
                futures[self._executor.submit(function, *call)] = name
            result = cluster.result if self._workers.scheduler else Future.result
            yield from progress(
                ((futures[future], result(future)) for future in as_completed(futures)), len(futures), unit
            )
        finally:
            for future in futures:  # after an error or Ctrl-C, calls that have not begun never do
                future.cancel()

    def _start(self) -> contextlib.AbstractContextManager[Executor]:
        if self._workers.scheduler:
            return cluster.connect(self._workers.scheduler, self._folder)
        return ThreadPoolExecutor(self._workers.jobs or available_cores())
