"""What is compared on a pair of recordings, its scores, and their summaries over pieces."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import data
from common.processor import available_cores
from evaluation import frechet, metrics, octaves
from evaluation.differences import Differences
from evaluation.intervals import Interval, bootstrap_interval
from evaluation.measures import FRECHET, METRICS, piece_metrics
from evaluation.notes import Judge
from inference.channels import representation_of
from inference.settings import MODEL_PHASE, PhaseSettings
from inference.transfer import PredictFn, analyze, plain_frames, resynthesize, transfer_spectrum

INPUT, EQUALIZER, TRUTH = "input unchanged", "fixed equalizer", "true magnitude"
TARGET = "true target"

Scores = dict[str, dict[str, float]]  # by system and metric
Slices = dict[str, np.ndarray]  # statistics of a piece's slices [shape=(n_slices, 48)], by system and of `TARGET`


class Output(NamedTuple):
    """What a system, a model or a baseline, makes of a piece.

    Attributes:
        system: its name in the tables.
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1], before a phase is found.
        audio: float32 array [shape=(n_samples,)].
    """

    system: str
    log_magnitude: np.ndarray
    audio: np.ndarray


Summary = dict[str, dict[str, Interval]]  # by system and metric


class Result(NamedTuple):
    """The evaluation of one pair of instruments.

    Attributes:
        origin: instrument.
        target: instrument.
        scores: dict of piece to its scores.
        summary: what `summarize` returns for them.
        excerpts: dict of piece to the folder of its excerpts, for the pieces on the page.
        equalizer: what the fixed equalizer was made from.
        reference: the system that the others are compared with.
        differences: what `differences.compare` returns for it.
    """

    origin: str
    target: str
    scores: dict[str, Scores]
    summary: Summary
    excerpts: dict[str, Path]
    equalizer: str
    reference: str = ""
    differences: Differences = {}  # noqa: RUF012 (never changed)

    @property
    def metrics(self) -> list[str]:
        """The metrics of the summary."""
        return list(next(iter(self.summary.values())))

    @property
    def size(self) -> str:
        """The number of pieces, in words."""
        return f"{len(self.scores)} piece{'' if len(self.scores) == 1 else 's'}"


def run_systems(
    source: np.ndarray,
    target: np.ndarray,
    difference: np.ndarray,
    predict_fns: Mapping[str, PredictFn],
    phases: Sequence[PhaseSettings],
    overlap: int,
) -> Iterator[Output]:
    """Run every system on a pair of recordings: the baselines, and each model with each phase.

    Args:
        source: float32 array [shape=(n_samples,)].
        target: float32 array of the same shape.
        difference: what the fixed equalizer adds, float32 array [shape=(256,)].
        predict_fns: dict of a model's label to what `transfer.make_predict_fn` returns.
        phases: the phases to compare.
        overlap: frames that neighboring slices share.

    Yields:
        The output of each system.
    """
    input_phase = PhaseSettings("input")
    grids = {phase.grids: phase for phase in (input_phase, *phases)}
    spectra = {number: analyze(source, phase) for number, phase in grids.items()}
    images = {number: data.log_magnitude(spectrum) for number, spectrum in spectra.items()}
    targets = {number: data.log_magnitude(analyze(target, phase)) for number, phase in grids.items()}

    def make_output(system: str, rows: np.ndarray, phase: PhaseSettings, representation: str | None = None) -> Output:
        audio = resynthesize(rows, spectra[phase.grids], len(source), phase, representation)
        return Output(system, plain_frames(rows[: data.N_BINS], data.count_frames(len(source)), phase), audio)

    yield Output(INPUT, images[1], source)
    yield make_output(EQUALIZER, np.clip(images[1] + difference[:, np.newaxis], 0, 1), input_phase)
    for phase in {phase.label: phase for phase in (input_phase, *phases) if phase.name != MODEL_PHASE}.values():
        yield make_output(f"{TRUTH}, {phase.label}", targets[phase.grids], phase)
    for label, predict_fn in predict_fns.items():
        numbers = {phase.grids for phase in phases}
        generated = {
            number: transfer_spectrum(spectra[number], predict_fn, overlap, grids=number) for number in numbers
        }
        for phase in phases:
            rows, representation = generated[phase.grids], representation_of(predict_fn)
            yield make_output(f"{label}, {phase.label}", rows, phase, representation)


def system_names(labels: Iterable[str], phases: Sequence[PhaseSettings]) -> list[str]:
    """List the systems of `run_systems`, those of the models last.

    Args:
        labels: the models.
        phases: the phases to compare.
    """
    truths = dict.fromkeys(["input", *(phase.label for phase in phases if phase.name != MODEL_PHASE)])
    models = [f"{label}, {phase.label}" for label in labels for phase in phases]
    return [INPUT, EQUALIZER, *(f"{TRUTH}, {name}" for name in truths), *models]


def choose_reference(systems: Sequence[str], wanted: str | None) -> str | None:
    """Choose the system that the others are compared with.

    Args:
        systems: names, from `system_names`.
        wanted: a system, or a model, whose first phase is meant; None for the first model.

    Returns:
        The name of the system; None if there is no such system.
    """
    if wanted is None:
        return next(name for name in systems if name not in (INPUT, EQUALIZER) and not name.startswith(TRUTH))
    return next((name for name in systems if name == wanted or name.startswith(f"{wanted}, ")), None)


def score_outputs(outputs: Sequence[Output], target: np.ndarray, judge: Judge | None = None) -> tuple[Scores, Slices]:
    """Compute all metrics of the outputs for one piece, on all cores.

    Args:
        outputs: the output of each system.
        target: the true audio, float32 array [shape=(n_samples,)].
        judge: compares notes with the MIDI file; None for no note metrics.

    Returns:
        dict of system to dict of metric to value, and dict of system, and `TARGET`, to the statistics of its slices.
    """
    target_pitches = metrics.pitches(target)
    target_image = data.log_magnitude(data.stft(target))
    numbers = frechet.sounding_slices(target_image)

    def score(output: Output) -> tuple[dict[str, float], np.ndarray]:
        image = data.log_magnitude(data.stft(output.audio))
        scores = _score_output(output, image, target, target_image, target_pitches)
        scores |= judge.score(output.audio) if judge else {}
        return scores, frechet.slice_statistics(data.expand_magnitude(image), numbers)

    with ThreadPoolExecutor(available_cores()) as pool:
        scores, slices = zip(*pool.map(score, outputs), strict=True)
    systems = [output.system for output in outputs]
    target_slices = frechet.slice_statistics(data.expand_magnitude(target_image), numbers)
    return dict(zip(systems, scores, strict=True)), {TARGET: target_slices, **dict(zip(systems, slices, strict=True))}


def _score_output(
    output: Output, image: np.ndarray, target: np.ndarray, target_image: np.ndarray, target_pitches: np.ndarray
) -> dict[str, float]:
    """Compute the metrics of an output, except those of notes; images are log-magnitudes of finished audio."""
    magnitude, target_magnitude = data.expand_magnitude(image), data.expand_magnitude(target_image)
    found = metrics.pitches(output.audio)
    textures = octaves.texture_ratios(image, target_image)
    levels = octaves.level_errors(magnitude, target_magnitude)
    return {
        "mae": metrics.mean_absolute_error(output.log_magnitude, target_image),
        "mae_audio": metrics.mean_absolute_error(image, target_image),
        "log_spectral_distance": metrics.log_spectral_distance(magnitude, target_magnitude),
        "spectral_convergence": metrics.spectral_convergence(magnitude, target_magnitude),
        "multi_resolution_distance": metrics.multi_resolution_distance(output.audio, target),
        "mfcc_distance": metrics.mfcc_distance(magnitude, target_magnitude),
        "texture_error": octaves.mean_error(textures - 1),
        "level_error": octaves.mean_error(levels),
        "pattern": octaves.pattern_share(image) - octaves.pattern_share(target_image),
        "contrast": octaves.contrast_error(image, target_image),
        "pitch_f_measure": metrics.pitch_f_measure(found, target_pitches),
        "pitch_jaccard": metrics.pitch_jaccard(found, target_pitches),
        **{f"texture_{low}": float(value) for (low, _), value in zip(octaves.TEXTURE_BANDS, textures, strict=True)},
        **{f"level_{low}": float(value) for (low, _), value in zip(octaves.LEVEL_BANDS, levels, strict=True)},
    }


def are_scores(value: Any, with_notes: bool = False) -> bool:
    """Tell whether a value that was read from a file is `Scores`, with those of notes or without."""
    if not isinstance(value, dict) or not value:
        return False
    return all(
        isinstance(values, dict)
        and list(values) == piece_metrics(with_notes)
        and all(type(number) in (float, int) and not np.isinf(number) for number in values.values())
        for values in value.values()
    )


def encode_slices(slices: Slices) -> dict[str, str]:
    """Encode the statistics of a piece's slices for a JSON file."""
    return {system: frechet.encode(statistics) for system, statistics in slices.items()}


