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


@pytest.mark.parametrize("n_samples", [0, 1, 255, 256, 257, 512, 513, 20_001])
@pytest.mark.parametrize("size", [7, 512, 30_000])
def test_a_finer_grid_has_the_frames_of_the_audio_and_of_the_audio_after_zeros(n_samples, size):
    audio = music(1, channels=2)[:, : min(n_samples, 300 * size)]
    blocks = list(cut(audio, size)) or [audio]
    spectra = np.concatenate(list(streaming.stft(blocks, 256)), axis=-1)
    shifted, plain = (
        np.stack([data.stft(np.pad(channel, (n_zeros, 512))) for channel in audio]) for n_zeros in (256, 0)
    )
    n_frames = data.count_frames(audio.shape[1]) + 1
    assert spectra.shape[-1] == 2 * n_frames
    np.testing.assert_allclose(spectra[..., ::2], shifted[..., :n_frames], atol=1e-4)
    np.testing.assert_allclose(spectra[..., 1::2], plain[..., :n_frames], atol=1e-4)
    restored = np.concatenate(list(streaming.istft(np.split(spectra, [1, 2], axis=-1), 256)), axis=-1)
    assert audio.shape[1] <= restored.shape[1] <= audio.shape[1] + 1023
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
