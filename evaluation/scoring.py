"""What is compared on a pair of recordings, its scores, and their summaries over pieces."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

import data
from common.processor import available_cores
from evaluation import metrics
from inference.settings import PhaseSettings
from inference.transfer import PredictFn, resynthesize, transfer_log_magnitude

INPUT, EQUALIZER, TRUTH = "input unchanged", "fixed equalizer", "true magnitude"
N_RESAMPLES = 2000
CONFIDENCE_LEVEL = 0.95


class Metric(NamedTuple):
    """A column of the tables.

    Attributes:
        title: its heading.
        digits: digits to show after the point.
        more_is_better: whether a higher value is better.
    """

    title: str
    digits: int
    more_is_better: bool = False

    def format(self, value: float) -> str:
        """Format a value for the tables; a dash where the metric is undefined."""
        return f"{value:.{self.digits}f}" if np.isfinite(value) else "–"


METRICS = {
    "mae": Metric("MAE", 4),
    "mae_audio": Metric("MAE of the audio", 4),
    "log_spectral_distance": Metric("log-spectral distance (dB)", 2),
    "spectral_convergence": Metric("spectral convergence", 3),
    "multi_resolution_distance": Metric("multi-resolution STFT distance", 3),
    "mfcc_distance": Metric("MFCC distance", 1),
    "pitch_f_measure": Metric("pitches kept (F-measure)", 3, more_is_better=True),
}

Scores = dict[str, dict[str, float]]  # by system and metric


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


class Interval(NamedTuple):
    """A mean over pieces and its confidence interval; NaN if a metric is undefined on all of them."""

    mean: float
    low: float
    high: float


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
    """

    origin: str
    target: str
    scores: dict[str, Scores]
    summary: Summary
    excerpts: dict[str, Path]
    equalizer: str

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
    spectrum = data.stft(source)
    image, target_image = data.log_magnitude(spectrum), data.log_magnitude(data.stft(target))
    input_phase = PhaseSettings("input")

    def make_output(system: str, log_magnitude: np.ndarray, phase: PhaseSettings) -> Output:
        return Output(system, log_magnitude, resynthesize(log_magnitude, spectrum, len(source), phase))

    yield Output(INPUT, image, source)
    yield make_output(EQUALIZER, np.clip(image + difference[:, np.newaxis], 0, 1), input_phase)
    for phase in (input_phase, *(phase for phase in phases if phase.name != input_phase.name)):
        yield make_output(f"{TRUTH}, {phase.name}", target_image, phase)
    for label, predict_fn in predict_fns.items():
        generated = transfer_log_magnitude(image, predict_fn, overlap)
        for phase in phases:
            yield make_output(f"{label}, {phase.name}", generated, phase)


def score_outputs(outputs: Sequence[Output], target: np.ndarray) -> Scores:
    """Compute all metrics of the outputs for one piece, on all cores.

    Args:
        outputs: the output of each system.
        target: the true audio, float32 array [shape=(n_samples,)].

    Returns:
        dict of system to dict of metric to value.
    """
    target_pitches = metrics.pitches(target)
    with ThreadPoolExecutor(available_cores()) as pool:
        scores = pool.map(lambda output: _score_output(output, target, target_pitches), outputs)
        return {output.system: values for output, values in zip(outputs, scores, strict=True)}


def _score_output(output: Output, target: np.ndarray, target_pitches: np.ndarray) -> dict[str, float]:
    image, target_image = (data.log_magnitude(data.stft(audio)) for audio in (output.audio, target))
    magnitude, target_magnitude = data.expand_magnitude(image), data.expand_magnitude(target_image)
    return {
        "mae": metrics.mean_absolute_error(output.log_magnitude, target_image),
        "mae_audio": metrics.mean_absolute_error(image, target_image),
        "log_spectral_distance": metrics.log_spectral_distance(magnitude, target_magnitude),
        "spectral_convergence": metrics.spectral_convergence(magnitude, target_magnitude),
        "multi_resolution_distance": metrics.multi_resolution_distance(output.audio, target),
        "mfcc_distance": metrics.mfcc_distance(magnitude, target_magnitude),
        "pitch_f_measure": metrics.pitch_f_measure(metrics.pitches(output.audio), target_pitches),
    }


def are_scores(value: Any) -> bool:
    """Tell whether a value that was read from a file is `Scores`."""
    if not isinstance(value, dict) or not value:
        return False
    return all(
        isinstance(values, dict)
        and list(values) == list(METRICS)
        and all(type(number) in (float, int) and not np.isinf(number) for number in values.values())
        for values in value.values()
    )


def summarize(scores: Sequence[Scores], seed: int) -> Summary:
    """Compute means over pieces and their confidence intervals.

    A piece on which a metric is undefined (silence) is left out of that metric.

    Args:
        scores: the scores of each piece.
        seed: seed of the resampling.

    Returns:
        dict of system to dict of metric to interval.
    """
    return {
        system: {
            metric: _mean_interval(np.array([piece[system][metric] for piece in scores], np.float64), seed)
            for metric in METRICS
        }
        for system in scores[0]
    }


def best_systems(summary: Summary) -> dict[str, set[str]]:
    """Find the best systems by each metric, among those that do not use the true target.

    Args:
        summary: what `summarize` returns.

    Returns:
        dict of metric to the systems with the best mean; none where the metric is undefined.
    """
    best = {}
    for name, metric in METRICS.items():
        means = {system: intervals[name].mean for system, intervals in summary.items() if not system.startswith(TRUTH)}
        means = {system: mean for system, mean in means.items() if np.isfinite(mean)}
        best_mean = (max if metric.more_is_better else min)(means.values(), default=None)
        best[name] = {system for system, mean in means.items() if mean == best_mean}
    return best


def _mean_interval(values: np.ndarray, seed: int) -> Interval:
    """Compute the mean of the finite values, and its 95% percentile bootstrap interval (Efron 1979).

    Args:
        values: float64 array [shape=(n_pieces,)].
        seed: seed of the resampling.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    mean = float(values.mean())
    if (values == values[0]).all():  # SciPy refuses a single value; equal ones have nothing to resample
        return Interval(mean, mean, mean)
    interval = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE_LEVEL,
        method="percentile",
        random_state=np.random.default_rng(seed),  # SciPy 1.15 renamed it to rng, and takes both
    ).confidence_interval
    return Interval(mean, float(interval.low), float(interval.high))
