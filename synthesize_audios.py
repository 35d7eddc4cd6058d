#!/usr/bin/env python3
"""Plays MIDI files with single-note recordings: one WAV per piece and instrument, differing in timbre alone.

Every .mid and .midi file below --midi_path is played by each instrument with the notes in --nsynth_path (NSynth, or
what render_notes.py makes) and written to <audios_path>/<instrument>/<piece>.wav: 44.1 kHz, mono, 16 bit. A note that
one of the instruments lacks is left out for all. Pitches outside A0 to C8 are moved by octaves to the nearest inside.

example:
  python synthesize_audios.py --nsynth_path nsynth-train --midi_path midi --audios_path audios
"""

from pathlib import Path

import cli
import files
from cli import UserError

PEAK = 10 ** (-1 / 20)  # full scale less 1 dB: the loudest sample of a piece that would otherwise clip
RECORD_NAME = "synthesis.json"


def preset_word(text):
    """An argparse type: a preset number for all instruments, or `instrument=number`."""
    instrument, _, number = text.rpartition("=")
    if not number.isdigit() or int(number) > 999:
        raise ValueError
    return (cli.instrument_name(instrument) if instrument else None), int(number)


def parse_arguments():
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
        type=cli.words(cli.instrument_name),
        default=[list(cli.INSTRUMENTS)],
        help="instruments to play",
    )
    parser.add_argument(
        "--preset",
        nargs="+",
        type=cli.words(preset_word),
        default=[[(None, 0)]],
        help="preset of the notes: a number for all, or instrument=number words (default: 0)",
    )
    parser.add_argument("--jobs", type=cli.positive_int, help="pieces at a time (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="make again what exists")
    arguments = parser.parse_args()

    arguments.instruments = cli.flatten(arguments.instruments)
    chosen = dict(cli.flatten(arguments.preset))
    for instrument in chosen.keys() - {None, *arguments.instruments}:
        parser.error(f"argument --preset: {instrument} is not one of the instruments {' '.join(arguments.instruments)}")
    everyone = chosen.get(None, 0)
    arguments.presets = {instrument: chosen.get(instrument, everyone) for instrument in sorted(arguments.instruments)}
    return arguments


def find_pieces(midi_path):
    """Finds MIDI files with their piece names: the path below `midi_path` without its ending, folders joined with -.

    Returns:
        dict of piece name to path, and a list of (path, reason) of files whose name another one took first.
    """
    midi_path = Path(midi_path)
    if not midi_path.is_dir():
        raise UserError(f"--midi_path {midi_path} is not a folder; it must hold .mid or .midi files")
    pieces, failures = {}, []
    for path in sorted(midi_path.rglob("*")):
        if path.suffix.lower() not in (".mid", ".midi") or path.name.startswith(".") or not path.is_file():
            continue
        piece = "-".join(path.relative_to(midi_path).with_suffix("").parts)
        if piece in pieces:
            failures.append((str(path), f"would be named {piece} as {pieces[piece]} is; rename one of them"))
        else:
            pieces[piece] = path
    if not pieces:
        raise UserError(f"--midi_path {midi_path} holds no .mid or .midi file")
    return pieces, failures


def synthesize_piece(bank, gains, midi_file, targets, arrangement, sustain):
    """Plays one MIDI file with all instruments and writes it.

    Args:
        bank, gains: what `notes.NoteSynthesizer` takes.
        midi_file: the MIDI file.
        targets: dict of instrument to the WAV file to write.
        arrangement: keyword arguments of `midi.arrange`.
        sustain: whether the pedal is honoured.

    Returns:
        dict with the counts of the piece, or a str that says why there is nothing to write.
    """
    import numpy as np
    import soundfile
    import soxr

    from data import SAMPLE_RATE
    from midi import arrange, read_midi
    from notes import NOTE_RATE, NoteSynthesizer

    synthesizer = NoteSynthesizer(bank, gains)
    try:
        events, moved = arrange(read_midi(midi_file, sustain=sustain), **arrangement)
    except ValueError as error:
        return str(error)
    if not events:
        return "has no notes to play (drums are left out)"
    playable, left_out = synthesizer.playable(events)
    if not playable:
        return f"has {len(events)} notes, and none that all of the instruments have"

    mixes = {instrument: synthesizer.render(playable, instrument) for instrument in targets}
    # One factor for all instruments keeps their levels comparable. The peak is that of the 16 kHz mix; resampling may
    # overshoot it, and where that would clip the piece is written again with a smaller factor.
    factor = min(1.0, PEAK / max(float(np.abs(mix).max()) for mix in mixes.values()))
    remaining = list(targets)
    while remaining:
        instrument = remaining.pop(0)
        audio = soxr.resample(mixes[instrument], NOTE_RATE, SAMPLE_RATE)
        audio *= np.float32(factor)
        peak = float(max(audio.max(), -audio.min()))
        if peak > 1:
            factor *= PEAK / peak
            remaining = list(targets)
            continue
        with files.replacing(targets[instrument]) as partial:
            soundfile.write(partial, audio, SAMPLE_RATE, subtype="PCM_16")
    return {
        "notes": len(playable),
        "left_out": left_out,
        "moved_by_octaves": moved,
        "factor": round(factor, 6),
        "seconds": round(len(audio) / SAMPLE_RATE, 3),
    }


def synthesize_job(piece, *arguments):
    try:
        return piece, synthesize_piece(*arguments)
    except OSError as error:  # a full disk, say
        return piece, str(error)


def main():
    arguments = parse_arguments()
    pieces, failures = find_pieces(arguments.midi_path)

    import hashlib

    from notes import NoteBank

    audios_path = Path(arguments.audios_path)
    arrangement = {name: getattr(arguments, name) for name in ("playback_speed", "duration_rate", "transpose")}
    bank = NoteBank.load(arguments.nsynth_path, arguments.presets)
    gains = bank.gains()
    settings = {
        "presets": arguments.presets,
        **arrangement,
        "sustain": not arguments.no_sustain,
        "notes": len(bank.recordings),
        "gains": {name: round(gain, 6) for name, gain in gains.items()},  # other notes have other gains
    }
    record = files.Record(audios_path / RECORD_NAME, settings, arguments.overwrite)
    targets = {
        piece: {instrument: audios_path / instrument / f"{piece}.wav" for instrument in arguments.presets}
        for piece in pieces
    }
    if not record.existed and not arguments.overwrite:
        for path in (path for paths in targets.values() for path in paths.values() if path.exists()):
            raise UserError(f"{path} exists and was not made by this script: choose another folder, or --overwrite it")
    # What the replaced run made and this one will not must not stay among the rest.
    for piece in record.replaced["entries"]:
        for instrument in record.replaced["settings"].get("presets", {}):
            if piece not in pieces or instrument not in arguments.presets:
                (audios_path / instrument / f"{piece}.wav").unlink(missing_ok=True)
    record.save()

    fingerprints = {piece: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for piece, path in pieces.items()}
    calls, changed = [], 0
    for piece, path in pieces.items():
        made_from = record.entries.get(piece, {}).get("midi")
        if made_from == fingerprints[piece] and all(target.exists() for target in targets[piece].values()):
            continue
        changed += made_from is not None and made_from != fingerprints[piece]
        calls.append((piece, bank, gains, path, targets[piece], arrangement, not arguments.no_sustain))
    # Long pieces first, so that no thread is left alone with one at the end.
    calls.sort(key=lambda call: -pieces[call[0]].stat().st_size)

    done = []
    for piece, outcome in cli.in_parallel(synthesize_job, calls, arguments.jobs, "pieces"):
        if isinstance(outcome, str):
            failures.append((str(pieces[piece]), outcome))
        else:
            done.append(outcome)
            record.entries[piece] = {"midi": fingerprints[piece], **outcome}
            record.save()

    print(
        f"{len(done)} pieces of {sum(item['seconds'] for item in done):.0f} s written for {len(arguments.presets)} "
        f"instruments to {audios_path}, {len(pieces) - len(calls)} were there already"
        + (f" ({changed} made again: their MIDI file changed)" if changed else "")
    )
    for key, text in (
        ("left_out", "notes left out for all instruments, as one of them lacks the pitch"),
        ("moved_by_octaves", "notes outside A0 to C8 moved by octaves"),
    ):
        count = sum(item[key] for item in done)
        if count:
            print(f"{count} of {sum(item['notes'] + item['left_out'] for item in done)} {text}")
    return cli.report_failures(failures, "MIDI files")


if __name__ == "__main__":
    cli.run(main)
