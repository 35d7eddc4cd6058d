"""Notes heard in audio, compared with those of the MIDI files that the audio was synthesized from."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import data
from common import failures, storage
from common.cli import UserError
from evaluation.measures import NOTE_METRICS
from evaluation.pairs import RecordingPair
from evaluation.transcriber import Notes, Transcriber
from synthesis.midi import NoteEvent, arrange, read_midi
from synthesis.piece_rendering import MANIFEST_NAME, Arrangement, find_pieces

ONSET_SECONDS = 0.05
PITCH_CENTS = 50.0
SHORTEST_SECONDS = 0.001  # a note of the MIDI file without a length gets it, as mir_eval wants one


class Judge:
    """Scores the notes of outputs for one piece.

    Attributes:
        truth: the notes of the MIDI file; None if there is none, and all metrics are undefined.
        target_scores: the F-measures of the true target.
    """

    def __init__(self, transcriber: Transcriber, events: Sequence[NoteEvent] | None, target: np.ndarray) -> None:
        """Take what notes are compared with.

        Args:
            transcriber: finds notes in audio.
            events: the notes of the MIDI file, as they were played; None if there is none.
            target: the true audio, float32 array [shape=(n_samples,)].
        """
        self._transcriber = transcriber
        self.truth, self.target_scores = None, {}
        if events is not None:
            self.truth = true_notes(events, len(target) / data.SAMPLE_RATE)
            self.target_scores = note_scores(transcriber.transcribe(target), self.truth)

    def score(self, audio: np.ndarray) -> dict[str, float]:
        """Compute the note metrics of an output.

        Args:
            audio: float32 array [shape=(n_samples,)].

        Returns:
            dict of metric to value.
        """
        if self.truth is None:
            return dict.fromkeys(NOTE_METRICS, float("nan"))
        scores, target_scores = note_scores(self._transcriber.transcribe(audio), self.truth), self.target_scores
        return {
            "notes_f": scores["notes_f"],
            "notes_f_relative": _ratio(scores["notes_f"], target_scores["notes_f"]),
            "notes_precision": scores["notes_precision"],
            "notes_recall": scores["notes_recall"],
            "onsets_f": scores["onsets_f"],
            "onsets_f_relative": _ratio(scores["onsets_f"], target_scores["onsets_f"]),
            "target_notes_f": target_scores["notes_f"],
            "target_onsets_f": target_scores["onsets_f"],
        }


def true_notes(events: Sequence[NoteEvent], seconds: float) -> Notes:
    """Convert the notes that begin before an audio ends. What two hands strike at once on one key is one note.

    Args:
        events: the notes of the MIDI file, as they were played.
        seconds: length of the audio.
    """
    ends: dict[tuple[float, int], float] = {}
    for pitch, _, start, end in events:
        if start < seconds:
            key = (round(start, 3), pitch)
            ends[key] = max(ends.get(key, 0.0), end, key[0] + SHORTEST_SECONDS)
    table = sorted((start, end, pitch) for (start, pitch), end in ends.items())
    intervals = np.array([(start, end) for start, end, _ in table], np.float64).reshape(-1, 2)
    return Notes(intervals, np.array([pitch for *_, pitch in table], np.int64))


def note_scores(found: Notes, truth: Notes) -> dict[str, float]:
    """Compare notes with the true ones, by mir_eval (Raffel et al. 2014).

    A note is right if it is matched with a true one, each with one at most: onset within 50 ms, pitch within 50 cents;
    ends do not count. For the onsets, pitches do not count either.

    Args:
        found: notes of a transcription.
        truth: the true notes.

    Returns:
        dict of `notes_precision`, `notes_recall`, `notes_f` and `onsets_f`, in [0, 1]; NaN if there are no true notes.
    """
    names = ("notes_precision", "notes_recall", "notes_f", "onsets_f")
    if not len(truth.pitches) or not len(found.pitches):  # mir_eval warns of both
        return dict.fromkeys(names, 0.0 if len(truth.pitches) else float("nan"))
    import mir_eval  # only where notes are asked for

    frequencies, true_frequencies = (440 * 2 ** ((notes.pitches - 69) / 12) for notes in (found, truth))
    precision, recall, f_measure, _ = mir_eval.transcription.precision_recall_f1_overlap(
        truth.intervals,
        true_frequencies,
        found.intervals,
        frequencies,
        onset_tolerance=ONSET_SECONDS,
        pitch_tolerance=PITCH_CENTS,
        offset_ratio=None,
    )
    *_, onset_f_measure = mir_eval.transcription.onset_precision_recall_f1(
        truth.intervals, found.intervals, onset_tolerance=ONSET_SECONDS
    )
    return dict(zip(names, map(float, (precision, recall, f_measure, onset_f_measure)), strict=True))


def read_events(midi_path: str | Path, pairs: Sequence[RecordingPair]) -> dict[str, list[NoteEvent]]:
    """Read the notes that pieces were synthesized from.

    Speed, note lengths, transposition and pedal are those that synthesis.json, in the folder of the audio, recorded;
    without one, those of the MIDI file.

    Args:
        midi_path: the folder that was `--midi_path` of synthesize_audios.py.
        pairs: the pieces.

    Returns:
        dict of the name of a pair to its notes; pieces without a MIDI file are missing.

    Raises:
        UserError: if no piece has a MIDI file, one cannot be read, or it is not the one that the audio was made from.
    """
    files, _ = find_pieces(Path(midi_path))
    manifests: dict[Path, Mapping[str, Any]] = {}
    events = {}
    for pair in pairs:
        folder = pair.target_path.parent.parent
        if folder not in manifests:
            path = folder / MANIFEST_NAME
            manifests[folder] = storage.read_json(path) if path.is_file() else {}
        piece = pair.target_path.stem
        if piece in files:
            events[pair.piece] = _read_piece(files[piece], piece, manifests[folder], folder)
    if not events:
        raise UserError(
            f"--midi_path {midi_path} has no MIDI file of {pairs[0].target_path.stem} or another piece; it must be "
            "the folder that synthesize_audios.py had"
        )
    return events


def events_hash(events: Sequence[NoteEvent] | None) -> str | None:
    """Hash the notes of a piece, by which a manifest tells whether they are the same; None of None."""
    return None if events is None else hashlib.sha256(repr([tuple(event) for event in events]).encode()).hexdigest()


def _read_piece(path: Path, piece: str, manifest: Mapping[str, Any], folder: Path) -> list[NoteEvent]:
    """Read the notes of a MIDI file as they were played."""
    entry = manifest.get("entries", {}).get(piece) if isinstance(manifest.get("entries"), dict) else None
    try:
        recorded = entry.get("midi") if isinstance(entry, dict) else None
        if recorded is not None and recorded != hashlib.sha256(path.read_bytes()).hexdigest()[:16]:
            raise UserError(f"--midi_path: {path} is not the file that {folder} was synthesized from")
        played = _arrangement(manifest.get("settings"), folder)
        events = read_midi(path, sustain=played.sustain)
        return arrange(events, played.playback_speed, played.duration_rate, played.transpose)[0]
    except ValueError as error:
        raise UserError(f"--midi_path: {path} {error}") from None
    except OSError as error:
        raise UserError(f"--midi_path: {path}: {failures.describe(error)}") from None


def _arrangement(settings: Any, folder: Path) -> Arrangement:
    """Convert what synthesis.json has of how pieces were played; effects do not change which notes that were."""
    defaults = Arrangement()
    if not isinstance(settings, dict):
        return defaults
    names = ("playback_speed", "duration_rate", "transpose", "sustain")
    arrangement = Arrangement(*(settings.get(name, getattr(defaults, name)) for name in names))
    if (
        not all(type(value) in (int, float) and 0 < value < np.inf for value in arrangement[:2])
        or type(arrangement.transpose) is not int
        or type(arrangement.sustain) is not bool
    ):
        raise UserError(f"{folder / MANIFEST_NAME} is damaged: {arrangement} is no way to play a piece; restore it")
    return arrangement


def _ratio(value: float, target_value: float) -> float:
    return value / target_value if target_value > 0 else float("nan")
