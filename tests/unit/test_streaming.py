import numpy as np
import pytest
from sounds import RATE, cut, music

import data
from inference import streaming


@pytest.mark.parametrize("size", [1, 511, 512, 40_000])
def test_stft_in_blocks_equals_that_of_the_whole(size):
    audio = music(1.3, channels=2)[:, :55_555]
    if size == 1:
        audio = audio[:, :2000]  # many blocks take long
    spectra = np.concatenate(list(streaming.stft(cut(audio, size))), axis=-1)
    expected = np.stack([data.stft(channel) for channel in audio])
    np.testing.assert_allclose(spectra, expected, atol=1e-4)
    restored = np.concatenate(list(streaming.istft(np.split(spectra, [1, 2], axis=-1))), axis=-1)
    np.testing.assert_allclose(restored[:, : audio.shape[1]], audio, atol=1e-5)


def test_resampling_in_blocks_equals_that_of_the_whole():
    audio = music(3, 48_000)
    parts = np.concatenate(list(streaming.resample(cut(audio, 5000), 48_000, RATE)), axis=1)
    np.testing.assert_allclose(parts[0], data.resample(audio[0], 48_000, RATE)[: parts.shape[1]], atol=1e-5)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 22_050, 48_000, 88_200, 96_000, 192_000, 768_000])
def test_resampling_there_and_back_loses_no_sample(rate):
    for n_samples in (1, 2, 3, rate // 7, rate + 123, rate + 124):
        audio = 0.1 * np.random.default_rng(0).standard_normal((2, n_samples)).astype(np.float32)
        there = np.concatenate(list(streaming.resample(cut(audio, 5000), rate, RATE)), axis=1)
        assert there.shape == (2, -(-n_samples * RATE // rate))
        back = np.concatenate(list(streaming.resample(cut(there, 5000), RATE, rate)), axis=1)
        assert back.shape == (2, -(-there.shape[1] * rate // RATE))
        assert back.shape[1] >= n_samples


def test_chunks_look_ahead_and_lose_nothing():
    numbers = np.arange(103)
    chunks = list(streaming.rechunk(((part,) for part in np.split(numbers, [5, 6, 50])), 20, 7))
    assert [is_last for _, is_last in chunks] == [False] * (len(chunks) - 1) + [True]
    for index, ((chunk,), is_last) in enumerate(chunks):
        np.testing.assert_array_equal(chunk, numbers[20 * index : None if is_last else 20 * index + 27])
