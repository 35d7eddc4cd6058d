"""MIDI files × notes → one recording per piece and instrument, which differ in timbre alone."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from common import storage
from common.audio import PEAK_LEVEL
from common.cli import UserError, report_failures
from common.progress import in_parallel
from data import SAMPLE_RATE
from synthesis.midi import arrange, read_midi
from synthesis.notes import NOTE_RATE, NoteBank, NoteSynthesizer

MANIFEST_NAME = "synthesis.json"
MIDI_EXTENSIONS = (".mid", ".midi")


class Arrangement(NamedTuple):
    """How pieces are played.

    Attributes:
        playback_speed: 2 plays twice as fast.
        duration_rate: 2 holds notes twice as long.
        transpose: semitones.
        sustain: whether the sustain pedal is honored.
    """

    playback_speed: float = 1.0
    duration_rate: float = 1.0
    transpose: int = 0
    sustain: bool = True


class PieceError(Exception):
    """A piece that cannot be played. The text says why."""


def synthesize_audios(
    nsynth_path: str,
    midi_path: str,
    audios_path: str,
    presets: Mapping[str, int],
    arrangement: Arrangement,
    jobs: int | None,
    overwrite: bool,
) -> int:
    """Play every MIDI file below a folder with each instrument, skipping the pieces that are complete.

    Args:
        nsynth_path: folder of notes.
        midi_path: folder of MIDI files, searched with its subfolders.
        audios_path: folder that gets `<instrument>/<piece>.wav`.
        presets: dict of instrument to the preset of its notes.
        arrangement: how the pieces are played.
        jobs: pieces at a time; None for one a core.
        overwrite: whether audio that is there may be replaced.

    Returns:
        The script's exit status: 1 if a MIDI file could not be played.

    Raises:
        UserError: if notes or MIDI files are missing, or the folder holds other audio.
    """
    pieces, failures = find_pieces(Path(midi_path))
    folder = Path(audios_path)
    bank = NoteBank.load(nsynth_path, presets)
    synthesizer = NoteSynthesizer(bank, bank.gains())
    targets = {piece: {instrument: folder / instrument / f"{piece}.wav" for instrument in presets} for piece in pieces}
    manifest = _open_manifest(folder, presets, arrangement, synthesizer, targets, overwrite)
    fingerprints = {piece: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for piece, path in pieces.items()}
    pending, n_changed = manifest.pending(
        fingerprints, "midi", lambda piece, _: all(target.exists() for target in targets[piece].values())
    )
    # Long pieces first, so that no thread is left alone with one at the end.
    pending.sort(key=lambda piece: -pieces[piece].stat().st_size)
    calls = [(synthesizer, arrangement, piece, pieces[piece], targets[piece]) for piece in pending]
    counts = []
    for piece, outcome in in_parallel(_synthesize_job, calls, jobs, "pieces"):
        if isinstance(outcome, str):
            failures.append((str(pieces[piece]), outcome))
            continue
        counts.append(outcome)
        manifest.entries[piece] = {"midi": fingerprints[piece], **outcome}
        manifest.save()
    _print_summary(folder, counts, len(presets), len(pieces) - len(pending), n_changed)
    return report_failures(failures, "MIDI files")


def find_pieces(midi_path: Path) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Find MIDI files and name their pieces: the path below `midi_path` without its extension, folders joined with -.

    Returns:
        dict of piece to path, and a list of (path, reason) of files whose name another file has already.

    Raises:
        UserError: if there is no such folder, or no MIDI file in it.
    """
    if not midi_path.is_dir():
        raise UserError(f"--midi_path {midi_path} is not a folder; it must hold .mid or .midi files")
    pieces: dict[str, Path] = {}
    failures = []
    for path in sorted(midi_path.rglob("*")):
        if path.suffix.lower() not in MIDI_EXTENSIONS or path.name.startswith(".") or not path.is_file():
            continue
        piece = "-".join(path.relative_to(midi_path).with_suffix("").parts)
        if piece in pieces:
            failures.append((str(path), f"would be named {piece} as {pieces[piece]} is; rename one of them"))
        else:
            pieces[piece] = path
    if not pieces:
        raise UserError(f"--midi_path {midi_path} holds no .mid or .midi file")
    return pieces, failures


