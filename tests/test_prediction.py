"""Recordings of all kinds through a network that is not one: what comes out, and what is refused."""

import fractions
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
import soundfile
from conftest import one_line

import audio_files
import cli
import data
import metrics
import phases
import prediction
import pretrained
import streaming
import transfer
from cli import UserError
from loudness import Meter

RATE = 44_100


def identity(images):
    return images


def bent(images):
    """A network whose output is another picture than its input, and depends on its neighbourhood."""
    return np.tanh(images + 0.3 * np.roll(images, 3, axis=1) + 0.2 * np.roll(images, 2, axis=2)).astype(np.float32)


def music(seconds, rate=RATE, channels=1, level=0.2, seed=0):
    """Decaying chords over a little noise: float32 array [shape=(n_channels, n_samples)]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    audio = 0.002 * rng.standard_normal((channels, len(time)))
    for start in np.arange(0, seconds, 0.5):
        for frequency in rng.choice([196, 262, 330, 392, 523, 1047], 3):
            decay = np.where(time >= start, np.exp(-3 * (time - start)), 0)
            audio += level / 3 * rng.uniform(0.5, 1, (channels, 1)) * decay * np.sin(2 * np.pi * frequency * time)
    return audio.astype(np.float32)


def arguments(*words):
    parser = cli.ArgumentParser("test")
    prediction.add_arguments(parser)
    return parser.parse_args(["--model", "m", "--input", "i", "--output", "o", *map(str, words)])


def convert(source, target, *words, network=identity):
    """Converts a file as the scripts do: the exit status."""
    given = arguments(*words)
    jobs = prediction.check_jobs(prediction.plan([str(source)], str(target)), given)
    return prediction.convert_all(jobs, network, given, "the CPU")


def cut(audio, size):
    return (audio[:, start : start + size] for start in range(0, audio.shape[1], size))


@pytest.mark.parametrize("phase", ["input", "griffinlim", "griffinlim_input", "admm"])
def test_blocks_do_not_change_the_result(phase):
    audio = music(16, 48_000, channels=2)
    settings = {"phase": phase, "phase_iterations": 3, "high_band": "input", "batch_size": 4}
    whole = transfer.transfer_audio(audio, 48_000, bent, **settings)
    assert np.abs(whole).max() > 0.05
    for size in (1000, 77_777):
        parts = np.concatenate(list(transfer.transfer(cut(audio, size), 48_000, bent, **settings)), axis=1)
        np.testing.assert_allclose(parts[:, : whole.shape[1]], whole[:, : parts.shape[1]], atol=1e-4)


def test_little_is_held_at_a_time():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield music(1)

    stream = transfer.transfer(endless(), RATE, identity, phase="griffinlim_input", phase_iterations=1)
    done = 0
    for _ in range(6):
        done += next(stream).shape[1]
        assert len(taken) - done / RATE < 60  # seconds that went in and have not come out


@pytest.mark.parametrize("size", [1, 511, 512, 40_000])
def test_streamed_stft_is_the_whole_one(size):
    audio = music(1.3, channels=2)[:, :55_555]
    spectra = np.concatenate(list(streaming.stft(cut(audio, size))), axis=-1) if size > 1 else None
    if size == 1:
        audio = audio[:, :2000]
        spectra = np.concatenate(list(streaming.stft(cut(audio, size))), axis=-1)
    expected = np.stack([data.stft(channel) for channel in audio])
    np.testing.assert_allclose(spectra, expected, atol=1e-4)
    back = np.concatenate(list(streaming.istft(np.split(spectra, [1, 2], axis=-1))), axis=-1)
    np.testing.assert_allclose(back[:, : audio.shape[1]], audio, atol=1e-5)


def test_streamed_resampling_is_the_whole_one():
    audio = music(3, 48_000)
    parts = np.concatenate(list(streaming.resample(cut(audio, 5000), 48_000, RATE)), axis=1)
    np.testing.assert_allclose(parts[0], data.resample(audio[0], 48_000, RATE)[: parts.shape[1]], atol=1e-5)


def test_regroup_looks_ahead_and_loses_nothing():
    numbers = np.arange(103)
    groups = list(streaming.regroup(((part,) for part in np.split(numbers, [5, 6, 50])), 20, 7))
    assert [last for _, last in groups] == [False] * (len(groups) - 1) + [True]
    for index, ((group,), last) in enumerate(groups):
        np.testing.assert_array_equal(group, numbers[20 * index : None if last else 20 * index + 27])


def inconsistency(spectrum, lowest_bin=0):
    """How far an array is from the STFT of its own audio from a bin on, in dB."""
    inside = (slice(None), slice(lowest_bin, None), slice(4, -4))
    error = spectrum - phases.consistent(spectrum)
    return 20 * np.log10(np.linalg.norm(error[inside]) / np.linalg.norm(spectrum[inside]))


def test_spectra_of_audio_are_consistent():
    assert inconsistency(data.stft(music(3)[0])[np.newaxis]) < -100


@pytest.mark.parametrize("estimate", [phases.fast_griffin_lim, phases.admm])
def test_estimators_make_frames_agree_and_hold_what_is_decided(estimate):
    source = data.stft(music(3, seed=1)[0])[np.newaxis]
    target = np.abs(data.stft(music(3, seed=2)[0]))[np.newaxis]
    start = phases.impose(target, source)
    result = estimate(start, 20, 5)
    np.testing.assert_array_equal(result[..., :5], start[..., :5])
    np.testing.assert_array_equal(result[:, : phases.HELD_BINS], start[:, : phases.HELD_BINS])
    np.testing.assert_allclose(np.abs(result), target, rtol=1e-3, atol=1e-5)
    free = phases.HELD_BINS + 2  # next to the bins that are held, the frames cannot agree
    assert inconsistency(result, free) < inconsistency(start, free) - 6


def test_estimators_keep_the_pitch_of_low_notes():
    # Two notes a semitone apart, less than two bins: magnitudes alone hardly tell them from any others.
    time = np.arange(6 * RATE) / RATE
    low = sum(0.1 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in (45, 46, 57, 60))
    spectrum = data.stft(low.astype(np.float32))
    errors = (
        np.random.default_rng(0).normal(1, 0.05, (data.N_BINS, spectrum.shape[1])).astype(np.float32)
    )  # a network's
    image = np.clip(data.log_magnitude(spectrum) * errors, 0, 1)
    expected = metrics.pitches(low.astype(np.float32))
    for phase in ("griffinlim_input", "admm"):
        result = transfer.resynthesize(image, spectrum, len(low), phase)
        assert metrics.pitch_f_measure(metrics.pitches(result), expected) > 0.95


@pytest.mark.parametrize("phase", prediction.PHASES)
def test_channels_keep_their_differences_of_phase(phase):
    # Two players, each nearer to one side: louder there, and a little earlier.
    one, other = music(8, seed=1)[0], music(8, seed=2)[0]
    audio = np.stack([one + 0.5 * np.roll(other, 15), 0.5 * np.roll(one, 15) + other])
    result = transfer.transfer_audio(audio, RATE, bent, phase=phase, phase_iterations=8)
    before, after = (data.stft(signal[0])[:256] * data.stft(signal[1])[:256].conj() for signal in (audio, result))
    weights = np.sqrt(np.abs(before) * np.abs(after))
    kept = np.sum(weights * np.cos(np.angle(after) - np.angle(before))) / weights.sum()
    assert kept > 0.95


@pytest.mark.parametrize("phase", ["griffinlim_input", "admm"])
def test_segments_join_without_a_seam(phase):
    # A network that changes nothing leaves the input, which is consistent: any seam would show as an error.
    audio = music(20)
    result = transfer.transfer_audio(audio, RATE, identity, phase=phase, phase_iterations=4, high_band="input")
    assert np.abs(result - audio).max() < 5e-3


def band_level(audio, low, high):
    spectrum = np.abs(np.fft.rfft(audio))
    frequencies = np.fft.rfftfreq(len(audio), 1 / RATE)
    return np.sqrt(np.mean(spectrum[(frequencies > low) & (frequencies < high)] ** 2))


def test_high_band_follows_the_band_below():
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)

    def softer(images):
        return data.to_network(data.amplitude_to_db(0.5 * data.db_to_amplitude(data.from_network(images))))

    levels = {}
    for network in (identity, softer):
        for high_band in ("none", "input"):
            result = transfer.transfer_audio(noise, RATE, network, high_band=high_band)[0]
            levels[network, high_band] = band_level(result, 12_000, 20_000) / band_level(noise[0], 12_000, 20_000)
    assert levels[identity, "none"] < 0.01
    assert levels[identity, "input"] == pytest.approx(1, abs=0.02)
    assert levels[softer, "input"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
def test_loudness_is_that_of_bs_1770(rate):
    # A sine of 997 Hz at full scale in one channel is -3.01 LUFS (ITU-R BS.1770-4, annex 1).
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate)[np.newaxis]
    meter = Meter(rate, 1)
    for block in cut(sine, 12_345):
        meter.add(block)
    assert meter.loudness() == pytest.approx(-3.01, abs=0.05)
    assert meter.peak == pytest.approx(1, abs=1e-3)
    half = Meter(rate, 2)
    half.add(np.concatenate([0.5 * sine, 0.5 * sine]))
    assert half.loudness() == pytest.approx(-3.01 - 6.02 + 3.01, abs=0.05)
    gated = Meter(rate, 1)  # rests do not count
    gated.add(np.concatenate([sine, np.zeros((1, 20 * rate))], axis=1))
    assert gated.loudness() == pytest.approx(-3.01, abs=0.3)


def test_loudness_of_little_or_nothing():
    silent, short, none = Meter(RATE, 1), Meter(RATE, 1), Meter(RATE, 1)
    silent.add(np.zeros((1, RATE)))
    short.add(0.5 * np.ones((1, 100)))
    assert silent.loudness() is None
    assert none.loudness() is None
    assert short.loudness() is not None


def loudness(path):
    audio, rate = soundfile.read(path, always_2d=True)
    meter = Meter(rate, audio.shape[1])
    meter.add(audio.T)
    return meter.loudness()


def test_levels(tmp_path, capsys):
    def louder(images):
        return data.to_network(data.amplitude_to_db(8 * data.db_to_amplitude(data.from_network(images))))

    source = tmp_path / "in.wav"
    soundfile.write(source, music(4).T, RATE)
    before, _ = soundfile.read(source)
    results = {}
    for level in prediction.LEVELS:
        assert convert(source, tmp_path / f"{level}.wav", "--level", level, network=louder) == 0
        results[level] = soundfile.read(tmp_path / f"{level}.wav")[0]
    assert "turned down by" in capsys.readouterr().out
    assert np.abs(results["none"]).max() == pytest.approx(1, abs=1e-3)
    assert np.abs(results["peak"]).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    assert loudness(tmp_path / "match.wav") == pytest.approx(loudness(source), abs=0.1)
    convert(source, tmp_path / "float.wav", "--subtype", "float", network=louder)
    assert np.abs(soundfile.read(tmp_path / "float.wav")[0]).max() > 1  # which floating point can hold
    convert(source, tmp_path / "same.wav", "--high_band", "input")
    np.testing.assert_allclose(soundfile.read(tmp_path / "same.wav")[0], before, atol=2e-3)


def write_m4a(path, audio, rate):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, fractions.Fraction(1, rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(
    ("channels", "rate", "subtype", "ending"),
    [
        (1, 8_000, "PCM_U8", "wav"),
        (2, 44_100, "PCM_16", "wav"),
        (6, 48_000, "PCM_24", "wav"),
        (2, 96_000, "PCM_32", "wav"),
        (1, 192_000, "FLOAT", "wav"),
        (2, 48_000, "PCM_24", "flac"),
        (2, 44_100, "VORBIS", "ogg"),
        (2, 32_000, "MPEG_LAYER_III", "mp3"),
    ],
)
def test_output_has_the_inputs_channels_rate_and_length(tmp_path, channels, rate, subtype, ending):
    n_samples = rate + 123
    audio = music(2, rate, channels)[:, :n_samples]
    soundfile.write(tmp_path / f"in.{ending}", audio.T, rate, subtype)
    n_samples = soundfile.info(tmp_path / f"in.{ending}").frames
    assert convert(tmp_path / f"in.{ending}", tmp_path / "out.wav") == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.channels, info.samplerate, info.frames) == (channels, rate, n_samples)
    assert info.subtype == ("PCM_24" if subtype in ("PCM_24", "PCM_32", "FLOAT") else "PCM_16")
    written, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    read, _ = soundfile.read(tmp_path / f"in.{ending}", always_2d=True)
    if rate <= 48_000:  # what the network does not see is lost above 11 kHz, and there is little
        assert np.sqrt(np.mean((written - read) ** 2)) < 0.2 * np.sqrt(np.mean(read**2))


def test_what_only_ffmpeg_reads(tmp_path):
    audio = music(3, RATE, 2)
    write_m4a(tmp_path / "in.m4a", audio, RATE)
    assert convert(tmp_path / "in.m4a", tmp_path / "out.flac") == 0
    written, rate = soundfile.read(tmp_path / "out.flac")
    assert rate == RATE
    assert written.shape[1] == 2
    assert abs(len(written) - audio.shape[1]) <= 2048  # AAC codes whole frames
    length = min(len(written), audio.shape[1])
    assert np.corrcoef(written[:length, 0], audio[0, :length])[0, 1] > 0.95
    assert np.corrcoef(audio_files.load_audio(tmp_path / "in.m4a")[:length], audio.mean(axis=0)[:length])[0, 1] > 0.95


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_output_formats(tmp_path, ending):
    soundfile.write(tmp_path / "in.wav", music(1, 48_000, 2).T, 48_000)
    assert convert(tmp_path / "in.wav", tmp_path / f"out.{ending}") == 0
    info = soundfile.info(tmp_path / f"out.{ending}")
    assert info.format == {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}[ending]
    assert (info.channels, info.samplerate) == (2, 48_000)
    assert not list(tmp_path.glob(".partial*"))


def test_a_wav_beyond_4_gib_is_rf64(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "in.wav", music(1).T, RATE)
    convert(tmp_path / "in.wav", tmp_path / "small.wav")
    monkeypatch.setattr(audio_files, "LARGEST_WAV", 1000)
    convert(tmp_path / "in.wav", tmp_path / "large.wav")
    formats = [soundfile.info(tmp_path / f"{name}.wav").format for name in ("small", "large")]
    assert formats == ["WAV", "RF64"]
    np.testing.assert_array_equal(*(soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("small", "large")))


def test_formats_that_cannot_hold_it_are_refused(tmp_path):
    soundfile.write(tmp_path / "in.wav", music(1, 48_000, 6).T, 48_000)
    with pytest.raises(UserError, match="MP3 cannot hold"):
        convert(tmp_path / "in.wav", tmp_path / "out.mp3")
    with pytest.raises(UserError, match=r"--subtype PCM_24 is none of \.ogg files"):
        convert(tmp_path / "in.wav", tmp_path / "out.ogg", "--subtype", "pcm_24")
    with pytest.raises(UserError, match="must end in one of"):
        convert(tmp_path / "in.wav", tmp_path / "out.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav"]


def test_odd_files_give_a_right_result_or_one_line(tmp_path):
    def write(name, audio, **options):
        soundfile.write(tmp_path / name, audio, RATE, **options)
        return tmp_path / name

    for name, audio in (("one.wav", np.full(1, 0.5)), ("silent.wav", np.zeros(RATE))):
        assert convert(write(name, audio), tmp_path / f"out_{name}") == 0
        assert soundfile.info(tmp_path / f"out_{name}").frames == len(audio)
        for level in ("match", "peak"):
            assert convert(tmp_path / name, tmp_path / f"{level}_{name}", "--level", level) == 0
    assert not soundfile.read(tmp_path / "out_silent.wav")[0].any()

    whole = write("whole.wav", music(3)[0])
    (tmp_path / "truncated.wav").write_bytes(whole.read_bytes()[:100_000])
    assert convert(tmp_path / "truncated.wav", tmp_path / "out_truncated.wav") == 0
    assert soundfile.info(tmp_path / "out_truncated.wav").frames == (100_000 - 44) // 2
    (tmp_path / "in_truth_a_wav.mp3").write_bytes(whole.read_bytes())
    assert convert(tmp_path / "in_truth_a_wav.mp3", tmp_path / "out_mislabelled.wav") == 0

    write("empty.wav", np.zeros(0))
    write("nan.wav", np.array([0.1, np.nan, 0.1]), subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "nothing.flac").write_bytes(b"")
    refused = {
        "empty": "holds no samples",
        "nan": "not numbers",
        "text": "not an audio file",
        "nothing": "not an audio",
    }
    for path in (tmp_path / "empty.wav", tmp_path / "nan.wav", tmp_path / "text.wav", tmp_path / "nothing.flac"):
        with pytest.raises(UserError, match=refused[path.stem]) as error:
            convert(path, tmp_path / "new.wav")
        assert path.name in one_line(str(error.value))
        assert not (tmp_path / "new.wav").exists()


def test_folders_keep_their_shape_and_bad_files_do_not_stop_the_rest(tmp_path, capsys):
    audio = music(0.5)[0]
    for name in ("a.wav", "deep/b.flac", "deep/er/c.aiff", "a.aiff", ".hidden.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, audio, RATE)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    (tmp_path / "in" / "notes.txt").write_text("not meant to be audio")
    output = tmp_path / "in" / "out"  # inside the input, and not taken for more of it
    assert convert(tmp_path / "in", output) == 1
    told = capsys.readouterr()
    assert "bad.wav" in told.err
    assert "1 of 5 recordings failed" in told.err
    made = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    assert made == ["a.aiff.wav", "a.wav", "deep/b.flac", "deep/er/c.wav"]

    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.*")}
    (tmp_path / "in" / "bad.wav").unlink()
    assert convert(tmp_path / "in", output) == 0
    assert capsys.readouterr().out.count("skipped:") == 4
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.*")} == before
    assert convert(tmp_path / "in", output, "--overwrite") == 0
    assert all(path.stat().st_mtime_ns > before[path] for path in before if path.is_file())


def test_outputs_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "again").mkdir()
    for name in ("folder/a.wav", "b.wav", "again/b.wav"):
        soundfile.write(tmp_path / name, music(0.1)[0], RATE)
    (tmp_path / "file").write_bytes(b"precious")
    cases = [
        ([tmp_path / "folder", tmp_path / "b.wav"], tmp_path / "out.wav", "must be a folder"),
        ([tmp_path / "empty"], tmp_path / "out", "holds no audio files"),
        ([tmp_path / "nowhere"], tmp_path / "out", "is not a file or folder"),
        ([tmp_path / "b.wav", tmp_path / "again"], tmp_path / "out", "would both become"),
        ([tmp_path / "b.wav"], tmp_path / "file", "file without an ending"),
    ]
    for inputs, output, told in cases:
        with pytest.raises(UserError, match=told):
            prediction.plan(list(map(str, inputs)), str(output))
    for output in (tmp_path / "b.wav", tmp_path):
        jobs = prediction.plan([str(tmp_path / "b.wav")], str(output))
        with pytest.raises(UserError, match="is an input"):
            prediction.check_jobs(jobs, arguments("--overwrite"))


@pytest.fixture
def server(tmp_path):
    """Serves files on loopback, and remembers what was asked for."""
    (tmp_path / "served").mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(tmp_path / "served"))

        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield tmp_path / "served", f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def register(models, url, contents):
    models.mkdir()
    sources = {
        name: {"url": f"{url}/{name}", "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    (models / pretrained.REGISTRY_NAME).write_text(json.dumps({"piano_2_flute": sources}))


def test_models_by_name(server, tmp_path):
    folder, url, asked = server
    contents = {"generator.weights.h5": b"weights" * 1000, "config.json": b"{}"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    models, cache = tmp_path / "models", tmp_path / "cache"
    register(models, url, contents)
    assert pretrained.describe(models, cache) == ["piano_2_flute: to be downloaded"]
    for _ in range(2):  # the second time from the cache
        found = pretrained.find("piano_2_flute", models, cache)
        assert {path.name: path.read_bytes() for path in found.iterdir()} == contents
    assert sorted(asked) == ["/config.json", "/generator.weights.h5"]
    assert str(found) in pretrained.describe(models, cache)[0]
    (models / "piano_2_flute").mkdir()
    (models / "piano_2_flute" / "generator.weights.h5").write_bytes(b"own")
    assert pretrained.find("piano_2_flute", models, cache) == models / "piano_2_flute"
    assert pretrained.find(tmp_path, models, cache) == tmp_path


def test_models_that_cannot_be_had(server, tmp_path):
    folder, url, _ = server
    models, cache = tmp_path / "models", tmp_path / "cache"
    (folder / "generator.weights.h5").write_bytes(b"others")
    register(models, url, {"generator.weights.h5": b"weights"})
    with pytest.raises(UserError, match="SHA-256 differs") as error:
        pretrained.find("piano_2_flute", models, cache)
    one_line(str(error.value))
    assert not [path for path in cache.rglob("*") if path.is_file()]  # nothing half, nothing wrong
    with pytest.raises(UserError, match=r"no model's name \(known: piano_2_flute\)"):
        pretrained.find("piano_2_lute", models, cache)
    with pytest.raises(UserError, match="does not exist"):
        pretrained.find("some/where", models, cache)
    offline = tmp_path / "offline"
    register(offline, "http://127.0.0.1:1", {"generator.weights.h5": b"weights"})
    with pytest.raises(UserError, match=r"cannot be downloaded .* are you offline") as error:
        pretrained.find("piano_2_flute", offline, cache)
    one_line(str(error.value))
    (offline / pretrained.REGISTRY_NAME).write_text('{"a": {"b": 1}}')
    with pytest.raises(UserError, match="is damaged"):
        pretrained.find("a", offline, cache)
