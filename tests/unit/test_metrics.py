import numpy as np
import pytest

import data
from evaluation import metrics, scoring
from evaluation.intervals import Interval
from evaluation.measures import METRICS


def noise(seconds=2.0, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * 44_100))).astype(np.float32)


def magnitude(audio):
    return data.expand_magnitude(data.log_magnitude(data.stft(audio)))


def sines(pitches, seconds=3.0, level=0.2):
    time = np.arange(round(seconds * 44_100)) / 44_100
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in pitches]
    return (level * sum(tones)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0])
def test_a_change_of_gain_has_the_distances_of_the_formulas(gain):
    audio = noise(level=0.05)
    changed, target = magnitude(gain * audio), magnitude(audio)
    assert metrics.log_spectral_distance(changed, target) == pytest.approx(abs(20 * np.log10(gain)), rel=1e-3)
    assert metrics.spectral_convergence(changed, target) == pytest.approx(abs(1 - gain), rel=1e-3)
    expected = abs(1 - gain) + abs(np.log(gain))
    assert metrics.multi_resolution_distance(gain * audio, audio) == pytest.approx(expected, rel=2e-3)
    assert metrics.mfcc_distance(changed, target) == pytest.approx(0, abs=0.05)  # the level is left out
    assert metrics.pitch_f_measure(metrics.pitches(gain * audio), metrics.pitches(audio)) == 1


def test_the_mean_absolute_error_is_on_the_scale_of_the_network():
    silence, full = np.zeros((256, 10), np.float32), np.ones((256, 10), np.float32)
    assert metrics.mean_absolute_error(silence, full) == 2
    half = np.where(np.arange(10) < 5, full, silence)
    assert metrics.mean_absolute_error(half, full) == 1


def test_the_distances_of_an_error_in_half_of_the_bins():
    target = np.full((256, 20), 0.01, np.float32)
    changed = target * np.where(np.arange(256) < 128, 10.0, 1.0)[:, np.newaxis]
    assert metrics.log_spectral_distance(changed, target) == pytest.approx(20 * np.sqrt(0.5), rel=1e-6)
    assert metrics.spectral_convergence(changed, target) == pytest.approx(9 * np.sqrt(0.5), rel=1e-6)


@pytest.mark.parametrize("order", [1, 3, 7])
def test_the_mfcc_distance_of_a_ripple_is_its_amplitude_in_one_coefficient(order):
    # A gain of D cos(pi k (m + 1/2) / M) dB in mel band m is D sqrt(M / 2) in the orthonormal DCT's coefficient k.
    import librosa

    decibels, n_mels = 6.0, metrics.N_MELS
    top = data.N_BINS * data.SAMPLE_RATE / data.N_FFT
    edges = librosa.mel_frequencies(n_mels + 2, fmin=0, fmax=top)
    band = np.interp(np.arange(data.N_BINS) * data.SAMPLE_RATE / data.N_FFT, edges[1:-1], np.arange(n_mels))
    ripple = 10 ** (decibels * np.cos(np.pi * order * (band + 0.5) / n_mels) / 20)
    target = np.full((data.N_BINS, 30), 0.01, np.float32)
    expected = decibels * np.sqrt(n_mels / 2)
    assert metrics.mfcc_distance(target * ripple[:, np.newaxis], target) == pytest.approx(expected, rel=0.05)


def test_pitches_of_sines_are_found_and_compared():
    chord = metrics.pitches(sines([50, 57, 66]))
    middle = chord[:, 10:-10]
    assert sorted(np.flatnonzero(middle.all(axis=1)) + metrics.LOWEST_PITCH) == [50, 57, 66]
    assert middle.sum() == 3 * middle.shape[1]
    two_of_three = metrics.pitches(sines([50, 66]))
    f_measure = metrics.pitch_f_measure(two_of_three[:, 10:-10], middle)
    assert f_measure == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))  # precision 1, recall 2/3
    transposed = metrics.pitches(sines([51, 58, 67]))
    assert metrics.pitch_f_measure(transposed[:, 10:-10], middle) == 0


def test_the_jaccard_index_is_common_pitches_over_all():
    found, target = np.zeros((2, 72, 4), bool)
    found[0], target[0, :3] = True, True  # three in common, one too much
    target[5, 0] = True  # one too few
    assert metrics.pitch_jaccard(found, target) == 3 / 5
    assert metrics.pitch_f_measure(found, target) == 2 * 3 / (4 + 4)
    assert metrics.pitch_jaccard(target, target) == 1
    assert metrics.pitch_jaccard(found & False, target & False) == 1
    assert metrics.pitch_jaccard(found, target & False) == 0


def test_overtones_are_no_pitches():
    tone = sum(sines([45 + offset], level=0.2 / n) for n, offset in enumerate((0, 12, 19.02, 24), 1))
    found = metrics.pitches(tone)[:, 10:-10]
    assert sorted(np.flatnonzero(found.any(axis=1)) + metrics.LOWEST_PITCH) == [45]