def synthesize_piece(
    synthesizer: NoteSynthesizer, arrangement: Arrangement, midi_file: Path, targets: Mapping[str, Path]
) -> dict[str, Any]:
    """Play one MIDI file with all instruments and write it.

    Args:
        synthesizer: plays the notes.
        arrangement: how the piece is played.
        midi_file: the MIDI file.
        targets: dict of instrument to the WAV file to write.

    Returns:
        Counts of the piece, for the manifest.

    Raises:
        PieceError: if there is nothing to write.
    """
    *changes, sustain = arrangement
    try:
        events, n_moved = arrange(read_midi(midi_file, sustain=sustain), *changes)
    except ValueError as error:
        raise PieceError(str(error)) from None
    if not events:
        raise PieceError("has no notes to play (drums are left out)")
    playable, n_left_out = synthesizer.playable(events)
    if not playable:
        raise PieceError(f"has {len(events)} notes, and none that all of the instruments have")
    mixes = {instrument: synthesizer.render(playable, instrument) for instrument in targets}
    factor, n_samples = _write_mixes(mixes, targets)
    return {
        "notes": len(playable),
        "left_out": n_left_out,
        "moved_by_octaves": n_moved,
        "factor": round(factor, 6),
        "seconds": round(n_samples / SAMPLE_RATE, 3),
    }


def _write_mixes(mixes: Mapping[str, np.ndarray], targets: Mapping[str, Path]) -> tuple[float, int]:
    """Resample the 16 kHz mixes of a piece and write them, all scaled by one factor so that none clips.

    One factor keeps the levels of the instruments comparable. It comes from the peak before resampling, which may
    overshoot; where that would clip, all are written again with a smaller factor.

    Returns:
        The factor, and the number of samples of each file.
    """
    factor = PEAK_LEVEL / max(PEAK_LEVEL, *(float(np.abs(mix).max()) for mix in mixes.values()))
    remaining = list(targets)
    while remaining:
        instrument = remaining.pop(0)
        audio = soxr.resample(mixes[instrument], NOTE_RATE, SAMPLE_RATE)
        audio *= np.float32(factor)
        peak = float(max(audio.max(), -audio.min()))
        if peak > 1:
            factor *= PEAK_LEVEL / peak
            remaining = list(targets)
            continue
        with storage.atomic_write(targets[instrument]) as partial:
            soundfile.write(partial, audio, SAMPLE_RATE, subtype="PCM_16")
    return factor, len(audio)


def _synthesize_job(
    synthesizer: NoteSynthesizer, arrangement: Arrangement, piece: str, midi_file: Path, targets: Mapping[str, Path]
) -> tuple[str, dict[str, Any] | str]:
    """Return the piece with its counts, or with the reason why it was not written."""
    try:
        return piece, synthesize_piece(synthesizer, arrangement, midi_file, targets)
    except (PieceError, OSError) as error:  # an OSError: a full disk, for example
        return piece, str(error)


def _open_manifest(
    folder: Path,
    presets: Mapping[str, int],
    arrangement: Arrangement,
    synthesizer: NoteSynthesizer,
    targets: Mapping[str, Mapping[str, Path]],
    overwrite: bool,
) -> storage.Manifest:
    """Open the manifest of a folder of audio; remove what a replaced run made and this one will not make again."""
    settings = {
        "presets": dict(sorted(presets.items())),
        **arrangement._asdict(),
        "notes": len(synthesizer.bank.recordings),
        # Other notes have other gains.
        "gains": {name: round(gain, 6) for name, gain in synthesizer.gains.items()},
    }
    manifest = storage.Manifest(folder / MANIFEST_NAME, settings, overwrite)
    if not overwrite:
        manifest.refuse_foreign_files(path for paths in targets.values() for path in paths.values() if path.exists())
    for piece in manifest.replaced["entries"]:
        for instrument in manifest.replaced["settings"].get("presets", {}):
            if piece not in targets or instrument not in presets:
                (folder / instrument / f"{piece}.wav").unlink(missing_ok=True)
    manifest.save()
    return manifest


def _print_summary(
    folder: Path, counts: Sequence[Mapping[str, Any]], n_instruments: int, n_complete: int, n_changed: int
) -> None:
    print(
        f"{len(counts)} pieces of {sum(item['seconds'] for item in counts):.0f} s written for {n_instruments} "
        f"instruments to {folder}, {n_complete} were there already"
        + (f" ({n_changed} made again: their MIDI file changed)" if n_changed else "")
    )
    for key, text in (
        ("left_out", "notes left out for all instruments, as one of them lacks the pitch"),
        ("moved_by_octaves", "notes outside A0 to C8 moved by octaves"),
    ):
        count = sum(item[key] for item in counts)
        if count:
            print(f"{count} of {sum(item['notes'] + item['left_out'] for item in counts)} {text}")
