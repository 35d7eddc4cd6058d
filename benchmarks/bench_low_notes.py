#!/usr/bin/env python3
"""Try what a longer window of the input knows of the frequencies of low partials: docs/phases.md, "Low notes".

Below 1 kHz, the input's phase is replaced by one that advances by the frequencies of the input's partials, which a
window of 4096 or 8192 samples tells apart. Each bin takes the frequency of the strongest partial within 65 Hz. The
phase is anchored to the input's by a weight; a large one is the input's phase itself.

Example:
  python benchmarks/bench_low_notes.py --audios_path test/11 --target guitar_acoustic
"""

import argparse
from pathlib import Path

import material
import numpy as np

WAYS = [(0, 0.0), (4096, 0.1), (8192, 0.0), (8192, 0.1), (8192, 1.0)]
REACH = 65.0  # Hz


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audios_path", required=True, type=Path, help="folder of <instrument>/<piece>.wav")
    parser.add_argument("--origin", default="keyboard_acoustic")
    parser.add_argument("--target", required=True)
    parser.add_argument("--model", help="also with the magnitudes that this model predicts")
    parser.add_argument("--pieces", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--start", type=float, default=5)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    import bench_phases

    import data
    from common import audio, pretrained
    from inference import runtimes
    from inference.phase import FIXED_BINS, apply_phase, fast_griffin_lim
    from inference.transfer import transfer_log_magnitude

    infer = runtimes.load(pretrained.find(arguments.model), "onnx", None).infer if arguments.model else None
    first, length = (int(seconds * data.SAMPLE_RATE) for seconds in (arguments.start, arguments.seconds))
    scores = {}
    for path in sorted((arguments.audios_path / arguments.origin).glob("*.wav"))[: arguments.pieces]:
        source, target = (
            audio.load_audio(arguments.audios_path / instrument / path.name)[first : first + length]
            for instrument in (arguments.origin, arguments.target)
        )
        whole = data.stft(source)
        spectrum, true = whole[: data.N_BINS], data.stft(target)[: data.N_BINS]
        magnitudes = {"true": np.abs(true)}
        if infer:
            image = transfer_log_magnitude(data.log_magnitude(whole), infer)
            magnitudes["predicted"] = data.stft_magnitude(image)
        score = bench_phases.make_score(target)
        for kind, magnitude in magnitudes.items():
            for window, weight in WAYS:
                start = apply_phase(magnitude, spectrum)
                if window:
                    low = advance(magnitude[:FIXED_BINS], spectrum[:FIXED_BINS], source, window, weight)
                    start[:FIXED_BINS] = magnitude[:FIXED_BINS] * low
                found = fast_griffin_lim(start[np.newaxis], 8, 0)[0]
                result = data.istft(np.pad(found, ((0, 513 - len(found)), (0, 0))), len(source))
                scores.setdefault((kind, window, weight), []).append(score(result))
    for kind in magnitudes:
        reference = scores[kind, 0, 0.0]
        rows = []
        for window, weight in WAYS:
            way = f"{window} samples, anchor {weight:g}" if window else "the input's phase"
            rows.append(bench_phases.row(way, scores[kind, window, weight], reference, 0))
            del rows[-1]["s per s"]
        material.table(f"{arguments.target}, {arguments.audios_path}, {kind} magnitude, {len(reference)} pieces", rows)


def advance(magnitude, spectrum, source, window, weight):
    """Integrate the phase of the lowest bins from the frequencies that a longer window finds; complex, of size 1."""
    import data
    import phase_gradient

    n_bins, n_frames = magnitude.shape
    _, delay = phase_gradient.padded_derivatives(np.angle(spectrum))
    bins = np.arange(n_bins)[:, np.newaxis] * data.SAMPLE_RATE / data.N_FFT
    frequency = np.zeros((n_bins, n_frames))
    for index in range(n_frames):
        found, strength = partials(source, index * data.HOP_LENGTH, window)
        if len(found):
            near = np.where(np.abs(found - bins) < REACH, strength, 0)
            best = near.argmax(axis=1)
            nearest = np.where(near.max(axis=1) > 0, found[best], bins[:, 0])
            frequency[:, index] = (nearest - bins[:, 0]) * 2 * np.pi * data.HOP_LENGTH / data.SAMPLE_RATE
    anchor = (weight * np.exp(1j * np.angle(spectrum))).astype(np.complex64) if weight else None
    return phase_gradient.integrate(magnitude, frequency, delay, anchor=anchor)


def partials(source, center, window):
    """Find the peaks of a spectrum below 1.2 kHz: frequencies in Hz (by a parabola), and magnitudes."""
    import data

    # Of the time between this frame and the one before, by which the phase advances.
    start = center - data.HOP_LENGTH // 2 - window // 2
    part = np.zeros(window)
    inside = slice(max(0, start), max(0, min(len(source), start + window)))
    part[inside.start - start : inside.stop - start] = source[inside]
    magnitude = np.abs(np.fft.rfft(part * np.hanning(window)))[: int(1200 * window / data.SAMPLE_RATE)] + 1e-9
    inner = magnitude[1:-1]
    peaks = 1 + np.flatnonzero(
        (inner > magnitude[:-2]) & (inner >= magnitude[2:]) & (inner > 0.01 * magnitude.max()) & (inner > 1e-3)
    )
    below, at, above = (np.log(magnitude[peaks + offset]) for offset in (-1, 0, 1))
    shift = (below - above) / (2 * (below - 2 * at + above))
    return (peaks + shift) * data.SAMPLE_RATE / window, magnitude[peaks]


if __name__ == "__main__":
    main()
