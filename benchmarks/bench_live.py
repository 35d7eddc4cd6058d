#!/usr/bin/env python3
"""Measure what live conversion costs: error against look-ahead and hop, and the speed of a step on one core.

Live, the network sees the last 256 frames. Of what it generates, `hop` frames are taken at a time, and the newest of
them has `look-ahead` frames behind it. The error is the mean absolute error of log-magnitude on [-1, 1].

Example:
  python benchmarks/bench_live.py --model keyboard_acoustic_2_guitar_acoustic --source piano.wav --target guitar.wav
"""

import argparse
import time
from pathlib import Path

import material
import numpy as np

EXAMPLES = material.REPOSITORY / "docs" / "examples"
LOOKAHEADS, HOPS = (0, 1, 2, 4, 8, 16, 32), (1, 2, 4, 6, 8, 16)
STRIDE = 8  # frames from one measured image to the next
LIVE_LOOKAHEAD = 4  # of the page
REPEATS = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="keyboard_acoustic_2_guitar_acoustic")
    parser.add_argument("--source", type=Path, nargs="+", default=[EXAMPLES / "keyboard_acoustic" / "melody.wav"])
    parser.add_argument("--target", type=Path, nargs="+", default=[EXAMPLES / "guitar_acoustic" / "melody.wav"])
    parser.add_argument("--style", type=Path, help="recording of the target, for a model that takes one")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each recording")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    for path in (*arguments.source, *arguments.target):
        if not path.is_file():
            raise SystemExit(f"{path} does not exist; name recordings with --source and --target, a target each")
    from common import pretrained
    from common.stored_generator import find_generator
    from inference import onnx_network, onnx_variants
    from inference.style import read_style

    stored = find_generator(pretrained.find(arguments.model))
    session = onnx_network.start_session(onnx_variants.limit_decoder(onnx_network.build(stored)), threads=1)
    style = {"style": read_style(str(arguments.style)).slices} if arguments.style else {}

    def generate(image, n_frames):
        return session.run(None, {"source": image, "frames": np.array([n_frames]), **style})[0]

    n_behind = max(LOOKAHEADS) + max(HOPS)
    errors = np.concatenate(
        [
            measure_errors(generate, source, target, n_behind, arguments.seconds)
            for source, target in zip(arguments.source, arguments.target, strict=True)
        ]
    )
    material.table(f"Error of {arguments.model}, {len(errors)} images", error_rows(errors.mean(axis=0)))
    material.table(f"A step of {arguments.model}, onnxruntime, one thread", speed_rows(generate))


def measure_errors(generate, source, target, n_behind, seconds):
    """Return the error of each image and frame, [shape=(n_images, n_behind)]; of frames with 0, 1, … behind them."""
    import data
    from common.audio import load_audio

    n_samples = round(seconds * data.SAMPLE_RATE)
    images = [data.log_magnitude(data.stft(load_audio(path)[:n_samples])) for path in (source, target)]
    n_frames = min(image.shape[1] for image in images)
    given, wanted = (data.to_network(image[:, :n_frames]) for image in images)
    errors = []
    for end in range(data.SLICE_FRAMES, n_frames + 1, STRIDE):
        generated = generate(given[np.newaxis, :, end - data.SLICE_FRAMES : end, np.newaxis], n_behind)[0, ..., 0]
        errors.append(np.abs(generated - wanted[:, end - n_behind : end]).mean(axis=0)[::-1])
    return np.array(errors)


def error_rows(errors):
    """Return the table of the error: a row for each look-ahead, a column for each hop."""
    import data

    milliseconds = 1000 * data.HOP_LENGTH / data.SAMPLE_RATE
    return [
        {
            "look-ahead (frames)": lookahead,
            "ms": f"{lookahead * milliseconds:.0f}",
            **{f"hop {hop}": f"{errors[lookahead : lookahead + hop].mean():.4f}" for hop in HOPS},
        }
        for lookahead in LOOKAHEADS
    ]


def speed_rows(generate):
    """Return the table of the speed: a row for each hop, with a look-ahead of 4 frames."""
    import data

    image = np.random.default_rng(0).uniform(-1, 1, (1, *data.SLICE_SHAPE)).astype(np.float32)
    rows = []
    for hop in HOPS:
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            generate(image, hop + LIVE_LOOKAHEAD)
            seconds.append(time.perf_counter() - started)
        step, music = np.median(seconds), hop * data.HOP_LENGTH / data.SAMPLE_RATE
        rows.append(
            {
                "hop (frames)": hop,
                "music (ms)": f"{1000 * music:.0f}",
                "step (ms)": f"{1000 * step:.1f}",
                "× real time": f"{music / step:.1f}",
            }
        )
    return rows


if __name__ == "__main__":
    main()
