"""MIDI files × notes → one recording per piece and instrument, which differ in timbre alone.

synthesis.json has an entry for each piece that is complete. The file survives a power cut; audio may come out of one
empty or cut short, and the next run makes that again.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common import failures, storage
from common.cli import UserError, report_failures
from common.process_cache import Key
from common.workers import Pool, Workers
from data import LONGEST_PIECE, SAMPLE_RATE
from synthesis.effect_filters import detunings
from synthesis.effects import Effects, draw
from synthesis.midi import arrange, read_midi
from synthesis.note_cache import SYNTHESIZERS
from synthesis.notes import NOTE_RATE, NoteSynthesizer
from synthesis.piece_writing import write_changed, write_mixes

MANIFEST_NAME = "synthesis.json"
MIDI_EXTENSIONS = (".mid", ".midi")


class Arrangement(NamedTuple):
    """How pieces are played.

    Attributes:
        playback_speed: 2 plays twice as fast.
        duration_rate: 2 holds notes twice as long.
        transpose: semitones.
        sustain: whether the sustain pedal is honored.
        effects: what changes the sound of some instruments, if anything does.
    """

    playback_speed: float = 1.0
    duration_rate: float = 1.0
    transpose: int = 0
    sustain: bool = True
    effects: Effects | None = None

    def settings(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        settings = self._asdict()
        effects = settings.pop("effects")
        return {**settings, **(effects.settings() if effects else {})}


class PieceError(Exception):
    """A piece that cannot be played. The text says why."""


def synthesize_audios(
    nsynth_path: str,
    midi_path: str,
    audios_path: str,
    presets: Mapping[str, int],
    arrangement: Arrangement,
    max_minutes: float,
    workers: Workers,
    overwrite: bool,
) -> int:
    """Play every MIDI file below a folder with each instrument, skipping the pieces that are complete.

    Args:
        nsynth_path: folder of notes.
        midi_path: folder of MIDI files, searched with its subfolders.
        audios_path: folder that gets `<instrument>/<piece>.wav`.
        presets: dict of instrument to the preset of its notes.
        arrangement: how the pieces are played.
        max_minutes: a longer piece is not played.
        workers: who plays the pieces.
        overwrite: whether audio that is there may be replaced. What the replaced run made and this one does not is
            removed.

    Returns:
        The script's exit status: 1 if a MIDI file could not be played.

    Raises:
        UserError: if notes or MIDI files are missing or cannot be used, the folder holds other audio, another process
            writes to it, or the workers cannot be used.
    """
    pieces, failed = find_pieces(Path(midi_path))
    folder = Path(audios_path)
    notes, synthesizer = SYNTHESIZERS.load(str(Path(nsynth_path).absolute()), tuple(presets.items()))
    if silent := synthesizer.bank.find_silent():
        n_notes = len(synthesizer.bank.recordings)
        print(f"{len(silent)} of {n_notes} notes are silent, such as {'-'.join(map(str, silent[0]))}")
    targets = {piece: {instrument: folder / instrument / f"{piece}.wav" for instrument in presets} for piece in pieces}
    fingerprints = {}
    for piece, path in pieces.items():
        try:
            fingerprints[piece] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except OSError as error:
            failed.append((str(path), failures.describe(error)))
    with storage.lock(folder), Pool(workers, folder) as pool:
        manifest = _open_manifest(folder, presets, arrangement, synthesizer, targets, overwrite)
        pending, n_changed = manifest.pending(
            fingerprints, "midi", lambda piece, entry: _is_complete(targets[piece].values(), entry)
        )
        for piece in pending:  # while it is made, its recordings may differ from each other
            manifest.entries.pop(piece, None)
        manifest.save()
        # Long pieces first, so that no thread is left alone with one at the end.
        sizes = {piece: pieces[piece].stat().st_size for piece in pending if pieces[piece].exists()}
        pending.sort(key=lambda piece: -sizes.get(piece, 0))
        calls = {
            piece: (notes, arrangement, max_minutes, pieces[piece].absolute(), _absolute(targets[piece]))
            for piece in pending
        }
        counts = []
        try:
            for piece, outcome in pool.run(_synthesize_job, calls, "pieces"):
                if isinstance(outcome, str):
                    failed.append((str(pieces[piece]), outcome))
                    continue
                counts.append(outcome)
                manifest.entries[piece] = {"midi": fingerprints[piece], **outcome}
                manifest.save_soon()
        finally:
            manifest.save()
        _print_summary(folder, counts, len(presets), len(fingerprints) - len(pending), n_changed)
        _report_others(folder, manifest, presets, targets)
    return report_failures(failed, "MIDI files")


def find_pieces(midi_path: Path) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Find MIDI files and name their pieces: the path below `midi_path` without its extension, folders joined with -.

    Returns:
        dict of piece to path, and a list of (path, reason) of what cannot be read, or has the name of another file.

    Raises:
        UserError: if there is no such folder, or no MIDI file in it.
    """
    if not midi_path.is_dir():
        raise UserError(f"--midi_path {midi_path} is not a folder; it must hold .mid or .midi files")
    pieces: dict[str, Path] = {}
    failed = []
    for path in sorted(midi_path.rglob("*")):
        if path.suffix.lower() not in MIDI_EXTENSIONS or path.name.startswith(".") or path.is_dir():
            continue
        piece = "-".join(path.relative_to(midi_path).with_suffix("").parts)
        if reason := failures.why_no_file(path):
            failed.append((str(path), reason))
        elif len(os.fsencode(piece)) > LONGEST_PIECE:
            failed.append((str(path), f"with its folders, its name is longer than {LONGEST_PIECE} bytes; rename them"))
        elif piece in pieces:
            failed.append((str(path), f"would be named {piece} as {pieces[piece]} is; rename one of them"))
        else:
            pieces[piece] = path
    if not pieces and not failed:
        raise UserError(f"--midi_path {midi_path} holds no .mid or .midi file")
    return pieces, failed


