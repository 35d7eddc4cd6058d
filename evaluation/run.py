"""An evaluation, from its settings to the report."""

import functools
import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import failures, storage
from common.cli import UserError
from common.progress import progress
from evaluation import differences, equalizer, frechet, notes, report, report_page, scoring
from evaluation.models import Model, choose_grids, load_models, load_phase_network, make_predict_fns, validation_pieces
from evaluation.pairs import RecordingPair, find_in_datasets, find_in_folder, read_pair
from evaluation.settings import EvaluationSettings
from evaluation.transcriber import Transcriber
from inference.transfer import PredictFn
from synthesis.midi import NoteEvent

MANIFEST_NAME = "evaluation.json"
FORMAT = 4  # of the manifest; 2 and 3 had fewer metrics, 1 another name for a system


def run(settings: EvaluationSettings, device_name: str) -> int:
    """Evaluate models, and write the report.

    Args:
        settings: what is evaluated, on which recordings, and how.
        device_name: what `device.start_tensorflow` returned.

    Returns:
        The script's exit status.

    Raises:
        UserError: if a model, a recording or the output folder is not what it must be.
    """
    transcriber = Transcriber() if settings.midi_path else None
    models = load_models(settings.model_paths, settings.origin, settings.target)
    settings = choose_grids(load_phase_network(settings, models), models)
    systems = scoring.system_names([model.label for model in models], settings.phases)
    if scoring.choose_reference(systems, settings.reference) is None:
        raise UserError(f"--reference {settings.reference} is none of the systems: {'; '.join(systems)}")
    with storage.lock(settings.output):
        storage.remove_partial(settings.output)
        try:
            _evaluate(settings, models, transcriber, device_name)
        except failures.expected() as error:
            print(f"evaluate.py: {failures.describe(error, settings.output)}", file=sys.stderr)
            return 1
    return 0


def _evaluate(
    settings: EvaluationSettings, models: Sequence[Model], transcriber: Transcriber | None, device_name: str
) -> None:
    """Evaluate loaded models, and write the report."""
    manifest = storage.Manifest(
        settings.output / MANIFEST_NAME,
        {"format": FORMAT, "models": {model.label: model.sha256 for model in models}, **settings.recorded},
        settings.overwrite,
    )
    instrument_pairs = dict.fromkeys(pair for model in models for pair in model.instrument_pairs)
    results = [_evaluate_instruments(settings, pair, models, transcriber, manifest) for pair in instrument_pairs]
    about = {
        "models": ", ".join(model.label for model in models),
        "pairs": settings.audios_path or f"validation pieces of {' '.join(settings.dataset_paths)}",
        "of each piece": f"at most {settings.seconds:g} s",
        **({"notes": f"compared with the MIDI files in {settings.midi_path}"} if settings.midi_path else {}),
        "computed on": device_name,
    }
    report.write(settings.output, results, about)
    print(report.markdown(results))
    print(f"listen and look: {settings.output / report_page.NAME}")


def _evaluate_instruments(
    settings: EvaluationSettings,
    instrument_pair: tuple[str, str],
    models: Sequence[Model],
    transcriber: Transcriber | None,
    manifest: storage.Manifest,
) -> scoring.Result:
    """Score every system on all pairs of recordings of two instruments, except those that the manifest has already."""
    origin, target = instrument_pair
    models = [model for model in models if instrument_pair in model.instrument_pairs]
    pairs = _find_pairs(settings, instrument_pair, models)
    events = _read_events(settings, pairs)
    fixed = equalizer.make_equalizer(settings, instrument_pair, models, pairs)
    predict_fns_for = make_predict_fns(models, target, pairs, settings.seconds)

    scores, slices, excerpts = {}, [], {}
    audio_folder = settings.output / "audio" / f"{origin}_2_{target}"
    try:
        for index, pair in progress(enumerate(pairs), len(pairs), f"pieces, {origin} to {target}"):
            excerpt_folder = audio_folder / _folder_name(pair.piece) if index < settings.listen else None
            key = f"{origin}/{target}/{pair.piece}"
            made_from = {
                "audio": _fingerprints([pair]),
                "equalizer": hashlib.sha256(fixed.differences[index].tobytes()).hexdigest(),
                "notes": notes.events_hash(events.get(pair.piece)),
            }
            entry = manifest.entries.get(key, {})
            if not _is_current(entry, made_from, index, pairs, excerpt_folder, transcriber is not None):
                predict_fns, style_pairs = predict_fns_for(index)
                make_judge = (
                    functools.partial(notes.Judge, transcriber, events.get(pair.piece)) if transcriber else None
                )
                piece_scores, piece_slices = _evaluate_piece(
                    settings, pair, fixed.differences[index], predict_fns, make_judge, excerpt_folder
                )
                entry = {
                    **made_from,
                    "style": _fingerprints(style_pairs),
                    "scores": piece_scores,
                    "slices": scoring.encode_slices(piece_slices),
                    "excerpts": excerpt_folder is not None,
                }
                manifest.entries[key] = entry
                manifest.save_soon()
            scores[pair.piece] = entry["scores"]
            slices.append(scoring.decode_slices(entry["slices"], entry["scores"]))
            if excerpt_folder:
                excerpts[pair.piece] = excerpt_folder
    finally:
        manifest.save()
    distances = frechet.distances_by_system(slices, scoring.TARGET)
    systems = scoring.system_names([model.label for model in models], settings.phases)
    # A model that does not know these instruments cannot be the reference; the first that does is.
    reference = scoring.choose_reference(systems, settings.reference) or scoring.choose_reference(systems, None)
    return scoring.Result(
        origin,
        target,
        scores,
        scoring.summarize(list(scores.values()), settings.seed, distances),
        excerpts,
        fixed.made_from,
        reference,
        differences.compare(list(scores.values()), distances, reference, settings.seed),
    )


