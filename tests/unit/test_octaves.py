"""Texture and level by octave, the pattern of a network, and the contrast of partials, in closed form."""

import numpy as np
import pytest

import data
from common import bands
from evaluation import octaves

N_FRAMES = 400


def modulated(depths, center=0.5, period=2):
    """Makes a log-magnitude that alternates by each octave's depth around its center."""
    image = np.full((256, N_FRAMES), center)
    signs = np.where(np.arange(N_FRAMES) % period < period // 2, 1.0, -1.0)
    for band, depth in zip(octaves.TEXTURE_BANDS, depths, strict=True):
        image[bands.bins(*band)] += depth * signs
    return image.astype(np.float32)


def test_bands_are_octaves_and_share_no_bin():
    bins = [range(256)[bands.bins(*band)] for band in octaves.LEVEL_BANDS]
    assert [(of[0], of[-1]) for of in bins] == [(0, 3), (4, 6), (7, 13), (14, 27), (28, 55), (56, 111), (112, 222)]
    frequency = data.SAMPLE_RATE / data.N_FFT
    for (low, high), of in zip(octaves.LEVEL_BANDS, bins, strict=True):
        assert low <= of[0] * frequency and of[-1] * frequency < high


def test_the_texture_of_alternating_frames_is_their_depth():
    # Of nine alternating frames, five have one sign: their mean is a ninth of the depth, with the sign of the middle.
    depths = np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32])
    np.testing.assert_allclose(octaves.texture(modulated(depths)), depths * (1 - 1 / 9), rtol=1e-4)


def test_doubled_modulation_is_twice_the_texture_in_its_octave_alone():
    depths = np.full(6, 0.02)
    doubled = depths * [1, 1, 2, 1, 0.5, 0]
    ratios = octaves.texture_ratios(modulated(doubled), modulated(depths))
    np.testing.assert_allclose(ratios, [1, 1, 2, 1, 0.5, 0], atol=1e-4)
    assert octaves.mean_error(ratios - 1) == pytest.approx((0 + 0 + 1 + 0 + 0.5 + 1) / 6, abs=1e-4)


def test_level_and_slow_changes_are_no_texture():
    depths = np.full(6, 0.02)
    slow = 0.2 * np.sin(2 * np.pi * np.arange(N_FRAMES) / N_FRAMES)
    louder = modulated(depths, center=0.6) + slow.astype(np.float32)
    np.testing.assert_allclose(octaves.texture_ratios(louder, modulated(depths)), 1, rtol=1e-3)


def test_a_silent_or_steady_octave_has_no_texture_ratio():
    ratios = octaves.texture_ratios(modulated(np.full(6, 0.02)), modulated([0.02, 0, 0.02, 0, 0.001, 0.02]))
    assert np.isnan(ratios).tolist() == [False, True, False, True, True, False]
    assert octaves.mean_error(ratios - 1) == pytest.approx(0, abs=1e-4)
    assert np.isnan(octaves.mean_error(np.full(6, np.nan)))


def test_rounding_to_16_bit_is_no_texture():
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100) / 32_768
    silence = data.log_magnitude(data.stft(noise.astype(np.float32)))
    assert octaves.texture(silence).max() < octaves.LEAST_TEXTURE


@pytest.mark.parametrize(("n_frames", "defined"), [(5, False), (9, False), (10, True)])
def test_texture_needs_ten_frames(n_frames, defined):
    image = modulated(np.full(6, 0.02))[:, :n_frames]
    assert np.isfinite(octaves.texture(image)).all() == defined


def test_a_scaled_signal_has_its_gain_as_level_in_all_bands():
    audio = (0.05 * np.random.default_rng(0).standard_normal(44_100)).astype(np.float32)
    magnitude, doubled = (data.expand_magnitude(data.log_magnitude(data.stft(gain * audio))) for gain in (1, 2))
    np.testing.assert_allclose(octaves.level_errors(doubled, magnitude), 20 * np.log10(2), atol=0.01)  # 6.02 dB
    np.testing.assert_allclose(octaves.level_errors(magnitude, doubled), -20 * np.log10(2), atol=0.01)


