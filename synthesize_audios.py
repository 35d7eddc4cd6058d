#!/usr/bin/env python3
"""Play MIDI files with single-note recordings: one WAV per piece and instrument, which differ in timbre alone.

Every .mid and .midi file below --midi_path is played by each instrument with the notes in --nsynth_path (NSynth, or
the output of render_notes.py) and written to <audios_path>/<instrument>/<piece>.wav: 44.1 kHz, mono, 16 bit. A note
that one of the instruments lacks is left out for all. Pitches outside A0 to C8 are moved by octaves to the nearest one
inside. --effects makes the origin sound as recordings do, with a room, noise and so on; the targets stay clean.

Example:
  python synthesize_audios.py --nsynth_path nsynth-train --midi_path midi --audios_path audios
"""

import argparse

from common import cli, cluster
from common.workers import Workers
from synthesis.effects import PARAMETERS, Effects


def preset_choice(text: str) -> tuple[str | None, int]:
    """Parse a preset number for all instruments, or `instrument=number` (an argparse type)."""
    instrument, _, number = text.rpartition("=")
    if not number.isdigit() or int(number) > 999:
        raise ValueError
    return (cli.instrument_name(instrument) if instrument else None), int(number)


def effect_choice(text: str) -> tuple[str, float]:
    """Parse an effect, or all of them, in every piece or with a probability: `room`, `all=0.3` (an argparse type)."""
    name, _, probability = text.partition("=")
    value = float(probability) if "=" in text else 1.0
    if name not in ("all", *PARAMETERS) or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be all or one of {', '.join(PARAMETERS)}, alone or with a probability, such as room=0.5"
        )
    return name, value


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--nsynth_path", required=True, help="folder of notes, or one with the notes in audio/")
    parser.add_argument("--midi_path", required=True, help="folder of MIDI files, searched with its subfolders")
    parser.add_argument("--audios_path", required=True, help="folder to write to")
    parser.add_argument("--playback_speed", type=cli.positive_float, default=1.0, help="2 plays twice as fast")
    parser.add_argument("--duration_rate", type=cli.positive_float, default=1.0, help="2 holds notes twice as long")
    parser.add_argument("--transpose", type=int, default=0, help="semitones, up or (negative) down")
    parser.add_argument("--no_sustain", action="store_true", help="ignore the sustain pedal")
    parser.add_argument(
        "--instruments",
        nargs="+",
        type=cli.comma_list(cli.instrument_name),
        default=[list(cli.INSTRUMENTS)],
        help="instruments to play",
    )
    parser.add_argument(
        "--preset",
        nargs="+",
        type=cli.comma_list(preset_choice),
        default=[[(None, 0)]],
        help="preset of the notes: a number for all, or instrument=number for each (default: 0)",
    )
    parser.add_argument(
        "--effects",
        nargs="+",
        type=cli.comma_list(effect_choice),
        metavar="NAME",
        help=f"effects on some instruments: {', '.join(PARAMETERS)}, or all; in every piece, or in a share of them: "
        "room=0.5",
    )
    parser.add_argument(
        "--effects_on",
        nargs="+",
        type=cli.comma_list(cli.instrument_name),
        metavar="INSTRUMENT",
        help=f"instruments that get the effects (default: {cli.INSTRUMENTS[0]})",
    )
    parser.add_argument("--seed", type=cli.seed, default=0, help="seed of the effects")
    parser.add_argument(
        "--max_minutes", type=cli.positive_float, default=120.0, help="longest piece to play, against damaged files"
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--jobs", type=cli.positive_int, help="pieces at a time (default: one a core)")
    cluster.add_scheduler_argument(who)
    parser.add_argument("--overwrite", action="store_true", help="replace audio that exists")
    arguments = parser.parse_args()

    arguments.instruments = cli.flatten(arguments.instruments)
    chosen = dict(cli.flatten(arguments.preset))
    for instrument in chosen.keys() - {None, *arguments.instruments}:
        parser.error(f"argument --preset: {instrument} is not one of the instruments {' '.join(arguments.instruments)}")
    default = chosen.get(None, 0)
    arguments.presets = {instrument: chosen.get(instrument, default) for instrument in sorted(arguments.instruments)}
    arguments.effects = parse_effects(parser, arguments)
    return arguments


def parse_effects(parser: cli.ArgumentParser, arguments: argparse.Namespace) -> Effects | None:
    """Return the effects that the flags ask for, if any; a later word overrides an earlier one."""
    if not arguments.effects:
        if arguments.effects_on:
            parser.error("argument --effects_on: needs --effects, which says what the instruments get")
        return None
    instruments = cli.flatten(arguments.effects_on or [cli.INSTRUMENTS[:1]])
    for instrument in set(instruments) - set(arguments.instruments):
        named = " ".join(arguments.instruments)
        parser.error(f"argument --effects_on: {instrument} is not one of the instruments {named}")
    probabilities: dict[str, float] = {}
    for name, probability in cli.flatten(arguments.effects):
        probabilities.update(dict.fromkeys(PARAMETERS if name == "all" else [name], probability))
    return Effects(tuple(probabilities.items()), tuple(instruments), arguments.seed)


def main() -> int:
    arguments = parse_arguments()

    from synthesis.piece_rendering import Arrangement, synthesize_audios

    return synthesize_audios(
        arguments.nsynth_path,
        arguments.midi_path,
        arguments.audios_path,
        arguments.presets,
        Arrangement(
            arguments.playback_speed,
            arguments.duration_rate,
            arguments.transpose,
            sustain=not arguments.no_sustain,
            effects=arguments.effects,
        ),
        arguments.max_minutes,
        Workers(arguments.jobs, arguments.scheduler),
        arguments.overwrite,
    )


if __name__ == "__main__":
    cli.run(main)
