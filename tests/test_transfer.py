import numpy as np
import pytest

import data
from transfer import OVERLAP_FRAMES, transfer_audio, transfer_log_magnitude


def identity(images):
    assert images.dtype == np.float32
    assert images.shape[1:] == data.SLICE_SHAPE
    assert -1 <= images.min() <= images.max() <= 1
    return images


def tones(n_samples, rate=44_100, frequencies=(220, 554, 1661)):
    time = np.arange(n_samples) / rate
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)
    return (0.2 * fade * sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies)).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 300, 131_072, 131_073, 400_001])
def test_a_network_that_changes_nothing_gives_the_input_back(n_samples):
    audio = tones(max(n_samples, 3))[:n_samples]
    result = transfer_audio(audio[np.newaxis], 44_100, identity, batch_size=2)[0]
    assert result.shape == audio.shape
    np.testing.assert_allclose(result, audio, atol=1e-4)


@pytest.mark.parametrize("overlap", [0, 64, 128])
@pytest.mark.parametrize("n_frames", [1, 64, 255, 256, 257, 1000])
def test_any_number_of_frames_is_covered_once(n_frames, overlap):
    image = np.random.default_rng(0).random((256, n_frames)).astype(np.float32)
    result = transfer_log_magnitude(image, identity, overlap, batch_size=3)
    np.testing.assert_allclose(result, image, atol=1e-6)


def test_joins_are_cross_faded():
    # A network whose level depends on the slice alone: hard cuts would jump from one slice to the next.
    levels = iter([0.2, 0.8, 0.2, 0.8, 0.2, 0.8])

    def uneven(images):
        return np.stack([np.full(data.SLICE_SHAPE, data.to_network(next(levels)), np.float32) for _ in images])

    result = transfer_log_magnitude(np.zeros((256, 1000), np.float32), uneven)
    steps = np.abs(np.diff(result[0]))
    assert result.max() == pytest.approx(0.8)
    assert result.min() == pytest.approx(0.2)
    assert steps.max() <= 0.6 / (OVERLAP_FRAMES + 1) + 1e-6


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_channels_rate_and_length_stay(rate):
    left, right = tones(rate + 7, rate), tones(rate + 7, rate, frequencies=(330, 990))
    result = transfer_audio(np.stack([left, right]), rate, identity)
    assert result.shape == (2, rate + 7)
    for channel, expected in zip(result, (left, right), strict=True):
        error = np.sqrt(np.mean((channel - expected) ** 2)) / np.sqrt(np.mean(expected**2))
        assert error < 0.01


def test_input_louder_than_full_scale_is_clipped_to_the_networks_range():
    transfer_audio(30 * tones(44_100)[np.newaxis], 44_100, identity)
