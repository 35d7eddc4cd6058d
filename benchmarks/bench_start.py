#!/usr/bin/env python3
"""Measure the start of a training on many slices: seconds and peak memory until the first step.

Makes a data set of hard links to a few slices of noise, as many as --slices for each of two instruments in pieces of
190, and runs train.py on it with a narrow network up to the first step.

Example:
  python benchmarks/bench_start.py --slices 250000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import material
import numpy as np

IN_A_PIECE = 190  # as in MAESTRO: 564 s
# Runs train.py in this process and ends it where the first step would begin.
UNTIL_FIRST_STEP = """
import json, resource, runpy, sys, time
started = time.perf_counter()
sys.path.insert(0, sys.argv[1])
sys.argv = sys.argv[2:]
import training.loop

def stop(*_):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
    raise SystemExit(0)

training.loop._train_epoch = stop
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make_slices(folder, n_slices):
    """Make a data set of hard links; each piece has one slice of noise for each instrument."""
    rng = np.random.default_rng(0)
    names = [f"{2004 + number % 10}-piece_{number:04d}" for number in range(-(-n_slices // IN_A_PIECE))]
    entries = {}
    for instrument in (material.ORIGIN, material.TARGET):
        (folder / instrument).mkdir(parents=True)
        left = n_slices
        for name in names:
            first = folder / instrument / f"{name}_000.npy"
            np.save(first, rng.random((256, 256, 1)).astype(np.float16))
            count = min(left, IN_A_PIECE)
            for index in range(1, count):
                os.link(first, folder / instrument / f"{name}_{index:03d}.npy")
            left -= count
            entry = {"slices": count, "audio": [44 + 2 * 44_100 * 564, 0], "path": f"/data/{instrument}/{name}.wav"}
            entry["sounding"] = " ".join(["256"] * count)
            entries[f"{instrument}/{name}"] = entry
    (folder / "features.json").write_text(json.dumps({"settings": {}, "entries": entries}, indent=1))


def measure(dataset_path, script):
    """Start a training; return seconds, seconds of CPU and peak memory in MiB until the first step."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--dataset_path", dataset_path, "--origin", material.ORIGIN, "--target", material.TARGET]
        words += ["--base_filters", "4", "--steps_per_epoch", "1", "--models_path", folder, "--output_path", folder]
        command = [sys.executable, "-c", UNTIL_FIRST_STEP, material.REPOSITORY, material.REPOSITORY / script, *words]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=250_000, help="of each instrument")
    parser.add_argument("--dataset_path", type=Path, help="a data set to start on instead")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scripts", nargs="+", default=["train.py", "train_multitarget.py"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset_path = arguments.dataset_path or Path(folder) / "features"
        if not arguments.dataset_path:
            started = time.perf_counter()
            make_slices(dataset_path, arguments.slices)
            print(f"{arguments.slices} slices an instrument linked in {time.perf_counter() - started:.0f} s")
        rows = []
        for script in arguments.scripts:
            runs = np.array([measure(dataset_path, script) for _ in range(arguments.repeats)])
            seconds, cpu, memory = np.median(runs, axis=0)
            row = {"script": script, "seconds": f"{seconds:.1f}", "seconds of CPU": f"{cpu:.1f}"}
            rows.append({**row, "peak memory (MiB)": f"{memory:.0f}"})
        material.table(f"from the start to the first step, medians of {arguments.repeats}", rows)


if __name__ == "__main__":
    main()
