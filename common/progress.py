"""Progress of long work."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

_LOG_SECONDS = 10.0  # between the lines that stand for the bar where stderr is no terminal

Item = TypeVar("Item")


class ProgressBar(tqdm):
    """A tqdm bar on a terminal; elsewhere, in a log file say, a plain line every ten seconds."""

    def __init__(self, total: float, unit: str) -> None:
        super().__init__(total=total, unit=f" {unit}", disable=None, dynamic_ncols=True)  # None: unless a terminal
        self._unit, self._done, self._started = unit, 0.0, time.monotonic()
        self._logged = self._started

    def update(self, n: float = 1) -> bool | None:
        """Move on by `n`."""
        self._done += n
        now = time.monotonic()
        if self.disable and now - self._logged >= _LOG_SECONDS:
            self._logged = now
            line = f"{self._done:.0f} of {self.total:.0f} {self._unit}, {now - self._started:.0f} s"
            print(line, file=sys.stderr, flush=True)
        return super().update(n)

    def write_line(self, line: str) -> None:
        """Print a line above the bar, at once even where stdout is a pipe or a file."""
        self.write(line)
        sys.stdout.flush()


def progress(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """Yield from `items`, with a `ProgressBar`."""
    with ProgressBar(total, unit) as bar:
        for item in items:
            yield item
            bar.update()
