"""The Fréchet distance of slices, in closed form."""

import base64

import numpy as np
import pytest

import data
from evaluation import frechet, intervals, metrics, scoring


def gaussian(n_samples, n_dimensions, seed=0):
    """Makes samples whose means are 0 and whose variances are 1, exactly."""
    samples = np.random.default_rng(seed).standard_normal((n_samples, n_dimensions))
    samples -= samples.mean(axis=0)
    return samples / samples.std(axis=0)


def test_equal_sets_have_no_distance():
    samples = gaussian(200, 48)
    assert frechet.frechet_distance(samples, samples) == pytest.approx(0, abs=1e-9)
    few = gaussian(10, 48)  # a singular covariance
    assert frechet.frechet_distance(few, few) == pytest.approx(0, abs=1e-9)


def test_a_shift_has_its_square_as_distance():
    samples = gaussian(200, 6)
    shift = np.array([1.0, 0, 0, -2.0, 0, 0.5])
    assert frechet.frechet_distance(samples + shift, samples) == pytest.approx(1 + 4 + 0.25, rel=1e-9)
    # Each dimension counts in the target's standard deviations.
    scale = np.array([10.0, 1, 1, 0.01, 1, 1])
    assert frechet.frechet_distance((samples + shift) * scale, samples * scale) == pytest.approx(5.25, rel=1e-9)


def test_another_width_has_the_squared_difference_of_deviations():
    # Of independent dimensions, the distance is the sum of (s1 - s2)²; variances have the factor n / (n - 1).
    samples = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]] * 25)
    factors = np.array([0.5, 3.0])
    expected = np.square(factors - 1).sum() * 100 / 99
    assert frechet.frechet_distance(samples * factors, samples) == pytest.approx(expected, rel=1e-9)


def test_the_distance_is_that_of_the_formula_with_a_matrix_root():
    import scipy.linalg

    rng = np.random.default_rng(0)
    samples, target = (rng.standard_normal((500, 5)) @ rng.standard_normal((5, 5)) for _ in range(2))
    scale = target.std(axis=0)
    first, second = (frechet.shrunk_covariance(of / scale) for of in (samples, target))
    root = scipy.linalg.sqrtm(first @ second).real
    shift = np.square(samples.mean(axis=0) / scale - target.mean(axis=0) / scale).sum()
    expected = shift + np.trace(first + second - 2 * root)
    assert frechet.frechet_distance(samples, target) == pytest.approx(expected, rel=1e-6)


def test_correlations_of_few_samples_are_shrunk_and_variances_stay():
    few, many = gaussian(20, 48, seed=1), gaussian(100_000, 3) @ np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 2]])
    shrunk = frechet.shrunk_covariance(few)
    np.testing.assert_allclose(np.diag(shrunk), few.var(axis=0, ddof=1))
    others = ~np.eye(48, dtype=bool)
    assert np.abs(shrunk[others]).max() < 0.3 * np.abs(np.cov(few.T)[others]).max()  # they are chance alone
    assert np.linalg.eigvalsh(shrunk).min() > 0  # though 20 samples have no more than 19 dimensions
    np.testing.assert_allclose(frechet.shrunk_covariance(many), np.cov(many.T), atol=2e-3)


def test_a_dimension_that_does_not_vary_is_no_division_by_zero():
    samples = np.zeros((60, 3))
    assert frechet.frechet_distance(samples, samples) == 0
    assert np.isfinite(frechet.frechet_distance(samples + 1, samples))


def test_slices_count_where_the_target_sounds_in_half_of_the_frames():
    image = np.zeros((256, 4 * 256 + 200), np.float32)
    image[10, : 256 + 128] = 0.9  # the first slice, half of the second
    image[10, 2 * 256 : 2 * 256 + 127] = 0.9  # less than half of the third
    image[10, 4 * 256 :] = 0.9  # a slice that is not whole
    assert frechet.sounding_slices(image).tolist() == [0, 1]
    assert frechet.sounding_slices(image[:, :100]).tolist() == []