def test_levels_are_those_of_energies_in_each_band():
    target = np.full((256, 10), 0.01)
    magnitude = target.copy()
    magnitude[bands.bins(300, 600), :5] *= 3  # half of the frames have nine times the energy: a mean of 5
    levels = octaves.level_errors(magnitude, target)
    np.testing.assert_allclose(levels, [0, 0, 10 * np.log10(5), 0, 0, 0, 0], atol=1e-9)
    assert octaves.mean_error(levels) == pytest.approx(10 * np.log10(5) / 7)


@pytest.mark.filterwarnings("error")
def test_silence_has_a_defined_level():
    silence, loud = np.zeros((256, 10)), np.full((256, 10), 1.0)
    assert np.isnan(octaves.level_errors(loud, silence)).all()
    assert np.isnan(octaves.level_errors(silence, silence)).all()
    np.testing.assert_allclose(octaves.level_errors(silence, loud), 20 * np.log10(data.AMIN))  # -96 dB, not -inf


def noise(seed, n_frames=N_FRAMES):
    return np.random.default_rng(seed).normal(0.5, 0.02, (256, n_frames))


def checkerboard(period, depth, n_frames=N_FRAMES):
    return depth * np.where(np.arange(n_frames) % period < period // 2, 1, -1)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_the_share_of_a_pattern_is_its_variance_over_that_of_all_changes(period):
    pattern, parts = checkerboard(period, 0.02), np.zeros(2)
    for parts_index, image in enumerate((noise(0), np.tile(pattern, (256, 1)))):
        parts[parts_index] = np.square(octaves.texture(image)).mean()
    share = octaves.pattern_share(noise(0) + pattern)
    assert share == pytest.approx(parts[1] / parts.sum(), abs=0.02)
    assert octaves.pattern_share(0.5 + np.tile(pattern, (256, 1))) == pytest.approx(1)


def test_what_does_not_repeat_every_32_frames_is_no_pattern():
    assert abs(octaves.pattern_share(noise(1))) < 0.005
    assert abs(octaves.pattern_share(noise(2) + checkerboard(14, 0.02))) < 0.05
    slow = 0.2 * np.sin(2 * np.pi * np.arange(N_FRAMES) / N_FRAMES)
    assert abs(octaves.pattern_share(noise(3) + slow)) < 0.01


def test_a_short_or_a_steady_image_has_no_share():
    assert np.isnan(octaves.pattern_share(noise(0, 71)))
    assert np.isfinite(octaves.pattern_share(noise(0, 72)))
    assert np.isnan(octaves.pattern_share(np.full((256, N_FRAMES), 0.3)))


def comb(peak=0.7, valley=0.3):
    """Partials in every fourth bin."""
    image = np.full((256, N_FRAMES), valley, np.float32)
    image[::4] = peak
    return image


def test_contrast_is_what_partials_stand_out_by():
    decibels = 20 * np.log10(2.0**16)
    assert octaves.contrast_error(comb(), comb()) == 0
    for change, expected in ((comb(0.6, 0.2), 0), (comb(valley=0.4), -0.1), (comb(0.6), -0.1), (comb(0.8, 0.2), 0.2)):
        assert octaves.contrast_error(change, comb()) == pytest.approx(expected * decibels, abs=0.01)
    shifted = np.roll(comb(), 1, axis=0)  # partials at other places are none
    assert octaves.contrast_error(shifted, comb()) == pytest.approx(-(0.4 + 0.4 / 3) * decibels, rel=0.03)


def test_noise_of_mean_0_changes_the_texture_and_not_the_contrast():
    rng, target = np.random.default_rng(0), comb()
    rough = target + rng.normal(0, 0.02, target.shape).astype(np.float32)
    assert octaves.texture(rough).min() > 0.015
    assert octaves.contrast_error(rough, target) == pytest.approx(0, abs=0.05)
    hazy = np.maximum(target, 0.5 + rng.normal(0, 0.02, target.shape)).astype(np.float32)
    assert octaves.contrast_error(hazy, target) < -15


def test_silence_and_a_moment_have_no_contrast():
    assert np.isnan(octaves.contrast_error(comb(), np.zeros((256, N_FRAMES), np.float32)))
    assert np.isnan(octaves.contrast_error(comb()[:, :8], comb()[:, :8]))
    assert octaves.contrast_error(np.zeros((256, N_FRAMES), np.float32), comb()) < -30