def test_the_multi_resolution_distance_is_that_of_three_windows():
    audio, target = noise(0.5, seed=1), noise(0.5, level=0.05, seed=2)
    expected = []
    for size in (512, 1024, 2048):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        spectra = []
        for signal in (audio, target):
            frames = np.lib.stride_tricks.sliding_window_view(np.pad(signal, size // 2), size)[:: size // 4]
            spectra.append(np.abs(np.fft.rfft(frames * window)) / window.sum() * 2)
        ours, theirs = spectra
        logarithms = [np.log(np.maximum(values, data.AMIN)) for values in spectra]
        difference = np.abs(logarithms[0] - logarithms[1]).mean()
        expected.append(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) + difference)
    assert metrics.multi_resolution_distance(audio, target) == pytest.approx(np.mean(expected), rel=1e-4)


def test_spectral_peaks_are_higher_than_the_bin_below_and_no_lower_than_the_one_above(monkeypatch):
    spectrum = np.random.default_rng(0).integers(0, 4, (3 * metrics.N_PITCHES, 2)).astype(np.float32)
    monkeypatch.setattr(metrics.librosa, "hybrid_cqt", lambda *_, **__: spectrum)
    expected = np.zeros((metrics.N_PITCHES, 2))
    for row in range(1, len(spectrum) - 1):
        for frame in range(2):
            below, value, above = spectrum[row - 1 : row + 2, frame]
            if below < value >= above:
                expected[row // 3, frame] = max(expected[row // 3, frame], value)
    np.testing.assert_array_equal(metrics._spectral_peaks(np.zeros(metrics.PITCH_HOP, np.float32)), expected)


def test_silence_has_no_distance_to_a_silent_target_and_no_pitches():
    silence = np.zeros(3 * 44_100, np.float32)
    assert metrics.log_spectral_distance(magnitude(silence), magnitude(silence)) == 0
    assert np.isnan(metrics.spectral_convergence(magnitude(silence), magnitude(silence)))
    assert np.isnan(metrics.mfcc_distance(magnitude(silence), magnitude(silence)))
    assert not metrics.pitches(silence).any()
    assert metrics.pitch_f_measure(metrics.pitches(silence), metrics.pitches(silence)) == 1
    assert metrics.pitch_f_measure(metrics.pitches(sines([60])), metrics.pitches(silence)) == 0


def scores_of(values):
    return [{"system": dict.fromkeys(METRICS, float(value))} for value in values]


def test_intervals_are_those_of_resampled_pieces():
    assert scoring.summarize(scores_of([3, 3, 3, 3]), seed=0)["system"]["mae"] == (3, 3, 3)
    assert scoring.summarize(scores_of([0, 1]), seed=0)["system"]["mae"] == (0.5, 0, 1)
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean, low, high = scoring.summarize(scores_of(values), seed=0)["system"]["mae"]
    error = 1.96 * values.std() / np.sqrt(len(values))  # the normal approximation
    assert mean == pytest.approx(values.mean())
    assert (low, high) == (pytest.approx(mean - error, abs=0.1 * error), pytest.approx(mean + error, abs=0.1 * error))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[0.3], [0.1, 0.1, 0.1]])
def test_a_single_piece_or_equal_ones_have_an_interval_without_width(values):
    mean, low, high = scoring.summarize(scores_of(values), seed=0)["system"]["mae"]
    assert mean == low == high == pytest.approx(values[0])


def test_a_piece_without_a_value_is_left_out_of_that_metric():
    assert scoring.summarize(scores_of([1, np.nan, 3]), seed=0)["system"]["mae"][0] == 2
    assert np.isnan(scoring.summarize(scores_of([np.nan]), seed=0)["system"]["mae"][0])


def test_values_are_shown_with_their_digits_and_zero_without_a_sign():
    level = METRICS["level_300"]
    assert [level.format(value) for value in (-1.26, -0.04, 0.04, np.nan)] == ["−1.3", "0.0", "0.0", "–"]
    assert [level.format_difference(value) for value in (-1.26, -0.04, 2.0)] == ["−1.3", "+0.0", "+2.0"]


def test_the_best_systems_are_nearest_to_an_ideal_value():
    values = {"smooth": 0.3, "rough": 1.5, "right": 0.9, f"{scoring.TRUTH}, input": 1.0}
    summary = {system: {"texture_300": Interval(value, value, value)} for system, value in values.items()}
    assert scoring.best_systems(summary) == {"texture_300": {"right"}}


def test_the_distance_of_slices_is_one_of_all_pieces():
    distances = {"system": (4.0, np.array([3.9, 4.1]))}
    scores = [{"system": {"mae": 1.0}}, {"system": {"mae": 2.0}}]
    summary = scoring.summarize(scores, 0, distances)["system"]
    assert list(summary) == ["mae", "frechet_distance"]
    assert summary["frechet_distance"].low < summary["frechet_distance"].mean == 4.0
    assert list(scoring.summarize(scores, 0)["system"]) == ["mae"]


def test_the_best_systems_have_the_least_error_or_the_most_agreement_and_do_not_know_the_target():
    values = {"first": 2.0, "second": 1.0, "third": 1.0, "silent": np.nan, f"{scoring.TRUTH}, input": 0.0}
    values[f"{scoring.TRUTH}, other"] = 3.0
    summary = {system: dict.fromkeys(METRICS, Interval(value, value, value)) for system, value in values.items()}
    for name, best in scoring.best_systems(summary).items():
        assert best == ({"first"} if METRICS[name].more_is_better else {"second", "third"})
    assert scoring.best_systems({"silent": summary["silent"]})["mae"] == set()
