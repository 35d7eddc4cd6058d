#!/usr/bin/env python3
"""Run the campaign of faults: kills, malformed files, full disks, odd names and surroundings, two runs at once.

Every case is made by seed. A table of the classes is printed, and each failure with the command that repeats it; the
exit status is 1 if there is one. Everything happens in a temporary folder. Full and read-only disks need root on Linux.

Example:
  python benchmarks/faults/run.py
  python benchmarks/faults/run.py --only MIDI --seed 3
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import disks
import kills
import malformed_audio
import malformed_models
import malformed_music
import malformed_training
import numpy as np
import processes
import samples
import surroundings
from trial import try_case

_QUICK_SAMPLE = 40
_STATE = {}  # of the campaign, which the worker processes inherit


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seed", type=int, default=0)
    add("--only", help="the classes whose name holds this text")
    add("--case", help="one case, by its name; what its commands printed is shown, and its folder kept")
    add("--quick", action="store_true", help="a small sample that needs no TensorFlow")
    add("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="cases at a time (default: %(default)s)")
    add("--seconds", type=float, default=processes.SECONDS, help="what a command may take (more on a busy machine)")
    add("--folder", help="where the temporary folder is made (default: the system's)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    started = time.monotonic()
    processes.SECONDS = arguments.seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what is temporary is removed
    cases = choose(all_cases(), arguments)
    if not cases:
        sys.exit("no case has such a name")
    processes.load_libraries(with_network=not arguments.quick)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=arguments.folder))
    try:
        world = samples.World(folder / "world", with_network=not arguments.quick)
        _STATE.update(world=world, cases=cases, folder=folder, arguments=arguments)
        with pool(arguments.jobs) as workers:
            needed = {job for job in world.jobs if any(job in case.name.split() for case in cases)}
            needed = sorted(needed | ({"train_generator"} if "resumed" in needed else set()))
            world.undisturbed = dict(zip(needed, workers.map(undisturbed, needed), strict=True))
        with pool(arguments.jobs) as workers:  # they inherit what an undisturbed run makes
            results = list(progress(workers.map(try_number, range(len(cases))), cases))
    finally:
        disks.unmount_below(folder)
        if not arguments.case:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(cases, results, arguments.seed, time.monotonic() - started)
    if arguments.case:
        for _, _, log in results:
            print("\n", "\n".join(log), f"\nin {folder}", sep="")
    return int(any(failures for _, failures, _ in results))


def all_cases():
    """List all cases, those of which `--quick` takes a sample included."""
    malformed = (malformed_audio, malformed_music, malformed_models, malformed_training)
    return [case for module in (kills, *malformed, disks, surroundings) for case in module.cases()]


def choose(cases, arguments):
    if arguments.case:
        return [case for case in cases if case.name == arguments.case]
    if arguments.only:
        cases = [case for case in cases if arguments.only.lower() in case.kind.lower()]
    if arguments.quick:
        cases = [case for case in cases if case.quick]
        kills = [next(case for case in cases if case.name.startswith(job)) for job in ("synthesis", "features")]
        others = [case for case in cases if not case.kind.startswith("kills")]
        count = min(_QUICK_SAMPLE, len(others))
        numbers = np.random.default_rng(arguments.seed).choice(len(others), count, replace=False)
        cases = [*kills, *(others[number] for number in sorted(numbers))]
    return cases


def pool(jobs):
    return concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"))


def undisturbed(job):
    return _STATE["world"].run_undisturbed(job, _STATE["folder"] / "undisturbed")


def try_number(number):
    case, arguments = _STATE["cases"][number], _STATE["arguments"]
    folder = _STATE["folder"] / f"{number:04d}"
    return try_case(case, _STATE["world"], arguments.seed, folder, bool(arguments.case))


def progress(results, cases):
    """Pass results on, and show on stderr how far they are."""
    for case, result in zip(cases, results, strict=True):
        for failure in result[1]:
            print(f"FAILED {case.kind}: {case.name}: {failure}", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(f"\r{time.strftime('%H:%M')} {case.kind}: {case.name}\x1b[K", end="", file=sys.stderr, flush=True)
        yield result


def print_table(cases, results, seed, seconds):
    rows = {}
    for case, (tried, failures, _) in zip(cases, results, strict=True):
        row = rows.setdefault(case.kind, [0, 0])
        row[0] += tried
        row[1] += tried - (min(tried, len(failures)) if tried else 0)
    print(f"\n{machine()}, seed {seed}, {seconds / 60:.0f} minutes\n")
    print("| class | tried | held |\n| --- | ---: | ---: |")
    for kind, (tried, held) in rows.items():
        print(f"| {kind} | {tried} | {held} |")
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    print(f"| **all** | **{total[0]}** | **{total[1]}** |")
    failed = [(case, failures) for case, (_, failures, _) in zip(cases, results, strict=True) if failures]
    for case, failures in failed:
        print(f"\n* {case.kind}: {case.name}\n  " + "\n  ".join(failures))
        print(f"  repeat: python benchmarks/faults/run.py --seed {seed} --case {case.name!r}")


def machine():
    """Describe commit and machine in one line."""
    words = ["git", "-C", str(processes.REPOSITORY), "describe", "--always", "--dirty"]
    commit = subprocess.run(words, capture_output=True, text=True).stdout.strip() or "no commit"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"commit {commit}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {sys.version.split()[0]}"


if __name__ == "__main__":
    sys.exit(main())