def synthesize_piece(
    synthesizer: NoteSynthesizer,
    arrangement: Arrangement,
    max_minutes: float,
    midi_file: Path,
    targets: Mapping[str, Path],
) -> dict[str, Any]:
    """Play one MIDI file with all instruments and write it.

    Args:
        synthesizer: plays the notes.
        arrangement: how the piece is played.
        max_minutes: the largest length.
        midi_file: the MIDI file.
        targets: dict of instrument to the WAV file to write.

    Returns:
        Counts of the piece, for the manifest.

    Raises:
        PieceError: if there is nothing to write, or too much.
        OSError: if the MIDI file cannot be read, or audio not be written; `failures.expected` has other types.
    """
    *changes, sustain, effects = arrangement
    try:
        events, n_moved = arrange(read_midi(midi_file, sustain=sustain), *changes)
    except ValueError as error:
        raise PieceError(str(error)) from None
    if not events:
        raise PieceError("has no notes to play (drums are left out)")
    playable, n_left_out = synthesizer.playable(events)
    if not playable:
        raise PieceError(f"has {len(events)} notes, and none that all of the instruments have")
    minutes = synthesizer.count_seconds(playable) / 60
    if minutes > max_minutes:
        raise PieceError(f"lasts {minutes:.4g} minutes; --max_minutes {max_minutes:g} is the most that is played")
    mixes = {instrument: synthesizer.render(playable, instrument) for instrument in targets}
    factor, n_samples = write_mixes(mixes, synthesizer.bank.sample_rate, targets)
    changed = {}
    for instrument, target in targets.items():
        if effects and (drawn := draw(effects, instrument, target.stem)):
            mix = mixes[instrument]
            if "detune" in drawn:
                mix = synthesizer.render(playable, instrument, detunings(**drawn["detune"]))
            own_factor = write_changed(mix, synthesizer.bank.sample_rate, factor, drawn, target)
            changed[instrument] = {**drawn, **({"factor": round(own_factor, 6)} if own_factor < 1 else {})}
    return {
        "notes": len(playable),
        "left_out": n_left_out,
        "moved_by_octaves": n_moved,
        "factor": round(factor, 6),
        "seconds": round(n_samples / SAMPLE_RATE, 3),
        **({"effects": changed} if changed else {}),
    }