def test_statistics_are_those_of_coefficients_and_of_their_slopes():
    rng = np.random.default_rng(0)
    magnitude = (0.01 * rng.random((256, 600))).astype(np.float32)
    (statistics,) = frechet.slice_statistics(magnitude, [1])
    coefficients = metrics.mfcc(magnitude[:, 256:512])
    # The slope of a least-squares line through nine values is Σ k x / Σ k², k = -4 to 4.
    steps = np.arange(-4, 5)
    slopes = np.lib.stride_tricks.sliding_window_view(coefficients, 9, axis=1) @ steps / np.square(steps).sum()
    np.testing.assert_allclose(statistics[:12], coefficients.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(statistics[24:36], coefficients.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(statistics[36:], slopes.std(axis=1), rtol=0.05)  # at the ends, lines have other values


def test_a_change_of_level_moves_no_statistic_and_smoothing_does():
    rng = np.random.default_rng(0)
    magnitude = (0.01 + 0.01 * rng.random((256, 256))).astype(np.float32)
    (before,), (louder,) = (frechet.slice_statistics(gain * magnitude, [0]) for gain in (1, 2))
    np.testing.assert_allclose(louder, before, atol=1e-3)
    smooth = np.repeat(magnitude.mean(axis=1, keepdims=True), 256, axis=1)
    (smoothed,) = frechet.slice_statistics(smooth, [0])
    assert (smoothed[24:] < 0.1 * before[24:]).all()  # no deviations are left
    assert np.linalg.norm(smoothed[:12] - before[:12]) < 0.1 * before[24:].sum()


def test_the_interval_is_that_of_the_jackknife():
    # Of a mean, the jackknife's standard error is s / sqrt(n); Student's t of 9 degrees of freedom is 2.262.
    values = np.random.default_rng(0).normal(3, 1, 10)
    without = [(values.sum() - value) / 9 for value in values]
    mean, low, high = intervals.jackknife_interval(values.mean(), without)
    width = 2.2622 * values.std(ddof=1) / np.sqrt(10)
    assert (mean, low, high) == pytest.approx((values.mean(), mean - width, mean + width), rel=1e-4)
    assert np.isnan(intervals.jackknife_interval(1.0, [1.0])[1:]).all()
    assert np.isnan(intervals.jackknife_interval(1.0, [1.0, np.nan])[1:]).all()


def test_the_distance_of_systems_is_over_all_pieces_and_without_each():
    target = [gaussian(30, 48, seed).astype(np.float32) for seed in range(3)] + [np.zeros((0, 48), np.float32)]
    pieces = [{"target": of, "same": of, "shifted": of + number} for number, of in enumerate(target)]
    distances = frechet.distances_by_system(pieces, "target")
    assert set(distances) == {"same", "shifted"}
    assert distances["same"][0] == pytest.approx(0, abs=1e-6)
    value, without = distances["shifted"]
    assert len(without) == 3  # the piece without slices does not count
    shifted = [piece["shifted"] for piece in pieces]
    assert value == pytest.approx(frechet.frechet_distance(np.concatenate(shifted), np.concatenate(target)))
    rest = frechet.frechet_distance(np.concatenate(shifted[1:]), np.concatenate(target[1:]))
    assert without[0] == pytest.approx(rest) and rest > 1.2 * value  # the first piece is not shifted
    mean, low, high = frechet.interval(distances["shifted"])
    assert low <= mean <= high
    assert frechet.interval(distances["same"]).low == 0


@pytest.mark.parametrize("n_slices", [50, 200])
def test_sets_of_the_same_kind_are_3d_over_n_apart_by_chance(n_slices):
    # Means differ by 2 / n in each dimension, standard deviations by 1 / n, squared; correlations are shrunk.
    rng = np.random.default_rng(0)
    distances = [
        frechet.frechet_distance(*(rng.standard_normal((n_slices, frechet.N_STATISTICS)) for _ in range(2)))
        for _ in range(5)
    ]
    assert np.mean(distances) == pytest.approx(3 * frechet.N_STATISTICS / n_slices, rel=0.15)


def test_too_few_slices_have_no_distance():
    pieces = [{"target": gaussian(frechet.LEAST_SLICES - 1, 48), "other": gaussian(frechet.LEAST_SLICES - 1, 48, 1)}]
    distances = frechet.distances_by_system(pieces, "target")
    assert np.isnan(frechet.interval(distances["other"])).all()
    assert np.isnan(
        frechet.interval(
            frechet.distances_by_system([{"target": np.zeros((0, 48)), "a": np.zeros((0, 48))}], "target")["a"]
        )
    ).all()


def test_statistics_are_kept_in_files_as_they_are():
    slices = {scoring.TARGET: gaussian(3, 48).astype(np.float32), "a": gaussian(3, 48, 1).astype(np.float32)}
    encoded = scoring.encode_slices(slices)
    decoded = scoring.decode_slices(encoded, ["a"])
    assert list(decoded) == [scoring.TARGET, "a"]
    for system, statistics in slices.items():
        np.testing.assert_array_equal(decoded[system], statistics)
    assert scoring.decode_slices(scoring.encode_slices({scoring.TARGET: np.zeros((0, 48))}), []) is not None
    damaged = [
        None,
        3,
        {},
        {**encoded, "b": encoded["a"]},
        {**encoded, "a": 3},
        {**encoded, "a": "no base64"},
        {**encoded, "a": encoded["a"][:-8]},
        {**encoded, "a": frechet.encode(np.zeros((2, 48)))},
        {**encoded, "a": base64.b64encode(np.full(3 * 48, np.nan, "<f4").tobytes()).decode()},
    ]
    assert all(scoring.decode_slices(value, ["a"]) is None for value in damaged)
    assert data.SLICE_FRAMES == 256
