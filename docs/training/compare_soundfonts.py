#!/usr/bin/env python3
"""Measure instruments of SoundFonts as targets: bandwidth, velocities, loops, levels, attack and release, as a table.

Example:
  python docs/training/compare_soundfonts.py --soundfonts FluidR3_GM.sf2 sf_GMbank.sf2 --programs 24 25 48
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import signal

from common.cli import UserError
from data import HOP_LENGTH, SAMPLE_RATE, log_magnitude, stft
from synthesis.note_sources import SoundFont

PITCHES = range(40, 89, 6)
VELOCITIES = (25, 50, 75, 100, 127)
USUAL = 100  # the velocity at which pitches are compared
COLUMNS = (
    ("8 to 11 kHz (dB)", "energy there, under the whole"),
    ("samples", "recordings that the velocities 25 to 127 play: adjacent ones that correlate below 0.9"),
    ("brighter (dB)", "8 kHz octave relative to the 1 kHz octave, velocity 127 minus 25"),
    ("dynamics (dB)", "level of velocity 127 minus that of 25"),
    ("uneven (dB)", "largest step of level between pitches half an octave apart"),
    ("held (dB)", "level at 3 s minus that at 0.5 s"),
    ("texture", "standard deviation of the log-magnitude minus its mean over 9 frames, 1 to 3 s, times 1000"),
    ("loop", "largest correlation of the spectrum with itself 0.1 to 1 s later, without its trend: 1 is a short loop"),
    ("attack (ms)", "until half of the largest level"),
    ("release (ms)", "until 40 dB below the level at 3 s; 1000 is the most"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soundfonts", required=True, nargs="+", type=Path)
    parser.add_argument("--programs", nargs="+", type=int, default=[24, 25, 48, 49, 50, 80, 81])
    arguments = parser.parse_args()
    print("| program | SoundFont |", " | ".join(name for name, _ in COLUMNS), "|")
    print("|---" * (2 + len(COLUMNS)) + "|")
    rows = {}
    for path in arguments.soundfonts:
        source = SoundFont(path, SAMPLE_RATE)
        for program in arguments.programs:
            try:
                source.select(0, program)
            except UserError:
                continue
            rows[program, path.stem] = measure(source)
            print(f"| {program} | {path.stem} |", " | ".join(f"{value:.4g}" for value in rows[program, path.stem]), "|")
            sys.stdout.flush()


def measure(source):
    """Measure the instrument that a source plays: the values of COLUMNS."""
    notes = {(pitch, USUAL): source.render("", pitch, USUAL) for pitch in PITCHES}
    for pitch in PITCHES[1::3]:
        notes |= {(pitch, velocity): source.render("", pitch, velocity) for velocity in VELOCITIES}
    notes = {key: note for key, note in notes.items() if np.abs(note).max() > 1e-4}
    usual = [notes[pitch, USUAL] for pitch in PITCHES if (pitch, USUAL) in notes]
    layered = [
        [notes[pitch, velocity] for velocity in VELOCITIES]
        for pitch in PITCHES[1::3]
        if all((pitch, velocity) in notes for velocity in VELOCITIES)
    ]
    levels = [level(note) for note in usual]
    return (
        np.mean([high_band(note) for note in usual]),
        np.max([count_samples(velocities) for velocities in layered]),
        np.mean([brightness(velocities[-1]) - brightness(velocities[0]) for velocities in layered]),
        np.mean([level(velocities[-1]) - level(velocities[0]) for velocities in layered]),
        np.abs(np.diff(levels)).max(),
        np.mean([level(note, 2.5, 3) - level(note, 0.25, 0.75) for note in usual]),
        1000 * np.nanmean([texture(note) for note in usual]),
        np.nanmean([repetition(note) for note in usual]),
        1000 * np.mean([attack(note) for note in usual]),
        1000 * np.mean([release(note) for note in usual]),
    )


def level(note, start=0.0, stop=0.5):
    """Return the level of a part of a note in dB."""
    part = note[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)].astype(float)
    return 10 * np.log10(np.mean(part**2) + 1e-12)


def band(note, low, high):
    """Return the energy of the first second between two frequencies."""
    power = np.abs(np.fft.rfft(note[:SAMPLE_RATE])) ** 2  # a bin a hertz
    return power[low:high].sum() + 1e-12


def high_band(note):
    return 10 * np.log10(band(note, 8_000, 11_000) / band(note, 20, 20_000))


def brightness(note):
    return 10 * np.log10(band(note, 5_657, 11_314) / band(note, 707, 1_414))


def count_samples(velocities):
    """Count the recordings among notes of one pitch: one that is only louder or filtered correlates."""
    starts = [note[: SAMPLE_RATE // 2].astype(float) for note in velocities]
    starts = [start / np.sqrt(np.sum(start**2)) for start in starts]
    padded = [np.fft.rfft(start, 2 * len(start)) for start in starts]
    pairs = itertools.pairwise(padded)
    return 1 + sum(np.abs(np.fft.irfft(first.conj() * second)).max() < 0.9 for first, second in pairs)


def held_image(note):
    """Return the log-magnitude from 1 to 3 s of the bins that sound."""
    image = log_magnitude(stft(note))[:, SAMPLE_RATE // HOP_LENGTH : 3 * SAMPLE_RATE // HOP_LENGTH]
    return image[image.mean(axis=1) > 0.25]


def texture(note):
    image = held_image(note)
    if not len(image):
        return np.nan  # it has died away
    return np.std(image[:, 4:-4] - signal.convolve2d(image, np.full((1, 9), 1 / 9), mode="valid"))


def repetition(note):
    image = held_image(note)
    if not len(image):
        return np.nan
    moving = signal.detrend(image, axis=1)
    if np.std(moving) < 1e-4:
        return 1.0  # it does not move at all
    lags = range(round(0.1 * SAMPLE_RATE / HOP_LENGTH), SAMPLE_RATE // HOP_LENGTH)
    pairs = [(moving[:, :-lag], moving[:, lag:]) for lag in lags]
    return max(np.sum(first * later) / np.sqrt(np.sum(first**2) * np.sum(later**2)) for first, later in pairs)


def envelope(note):
    """Return the level of each 5 ms as amplitude."""
    step = SAMPLE_RATE // 200
    return np.sqrt(np.mean(note[: len(note) // step * step].reshape(-1, step).astype(float) ** 2, axis=1)) + 1e-9


def attack(note):
    levels = envelope(note)[:600]
    return np.argmax(levels > levels.max() / 2) / 200


def release(note):
    levels = envelope(note)
    below = np.flatnonzero(levels[600:] < np.mean(levels[580:600]) / 100)
    return below[0] / 200 if len(below) else 1.0


if __name__ == "__main__":
    main()