def _synthesize_job(
    notes: Key,
    arrangement: Arrangement,
    max_minutes: float,
    midi_file: Path,
    targets: Mapping[str, Path],
) -> dict[str, Any] | str:
    """Return the counts of a piece, or the reason why it was not written."""
    synthesizer = SYNTHESIZERS.get(notes)
    try:
        return synthesize_piece(synthesizer, arrangement, max_minutes, midi_file, targets)
    except PieceError as error:
        reason = str(error)
    except failures.expected() as error:  # a full disk, for example
        reason = failures.describe(error, next(iter(targets.values())).parent)
    storage.check_run()
    for target in targets.values():  # all recordings of a piece are of one version of it
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
    return reason


def _absolute(targets: Mapping[str, Path]) -> dict[str, Path]:
    return {instrument: path.absolute() for instrument, path in targets.items()}


def _is_complete(targets: Iterable[Path], entry: Mapping[str, Any]) -> bool:
    """Tell whether all recordings of a piece are there and as long as its entry says."""
    seconds = entry.get("seconds")
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9:  # a damaged entry
        return False
    least = 2 * int((seconds - 0.001) * SAMPLE_RATE)  # bytes; the entry is rounded to 1 ms
    return all(target.is_file() and target.stat().st_size >= least for target in targets)


def _open_manifest(
    folder: Path,
    presets: Mapping[str, int],
    arrangement: Arrangement,
    synthesizer: NoteSynthesizer,
    targets: Mapping[str, Mapping[str, Path]],
    overwrite: bool,
) -> storage.Manifest:
    """Open the manifest of a folder of audio; remove what a replaced run made and this one will not make again.

    Also removes what killed runs left half-written.
    """
    settings = {
        "presets": dict(sorted(presets.items())),
        **arrangement.settings(),
        "notes": len(synthesizer.bank.recordings),
        # Other notes have other gains.
        "gains": {name: round(gain, 6) for name, gain in synthesizer.gains.items()},
    }
    if synthesizer.bank.sample_rate != NOTE_RATE:  # the one rate of runs that did not record it
        settings["note_rate"] = synthesizer.bank.sample_rate
    manifest = storage.Manifest(folder / MANIFEST_NAME, settings, overwrite)
    if not overwrite:
        manifest.refuse_foreign_files(path for paths in targets.values() for path in paths.values() if path.exists())
    replaced = manifest.replaced["settings"].get("presets", {})
    # A name from synthesis.json must not lead out of the folder.
    instruments = set(filter(storage.is_plain, [*presets, *(replaced if isinstance(replaced, dict) else ())]))
    for piece in filter(storage.is_plain, manifest.replaced["entries"]):
        for instrument in instruments:
            if piece not in targets or instrument not in presets:
                (folder / instrument / f"{piece}.wav").unlink(missing_ok=True)
    for instrument in instruments:
        storage.remove_partial(folder / instrument, recursive=False)
    return manifest


def _report_others(
    folder: Path, manifest: storage.Manifest, presets: Iterable[str], targets: Mapping[str, Mapping[str, Path]]
) -> None:
    """Say what the folder holds besides the recordings of this run's MIDI files."""
    n_gone = len(set(manifest.entries) - set(targets))
    if n_gone:
        print(f"{n_gone} pieces are not below --midi_path any more; their audio stays, unless you --overwrite")
    known = manifest.entries.keys() | targets.keys()
    strangers = sorted(
        path for instrument in presets for path in (folder / instrument).glob("*.wav") if path.stem not in known
    )
    if strangers:
        print(
            f"{len(strangers)} files are not listed in {MANIFEST_NAME}, such as {strangers[0]}; "
            "remove them, unless you put them there: compute_features.py cuts them, too"
        )


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
