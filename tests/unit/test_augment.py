import numpy as np
import pytest
import tensorflow as tf
from conftest import ORIGIN, TARGET, write_slices

import data
from dataset import augment
from dataset.paired_dataset import DatasetSettings, PairedDataset

PIECES = {"a": 6, "b": 6, "c": 6, "d": 6}


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), PIECES)


def flat(level, count=4):
    """Slices with the same magnitude everywhere."""
    log_magnitude = data.compress_magnitude(np.full((count, *data.SLICE_SHAPE), level, np.float32))
    return tf.constant(data.to_network(log_magnitude))


def decibels(image):
    return 20 * np.log10(data.expand_magnitude(data.from_network(image.numpy()[..., 0])))


def test_sources_are_changed_by_seed_epoch_and_step_alone():
    images = flat(0.01)
    first = augment.make_augment(1, 2)(3, images).numpy()
    np.testing.assert_array_equal(augment.make_augment(1, 2)(3, images), first)
    for other in (augment.make_augment(1, 2)(4, images), augment.make_augment(1, 3)(3, images)):
        assert np.abs(other - first).mean() > 0.01
    assert not np.array_equal(augment.make_augment(2, 2)(3, images), first)
    assert first.shape == images.shape and first.dtype == np.float32
    assert -1 <= first.min() < first.max() <= 1


def test_level_and_spectrum_change_smoothly_and_alike_in_all_frames():
    changed = decibels(augment.make_augment(0, 0)(0, flat(0.1, count=64)))
    quiet = np.median(np.abs(np.diff(changed, axis=2)).max(axis=(1, 2))) < 0.01  # half of the slices have no noise
    assert quiet
    curves = changed.mean(axis=2) + 20  # of each slice, in dB: what was added to -20 dB
    steps = np.abs(np.diff(curves[:, 24:], axis=1)).max()
    assert steps < 1.5  # dB from bin to bin
    # Variances add up: a uniform level, and the equalizer's points.
    at_points = curves[:, round(1350 * data.N_FFT / data.SAMPLE_RATE)]
    expected = np.sqrt((2 * augment.LEVEL_DB) ** 2 / 12 + augment.EQUALIZER_DB**2)
    assert at_points.std() == pytest.approx(expected, rel=0.25)
    assert abs(at_points.mean()) < 4 * expected / 8


def test_noise_is_as_loud_as_white_noise_of_that_level():
    noise = np.random.default_rng(0).normal(0, 0.01, 5 * data.SAMPLE_RATE).astype(np.float32)
    measured = data.expand_magnitude(data.log_magnitude(data.stft(noise)))[2:, 4:-4]
    power = np.square(measured).mean()
    assert power == pytest.approx((0.01 * augment._NOISE_IN_A_BIN) ** 2, rel=0.03)
    assert np.square(measured).std() == pytest.approx(power, rel=0.1)  # exponential: as wide as its mean
    silent = augment.make_augment(0, 0)(0, flat(0.0, count=64)).numpy()
    powers = np.square(data.expand_magnitude(data.from_network(silent))).mean(axis=(1, 2, 3))
    levels = 10 * np.log10(powers[powers > 0]) - 20 * np.log10(augment._NOISE_IN_A_BIN)
    low, high = augment.NOISE_DB
    assert 20 < len(levels) < 44
    assert low - 0.2 < levels.min() < low + 10 and high - 10 < levels.max() < high + 0.2


@pytest.mark.slow
def test_targets_stay_and_a_resumed_run_gets_the_same_sources(dataset_path):
    def batches(augmented, first_step=0):
        examples = PairedDataset(
            DatasetSettings([dataset_path], [(ORIGIN, TARGET)], 4, validation_split=0.25, augment=augmented)
        )
        return [tuple(tensor.numpy() for tensor in batch) for batch in examples.train_batches(1, first_step)]

    plain, augmented = batches(False), batches(True)
    for (source, target), (changed, same) in zip(plain, augmented, strict=True):
        np.testing.assert_array_equal(same, target)
        assert np.abs(changed - source).mean() > 0.01
    for ours, theirs in zip(batches(True, first_step=2), augmented[2:], strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
