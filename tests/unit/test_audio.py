"""Audio files: what is read of them, what is refused, and what a write that fails leaves."""

import itertools
import os
import resource
import struct
import sys

import av
import numpy as np
import pytest
import soundfile
from sounds import RATE, music

from common import audio


def write_with_ffmpeg(path, samples, codec="aac"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else RATE)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def read(path):
    """All samples of a file, and what it says of its end."""
    with audio.Reader(path) as reader:
        blocks = list(reader.blocks())
        return np.concatenate(blocks, axis=1), reader.cut_off()


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
    np.testing.assert_allclose(audio.load_audio(tmp_path / "a.flac", 10_001), samples[:10_001], atol=1e-6)


def test_the_start_of_a_file_is_read_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1000)
    path = tmp_path / "a.wav"
    soundfile.write(path, music(2)[0], RATE)
    whole = audio.load_audio(path)
    path.write_bytes(path.read_bytes()[:60_000])  # what follows the start does not matter
    np.testing.assert_array_equal(audio.load_audio(path, 20_000), whole[:20_000])
    with pytest.raises(ValueError, match=r"ends after 0\.68 s, and says that it holds 2\.00 s"):
        audio.load_audio(path)


def test_files_that_are_not_audio_raise_value_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not audio")
    with pytest.raises(ValueError, match="not an audio file"):
        audio.load_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 44_100, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN"):
        audio.load_audio(tmp_path / "nan.wav")


@pytest.mark.parametrize("level", [101, 32_768, 1e30, 3e38])
def test_samples_beyond_any_level_are_refused(tmp_path, level):
    soundfile.write(tmp_path / "a.wav", np.array([0.5, -level], np.float32), RATE, subtype="FLOAT")
    with pytest.raises(audio.AudioError, match="holds samples of"):
        audio.load_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.array([0.5, -99], np.float32), RATE, subtype="FLOAT")
    assert audio.load_audio(tmp_path / "b.wav").min() == -99


