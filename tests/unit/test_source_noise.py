"""Noise from the low digits of a source: white, the audio's own, and none where it is silent."""

import numpy as np

import data
import source_noise
from model import HalvedNoise, SourceNoise


def images_of(audio):
    """All frames of audio as one image (1, 256, n_frames, 1) in [-1, 1]."""
    return data.to_network(data.log_magnitude(data.stft(audio)))[np.newaxis, ..., np.newaxis]


def piano(seconds=3.2, seed=0):
    """Notes of decaying partials below 3 kHz, in 16 bit."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * data.SAMPLE_RATE)) / data.SAMPLE_RATE
    audio = np.zeros(len(time))
    for start in np.arange(0, seconds, 0.2):
        since, pitch = np.maximum(time - start, 0), 110 * 2 ** rng.uniform(0, 2)
        for number in range(1, 7):
            audio += (time >= start) * np.sin(2 * np.pi * number * pitch * since) * np.exp(-3 * since) / number
    return (np.round(3000 * audio) / 32768).astype(np.float32)


def correlations(noise):
    """Correlation with itself, one and two frames and bins further."""
    noise, power = noise[0, :, :, 0], np.mean(noise**2)
    lags = [(noise[:, lag:], noise[:, :-lag]) for lag in (1, 2)] + [(noise[lag:], noise[:-lag]) for lag in (1, 2)]
    return [np.mean(one * other) / power for one, other in lags]


def test_noise_of_a_piano_is_white_above_its_partials_too():
    noise = source_noise.of_images(images_of(piano())[:, :, :256])
    for size in (128, 64, 32):
        assert noise.shape == (1, size, size, 1) and noise.dtype == np.float32
        assert abs(noise.mean()) < 0.1
        assert 0.9 < noise.std() < 1.1
        assert np.abs(correlations(noise)).max() < 0.1
        assert 0.85 < noise[:, size // 2 :].std() < 1.15  # above 5.5 kHz
        noise = source_noise.halve(noise)


def test_noise_belongs_to_the_audio_and_not_to_its_place_in_a_slice():
    image = images_of(piano())
    noise, later = (source_noise.of_images(image[:, :, start : start + 256]) for start in (0, 16))
    np.testing.assert_array_equal(noise[:, :, 8:], later[:, :, :-8])


def test_silence_has_no_noise_and_other_audio_has_other_noise():
    assert not source_noise.of_images(np.full((1, 256, 256, 1), -1, np.float32)).any()
    one, other = (source_noise.of_images(images_of(piano(seed=seed))[:, :, :256]) for seed in (0, 1))
    assert abs(np.mean(one * other)) < 0.05


def test_a_difference_that_cannot_be_heard_changes_little():
    # Other programs compute the STFT with other rounding, and have the same noise.
    image = images_of(piano())[:, :, :256]
    rounded = image + np.random.default_rng(0).uniform(-1e-6, 1e-6, image.shape).astype(np.float32)
    difference = source_noise.of_images(image) - source_noise.of_images(rounded)
    assert np.mean(np.abs(difference) > 0.03) < 0.01


def test_the_layers_compute_the_same_noise():
    image = np.random.default_rng(0).uniform(-1, 1, (2, 256, 256, 3)).astype(np.float32)
    expected = source_noise.of_images(image)
    noise = SourceNoise()(image)
    np.testing.assert_allclose(noise, expected, atol=1e-6)
    np.testing.assert_allclose(HalvedNoise()(noise), source_noise.halve(expected), atol=1e-6)


def test_an_image_gets_the_noise_of_another_one():
    rng = np.random.default_rng(0)
    other, image = rng.random((2, 256, 256)).astype(np.float32)
    image[:, 100:110] = 0
    image[0, 0], image[0, 1] = 1, 1e-6
    changed = source_noise.with_noise_of(other, image)
    assert changed.dtype == np.float32 and changed.min() >= 0 and changed.max() <= 1
    assert not changed[:, 100:110].any()  # silence
    limit = source_noise.STEP / 4
    assert (np.abs(changed - image) <= limit + 1e-6).mean() > 0.97  # but where that is below 0 or above 1
    assert np.abs(changed - image).max() <= 2 * limit + 1e-6
    before, after, expected = (
        source_noise.of_images(data.to_network(values)[np.newaxis, ..., np.newaxis])[0, :, :, 0]
        for values in (image, changed, other)
    )
    heard = np.delete(np.arange(128), np.arange(50, 55))
    assert np.abs(after - expected)[:, heard].max() < 0.01
    assert np.abs(np.corrcoef(before[:, heard].ravel(), expected[:, heard].ravel())[0, 1]) < 0.1
