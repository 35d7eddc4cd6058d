"""Differences between systems on the same pieces, by which it is decided which one is better."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from evaluation.frechet import Distances
from evaluation.intervals import Interval, bootstrap_interval, jackknife_interval
from evaluation.measures import FRECHET, METRICS

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
FEWEST_PIECES = 6  # five that all point one way do so by chance once in 16 times (sign test), which is above 5%


class Difference(NamedTuple):
    """A system minus the reference.

    Attributes:
        interval: mean difference over pieces and its interval. Of metrics with an ideal value, it is the difference of
            the distances from that.
        n_pieces: pieces on which the metric is defined for both.
        verdict: "better" or "worse" if the interval excludes 0 and there are at least six pieces, else "undecided".
    """

    interval: Interval
    n_pieces: int
    verdict: str


Differences = dict[str, dict[str, Difference]]  # by system and metric


def compare(
    scores: Sequence[Mapping[str, Mapping[str, float]]],
    distances: Distances,
    reference: str,
    seed: int,
) -> Differences:
    """Compare all systems with one of them, piece by piece.

    Args:
        scores: the scores of each piece.
        distances: what `frechet.distances_by_system` returns; empty for no Fréchet distance.
        reference: the system to compare with.
        seed: seed of the resampling of pieces.

    Returns:
        dict of the other systems to dict of metric to difference.
    """
    differences: Differences = {}
    for system in scores[0]:
        if system == reference:
            continue
        differences[system] = {}
        for name in METRICS:
            if name == FRECHET and distances:
                differences[system][name] = _frechet_difference(distances[system], distances[reference])
            elif name in scores[0][system]:
                errors, reference_errors = (
                    METRICS[name].error(np.array([piece[of][name] for piece in scores], np.float64))
                    for of in (system, reference)
                )
                differences[system][name] = _difference(name, errors - reference_errors, seed)
    return differences


def _difference(name: str, errors: np.ndarray, seed: int) -> Difference:
    """Make a difference of a metric from those of its errors, which are better the lower they are."""
    n_pieces = int(np.isfinite(errors).sum())
    interval = bootstrap_interval(errors, seed)
    verdict = _verdict(interval, n_pieces)
    if METRICS[name].more_is_better:  # an error is the negative of such a metric
        interval = Interval(-interval.mean, -interval.high, -interval.low)
    return Difference(interval, n_pieces, verdict)


def _frechet_difference(
    distances: tuple[float, np.ndarray], reference_distances: tuple[float, np.ndarray]
) -> Difference:
    """Make a difference of Fréchet distances, with the interval of the jackknife."""
    (value, without), (reference_value, reference_without) = distances, reference_distances
    interval = jackknife_interval(value - reference_value, without - reference_without)
    return Difference(interval, len(without), _verdict(interval, len(without)))


def _verdict(interval: Interval, n_pieces: int) -> str:
    """Decide by the interval of a difference that is better the lower it is."""
    if n_pieces >= FEWEST_PIECES and interval.high < 0:
        return BETTER
    return WORSE if n_pieces >= FEWEST_PIECES and interval.low > 0 else UNDECIDED
