import math

import numpy as np
import pytest
import tensorflow as tf

import data
from common.bands import OCTAVES
from training import sound


def to_images(log_magnitude):
    return tf.constant(data.to_network(log_magnitude)[..., np.newaxis], tf.float32)


def ratios(generated, target):
    totals = sound.sound_totals(to_images(target), to_images(generated))
    return {key: float(ours / theirs) for key, (ours, theirs) in totals.items() if theirs > 0}


@pytest.fixture
def target():
    """Log-magnitudes that change fast: 0.5, and noise of standard deviation 0.05."""
    return (0.5 + 0.05 * np.random.default_rng(0).standard_normal((2, 256, 256))).astype(np.float32)


def test_the_true_picture_is_right(target):
    result = sound.summarize({"gen_mae": 0.25, **ratios(target, target)})
    assert [result[key] for key in sound.names()] == pytest.approx([1] * 6 + [0] * 6, abs=1e-5)
    assert result["sound"] == pytest.approx(0.25)


def test_half_of_the_changes_are_half_of_the_texture(target):
    result = sound.summarize({"gen_mae": 0.1, **ratios(0.5 + 0.5 * (target - 0.5), target)})
    assert [result[f"texture_{low}"] for low, _ in OCTAVES] == pytest.approx([0.5] * 6, rel=1e-4)


def test_slow_changes_are_no_texture(target):
    slow = 0.1 * np.sin(2 * np.pi * np.arange(256) / 256).astype(np.float32)
    result = sound.summarize({"gen_mae": 0.1, **ratios(target + slow, target)})
    assert [result[f"texture_{low}"] for low, _ in OCTAVES] == pytest.approx([1] * 6, rel=0.01)


def test_a_pattern_of_all_slices_is_no_texture_and_what_is_random_keeps_its_own(target):
    pattern = np.tile(0.1 * np.random.default_rng(1).standard_normal((256, 32)).astype(np.float32), 8)
    for images in (target, np.full_like(target, 0.5)):
        result = sound.summarize({"gen_mae": 0.1, **ratios(images + pattern, target)})
        expected = 1 if images is target else 0  # not 0 at the edges
        assert [result[f"texture_{low}"] for low, _ in OCTAVES] == pytest.approx([expected] * 6, abs=0.12)
    shifted = np.stack([np.roll(pattern, 5 * index, axis=1) for index in range(2)])  # not the same in both slices
    assert sound.summarize({"gen_mae": 0.1, **ratios(0.5 + shifted, target)})["texture_600"] > 0.5


def test_level_is_in_decibels_and_signed(target):
    quieter = data.compress_magnitude(0.5 * data.expand_magnitude(target))
    result = sound.summarize({"gen_mae": 0.1, **ratios(quieter, target)})
    assert [result[f"level_{low}"] for low, _ in OCTAVES] == pytest.approx([-6.02] * 6, abs=0.01)


def test_a_change_in_one_band_is_seen_in_that_band_alone(target):
    changed = target.copy()
    changed[:, 28:56] = 0.5  # 1200 to 2400 Hz
    result = sound.summarize({"gen_mae": 0.1, **ratios(changed, target)})
    assert result["texture_1200"] == pytest.approx(0, abs=1e-6)
    others = [result[f"texture_{low}"] for low, _ in OCTAVES if low != 1200]
    assert others == pytest.approx([1] * 5, abs=1e-6)


def test_the_score_grows_with_each_decibel_that_is_wrong():
    right = dict.fromkeys(sound.names(), 1.0)
    score = sound.summarize({"gen_mae": 0.1, **right, "level_150": 10**0.6})["sound"]  # 6 dB in one of six bands
    assert score == pytest.approx(0.1 * (1 + 1 / 6))
    blurred = sound.summarize({"gen_mae": 0.08, **dict.fromkeys(sound.names(), 0.25)})
    sharp = sound.summarize({"gen_mae": 0.09, **right})
    assert blurred["gen_mae"] < sharp["gen_mae"] and blurred["sound"] > sharp["sound"]


def test_silence_has_no_measure_where_the_target_is_silent_and_a_finite_one_where_it_is_not(target):
    silent = np.zeros_like(target)
    assert not ratios(target, silent)
    assert sound.summarize({"gen_mae": 0.1}) == {"gen_mae": 0.1}
    result = sound.summarize({"gen_mae": 0.1, **ratios(silent, target)})
    assert all(map(math.isfinite, result.values()))
    assert result["texture_600"] == 0
