#!/usr/bin/env python3
"""Render instruments to single notes named and shaped as NSynth's: mono, 16 bit, 3 s held and 1 s released.

The notes come from a SoundFont, played by FluidSynth without reverb and chorus, or from simple built-in tones
(--builtin) that need no SoundFont and no FluidSynth: enough to try everything, too plain to train on. One gain for the
whole run brings the loudest note to -1 dBFS, so that levels keep their relations. The rate is NSynth's 16 kHz; notes of
44.1 kHz use the whole range that the networks see, up to 11 kHz.

Example:
  python render_notes.py --soundfont FluidR3_GM.sf2 --nsynth_path notes --instruments keyboard_acoustic=0
"""

import argparse
import re
from pathlib import Path

from common import cli, cluster
from common.workers import Workers

PROGRAMS = (0, 24, 48, 81)  # General MIDI: grand piano, nylon guitar, string ensemble, saw lead
RATES = 8_000, 48_000  # Hz; FluidSynth plays at 48 kHz


def instrument_program(text: str) -> tuple[str, int, int]:
    """Parse `instrument=program` or `instrument=bank:program` of the SoundFont (an argparse type)."""
    match = re.fullmatch(r"([^=]+)=(?:(\d+):)?(\d+)", text)
    if not match or int(match[3]) > 127:
        raise ValueError
    return cli.instrument_name(match[1]), int(match[2] or 0), int(match[3])


def midi_range(text: str) -> range:
    """Parse a MIDI number or a range such as `21-108` (an argparse type)."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise ValueError
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last or last > 127:
        raise ValueError
    return range(first, last + 1)


def note_rate(text: str) -> int:
    """Parse the sample rate of notes in Hz (an argparse type)."""
    value = int(text)
    if not RATES[0] <= value <= RATES[1]:
        raise argparse.ArgumentTypeError(f"{text} must be from {RATES[0]} to {RATES[1]} Hz")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--soundfont", help="SoundFont file (.sf2, .sf3)")
    source.add_argument("--builtin", action="store_true", help="simple tones instead of a SoundFont")
    parser.add_argument("--nsynth_path", required=True, help="folder to write the notes to")
    parser.add_argument(
        "--instruments",
        nargs="+",
        type=cli.comma_list(instrument_program),
        default=[[(name, 0, program) for name, program in zip(cli.INSTRUMENTS, PROGRAMS, strict=True)]],
        metavar="NAME=PROGRAM",
        help="instruments and the programs that play them (default: "
        + " ".join(f"{name}={program}" for name, program in zip(cli.INSTRUMENTS, PROGRAMS, strict=True))
        + "; bank:program for other banks)",
    )
    parser.add_argument(
        "--preset", type=int, choices=range(1000), default=0, metavar="N", help="preset number in the file names"
    )
    parser.add_argument(
        "--velocities", nargs="+", type=cli.comma_list(int), default=[[25, 50, 75, 100, 127]], help="MIDI velocities"
    )
    parser.add_argument("--pitches", type=midi_range, default="21-108", help="MIDI pitches, FIRST-LAST")
    parser.add_argument("--sample_rate", type=note_rate, default=16_000, metavar="HZ", help="rate of the notes in Hz")
    cluster.add_scheduler_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace notes that exist")
    arguments = parser.parse_args()
    arguments.instruments = cli.flatten(arguments.instruments)
    arguments.velocities = sorted(cli.flatten(arguments.velocities))
    if not all(1 <= velocity <= 127 for velocity in arguments.velocities):
        parser.error("argument --velocities: must be MIDI velocities, 1 to 127")
    names = [name for name, _, _ in arguments.instruments]
    if len(set(names)) < len(names):
        parser.error("argument --instruments: each instrument can be given once a run; use --preset to add a second")
    return arguments


def main() -> int:
    arguments = parse_arguments()

    from synthesis.note_rendering import Instrument, Notes, render_notes

    return render_notes(
        arguments.soundfont,
        Path(arguments.nsynth_path),
        [Instrument(*instrument) for instrument in arguments.instruments],
        Notes(arguments.preset, arguments.pitches, tuple(arguments.velocities), arguments.sample_rate),
        Workers(jobs=1, scheduler=arguments.scheduler),
        arguments.overwrite,
    )


if __name__ == "__main__":
    cli.run(main)
