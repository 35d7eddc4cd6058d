"""The learning-rate range test on losses whose best rates are known, and --findlr as users call it."""

import itertools

import numpy as np
import pytest

import lr_finder


class Quadratic:
    """Gradient descent on the mean of 0.5 · Σ λ (w + noise)² over batches, from w = w0."""

    def __init__(self, curvatures, start, noise=0.0, seed=0):
        self.curvatures, self.w = np.array(curvatures, float), np.array(start, float)
        self.noise, self.rng, self.rate = noise, np.random.default_rng(seed), None

    def set_rate(self, rate):
        self.rate = rate

    def __call__(self, batch):
        with np.errstate(over="ignore", invalid="ignore"):
            w = self.w + self.noise * self.rng.standard_normal(len(self.w))
            self.w = self.w - self.rate * self.curvatures * w
            return 0.5 * float(np.sum(self.curvatures * w**2))


def search(step, start=1e-7, end=1.0, steps=140):
    """A range test with the scripts' defaults: (suggestion, losses, why it ended)."""
    rates = np.geomspace(start, end, steps)
    losses, why = lr_finder.range_test(step, step.set_rate, rates, itertools.repeat(None))
    return lr_finder.suggest(rates[: len(losses)], lr_finder.smooth(losses)), losses, why


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steepest", [20.0, 1000.0, 30_000.0])
def test_suggestion_is_near_the_best_rate_of_a_quadratic(steepest, seed):
    # Nearly all of the loss lies in directions that are far flatter than the steepest one, as in networks. The best
    # rate of gradient descent is 2 / (least + greatest curvature) (Nesterov 2004, theorem 2.1.15).
    curvatures = np.geomspace(steepest / 1000, steepest, 30)
    start = np.sqrt(1 / curvatures) * np.linspace(1, 0.1, 30)
    suggestion, _, why = search(Quadratic(curvatures, start, noise=0.01 * start.min(), seed=seed), end=100.0)
    best = 2 / (curvatures[0] + curvatures[-1])
    assert why == "diverged"
    assert best / 3 < suggestion < best * 3


def test_suggestion_is_the_steepest_descent_in_closed_form():
    # On one curvature, rates that grow by a small factor q a step leave w0 · exp(-λ · rate / ln q): the loss falls most
    # steeply over ln(rate) at rate = ln(q) / (2 λ).
    curvature, steps = 3.0, 400
    suggestion, _, _ = search(Quadratic([curvature], [1.0]), 1e-5, 1e-1, steps)
    growth = np.log(1e4) / (steps - 1)
    assert suggestion == pytest.approx(growth / (2 * curvature), rel=0.15)


def test_a_search_ends_where_the_loss_blows_up():
    suggestion, losses, why = search(Quadratic([50.0], [1.0], noise=0.1), end=1e6, steps=200)
    assert why == "diverged"
    assert len(losses) < 200
    assert suggestion < 2 / 50  # above it, gradient descent diverges


def test_a_search_ends_at_nan_or_infinity():
    for bad in (np.nan, np.inf):
        values = iter([3.0, 2.0, 1.0, bad, 1.0])
        losses, why = lr_finder.range_test(
            lambda batch, values=values: next(values), lambda rate: None, range(5), range(5)
        )
        assert (losses, why) == ([3.0, 2.0, 1.0], "NaN")


def test_smoothing_keeps_constants_and_does_not_lag():
    np.testing.assert_allclose(lr_finder.smooth(np.full(50, 2.5)), 2.5)  # at the ends too
    fall = np.concatenate([np.ones(40), np.zeros(40)])
    assert np.argmin(np.gradient(lr_finder.smooth(fall))) in (39, 40)
    blown_up = np.concatenate([np.linspace(1, 0.5, 60), [1e30]])
    assert lr_finder.smooth(blown_up).max() <= 1


def test_a_loss_that_never_falls_suggests_nothing():
    rates = np.geomspace(1e-4, 1, 30)
    assert lr_finder.suggest(rates, lr_finder.smooth(np.linspace(1, 2, 30))) is None
    assert lr_finder.suggest(rates[:1], np.ones(1)) is None


def test_rates_are_set_before_their_batches():
    seen = []
    lr_finder.range_test(
        lambda batch: seen.append(("batch", batch)) or 1.0, lambda r: seen.append(("rate", r)), [1, 2], "ab"
    )
    assert seen == [("rate", 1), ("batch", "a"), ("rate", 2), ("batch", "b")]
