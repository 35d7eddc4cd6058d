"""A case of the campaign, and what came of it."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import processes
import samples


class Case(NamedTuple):
    """A case.

    Attributes:
        kind: row of the table.
        name: unique; with the seed of the campaign it decides about all random numbers.
        function: called with a `Trial`, which it tells what failed.
        quick: whether it is among those of which `--quick` takes a sample.
    """

    kind: str
    name: str
    function: Callable[["Trial"], None]
    quick: bool = False


class Trial:
    """A case that is being tried.

    Attributes:
        world: the good files.
        folder: an empty folder for the case.
        rng: its random numbers.
        tried: how many faults the case tries.
        failures: what failed.
        log: what each command printed.
    """

    def __init__(self, world, case, seed, folder):
        self.world, self.case, self.folder = world, case, folder
        digest = hashlib.sha256(f"{seed}/{case.kind}/{case.name}".encode()).digest()
        self.rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        self.tried, self.failures, self.log = 1, [], []

    def fail(self, what):
        """Note a failure, unless `what` is None."""
        if what:
            self.failures.append(what)

    def run(self, script, words, **options):
        """Run a script in a fork, without a judgment."""
        outcome = processes.run(script, words, self.folder / f"log{len(self.log)}", **options)
        self.log.append(f"{script} {' '.join(map(str, words))}\n  {outcome}")
        return outcome

    def must(self, script, words, culprits=(), **options):
        """Run a script; a traceback, a hang or the like is a failure."""
        outcome = self.run(script, words, **options)
        self.fail(outcome.problem(culprits))
        return outcome

    def must_succeed(self, script, words, what="the same command afterwards", **options):
        """Run a script that must end with 0."""
        outcome = self.run(script, words, **options)
        self.fail(outcome.problem() or (f"{what}: {outcome}" if outcome.status else None))
        return outcome

    def must_equal_undisturbed(self, job, out):
        """Compare an output folder with that of an undisturbed run of a job."""
        self.fail(samples.differences(self.world.undisturbed[job][0], samples.contents(out)))
        self.fail(samples.leftovers(out))


def try_case(case, world, seed, folder, keep=False):
    """Try a case in a folder of its own; return the number of faults tried, the failures, and the log."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    trial = Trial(world, case, seed, folder)
    try:
        case.function(trial)
    except Exception as error:  # a mistake of the campaign must not end it
        import traceback

        trial.fail(f"the campaign itself failed: {error!r}")
        trial.log.append(traceback.format_exc())
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return trial.tried, trial.failures, trial.log
