#!/usr/bin/env python3
"""Pack what train_on_gpu.py needs where this project's packages are missing: notes, MIDI, and weights to start from.

Notes are stored at 25.2 kHz (the networks see up to 11 kHz), 3.2 s of them, for the velocities 25, 50 and 75 and the
pitches 30 to 100, which have 98% and 99.6% of the notes of classical piano pieces; where a SoundFont only scales one
recording by the velocity, that one and factors.

Example:
  python docs/training/gpu/pack.py --notes work/notes --targets --keyboards 3 8 2 --midi work/midi
      --held_back haydn_8_2 muss_1 --models pretrained/keyboard_acoustic_2_guitar_acoustic_generator --output packed
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from packed import PITCHES, RATE, SECONDS, TARGETS, VELOCITIES, layer_weights

from common.cli import UserError
from common.device import start_tensorflow
from synthesis.midi import read_midi
from synthesis.notes import NoteBank

_SCALED_DB = -28.0  # what may differ between two velocities but for a factor


def factors(bank, name, base):
    """Return the factors (3, 71) by which the notes of a velocity are those of another; None if they are not."""
    result = np.ones((len(VELOCITIES), len(PITCHES)))
    for row, velocity in enumerate(VELOCITIES):
        energy = error = 0.0
        for column, pitch in enumerate(PITCHES):
            one, other = (bank.recordings[name, pitch, v].astype(np.float64) for v in (velocity, base))
            factor = one @ other / max(other @ other, 1.0)
            energy, error = energy + one @ one, error + np.sum((one - factor * other) ** 2)
            result[row, column] = factor
        if error > 10 ** (_SCALED_DB / 10) * energy:
            return None
    return result


def pack_notes(nsynth_path, name, preset, folder):
    """Write the notes of an instrument as FLAC, one file a velocity; return what train_on_gpu.py must know of them."""
    bank = NoteBank.load(nsynth_path, {name: preset})
    scaled = factors(bank, name, VELOCITIES[-1])
    layers = VELOCITIES if scaled is None else VELOCITIES[-1:]
    for velocity in layers:
        notes = []
        for pitch in PITCHES:
            note = soxr.resample(bank.recordings[name, pitch, velocity].astype(np.float32), bank.sample_rate, RATE)
            note = note[: round(SECONDS * RATE)]
            notes.append(np.pad(note, (0, round(SECONDS * RATE) - len(note))))
        samples = np.clip(np.rint(np.concatenate(notes)), -32768, 32767).astype(np.int16)
        soundfile.write(folder / f"{name}_{preset:03d}_{velocity:03d}.flac", samples, RATE, subtype="PCM_16")
    return {
        "layers": list(layers),
        "factors": None if scaled is None else scaled.round(5).tolist(),
        "gain": bank.gains()[name],
    }


def pack_midi(folder, held_back):
    """Return the events of all pieces, as arrays: pitch, velocity, start and end, with and without the pedal."""
    files = sorted(path for path in folder.rglob("*.mid") if "test" not in path.relative_to(folder).parts)
    if not files or not set(held_back) <= {path.stem for path in files}:
        raise UserError(f"--midi {folder} must hold MIDI files, and the pieces that are held back")
    arrays = {"pieces": np.array([path.stem for path in files])}
    arrays["held_back"] = np.isin(arrays["pieces"], held_back)
    for name, sustain in (("pedal", True), ("plain", False)):
        events = [read_midi(path, sustain=sustain) for path in files]
        arrays[f"{name}_counts"] = np.array([len(piece) for piece in events])
        values = np.array([event for piece in events for event in piece])
        arrays[f"{name}_notes"] = values[:, :2].astype(np.uint8)
        arrays[f"{name}_times"] = values[:, 2:].astype(np.float32)
    return arrays


def pack_model(path, folder):
    """Write the weights of a generator as float16, by the names of its layers."""
    from common.weights import load_generator

    network, _ = load_generator(path)
    halves = {name: weight.astype(np.float16) for name, weight in layer_weights(network).items()}
    np.savez(folder / f"{path.name}.npz", **halves)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", required=True, type=Path, help="folder of notes, as make_data.sh renders them")
    parser.add_argument("--keyboards", type=int, nargs="*", default=[], help="presets of keyboard_acoustic to pack")
    parser.add_argument("--targets", action="store_true", help="pack the target instruments, too")
    parser.add_argument("--midi", type=Path, help="folder of MIDI files, as make_data.sh splits them")
    parser.add_argument("--held_back", nargs="*", default=[], help="pieces that validate")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="models to start from")
    parser.add_argument("--output", required=True, type=Path, help="folder of what is packed")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    instruments = [(name, 0) for name in TARGETS if arguments.targets]
    instruments += [("keyboard_acoustic", preset) for preset in arguments.keyboards]
    try:
        for name, preset in instruments:
            entry = pack_notes(arguments.notes, name, preset, arguments.output)
            (arguments.output / f"{name}_{preset:03d}.json").write_text(json.dumps(entry))
            print(name, preset, entry["layers"], flush=True)
        if arguments.midi:
            np.savez_compressed(arguments.output / "midi.npz", **pack_midi(arguments.midi, arguments.held_back))
        if arguments.models:
            start_tensorflow(-1)
        for path in arguments.models:
            pack_model(path, arguments.output)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
