"""An evaluation, from its settings to the report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import storage
from common.progress import progress
from evaluation import equalizer, report, report_page, scoring
from evaluation.models import Model, load_models, make_predict_fns, validation_pieces
from evaluation.pairs import RecordingPair, find_in_datasets, find_in_folder, read_pair
from evaluation.settings import EvaluationSettings
from inference.transfer import PredictFn

MANIFEST_NAME = "evaluation.json"
FORMAT = 2  # of the manifest; 1 had another name for a system


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
    models = load_models(settings.model_paths, settings.origin, settings.target)
    manifest = storage.Manifest(
        settings.output / MANIFEST_NAME,
        {"format": FORMAT, "models": {model.label: model.sha256 for model in models}, **settings.recorded},
        settings.overwrite,
    )
    instrument_pairs = dict.fromkeys(pair for model in models for pair in model.instrument_pairs)
    results = [_evaluate_instruments(settings, pair, models, manifest) for pair in instrument_pairs]
    about = {
        "models": ", ".join(model.label for model in models),
        "pairs": settings.audios_path or f"validation pieces of {' '.join(settings.dataset_paths)}",
        "of each piece": f"at most {settings.seconds:g} s",
        "computed on": device_name,
    }
    report.write(settings.output, results, about)
    print(report.markdown(results))
    print(f"listen and look: {settings.output / report_page.NAME}")
    return 0


def _evaluate_instruments(
    settings: EvaluationSettings,
    instrument_pair: tuple[str, str],
    models: Sequence[Model],
    manifest: storage.Manifest,
) -> scoring.Result:
    """Score every system on all pairs of recordings of two instruments, except those that the manifest has already."""
    origin, target = instrument_pair
    models = [model for model in models if instrument_pair in model.instrument_pairs]
    pairs = _find_pairs(settings, instrument_pair, models)
    fixed = equalizer.make_equalizer(settings, instrument_pair, models, pairs)
    predict_fns_for = make_predict_fns(models, target, pairs, settings.seconds)

    scores, excerpts = {}, {}
    for index, pair in progress(enumerate(pairs), len(pairs), f"pieces, {origin} to {target}"):
        folder = settings.output / "audio" / f"{origin}_2_{target}" / f"{index:03d}"
        excerpt_folder = folder if index < settings.listen else None
        key, files = f"{origin}/{target}/{pair.piece}", _fingerprints(pair)
        entry = manifest.entries.get(key)
        if not entry or entry["audio"] != files or (excerpt_folder and not excerpt_folder.is_dir()):
            piece_scores = _evaluate_piece(
                settings, pair, fixed.differences[index], predict_fns_for(index), excerpt_folder
            )
            manifest.entries[key] = entry = {"audio": files, "scores": piece_scores}
            manifest.save()
        scores[pair.piece] = entry["scores"]
        if excerpt_folder:
            excerpts[pair.piece] = excerpt_folder
    summary = scoring.summarize(list(scores.values()), settings.seed)
    return scoring.Result(origin, target, scores, summary, excerpts, fixed.made_from)


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


def _fingerprints(pair: RecordingPair) -> list[list[str | int]]:
    """List path, size and time of change of both recordings, by which the manifest tells whether they are the same."""
    return [[str(path), *storage.fingerprint(path)] for path in (pair.source_path, pair.target_path)]


def _evaluate_piece(
    settings: EvaluationSettings,
    pair: RecordingPair,
    difference: np.ndarray,
    predict_fns: dict[str, PredictFn],
    excerpt_folder: Path | None,
) -> scoring.Scores:
    """Score every system on one pair of recordings, and write the excerpts of it if there is a folder for them."""
    source, target = read_pair(pair, settings.seconds)
    outputs = list(scoring.run_systems(source, target, difference, predict_fns, settings.phases, settings.overlap))
    scores = scoring.score_outputs(outputs, target)
    if excerpt_folder:
        report_page.write_excerpts(excerpt_folder, target, [output.audio for output in outputs], settings.excerpt)
    return scores
