import numpy as np
import pytest
import soundfile

from common import audio


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
def test_load_audio_resamples_and_mixes(tmp_path, rate):
    time = np.arange(rate) / rate
    left, right = 0.6 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.flac", np.stack([left, right], axis=1), rate)
    samples = audio.load_audio(tmp_path / "a.flac")
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    assert samples.shape == (44_100,)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[2000:-2000], expected[2000:-2000], atol=2e-3)


def test_files_that_are_not_audio_raise_value_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not audio")
    with pytest.raises(ValueError, match="not an audio file"):
        audio.load_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 44_100, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN"):
        audio.load_audio(tmp_path / "nan.wav")
