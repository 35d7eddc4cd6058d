#!/usr/bin/env python3
"""How fast predict.py is: a long file beside the network alone, a short one beside importing TensorFlow, and memory.

The network is of full size with fresh weights, which take as long as trained ones.

example:
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--phase", nargs="+", default=["input", "griffinlim_input"])
    arguments = parser.parse_args()

    from device import start_tensorflow

    running_on = start_tensorflow()
    import soundfile

    import data
    from model import Generator, save_model
    from transfer import BATCH_SIZE, OVERLAP_FRAMES, make_generate

    generator = Generator(arguments.base_filters)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        config = {"model": {"base_filters": arguments.base_filters, "n_inputs": 1}}
        save_model(folder / "model", {"generator": generator}, config)
        rng = np.random.default_rng(0)
        for name, seconds in (("long.wav", 60 * arguments.minutes), ("short.wav", 10)):
            audio = 0.1 * rng.standard_normal(int(seconds * data.SAMPLE_RATE)).astype(np.float32)
            soundfile.write(folder / name, audio, data.SAMPLE_RATE)

        n_frames = data.count_frames(int(60 * arguments.minutes * data.SAMPLE_RATE))
        n_slices = -(-(n_frames - OVERLAP_FRAMES) // (data.SLICE_FRAMES - OVERLAP_FRAMES))
        generate = make_generate(generator)
        batch = rng.uniform(-1, 1, (BATCH_SIZE, *data.SLICE_SHAPE)).astype(np.float32)

        def predict(name, phase):
            words = (
                "--model",
                folder / "model",
                "--input",
                folder / name,
                "--output",
                folder / "out.wav",
                "--overwrite",
            )
            return material.run("predict.py", *words, "--phase", phase)

        def importing():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL)
            return time.perf_counter() - started

        def alone():
            started = time.perf_counter()
            for _ in range(n_slices // BATCH_SIZE):
                generate(batch)
            return (time.perf_counter() - started) * n_slices / (n_slices // BATCH_SIZE * BATCH_SIZE)

        generate(batch)
        times = {"network alone": [], "import tensorflow": []}
        times |= {(name, phase): [] for name in ("long.wav", "short.wav") for phase in arguments.phase}
        peak = 0
        for _ in range(arguments.repeats):  # by turns, so that a slow minute of the machine meets all
            times["network alone"].append(alone())
            times["import tensorflow"].append(importing())
            for name in ("long.wav", "short.wav"):
                for phase in arguments.phase:
                    seconds, peak = predict(name, phase)
                    times[name, phase].append(seconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    rows = []
    for phase in arguments.phase:
        long, short = medians["long.wav", phase], medians["short.wav", phase]
        # What starting takes is in the short one.
        speed = medians["network alone"] / (long - short)
        rows.append(
            {
                "phase": phase,
                f"{arguments.minutes:g} minutes, whole process (s)": f"{long:.1f}",
                "network alone (s)": f"{medians['network alone']:.1f}",
                "speed beside it, start apart": f"{speed:.0%}",
                "start included": f"{medians['network alone'] / long:.0%}",
                "10 s, whole process (s)": f"{short:.1f}",
                "import tensorflow (s)": f"{medians['import tensorflow']:.1f}",
                "times that": f"{short / medians['import tensorflow']:.2f}",
            }
        )
    material.table(f"predict.py, base_filters {arguments.base_filters}, on {running_on}; peak {peak:.0f} MiB", rows)


if __name__ == "__main__":
    main()
