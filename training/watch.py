"""When a run looks up from its steps: to save, to stop, to show its losses. All workers do so after the same step."""

import time
from typing import NamedTuple

from training.checkpoints import Interruption
from training.devices import Devices

_CHECK_SECONDS = 1.0  # how often the losses are fetched from the device, for the bar and to notice a NaN


class Due(NamedTuple):
    """What is to be done after a step.

    Attributes:
        check: whether to fetch the losses.
        save: whether to write a checkpoint.
        stop: whether to stop.
    """

    check: bool
    save: bool
    stop: bool


class Watch:
    """The times of an epoch: a check once a second, a checkpoint every few minutes, a stop when one is requested.

    One worker looks at the clock after each step. Several would disagree, and wait for each other forever: they meet
    after a number of steps that all of them derive from the same sums, about once a second, and a request to stop that
    one of them got stops all.
    """

    def __init__(self, devices: Devices, interruption: Interruption, save_seconds: float) -> None:
        """Start the clock.

        Args:
            devices: what the run is spread over.
            interruption: whether this worker is asked to stop.
            save_seconds: time between checkpoints.
        """
        self._devices, self._interruption, self._save_seconds = devices, interruption, save_seconds
        self._checked = self._saved = time.monotonic()
        self._steps, self._interval = 0, 1

    def after_step(self) -> Due:
        """Decide what is due; call it after each step."""
        now = time.monotonic()
        save = now - self._saved >= self._save_seconds
        if self._devices.n_workers == 1:
            due = Due(now - self._checked >= _CHECK_SECONDS, save, self._interruption.requested)
        else:
            self._steps += 1
            if self._steps < self._interval:
                return Due(False, False, False)
            own = [self._interruption.requested, save and self._devices.is_chief, now - self._checked]
            n_stop, n_save, seconds = self._devices.total_of_workers(own)
            steps_a_second = self._steps * self._devices.n_workers / max(seconds, 1e-3)
            self._steps, self._interval = 0, max(1, int(steps_a_second * _CHECK_SECONDS))
            due = Due(True, n_save > 0, n_stop > 0)
        if due.check:
            self._checked = now
        if due.save:
            self._saved = time.monotonic()
        return due
