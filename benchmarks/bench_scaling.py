#!/usr/bin/env python3
"""Training on one device, two logical CPU devices, and two processes on this machine; and what a step transfers.

It takes about ten minutes on two cores, and prints each measurement at once.

Example:
  python benchmarks/bench_scaling.py --dataset_path features
"""

import argparse
import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import material
from material import ORIGIN, REPOSITORY, TARGET

PLACES = ("one device", "two logical devices", "two processes")
# title, script, flags
RUNS = (
    ("generator alone, 16 filters, mixed_bfloat16", "train_generator.py", ("--precision", "mixed_bfloat16")),
    ("adversarial, 16 filters, float32", "train.py", ()),
)


def environments(n_workers):
    """Make the environment of each of several processes on this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n_workers)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    for index in range(n_workers):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        yield {**os.environ, "TF_CONFIG": json.dumps(config)}


def speed(dataset_path, script, flags, place, batch_size, steps):
    """Measure the images a second of a script in its second epoch; the first one compiles."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--dataset_path", dataset_path, "--origin", ORIGIN, "--target", TARGET, "--epochs", 2]
        words += ["--base_filters", 16, "--batch_size", batch_size, "--steps_per_epoch", steps, *flags]
        words += ["--validation_split", 0, "--models_path", folder, "--output_path", folder]
        words += ["--devices", "cpu:2" if place == "two logical devices" else "cpu"]
        command = [sys.executable, str(REPOSITORY / script), *map(str, words)]
        several = environments(2) if place == "two processes" else [None]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [subprocess.Popen(command, env=environment, **quiet) for environment in several]
        statuses = [process.wait() for process in started]
        if any(statuses):
            raise RuntimeError(f"failed: {command}")
        (history,) = Path(folder).glob("*/history.csv")
        with open(history) as file:
            return float(list(csv.DictReader(file))[1]["images_per_second"])


def count_bytes(base_filters):
    """Count the bytes of the gradients of a step: (generator, discriminator)."""
    from model import Discriminator, Generator

    networks = Generator(base_filters, random_init=False), Discriminator(base_filters)
    return [4 * sum(v.value.shape.num_elements() for v in n.trainable_variables) for n in networks]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_path", type=Path, help="slices of keyboard and guitar (default: made for this)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=8, help="of all devices together")
    parser.add_argument("--steps", type=int, default=20, help="steps an epoch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset_path = arguments.dataset_path or material.make_pieces(Path(folder)) / "features"
        rows = []
        for title, script, flags in RUNS:
            speeds = {place: [] for place in PLACES}
            for _ in range(arguments.repeats):  # by turns, so that a slow minute of the machine affects all
                for place in PLACES:
                    settings = (script, flags, place, arguments.batch_size, arguments.steps)
                    speeds[place].append(speed(dataset_path, *settings))
                    print(f"{title}, {place}: {speeds[place][-1]:.1f} images/s", flush=True)
            medians = {place: statistics.median(values) for place, values in speeds.items()}
            one = medians["one device"]
            shown = {place: f"{value:.1f} ({value / one:.2f})" for place, value in medians.items()}
            rows.append({"images/s (relative to one device)": title, **shown})
        material.table(f"Training at batch {arguments.batch_size}, medians of {arguments.repeats} runs by turns", rows)

        from common.device import start_tensorflow

        start_tensorflow(-1)
        from dataset.slice_pairs import find_pairs

        rows = []
        for base_filters in (16, 64):
            generator, discriminator = count_bytes(base_filters)
            columns = {"generator (MB)": generator, "discriminator (MB)": discriminator}
            columns["both (MB)"] = generator + discriminator
            rows.append({"base_filters": base_filters, **{name: f"{n / 1e6:.1f}" for name, n in columns.items()}})
        material.table("Gradients of a step, float32", rows)
        (pairs,), _ = find_pairs([dataset_path], [(ORIGIN, TARGET)])
        files = 2 * material.pipeline_speed(pairs, arguments.batch_size, 4000)
        material.table("Input pipeline, page cache", [{"files/s": f"{files:.0f}"}])


if __name__ == "__main__":
    main()