def decode_slices(value: Any, systems: Iterable[str]) -> Slices | None:
    """Invert `encode_slices` for a piece with these systems; None if the value is something else."""
    if not isinstance(value, dict) or list(value) != [TARGET, *systems]:
        return None
    slices = {system: frechet.decode(text) for system, text in value.items()}
    lengths = {None if statistics is None else len(statistics) for statistics in slices.values()}
    return slices if len(lengths) == 1 and None not in lengths else None


def summarize(scores: Sequence[Scores], seed: int, distances: frechet.Distances | None = None) -> Summary:
    """Compute means over pieces and their confidence intervals.

    A piece on which a metric is undefined (silence) is left out of that metric.

    Args:
        scores: the scores of each piece.
        seed: seed of the resampling.
        distances: what `frechet.distances_by_system` returns; None for no Fréchet distance.

    Returns:
        dict of system to dict of metric to interval.
    """
    summary: Summary = {}
    for system, first in scores[0].items():
        summary[system] = {}
        for metric in METRICS:
            if metric == FRECHET and distances:
                summary[system][metric] = frechet.interval(distances[system])
            elif metric in first:
                values = np.array([piece[system][metric] for piece in scores], np.float64)
                summary[system][metric] = bootstrap_interval(values, seed)
    return summary


def best_systems(summary: Summary) -> dict[str, set[str]]:
    """Find the best systems by each metric, among those that do not use the true target.

    Args:
        summary: what `summarize` returns.

    Returns:
        dict of metric to the systems with the best mean; none where the metric is undefined.
    """
    best = {}
    for name in next(iter(summary.values())):
        errors = {
            system: METRICS[name].error(intervals[name].mean)
            for system, intervals in summary.items()
            if not system.startswith(TRUTH) and np.isfinite(intervals[name].mean)
        }
        least = min(errors.values(), default=None)
        best[name] = {system for system, error in errors.items() if error == least}
    return best