def _read_events(settings: EvaluationSettings, pairs: Sequence[RecordingPair]) -> dict[str, list[NoteEvent]]:
    """Read the notes of the MIDI files, if they are asked for, and say how many pieces have none."""
    if not settings.midi_path:
        return {}
    events = notes.read_events(settings.midi_path, pairs)
    without = [pair.piece for pair in pairs if pair.piece not in events]
    if without:
        print(f"{len(without)} of {len(pairs)} pieces have no MIDI file in {settings.midi_path}, such as {without[0]}")
    return events


def _is_current(
    entry: Mapping[str, Any],
    made_from: Mapping[str, Any],
    index: int,
    pairs: Sequence[RecordingPair],
    excerpt_folder: Path | None,
    with_notes: bool,
) -> bool:
    """Tell whether a piece was measured with what it would be measured with now, and its excerpts are there.

    Args:
        entry: what the manifest has of the piece, which an earlier version may have written.
        made_from: the recordings, the equalizer and the notes.
        index: of the piece.
        pairs: all pieces; those that follow give the style.
        excerpt_folder: where its excerpts must be, or None.
        with_notes: whether it must have the metrics of notes.
    """
    scores = entry.get("scores")
    if any(entry.get(key) != value for key, value in made_from.items()) or not scoring.are_scores(scores, with_notes):
        return False
    if scoring.decode_slices(entry.get("slices"), scores) is None:
        return False
    style = entry.get("style")  # recordings of the pieces after this one, to the first in which the target sounds
    if not isinstance(style, list):
        return False
    following = [pairs[(index + offset) % len(pairs)] for offset in range(1, len(style) // 2 + 1)]
    if style != _fingerprints(following):
        return False
    return not excerpt_folder or (
        entry.get("excerpts") is True and report_page.has_excerpts(excerpt_folder, len(entry["scores"]))
    )


def _folder_name(piece: str) -> str:
    """Return the name of a folder for a piece: no other piece has it, and it leads nowhere else."""
    digest = hashlib.sha256(piece.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', piece)[:60]}-{digest[:8]}"


def _find_pairs(
    settings: EvaluationSettings, instrument_pair: tuple[str, str], models: Sequence[Model]
) -> list[RecordingPair]:
    """Find the pairs of recordings to evaluate on."""
    if settings.audios_path:
        pairs = find_in_folder(settings.audios_path, *instrument_pair)
    else:
        pairs = find_in_datasets(settings.dataset_paths, *instrument_pair, validation_pieces(models))
    count = min(settings.pieces or len(pairs), len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]  # spread over the alphabet: over composers


def _fingerprints(pairs: Iterable[RecordingPair]) -> list[list[str | int]]:
    """List path, size and time of change of recordings, by which the manifest tells whether they are the same."""
    paths = [path for pair in pairs for path in (pair.source_path, pair.target_path)]
    return [[str(path), *storage.fingerprint(path)] for path in paths]


def _evaluate_piece(
    settings: EvaluationSettings,
    pair: RecordingPair,
    difference: np.ndarray,
    predict_fns: dict[str, PredictFn],
    make_judge: Callable[[np.ndarray], notes.Judge] | None,
    excerpt_folder: Path | None,
) -> tuple[scoring.Scores, scoring.Slices]:
    """Score every system on one pair of recordings, and write the excerpts of it if there is a folder for them."""
    source, target = read_pair(pair, settings.seconds)
    outputs = list(scoring.run_systems(source, target, difference, predict_fns, settings.phases, settings.overlap))
    scores, slices = scoring.score_outputs(outputs, target, make_judge(target) if make_judge else None)
    if excerpt_folder:
        report_page.write_excerpts(excerpt_folder, target, [output.audio for output in outputs], settings.excerpt)
    return scores, slices
