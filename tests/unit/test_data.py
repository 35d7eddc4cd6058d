import librosa
import numpy as np
import pytest

import data


def music(n_samples, seed=0):
    """Noise without the upper half of the spectrum, which the log-magnitude leaves out."""
    noise = np.random.default_rng(seed).standard_normal(n_samples)
    spectrum = np.fft.rfft(noise)
    spectrum[int(len(spectrum) * 0.45) :] = 0
    audio = np.fft.irfft(spectrum, n_samples)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


@pytest.mark.parametrize("n_samples", [512, 40 * 512, 5000 * 512])
def test_stft_equals_librosas(n_samples):
    audio = music(n_samples)
    reference = librosa.stft(audio, n_fft=1024, hop_length=512, window=np.hanning(1024))
    spectrogram = data.stft(audio)
    assert spectrogram.shape == reference.shape == (513, 1 + n_samples // 512)
    assert spectrogram.dtype == np.complex64
    np.testing.assert_allclose(spectrogram, reference, atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 44_100, 2_500_001])
def test_istft_inverts_stft(n_samples):
    audio = music(max(n_samples, 8))[:n_samples]
    spectrogram = data.stft(audio)
    assert spectrogram.shape[1] == data.count_frames(n_samples)
    restored = data.istft(spectrogram, n_samples)
    assert restored.shape == audio.shape
    np.testing.assert_allclose(restored, audio, atol=1e-5)


def test_the_log_magnitude_of_band_limited_audio_is_inverted():
    audio = music(100_000)
    fade = np.minimum(1, np.arange(100_000) / 2000).astype(np.float32)
    audio *= fade * fade[::-1]  # an edge is not band-limited
    spectrogram = data.stft(audio)
    image = data.log_magnitude(spectrogram)
    assert (image.shape, image.dtype) == ((256, spectrogram.shape[1]), np.float32)
    magnitude = np.zeros(spectrogram.shape, np.float32)
    magnitude[:256] = data.stft_magnitude(data.from_network(data.to_network(image)))
    restored = data.istft(magnitude * np.exp(1j * np.angle(spectrogram)), len(audio))
    assert np.abs(restored - audio).max() < 1e-4


def test_full_scale_sine_has_magnitude_one():
    frequency = 40 * 44_100 / 1024  # in the middle of a bin
    sine = np.sin(2 * np.pi * frequency * np.arange(44_100) / 44_100).astype(np.float32)
    magnitude = data.expand_magnitude(data.log_magnitude(data.stft(sine)))
    assert magnitude[:, 5:-5].max(axis=0) == pytest.approx(1, abs=2e-3)
    assert np.all(magnitude[:, 5:-5].argmax(axis=0) == 40)


def test_log_magnitude_is_the_formula_and_its_inverse():
    magnitude = np.concatenate([[0], np.geomspace(1e-7, 1, 500)])
    log_magnitude = data.compress_magnitude(magnitude)
    a = 2.0**-16
    np.testing.assert_allclose(log_magnitude, np.log1p(magnitude / a) / np.log1p(1 / a), atol=3e-7)
    np.testing.assert_allclose(data.expand_magnitude(log_magnitude), magnitude, rtol=2e-5, atol=1e-10)
    assert log_magnitude[0] == 0
    assert data.compress_magnitude(np.float32([1, 1.5, 100])).tolist() == [1, 1, 1]  # louder than full scale
    assert data.from_network(data.to_network(log_magnitude)) == pytest.approx(log_magnitude, abs=1e-7)


@pytest.mark.parametrize(("n_samples", "count"), [(1, 1), (255 * 512, 1), (255 * 512 + 1, 2), (4096 * 512, 17)])
def test_slices_cover_the_audio_and_end_in_silence(n_samples, count):
    audio = music(max(n_samples, 8))[:n_samples]
    images = list(data.slices(audio))
    assert len(images) == count
    assert all(image.shape == (256, 256, 1) and image.dtype == np.float32 for image in images)
    log_magnitude = data.log_magnitude(data.stft(audio))
    joined = np.concatenate([image[..., 0] for image in images], axis=1)
    np.testing.assert_allclose(joined[:, : log_magnitude.shape[1]], log_magnitude, atol=1e-6)
    assert not joined[:, log_magnitude.shape[1] :].any()


def test_slice_names():
    match = data.SLICE_NAME.fullmatch("a-piece_001_012.npy")
    assert (match["piece"], match["index"]) == ("a-piece_001", "012")
    assert data.SLICE_NAME.fullmatch("piece_1234.npy")
    assert not data.SLICE_NAME.fullmatch(".partial-piece_001.npy")
    assert not data.SLICE_NAME.fullmatch("piece.npy")
