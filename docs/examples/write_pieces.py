#!/usr/bin/env python3
"""Write a dozen short pieces as MIDI files, for `make pipeline`: a public-domain melody, and exercises to train on.

`melody` is Beethoven's theme from the finale of the Ninth Symphony (1824), with a plain bass. The exercises are random,
from a seed: tunes over a bass, and chords and runs.

Example:
  python docs/examples/write_pieces.py --midi_path demo/pipeline/midi
"""

import argparse
from pathlib import Path

import mido
import numpy as np

TICKS = 480  # a quarter note
MELODY = "E4 E4 F4 G4 G4 F4 E4 D4 C4 C4 D4 E4 E4. D4' D4= E4 E4 F4 G4 G4 F4 E4 D4 C4 C4 D4 E4 D4. C4' C4="
BASS = "C3 G3 C3 G3 C3 E3 G2 G2 C3 G3 C3 G3 C3 E3 G2 C3"  # half notes
LENGTHS = {".": 1.5, "'": 0.5, "=": 2.0}  # in quarter notes; without a mark it is 1
PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def melody():
    """Return the melody as (start, length, pitch, velocity), with times in quarter notes."""
    notes, time = [], 0.0
    for word in MELODY.split():
        length = LENGTHS.get(word[2:], 1.0)
        notes.append((time, length, pitch(word), 90))
        time += length
    return notes + [(2.0 * index, 2.0, pitch(word), 60) for index, word in enumerate(BASS.split())]


def tune(rng):
    """Make a hundred quarter notes of a tune that moves by small steps, over a bass in half notes."""
    scale = Scale(rng)
    notes, time, degree = [], 0.0, int(rng.integers(7, 14))
    while time < 100:
        length = float(rng.choice([0.5, 1.0, 1.0, 1.5, 2.0]))
        notes.append((time, length, scale.pitch(degree, 4), int(rng.integers(70, 110))))
        time += length
        degree = int(np.clip(degree + rng.integers(-3, 4), 4, 16))
    bass = [(2.0 * index, 2.0, scale.pitch(int(rng.integers(7)), 3), int(rng.integers(40, 80))) for index in range(50)]
    return notes + bass


def exercise(rng):
    """Make a hundred quarter notes of chords and runs in a key."""
    scale = Scale(rng)
    notes, time = [], 0.0
    while time < 100:
        degree, octave, velocity = int(rng.integers(7)), int(rng.integers(3, 6)), int(rng.integers(30, 120))
        if rng.random() < 0.4:  # a chord
            length = float(rng.choice([1.0, 2.0, 4.0]))
            steps = (0, 2, 4) if rng.random() < 0.7 else (0, 2, 4, 6)
            notes += [(time, length, scale.pitch(degree + step, octave), velocity) for step in steps]
            time += length
        else:  # a run
            direction, length = int(rng.choice([-1, 1])), float(rng.choice([0.25, 0.5]))
            for step in range(8):
                notes.append((time, length, scale.pitch(degree + direction * step, octave), velocity))
                time += length
    return notes


class Scale:
    """A major scale on a random key note."""

    def __init__(self, rng):
        self._pitches = int(rng.integers(12)) + np.array([0, 2, 4, 5, 7, 9, 11])

    def pitch(self, degree, octave):
        """Return the MIDI number of a degree, counted from the octave's key note; 7 is an octave higher."""
        return int(self._pitches[degree % 7]) + 12 * (degree // 7 + octave)


def pitch(word):
    """Return the MIDI number of a note such as `E4`; C4 is 60."""
    return PITCH_CLASSES[word[0]] + 12 * (int(word[1]) + 1)


def write_midi(path, notes, tempo=100):
    """Write (start, length, pitch, velocity), times in quarter notes, as a MIDI file of `tempo` beats per minute."""
    events = []
    for start, length, number, velocity in notes:
        events.append((round(start * TICKS), 1, mido.Message("note_on", note=number, velocity=velocity)))
        events.append((round((start + length) * TICKS), 0, mido.Message("note_off", note=number)))
    track, now = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))]), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    path.parent.mkdir(parents=True, exist_ok=True)
    mido.MidiFile(ticks_per_beat=TICKS, tracks=[track]).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--midi_path", required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the exercises")
    arguments = parser.parse_args()
    folder = Path(arguments.midi_path)
    write_midi(folder / "melody.mid", melody())
    for number in range(1, 12):
        rng = np.random.default_rng([arguments.seed, number])
        notes = tune(rng) if number % 2 else exercise(rng)
        write_midi(folder / f"exercise_{number:02d}.mid", notes, tempo=int(rng.integers(70, 140)))


if __name__ == "__main__":
    main()
