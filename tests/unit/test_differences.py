"""Paired differences: what is decided, and what is not."""

import numpy as np
import pytest

from evaluation import differences, scoring
from evaluation.measures import FRECHET, METRICS

NAMES = [name for name in METRICS if name != FRECHET]


def compare(values, reference_values, distances=None):
    """Compares a system with a reference, both with the same value of all metrics of a piece."""
    scores = [
        {"reference": dict.fromkeys(NAMES, float(theirs)), "system": dict.fromkeys(NAMES, float(ours))}
        for ours, theirs in zip(values, reference_values, strict=True)
    ]
    found = differences.compare(scores, distances or {}, "reference", seed=0)
    assert list(found) == ["system"]
    return found["system"]


def test_a_small_difference_on_every_piece_is_decided_though_pieces_differ_widely():
    pieces = np.array([1.0, 5, 9, 13, 17, 21, 25, 29])
    found = compare(pieces - 0.5 + 0.1 * (np.arange(8) % 2), pieces)
    for name in ("mae", "notes_f"):
        (mean, low, high), n_pieces, _ = found[name]
        assert mean == pytest.approx(-0.45) and -0.5 <= low <= mean <= high <= -0.4
        assert n_pieces == 8
    assert found["mae"].verdict == "better"  # less of it is
    assert found["notes_f"].verdict == "worse"  # more of it would be
    assert compare(pieces + 1, pieces)["mae"].verdict == "worse"
    assert compare(pieces + 1, pieces)["notes_f"].verdict == "better"


def test_of_metrics_with_an_ideal_the_distances_from_it_are_compared():
    found = compare(np.full(6, 1.1), [0.5, 0.6, 0.7, 0.5, 0.6, 1.6])
    assert found["texture_300"].interval.mean == pytest.approx(0.1 - np.mean([0.5, 0.4, 0.3, 0.5, 0.4, 0.6]))
    assert found["texture_300"].verdict == "better"
    assert found["level_300"].verdict == "worse"  # 0 dB would be right
    louder, softer = compare(np.full(6, 2.0), np.full(6, -1.0)), compare(np.full(6, -2.0), np.full(6, 1.0))
    assert louder["level_300"].interval == softer["level_300"].interval == (1, 1, 1)


def test_an_interval_that_holds_0_decides_nothing():
    found = compare([1, -1, 2, -2, 1, -1, 1.5, -1], np.zeros(8))
    assert found["mae"].interval.low < 0 < found["mae"].interval.high
    assert {difference.verdict for name, difference in found.items() if not METRICS[name].ideal} >= {"undecided"}
    assert found["mae"].verdict == "undecided"
    assert compare(np.ones(8), np.ones(8))["mae"].verdict == "undecided"


def test_fewer_than_six_pieces_decide_nothing():
    assert compare(np.zeros(5), np.ones(5))["mae"].verdict == "undecided"
    assert compare(np.zeros(6), np.ones(6))["mae"].verdict == "better"
    # Nor do pieces on which a metric is undefined for one of them.
    values = [0, 0, 0, 0, 0, np.nan, 0]
    found = compare(values, [1, 1, 1, 1, 1, 1, np.nan])["mae"]
    assert (found.n_pieces, found.verdict) == (5, "undecided")
    assert found.interval == (-1, -1, -1)


def test_the_same_seed_gives_the_same_intervals():
    values = np.random.default_rng(0).normal(size=9)
    assert compare(values, np.zeros(9)) == compare(values, np.zeros(9))


def test_frechet_distances_are_compared_by_the_jackknife():
    without = np.array([4.0, 4.1, 3.9, 4.05, 3.95, 4.0])
    distances = {"system": (4.0, without), "reference": (9.0, without + 5)}
    found = compare(np.zeros(6), np.zeros(6), distances)[FRECHET]
    assert found.interval == pytest.approx((-5, -5, -5)) and found.verdict == "better"
    unknown = {"system": (np.nan, np.full(6, np.nan)), "reference": (np.nan, np.full(6, np.nan))}
    assert compare(np.zeros(6), np.zeros(6), unknown)[FRECHET].verdict == "undecided"


def test_the_reference_is_the_first_model_or_what_is_asked_for():
    from inference.settings import PhaseSettings

    phases = [PhaseSettings("griffinlim_input"), PhaseSettings("input")]
    systems = scoring.system_names(["a", "b"], phases)
    assert systems == [
        "input unchanged",
        "fixed equalizer",
        "true magnitude, input",
        "true magnitude, griffinlim_input",
        *(f"{label}, {phase}" for label in "ab" for phase in ("griffinlim_input", "input")),
    ]
    assert scoring.choose_reference(systems, None) == "a, griffinlim_input"
    assert scoring.choose_reference(systems, "b") == "b, griffinlim_input"
    assert scoring.choose_reference(systems, "a, input") == "a, input"
    assert scoring.choose_reference(systems, "fixed equalizer") == "fixed equalizer"
    assert scoring.choose_reference(systems, "c") is None
