"""The learning-rate range test (Smith 2017, "Cyclical learning rates", arXiv:1506.01186, section 3.3).

The rate grows geometrically from batch to batch while the network learns. Learning is fastest where the loss falls most
steeply over the logarithm of the rate: that rate is the suggestion.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

SMOOTHING = 0.8  # weight of a loss relative to that of its neighbor
DIVERGED = 4  # a search ends when the smoothed loss exceeds its minimum this many times


def range_test(
    step: Callable[[Any], float], set_rate: Callable[[float], None], rates: Sequence[float], batches: Iterable
) -> tuple[list[float], str | None]:
    """Train on one batch at each rate, until the loss is not finite or many times its minimum.

    Args:
        step: function of a batch that trains on it and returns the loss before the update.
        set_rate: function that sets the learning rate.
        rates: increasing learning rates.
        batches: at least as many as rates.

    Returns:
        The losses, fewer than `rates` if the search ended early; and why it did: "NaN", "diverged" or None.
    """
    losses, average, least = [], 0.0, np.inf
    for number, (rate, batch) in enumerate(zip(rates, batches, strict=False), 1):
        set_rate(rate)
        loss = float(step(batch))
        if not np.isfinite(loss):
            return losses, "NaN"
        losses.append(loss)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING**number)  # corrects the bias to the 0 that the average starts from
        least = min(least, smoothed)
        if smoothed > DIVERGED * least:
            return losses, "diverged"
    return losses, None


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Average each loss with its neighbors on both sides, weighted by 0.8^distance.

    The weights are divided by their sum, so that the ends are not biased. An average over the past alone would lag some
    steps behind, and the suggestion with it. Losses after the minimum count at most as much as the greatest one before
    it; otherwise a loss that blows up would reach back.

    Returns:
        float64 array of the same length.
    """
    losses = np.asarray(losses, dtype=np.float64)
    losses = np.minimum(losses, losses[: int(np.argmin(losses)) + 1].max())
    n = len(losses)
    kernel = SMOOTHING ** np.abs(np.arange(-n, n + 1))
    return np.convolve(losses, kernel)[n : 2 * n] / np.convolve(np.ones(n), kernel)[n : 2 * n]


def suggest(rates: Sequence[float], smoothed: np.ndarray) -> float | None:
    """Return the rate at which the smoothed loss falls most steeply over the logarithm of the rate.

    Args:
        rates: learning rates.
        smoothed: the smoothed loss at each of them.

    Returns:
        One of `rates`; None if the loss never falls.
    """
    last = int(np.argmin(smoothed)) + 1
    if last < 3:
        return None
    slopes = np.gradient(smoothed[:last], np.log(rates[:last]))
    steepest = int(np.argmin(slopes))
    return float(rates[steepest]) if slopes[steepest] < 0 else None
