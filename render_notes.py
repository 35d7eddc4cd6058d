#!/usr/bin/env python3
"""Renders instruments to single notes named and shaped as NSynth's: 16 kHz, mono, 16 bit, 3 s held and 1 s released.

The notes come from a SoundFont, played by FluidSynth without reverb and chorus, or (--builtin) from simple tones that
need no SoundFont and no FluidSynth: enough to try everything, too plain to train on. One gain for the whole run brings
the loudest note to -1 dBFS, so that levels keep their relations.

example:
  python render_notes.py --soundfont FluidR3_GM.sf2 --nsynth_path notes --instruments keyboard_acoustic=0
"""

import re
from pathlib import Path

import cli
import files
from cli import UserError

PEAK = 10 ** (-1 / 20)
RECORD_NAME = "render_notes.json"
PROGRAMS = (0, 24, 48, 81)  # General MIDI: grand piano, nylon guitar, string ensemble, saw lead


def instrument_word(text):
    """An argparse type: `instrument=program` or `instrument=bank:program` of the SoundFont."""
    match = re.fullmatch(r"([^=]+)=(?:(\d+):)?(\d+)", text)
    if not match or int(match[3]) > 127:
        raise ValueError
    return cli.instrument_name(match[1]), int(match[2] or 0), int(match[3])


def midi_range(text):
    """An argparse type: a MIDI number or a range such as `21-108`."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last or last > 127:
        raise ValueError
    return range(first, last + 1)


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--soundfont", help="SoundFont file (.sf2, .sf3)")
    source.add_argument("--builtin", action="store_true", help="simple tones instead of a SoundFont")
    parser.add_argument("--nsynth_path", required=True, help="folder to write the notes to")
    parser.add_argument(
        "--instruments",
        nargs="+",
        type=cli.words(instrument_word),
        default=[[(name, 0, program) for name, program in zip(cli.INSTRUMENTS, PROGRAMS, strict=True)]],
        metavar="NAME=PROGRAM",
        help="instruments and the programs that play them (default: "
        + " ".join(f"{name}={program}" for name, program in zip(cli.INSTRUMENTS, PROGRAMS, strict=True))
        + "; bank:program for other banks)",
    )
    parser.add_argument("--preset", type=int, choices=range(1000), default=0, metavar="N", help="number in the names")
    parser.add_argument(
        "--velocities", nargs="+", type=cli.words(int), default=[[25, 50, 75, 100, 127]], help="MIDI velocities"
    )
    parser.add_argument("--pitches", type=midi_range, default="21-108", help="MIDI pitches, FIRST-LAST")
    parser.add_argument("--overwrite", action="store_true", help="make again what exists")
    arguments = parser.parse_args()
    arguments.instruments = cli.flatten(arguments.instruments)
    arguments.velocities = sorted(cli.flatten(arguments.velocities))
    if not all(1 <= velocity <= 127 for velocity in arguments.velocities):
        parser.error("argument --velocities: must be MIDI velocities, 1 to 127")
    names = [name for name, _, _ in arguments.instruments]
    if len(set(names)) < len(names):
        parser.error("argument --instruments: each instrument can be given once a run; use --preset to add a second")
    return arguments


def unfinished(instruments, preset, settings, record, existing, overwrite):
    """Chooses the instruments that are yet to be rendered; says which are there, and refuses to mix sources.

    Args:
        instruments: list of (name, bank, program).
        preset: number in the names.
        settings: dict of what is the same for all instruments.
        record: the folder's `files.Record`; its entries have the settings of an instrument and its number of notes, 0
            while a run is at it.
        existing: what `notes.find_notes` gives.
        overwrite: whether notes of another source may be replaced.

    Returns:
        list of (key in the record, name, bank, program, settings).
    """
    todo = []
    for name, bank, program in instruments:
        key = f"{name}_{preset:03d}"
        wanted = {**settings, "bank": bank, "program": program}
        known = dict(record.entries.get(key, {}))
        count, there = known.pop("notes", None), len(existing.get((name, preset), {}))
        if known == wanted and there == count and not overwrite:
            print(f"{key} is there already")
            continue
        if there and known != wanted and not overwrite:
            raise UserError(
                f"{record.path.parent} holds {there} notes of {key} from {known.get('source', 'another source')} "
                "or with other settings: number these with another --preset, or replace those with --overwrite"
            )
        todo.append((key, name, bank, program, wanted))
    return todo


def main():
    arguments = parse_arguments()
    folder = Path(arguments.nsynth_path)
    if (folder / "audio").is_dir():
        folder /= "audio"

    import numpy as np
    import soundfile

    from notes import NOTE_RATE, find_notes, note_name

    if arguments.builtin:
        from tones import BuiltinTones

        source = BuiltinTones()
    else:
        from soundfonts import SoundFont

        source = SoundFont(arguments.soundfont)
    for _, bank, program in arguments.instruments:
        source.select(bank, program)

    record = files.Record(folder / RECORD_NAME, {"format": 1})
    existing = find_notes(folder) if folder.is_dir() else {}
    settings = {
        "source": source.name,
        "sha256": source.sha256,
        "pitches": [arguments.pitches[0], arguments.pitches[-1]],
        "velocities": arguments.velocities,
    }
    todo = unfinished(arguments.instruments, arguments.preset, settings, record, existing, arguments.overwrite)
    if not todo:
        return 0

    # The loudest velocity of every pitch of all instruments decides the gain, before anything is written, and so that
    # a run that goes on after a stop has the same one.
    peak = 0.0
    for name, bank, program in arguments.instruments:
        source.select(bank, program)
        for pitch in arguments.pitches:
            peak = max(peak, float(np.abs(source.render(name, pitch, arguments.velocities[-1])).max()))
    if peak == 0:
        raise UserError(f"{source.name} plays none of these pitches; choose other --pitches or --instruments")

    calls = [(pitch, velocity) for pitch in arguments.pitches for velocity in arguments.velocities]
    for key, name, bank, program, wanted in todo:
        record.entries[key] = {**wanted, "notes": 0}
        record.save()
        for path in existing.get((name, arguments.preset), {}).values():
            Path(path).unlink()
        source.select(bank, program)
        written = clipped = 0
        for pitch, velocity in cli.progress(calls, len(calls), f"notes of {key}"):
            samples = source.render(name, pitch, velocity) * (PEAK / peak)
            if np.abs(samples).max() < 1 / 32768:
                continue  # outside what the SoundFont's instrument covers
            clipped += np.abs(samples).max() > 1
            written += 1
            with files.replacing(folder / note_name(name, arguments.preset, pitch, velocity)) as partial:
                pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
                soundfile.write(partial, pcm, NOTE_RATE, subtype="PCM_16")
        record.entries[key]["notes"] = written
        record.save()
        silent = len(calls) - written
        print(
            f"{key}: {written} notes written"
            + (f", {silent} silent ones left out" if silent else "")
            + (f", {clipped} clipped" if clipped else "")
        )
    return 0


if __name__ == "__main__":
    cli.run(main)
