#!/usr/bin/env python3
"""Train the same network on the same data and seed in several checkouts, side by side, a core each: error by minutes.

Each checkout trains for as long as is given. A picture shows the validation error against the minutes since the start,
and a table the images and the error that each reached.

Example:
  python benchmarks/bench_curves.py --dataset_path features --checkouts before=../before after=. --picture curves.png
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import material
from material import ORIGIN, TARGET


def start(checkout, core, dataset_path, folder):
    """Start a training that does not end by itself, on one core; every epoch is of 1,200 slices."""
    words = ["--dataset_path", dataset_path, "--origin", ORIGIN, "--target", TARGET, "--epochs", 1000]
    words += ["--base_filters", 16, "--batch_size", 4, "--lr", 1e-3, "--steps_per_epoch", 300]
    words += ["--validation_split", 0.03, "--seed", 0, "--models_path", folder, "--output_path", folder]
    command = [sys.executable, str(checkout / "train_generator.py"), *map(str, words)]
    log = open(folder / "log", "w")  # noqa: SIM115 - for as long as the process runs
    pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
    return subprocess.Popen(command, cwd=checkout, stdout=log, stderr=log, preexec_fn=pin)


def read_errors(folder):
    """Return the validation errors of the epochs so far."""
    for path in folder.glob("*/history.csv"):
        with open(path) as file:
            return [float(row["gen_mae_val"]) for row in csv.DictReader(file)]
    return []


def watch(processes, folders, minutes):
    """Wait; return for each process the (minutes, error) of its epochs, when they were written."""
    curves, started = {name: [] for name in processes}, time.monotonic()
    while (elapsed := (time.monotonic() - started) / 60) < minutes:
        time.sleep(1)
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError((folders[name] / "log").read_text())
            for error in read_errors(folders[name])[len(curves[name]) :]:
                curves[name].append((elapsed, error))
    return curves


def draw(curves, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for name, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.set_xlabel("minutes since the start")
    axis.set_ylabel("validation error (gen_mae_val)")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_path", type=Path, required=True, help="slices of keyboard and guitar")
    parser.add_argument("--checkouts", nargs="+", required=True, metavar="NAME=FOLDER", help="at most one a core")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--picture", type=Path, default=Path("curves.png"))
    arguments = parser.parse_args()
    checkouts = {name: Path(path).resolve() for name, path in (word.split("=", 1) for word in arguments.checkouts)}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in checkouts}
        processes = {}
        try:
            for core, (name, checkout) in zip(sorted(os.sched_getaffinity(0)), checkouts.items(), strict=False):
                folders[name].mkdir()
                processes[name] = start(checkout, core, arguments.dataset_path.resolve(), folders[name])
            curves = watch(processes, folders, arguments.minutes)
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()
    draw(curves, arguments.picture)
    rows = [
        {"checkout": name, "images": 1200 * len(points), "best error": f"{min(error for _, error in points):.4f}"}
        for name, points in curves.items()
    ]
    material.table(f"{arguments.minutes:g} minutes, a core each", rows)
    for name, points in curves.items():
        print(name, " ".join(f"{minutes:.1f}:{error:.4f}" for minutes, error in points))


if __name__ == "__main__":
    main()
