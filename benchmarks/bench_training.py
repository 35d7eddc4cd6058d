#!/usr/bin/env python3
"""The input pipeline alone, the training step alone, and train.py on slices from disk.

With --peer, the step alone beside the same step in Keras's own layers, in PyTorch, or in both. torch is not required
for anything else; any Python that has it can be named.

Examples:
  python benchmarks/bench_training.py --dataset_path features
  python benchmarks/bench_training.py --peer keras torch --peer_python torch/bin/python --rows full-float32 16-float32
"""

import argparse
import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

import material
import peers
from material import ORIGIN, TARGET

BATCH_SIZE = 8


def step_speed(pairs, base_filters, precision, count):
    """Measure the images a second of the compiled step on a batch in memory."""
    import tensorflow as tf

    from common.device import network_options
    from dataset import input_pipeline
    from model import Discriminator, Generator
    from training import steps
    from training.optimizers import make_optimizer

    kind = network_options(precision)
    networks = {"generator": Generator(base_filters, **kind), "discriminator": Discriminator(base_filters, **kind)}
    optimizers = {name: make_optimizer(1e-4, network, precision) for name, network in networks.items()}
    step = tf.function(steps.adversarial_steps(networks, optimizers)[0])
    batch = next(iter(input_pipeline.batches((pairs.sources, pairs.targets), BATCH_SIZE)))
    for _ in range(3):
        step(*batch)
    started = time.perf_counter()
    for _ in range(count):
        losses = step(*batch)
    float(losses["gen_loss"])
    return count * BATCH_SIZE / (time.perf_counter() - started)


def train_speed(dataset_path, base_filters, precision, steps):
    """Measure the images a second of train.py itself, in its second epoch; the first one compiles."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--dataset_path", dataset_path, "--origin", ORIGIN, "--target", TARGET, "--epochs", 2]
        arguments += ["--base_filters", base_filters, "--precision", precision, "--steps_per_epoch", steps]
        arguments += ["--validation_split", 0, "--models_path", folder, "--output_path", folder]
        material.run("train.py", *arguments)
        with open(Path(folder) / f"{ORIGIN}_2_{TARGET}" / "history.csv") as file:
            return float(list(csv.DictReader(file))[1]["images_per_second"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_path", type=Path, help="slices of keyboard and guitar (default: made for this)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="steps a measurement at full size; four times for 16")
    parser.add_argument("--peer", nargs="+", choices=("keras", "torch"), help="measure the step beside these")
    parser.add_argument("--peer_python", default=sys.executable, help="a Python that has torch (default: this one)")
    parser.add_argument("--rows", nargs="+", choices=sorted(peers.ROWS), default=peers.DEFAULT_ROWS, help="with --peer")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn, with --peer")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds until the first step is done, with --peer")
    arguments = parser.parse_args()
    if arguments.peer:
        values = arguments.rows, arguments.peer, arguments.peer_python, arguments.repeats
        peers.measure(*values, arguments.seconds, arguments.limit)
        return
    with tempfile.TemporaryDirectory() as folder:
        dataset_path = arguments.dataset_path or material.make_pieces(Path(folder)) / "features"

        from common.device import start_tensorflow

        device_name = start_tensorflow()
        from dataset.slice_pairs import find_pairs

        (pairs,), _ = find_pairs([dataset_path], [(ORIGIN, TARGET)])
        speed = material.median(lambda: material.pipeline_speed(pairs, BATCH_SIZE, 6000), arguments.repeats)
        material.table("Input pipeline alone, from the page cache", [{"pairs/s": f"{speed:.0f}"}])

        for base_filters, precision in ((64, "float32"), (64, "mixed_bfloat16"), (16, "float32")):
            steps = arguments.steps * 64 // base_filters
            alone, on_disk = [], []
            for _ in range(arguments.repeats):  # by turns, so that a slow minute of the machine affects both
                alone.append(step_speed(pairs, base_filters, precision, steps))
                on_disk.append(train_speed(dataset_path, base_filters, precision, steps))
            alone, on_disk = statistics.median(alone), statistics.median(on_disk)
            row = {
                "base_filters": base_filters,
                "precision": precision,
                "step alone (images/s)": f"{alone:.2f}",
                "train.py on disk (images/s)": f"{on_disk:.2f}",
                "fraction": f"{on_disk / alone:.0%}",
            }
            material.table(f"Training at batch {BATCH_SIZE} on {device_name}", [row])


if __name__ == "__main__":
    main()
