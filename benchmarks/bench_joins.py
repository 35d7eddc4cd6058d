#!/usr/bin/env python3
"""What the overlap of slices costs in prediction, and how much the result jumps at joins.

The jump of a frame is the mean absolute difference of its log-magnitude from the frame before. At a join (where slices
meet, or anywhere in their cross-fade) it is compared with that of all other frames.

example:
  python benchmarks/bench_joins.py --model models/keyboard_acoustic_2_guitar_acoustic --input piano.wav
"""

import argparse
import time
from pathlib import Path

import material
import numpy as np

CHAIN = material.REPOSITORY / "demo" / "chain"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=CHAIN / "models" / "keyboard_acoustic_2_guitar_acoustic")
    parser.add_argument("--input", default=CHAIN / "audios" / "keyboard_acoustic" / "exercise_01.wav")
    parser.add_argument("--target", help="the same music played by the target, for the error")
    arguments = parser.parse_args()
    if not Path(arguments.model).exists():
        raise SystemExit(f"{arguments.model} does not exist: run make chain first, or name a --model and an --input")

    from device import start_tensorflow

    running_on = start_tensorflow()
    import audio_files
    import data
    from model import load_generator
    from transfer import make_generate, transfer_log_magnitude

    def log_magnitude(path):
        return data.log_magnitude(data.stft(audio_files.load_audio(path)))

    generate = make_generate(load_generator(arguments.model)[0])
    source = log_magnitude(arguments.input)
    target = log_magnitude(arguments.target) if arguments.target else None
    transfer_log_magnitude(source[:, :1000], generate)  # the graph is made
    rows = []
    for overlap in (0, 16, 32, 64, 128):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            result = transfer_log_magnitude(source, generate, overlap)
            seconds.append(time.perf_counter() - started)
        jumps = np.abs(np.diff(result, axis=1)).mean(axis=0)  # of frames 1, 2, …
        at_join = np.zeros(len(jumps), dtype=bool)
        for start in range(data.SLICE_FRAMES - overlap, result.shape[1] - overlap, data.SLICE_FRAMES - overlap):
            at_join[start - 1 : start + overlap] = True
        row = {
            "overlap (frames)": overlap,
            "seconds": f"{np.median(seconds):.2f}",
            "mean jump at joins": f"{jumps[at_join].mean():.4f}",
            "elsewhere": f"{jumps[~at_join].mean():.4f}",
            "greatest at joins": f"{jumps[at_join].max():.4f}",
            "greatest elsewhere": f"{jumps[~at_join].max():.4f}",
        }
        if target is not None:
            n_frames = min(result.shape[1], target.shape[1])
            row["MAE on [-1, 1]"] = f"{2 * np.abs(result[:, :n_frames] - target[:, :n_frames]).mean():.5f}"
        rows.append(row)
    music = source.shape[1] * data.HOP_LENGTH / data.SAMPLE_RATE
    material.table(f"Joins of {Path(arguments.input).name} ({music:.0f} s) on {running_on}", rows)


if __name__ == "__main__":
    main()
