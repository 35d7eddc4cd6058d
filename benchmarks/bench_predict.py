#!/usr/bin/env python3
"""Measure predict.py: a long file compared with the network alone, a short one with importing TensorFlow, and memory.

The network has the full size and random weights, with which it takes as long as with trained ones.

Example:
  python benchmarks/bench_predict.py --minutes 10
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import material
import numpy as np


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--phase", nargs="+", default=["input", "griffinlim_input"])
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common.device import start_tensorflow

    device_name = start_tensorflow()
    import data
    from common.weights import save_model
    from inference.keras_network import make_predict_fn
    from inference.settings import TransferSettings
    from model import Generator

    settings = TransferSettings()
    generator = Generator(arguments.base_filters)
    predict_fn = make_predict_fn(generator)
    n_frames = data.count_frames(int(60 * arguments.minutes * data.SAMPLE_RATE))
    n_slices = -(-(n_frames - settings.overlap) // (data.SLICE_FRAMES - settings.overlap))
    batch = np.random.default_rng(0).uniform(-1, 1, (settings.batch_size, *data.SLICE_SHAPE)).astype(np.float32)
    predict_fn(batch)  # builds the graph

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        config = {"model": {"base_filters": arguments.base_filters, "n_inputs": 1}}
        save_model(folder / "model", {"generator": generator}, config)
        write_noise(folder / "long.wav", 60 * arguments.minutes)
        write_noise(folder / "short.wav", 10)
        times = {"network alone": [], "import tensorflow": []}
        times |= {(name, phase): [] for name in ("long.wav", "short.wav") for phase in arguments.phase}
        peak = 0.0
        for _ in range(arguments.repeats):  # by turns, so that a slow minute of the machine affects all
            times["network alone"].append(time_network(predict_fn, batch, n_slices))
            times["import tensorflow"].append(time_import())
            for name in ("long.wav", "short.wav"):
                for phase in arguments.phase:
                    seconds, peak = run_predict(folder, name, phase)
                    times[name, phase].append(seconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    rows = [make_row(phase, medians, arguments.minutes) for phase in arguments.phase]
    material.table(f"predict.py, base_filters {arguments.base_filters}, on {device_name}; peak {peak:.0f} MiB", rows)


def write_noise(path, seconds):
    import soundfile

    import data

    audio = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * data.SAMPLE_RATE)).astype(np.float32)
    soundfile.write(path, audio, data.SAMPLE_RATE)


def run_predict(folder, name, phase):
    """Run predict.py; return its seconds and its peak memory in MiB."""
    flags = ["--model", folder / "model", "--input", folder / name, "--output", folder / "out.wav", "--phase", phase]
    return material.run("predict.py", *flags, "--overwrite")


def time_network(predict_fn, batch, n_slices):
    """Measure the seconds that the network alone takes for `n_slices` slices."""
    n_batches = n_slices // len(batch)
    started = time.perf_counter()
    for _ in range(n_batches):
        predict_fn(batch)
    return (time.perf_counter() - started) * n_slices / (n_batches * len(batch))


def time_import():
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def make_row(phase, medians, minutes):
    long, short = medians["long.wav", phase], medians["short.wav", phase]
    network, tensorflow = medians["network alone"], medians["import tensorflow"]
    return {
        "phase": phase,
        f"{minutes:g} minutes, whole process (s)": f"{long:.1f}",
        "network alone (s)": f"{network:.1f}",
        "speed relative to it, without start": f"{network / (long - short):.0%}",  # the start is in the short one
        "with start": f"{network / long:.0%}",
        "10 s, whole process (s)": f"{short:.1f}",
        "import tensorflow (s)": f"{tensorflow:.1f}",
        "times that": f"{short / tensorflow:.2f}",
    }


if __name__ == "__main__":
    main()