def test_rates_and_channels_of_no_recording_are_refused(tmp_path):
    for rate in (1, 3, 50, 3_999, 768_001, 2_000_000_000):
        soundfile.write(tmp_path / "a.wav", np.zeros(10), rate)
        with pytest.raises(audio.AudioError, match=f"has a rate of {rate} Hz; it must be from 4000 to 768000"):
            audio.Reader(tmp_path / "a.wav")
    for rate in (4_000, 768_000):
        soundfile.write(tmp_path / "a.wav", np.zeros(10), rate)
        audio.Reader(tmp_path / "a.wav").close()
    soundfile.write(tmp_path / "a.wav", np.zeros((10, 33)), RATE)
    with pytest.raises(audio.AudioError, match="33 channels"):
        audio.Reader(tmp_path / "a.wav")


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "folder.wav").mkdir()
    for name in ("fifo.wav", "folder.wav"):
        with pytest.raises(audio.AudioError, match="not a regular file"):
            audio.Reader(tmp_path / name)
    (tmp_path / "dead.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name in ("dead.wav", "loop.wav", "nowhere.wav"):
        with pytest.raises(OSError, match=name):
            audio.Reader(tmp_path / name)


@pytest.mark.parametrize("name", ["Prelude:No1", "100%", "a b#c", b"n\xe9", "x" * 250, "-", "line\nbreak"])
def test_any_name_can_be_read_and_written(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write_with_ffmpeg(tmp_path / "a.m4a", music(0.3, channels=2)).rename(path.with_suffix(".m4a"))
    assert read(path.with_suffix(".m4a"))[0].shape[1] > 0.3 * RATE - 1
    with audio.open_to_write(path.with_suffix(".wav"), RATE, 1, None) as writer:
        writer.write(np.full(100, 0.5))
    np.testing.assert_array_equal(read(path.with_suffix(".wav"))[0], np.full((1, 100), 0.5))


def test_files_cannot_make_ffmpeg_open_others(tmp_path):
    write_with_ffmpeg(tmp_path / "secret.aac", music(0.3, channels=2))
    (tmp_path / "a.m4a").write_text("ffconcat version 1.0\nfile secret.aac\n")
    (tmp_path / "b.m4a").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.aac\n#EXT-X-ENDLIST\n")
    for name in ("a.m4a", "b.m4a"):
        with pytest.raises(audio.AudioError, match="not an audio file"):
            audio.Reader(tmp_path / name)


def test_files_without_a_decoder_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, music(0.1)[0], RATE)
    damaged = bytearray(path.read_bytes())
    damaged[20:22] = b"\x34\x12"  # a format that nobody knows
    path.write_bytes(damaged)
    with pytest.raises(audio.AudioError, match="not an audio file that can be read"):
        audio.Reader(path)
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    with pytest.raises(audio.AudioError, match="not an audio file that can be read"):
        audio.Reader(tmp_path / "a.raw")


@pytest.mark.parametrize("extension", ["wav", "aiff", "au", "w64", "caf", "ogg", "mp3", "opus", "mka", "webm"])
def test_files_that_were_cut_off_are_noticed(tmp_path, capfd, extension):
    path = tmp_path / f"a.{extension}"
    samples = music(4, channels=2)
    if extension in ("opus", "mka", "webm"):
        write_with_ffmpeg(path, samples, "aac" if extension == "mka" else "libopus")
    else:
        soundfile.write(path, samples.T, RATE)
    whole, fault = read(path)
    assert fault is None
    with audio.Reader(path) as reader:
        assert reader.expected_samples == pytest.approx(whole.shape[1], rel=0.01)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half, fault = read(path)
    assert 0.3 < half.shape[1] / whole.shape[1] < 0.7
    assert "it was cut off" in fault
    with pytest.raises(audio.AudioError, match="it was cut off"):
        audio.load_audio(path)
    assert capfd.readouterr().err == ""  # libmpg123 has a line of its own about such files


def test_an_mp3_that_lacks_a_little_is_noticed(tmp_path):
    path, tag = tmp_path / "a.mp3", b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    soundfile.write(path, music(4, channels=2).T, RATE)
    content = path.read_bytes()
    for whole in (content, tag + content, content[:-100]):  # a tag in front; a tag that was removed from the end
        path.write_bytes(whole)
        assert read(path)[1] is None
    for cut in (content[:-400], (tag + content)[:-400]):  # a frame of 26 ms
        path.write_bytes(cut)
        assert "fewer bytes than it says" in read(path)[1]


@pytest.mark.parametrize("extension", ["flac", "m4a"])
def test_files_whose_decoder_fails_are_damaged(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    if extension == "flac":
        soundfile.write(path, music(4)[0], RATE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        write_with_ffmpeg(path, music(4, channels=2))
        damaged = bytearray(path.read_bytes())
        damaged[10_000:12_000] = np.random.default_rng(0).bytes(2000)
        path.write_bytes(damaged)
    with pytest.raises(audio.AudioError, match=r"is damaged after \d\.\d s"):
        audio.load_audio(path)


def test_lengths_that_a_file_leaves_open_are_no_fault(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, music(0.5)[0], RATE)
    data = path.read_bytes()
    assert data[36:40] == b"data"
    for size in (0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF):
        path.write_bytes(data[:4] + struct.pack("<I", size) + data[8:40] + struct.pack("<I", size) + data[44:])
        samples, fault = read(path)
        assert fault is None
        assert samples.shape == (1, RATE // 2)
    with open(path, "wb") as file:  # a chunk behind the samples that is cut off
        file.write(data[:4] + struct.pack("<I", len(data) + 1000) + data[8:] + b"LIST" + struct.pack("<I", 1000))
    assert read(path)[1] is None


def test_the_length_of_an_mp3_without_a_count_is_only_a_guess(tmp_path):
    path = tmp_path / "a.mp3"
    quiet, loud = np.zeros(3 * RATE), 0.3 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(path, np.concatenate([quiet, loud]), RATE, bitrate_mode="VARIABLE")
    data = path.read_bytes()
    assert read(path)[1] is None
    second_frame = data.index(data[:2], 100)
    path.write_bytes(data[second_frame:])
    with audio.Reader(path) as reader:
        assert reader.expected_samples > 1.2 * 6 * RATE  # so wrong that the guess must not count
    assert read(path)[1] is None
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 44]) + bytes(300)
    path.write_bytes(tag + data[: len(data) // 2])
    assert "it was cut off" in read(path)[1]


def test_frames_of_ffmpeg_are_gathered_into_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 20_000)
    path = write_with_ffmpeg(tmp_path / "a.m4a", music(2, channels=2))
    with av.open(str(path)) as container:
        expected = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    with audio.Reader(path) as reader:
        blocks = list(reader.blocks())
        assert reader.n_samples == expected.shape[1]
    assert [20_000 <= block.shape[1] < 21_024 for block in blocks] == [True] * 4 + [False]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)


def test_blocks_of_many_channels_are_short(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1000)
    for n_channels, expected in ((1, 1000), (2, 1000), (8, 250)):
        soundfile.write(tmp_path / "a.wav", np.zeros((3000, n_channels)), RATE)
        with audio.Reader(tmp_path / "a.wav") as reader:
            assert next(reader.blocks()).shape == (n_channels, expected)


@pytest.mark.parametrize(
    ("subtype", "width"), [(None, 2), ("PCM_U8", 1), ("PCM_16", 2), ("PCM_24", 3), ("PCM_32", 4), ("DOUBLE", 8)]
)
def test_a_wav_is_rf64_only_beyond_4_gib(tmp_path, subtype, width):
    most = (2**32 - 2**16) // (2 * width)
    for n_samples, expected in ((most, "WAV"), (most + 1, "RF64")):
        with audio.open_to_write(tmp_path / "a.wav", RATE, 2, subtype, n_samples) as writer:
            assert writer.format == expected


@pytest.fixture
def small_files():
    """A function that limits how large files may become: to write more is an error, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.slow
@pytest.mark.parametrize("extension", [extension[1:] for extension in audio.EXTENSIONS])
def test_an_error_of_the_disk_is_never_lost(tmp_path, small_files, extension):
    samples = music(4, channels=2).T

    def write(name):
        with audio.open_to_write(tmp_path / name, RATE, 2, None) as writer:
            for block in np.array_split(samples, 5):
                writer.write(block)

    write(f"a.{extension}")
    size = (tmp_path / f"a.{extension}").stat().st_size
    # Up to the last byte: encoders write the last ones when the file is closed.
    for limit in itertools.chain([10, 100], range(size // 2, size, size // 5), [size - 1]):
        small_files(limit)
        with pytest.raises(OSError, match="File too large"):
            write(f"b.{extension}")


def test_without_pyav_a_file_of_libsndfile_is_read_and_another_one_is_one_clear_error(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.flac", music(0.2)[0], RATE)
    write_with_ffmpeg(tmp_path / "a.m4a", music(0.2, channels=2))
    monkeypatch.setitem(sys.modules, "av", None)
    assert read(tmp_path / "a.flac")[0].shape == (1, RATE // 5)
    with pytest.raises(audio.AudioError, match=r"without PyAV \(.*\): pip install av"):
        read(tmp_path / "a.m4a")
