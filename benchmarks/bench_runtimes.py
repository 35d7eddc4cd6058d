#!/usr/bin/env python3
"""predict.py with onnxruntime and with TensorFlow: seconds and memory of the whole process, by the length of the input.

Example:
  python benchmarks/bench_runtimes.py --seconds 10 60 600
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import material
import numpy as np

RUNTIMES = ("onnx", "tensorflow")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="keyboard_acoustic_2_guitar_acoustic")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 600], help="lengths of the recordings")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    import soundfile

    melody, rate = soundfile.read(material.REPOSITORY / "docs" / "examples" / material.ORIGIN / "melody.wav")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        source, output = Path(temporary) / "in.wav", Path(temporary) / "out.wav"
        for seconds in arguments.seconds:
            soundfile.write(source, np.resize(melody, seconds * rate), rate)
            words = ("--model", arguments.model, "--input", source, "--output", output, "--overwrite", "--gpu", -1)
            runs = {runtime: [] for runtime in RUNTIMES}
            for _ in range(arguments.repeats):
                for runtime in RUNTIMES:
                    runs[runtime].append(material.measure("predict.py", *words, "--runtime", runtime))
            row = {"recording": f"{seconds} s"}
            for runtime, measured in runs.items():
                took, _, memory = map(statistics.median, zip(*measured, strict=True))
                row |= {runtime: f"{took:.1f} s", f"{runtime}, memory": f"{memory:.0f} MiB"}
            rows.append(row)
    material.table(f"{arguments.model}, medians of {arguments.repeats} whole processes by turns", rows)


if __name__ == "__main__":
    main()
