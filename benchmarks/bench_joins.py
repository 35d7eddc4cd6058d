#!/usr/bin/env python3
"""Measure what the overlap of slices costs in prediction, and how much the result jumps at joins.

The jump of a frame is the mean absolute difference of its log-magnitude from the frame before. At a join (where slices
meet, or anywhere in their cross-fade) it is compared with that of all other frames.

Example:
  python benchmarks/bench_joins.py --model keyboard_acoustic_2_guitar_acoustic --input piano.wav
"""

import argparse
import time
from pathlib import Path

import material
import numpy as np

PIPELINE = material.REPOSITORY / "demo" / "pipeline"  # what `make pipeline` writes


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(PIPELINE / "models" / "keyboard_acoustic_2_guitar_acoustic"))
    parser.add_argument("--input", type=Path, default=PIPELINE / "audios" / "keyboard_acoustic" / "exercise_01.wav")
    parser.add_argument("--target", type=Path, help="the same music played by the target, for the error")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if not arguments.input.exists():
        raise SystemExit(f"{arguments.input} does not exist: run make pipeline first, or name a --model and an --input")

    from common import pretrained
    from common.device import start_tensorflow

    model_path = pretrained.find(arguments.model)
    device_name = start_tensorflow()
    import data
    from common.audio import load_audio
    from common.weights import load_generator
    from inference.keras_network import make_predict_fn
    from inference.transfer import transfer_log_magnitude

    def read_log_magnitude(path):
        return data.log_magnitude(data.stft(load_audio(path)))

    predict_fn = make_predict_fn(load_generator(model_path)[0])
    source = read_log_magnitude(arguments.input)
    target = read_log_magnitude(arguments.target) if arguments.target else None
    transfer_log_magnitude(source[:, :1000], predict_fn)  # builds the graph
    rows = []
    for overlap in (0, 16, 32, 64, 128):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            result = transfer_log_magnitude(source, predict_fn, overlap)
            seconds.append(time.perf_counter() - started)
        row = {"overlap (frames)": overlap, "seconds": f"{np.median(seconds):.2f}", **measure_jumps(result, overlap)}
        if target is not None:
            n_frames = min(result.shape[1], target.shape[1])
            row["MAE on [-1, 1]"] = f"{2 * np.abs(result[:, :n_frames] - target[:, :n_frames]).mean():.5f}"
        rows.append(row)
    music = source.shape[1] * data.HOP_LENGTH / data.SAMPLE_RATE
    material.table(f"Joins of {arguments.input.name} ({music:.0f} s) on {device_name}", rows)


def measure_jumps(log_magnitude, overlap):
    """Return the cells of the table for the jumps at joins and elsewhere."""
    import data

    hop = data.SLICE_FRAMES - overlap
    jumps = np.abs(np.diff(log_magnitude, axis=1)).mean(axis=0)  # of frames 1, 2, …
    at_join = np.zeros(len(jumps), dtype=bool)
    for start in range(hop, log_magnitude.shape[1] - overlap, hop):
        at_join[start - 1 : start + overlap] = True
    return {
        "mean jump at joins": f"{jumps[at_join].mean():.4f}",
        "elsewhere": f"{jumps[~at_join].mean():.4f}",
        "greatest at joins": f"{jumps[at_join].max():.4f}",
        "greatest elsewhere": f"{jumps[~at_join].max():.4f}",
    }


if __name__ == "__main__":
    main()
