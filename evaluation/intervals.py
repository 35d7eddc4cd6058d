"""Means over pieces with their confidence intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

N_RESAMPLES = 2000
CONFIDENCE_LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over pieces and its confidence interval; NaN if a metric is undefined on all of them."""

    mean: float
    low: float
    high: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def bootstrap_interval(values: np.ndarray, seed: int) -> Interval:
    """Compute the mean of the finite values, and its 95% percentile bootstrap interval (Efron 1979).

    Args:
        values: float64 array [shape=(n_pieces,)].
        seed: seed of the resampling.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return UNDEFINED
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


def jackknife_interval(value: float, without: Sequence[float] | np.ndarray) -> Interval:
    """Compute the 95% interval of a figure of all pieces from its values without each of them (Tukey 1958).

    The standard error is sqrt((n - 1) / n · Σ (value without piece i - their mean)²); the interval is that of Student's
    t with n - 1 degrees of freedom. A bootstrap would take pieces twice, and a covariance of few pieces with copies is
    too small.

    Args:
        value: the figure of all pieces.
        without: the figure without each piece [shape=(n_pieces,)].

    Returns:
        The interval around `value`; undefined with fewer than two pieces, or if any figure is.
    """
    without = np.asarray(without, np.float64)
    n_pieces = len(without)
    if n_pieces < 2 or not np.isfinite([value, *without]).all():
        return Interval(value, np.nan, np.nan)
    error = np.sqrt((n_pieces - 1) * without.var())
    width = float(scipy.stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, n_pieces - 1) * error)
    return Interval(value, value - width, value + width)
