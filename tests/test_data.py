import librosa
import numpy as np
import pytest
import soundfile

import audio_files
import data


def music(n_samples, seed=0):
    """Noise without the upper half of the spectrum, which the magnitude does not keep."""
    noise = np.random.default_rng(seed).standard_normal(n_samples)
    spectrum = np.fft.rfft(noise)
    spectrum[int(len(spectrum) * 0.45) :] = 0
    audio = np.fft.irfft(spectrum, n_samples)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


@pytest.mark.parametrize("n_samples", [512, 40 * 512, 5000 * 512])
def test_stft_is_librosas(n_samples):
    audio = music(n_samples)
    reference = librosa.stft(audio, n_fft=1024, hop_length=512, window=np.hanning(1024))
    ours = data.stft(audio)
    assert ours.shape == reference.shape == (513, 1 + n_samples // 512)
    assert ours.dtype == np.complex64
    np.testing.assert_allclose(ours, reference, atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 44_100, 2_500_001])
def test_audio_comes_back_from_its_stft(n_samples):
    audio = music(max(n_samples, 8))[:n_samples]
    spectrogram = data.stft(audio)
    assert spectrogram.shape[1] == data.count_frames(n_samples)
    whole = data.istft(spectrogram, n_samples)
    assert whole.shape == audio.shape
    np.testing.assert_allclose(whole, audio, atol=1e-5)


def test_band_limited_audio_comes_back_through_the_network_domain():
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
    magnitude = data.db_to_amplitude(data.log_magnitude(data.stft(sine)))
    assert magnitude[:, 5:-5].max(axis=0) == pytest.approx(1, abs=2e-3)
    assert np.all(magnitude[:, 5:-5].argmax(axis=0) == 40)


def test_log_magnitude_is_the_formula_and_its_inverse():
    magnitude = np.concatenate([[0], np.geomspace(1e-7, 1, 500)])
    log_magnitude = data.amplitude_to_db(magnitude)
    a = 2.0**-16
    np.testing.assert_allclose(log_magnitude, np.log1p(magnitude / a) / np.log1p(1 / a), atol=3e-7)
    np.testing.assert_allclose(data.db_to_amplitude(log_magnitude), magnitude, rtol=2e-5, atol=1e-10)
    assert log_magnitude[0] == 0
    assert data.amplitude_to_db(np.float32([1, 1.5, 100])).tolist() == [1, 1, 1]  # louder than full scale
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


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
def test_load_audio_resamples_and_mixes(tmp_path, rate):
    time = np.arange(rate) / rate
    left, right = 0.6 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.flac", np.stack([left, right], axis=1), rate)
    audio = audio_files.load_audio(tmp_path / "a.flac")
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    assert audio.shape == (44_100,)
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio[2000:-2000], expected[2000:-2000], atol=2e-3)


def test_files_that_are_not_audio_raise_value_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not audio")
    with pytest.raises(ValueError, match="not an audio file"):
        audio_files.load_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 44_100, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN"):
        audio_files.load_audio(tmp_path / "nan.wav")
