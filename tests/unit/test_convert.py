"""Recordings of all kinds, converted with functions that stand for a network."""

import fractions
import resource
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import one_line
from sounds import RATE, identity, music

import data
from common import audio, cli
from common.cli import UserError
from inference import convert
from inference.arguments import add_arguments, convert_settings
from inference.jobs import Job, check_jobs, list_jobs
from inference.loudness import Meter
from inference.runtimes import Network
from inference.settings import LEVELS, ConvertSettings, PhaseSettings, TransferSettings
from inference.style import Style


def parse(*words):
    parser = cli.ArgumentParser("test")
    add_arguments(parser)
    return parser.parse_args(["--model", "m", "--input", "i", "--output", "o", *map(str, words)])


def test_a_network_of_the_phase_needs_its_phase():
    with pytest.raises(UserError, match="--phase network"):
        convert_settings(parse("--phase_network", "folder"))


def test_a_phase_that_was_removed_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--phase", "admm")
    assert stop.value.code == 2
    message = one_line(capsys.readouterr().err)
    assert "--phase" in message
    assert "griffinlim_input" in message


def test_every_flag_becomes_a_setting():
    words = "--phase griffinlim --phase_iterations 3 --interleave --overlap 64 --seed 7 --level match --subtype pcm_24"
    transfer = TransferSettings(PhaseSettings("griffinlim", 3, 7, True), 64, "input")
    assert convert_settings(parse(*words.split(), "--high_band", "input")) == ConvertSettings(
        "match", "PCM_24", transfer
    )
    assert convert_settings(parse()) == ConvertSettings(transfer=TransferSettings(PhaseSettings("auto")))


def test_a_network_gets_all_slices_of_a_style_or_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.2)[0], RATE)
    jobs = [Job(tmp_path / "a.wav", tmp_path / "out.wav")]
    styles, given = [Style(np.random.default_rng(0).random((3, *data.SLICE_SHAPE)), ["notice"])], []
    for takes_style in (False, True):
        network = Network(lambda images, *style: given.extend(style) or images, takes_style, "the CPU")
        wrong, right = ([], styles) if takes_style else (styles, [])
        with pytest.raises(UserError, match="style"):
            convert.run(jobs, tmp_path, network, ConvertSettings(), wrong)
        assert convert.run(jobs, tmp_path, network, ConvertSettings(overwrite=True), right) == 0
    np.testing.assert_array_equal(given, styles[0].slices)


def test_styles_are_mixed_in_the_log_magnitude(tmp_path, capsys):
    network = Network(lambda source, style: source * (0.75 + style / 4), True, "the CPU")

    def image(value):
        return np.full((1, *data.SLICE_SHAPE), value, np.float32)

    def convert_with(name, *parts):
        styles = [Style(image(value), [f"style {value}"], weight) for value, weight in parts]
        assert convert.run([Job(tmp_path / "in.wav", tmp_path / name)], tmp_path, network, settings, styles) == 0
        return soundfile.read(tmp_path / name)[0]

    soundfile.write(tmp_path / "in.wav", music(2)[0], RATE)
    settings = ConvertSettings(subtype="FLOAT")
    mixed = convert_with("mixed.wav", (-0.8, 0.25), (0.6, 0.75))
    assert capsys.readouterr().out.splitlines()[:2] == ["style -0.8", "style 0.6"]
    alone = convert_with("alone.wav", (0.25 * -0.8 + 0.75 * 0.6, 1.0))
    assert np.abs(alone).max() > 0.01
    np.testing.assert_allclose(mixed, alone, atol=1e-4 * np.abs(alone).max())
    first = convert_with("first.wav", (-0.8, 1.0))
    assert np.abs(first - mixed).max() > 0.01 * np.abs(first).max()
    np.testing.assert_array_equal(convert_with("same.wav", (-0.8, 1.0), (0.6, 0.0)), first)


def convert_files(source, target, *words, network=identity):
    """Converts a file or folder as the scripts do; returns the exit status."""
    arguments = parse(*words)
    jobs = check_jobs(list_jobs([str(source)], str(target)), arguments.subtype, arguments.overwrite)
    return convert.convert_all(jobs, network, convert_settings(arguments), "the CPU")


def loudness(path):
    samples, rate = soundfile.read(path, always_2d=True)
    meter = Meter(rate, samples.shape[1])
    meter.add(samples.T)
    return meter.loudness()


def test_levels(tmp_path, capsys):
    def louder(images):
        return data.to_network(data.compress_magnitude(8 * data.expand_magnitude(data.from_network(images))))

    source = tmp_path / "in.wav"
    soundfile.write(source, music(4).T, RATE)
    before, _ = soundfile.read(source)
    results = {}
    for level in LEVELS:
        assert convert_files(source, tmp_path / f"{level}.wav", "--level", level, network=louder) == 0
        results[level] = soundfile.read(tmp_path / f"{level}.wav")[0]
    assert "turned down by" in capsys.readouterr().out
    assert np.abs(results["none"]).max() == pytest.approx(1, abs=1e-3)
    assert np.abs(results["peak"]).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    np.testing.assert_allclose(results["none"] * 10 ** (-1 / 20), results["peak"], atol=1e-3)  # not clipped
    assert loudness(tmp_path / "match.wav") == pytest.approx(loudness(source), abs=0.1)
    convert_files(source, tmp_path / "float.wav", "--subtype", "float", network=louder)
    assert np.abs(soundfile.read(tmp_path / "float.wav")[0]).max() > 1  # which floating point can hold
    convert_files(source, tmp_path / "same.wav", "--high_band", "input")
    np.testing.assert_allclose(soundfile.read(tmp_path / "same.wav")[0], before, atol=2e-3)


@pytest.mark.parametrize(("before", "after"), [(None, -20.0), (-20.0, None), (None, None)])
def test_what_has_no_loudness_keeps_its_level(before, after):
    meters = [SimpleNamespace(peak=0.5, loudness=lambda value=value: value) for value in (before, after)]
    assert convert._choose_gain("match", *meters, "PCM_16") == (1.0, "")


def write_m4a(path, samples, rate):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, fractions.Fraction(1, rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(
    ("channels", "rate", "subtype", "extension"),
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
def test_output_has_the_inputs_channels_rate_and_length(tmp_path, channels, rate, subtype, extension):
    n_samples = rate + 123
    samples = music(2, rate, channels)[:, :n_samples]
    soundfile.write(tmp_path / f"in.{extension}", samples.T, rate, subtype)
    n_samples = soundfile.info(tmp_path / f"in.{extension}").frames
    assert convert_files(tmp_path / f"in.{extension}", tmp_path / "out.wav") == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.channels, info.samplerate, info.frames) == (channels, rate, n_samples)
    assert info.subtype == ("PCM_24" if subtype in ("PCM_24", "PCM_32", "FLOAT") else "PCM_16")
    written, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    read, _ = soundfile.read(tmp_path / f"in.{extension}", always_2d=True)
    if rate <= 48_000:  # there is little above 11 kHz, which is lost
        assert np.sqrt(np.mean((written - read) ** 2)) < 0.2 * np.sqrt(np.mean(read**2))


def test_formats_that_only_ffmpeg_reads(tmp_path):
    samples = music(3, RATE, 2)
    write_m4a(tmp_path / "in.m4a", samples, RATE)
    assert convert_files(tmp_path / "in.m4a", tmp_path / "out.flac") == 0
    written, rate = soundfile.read(tmp_path / "out.flac")
    assert rate == RATE
    assert written.shape[1] == 2
    assert abs(len(written) - samples.shape[1]) <= 2048  # AAC codes whole frames
    length = min(len(written), samples.shape[1])
    assert np.corrcoef(written[:length, 0], samples[0, :length])[0, 1] > 0.95
    assert np.corrcoef(audio.load_audio(tmp_path / "in.m4a")[:length], samples.mean(axis=0)[:length])[0, 1] > 0.95


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_output_formats(tmp_path, extension):
    soundfile.write(tmp_path / "in.wav", music(1, 48_000, 2).T, 48_000)
    assert convert_files(tmp_path / "in.wav", tmp_path / f"out.{extension}") == 0
    info = soundfile.info(tmp_path / f"out.{extension}")
    assert info.format == {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}[extension]
    assert (info.channels, info.samplerate) == (2, 48_000)
    assert not list(tmp_path.glob(".partial*"))


def test_a_wav_beyond_4_gib_is_rf64(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "in.wav", music(1).T, RATE)
    monkeypatch.setattr(audio, "LARGEST_WAV", 2 * RATE)
    convert_files(tmp_path / "in.wav", tmp_path / "small.wav")
    monkeypatch.setattr(audio, "LARGEST_WAV", 2 * RATE - 1)
    convert_files(tmp_path / "in.wav", tmp_path / "large.wav")
    formats = [soundfile.info(tmp_path / f"{name}.wav").format for name in ("small", "large")]
    assert formats == ["WAV", "RF64"]
    np.testing.assert_array_equal(*(soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("small", "large")))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_200, 96_000, 192_000])
def test_no_sample_is_lost_at_any_rate(tmp_path, rate):
    for channels, n_samples in ((1, rate + 123), (2, rate // 3 + 1), (6, 1001), (1, 1)):
        soundfile.write(tmp_path / "in.wav", music(2, rate, channels)[:, :n_samples].T, rate)
        convert_files(tmp_path / "in.wav", tmp_path / "out.wav", "--phase", "input", "--overwrite")
        info = soundfile.info(tmp_path / "out.wav")
        assert (info.channels, info.samplerate, info.frames) == (channels, rate, n_samples)


@pytest.mark.parametrize("together", [False, True])
def test_recordings_that_were_cut_off_are_converted_and_reported(tmp_path, capsys, together):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.wav"
    soundfile.write(path, music(2)[0], RATE)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 60_001])
    if together:
        soundfile.write(tmp_path / "in" / "b.wav", music(1)[0], RATE)
    assert convert_files(tmp_path / "in", tmp_path / "out") == 1
    failed = capsys.readouterr().err.splitlines()
    assert failed[0].startswith(f"failed: {path}: ends after 1.36 s, and says that it holds 2.00 s")
    assert failed[0].endswith("what there is was converted")
    assert failed[1:] == (["1 of 2 recordings failed"] if together else [])
    assert soundfile.info(tmp_path / "out" / "a.wav").frames == 60_001


def test_a_full_disk_costs_its_files_alone_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name, n_samples in (("a", 40_000), ("b", 1000), ("c", 40_000), ("d", 900)):
        soundfile.write(tmp_path / "in" / f"{name}.wav", music(1)[0, :n_samples], RATE)
    (tmp_path / "in" / "e.wav").symlink_to(tmp_path / "nowhere.wav")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        assert convert_files(tmp_path / "in", tmp_path / "out") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    failed = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].rsplit("/")[-1] for line in failed[:-1]] == ["a.wav", "c.wav", "e.wav"]
    assert "file too large" in failed[0]
    assert "no such file" in failed[2]
    assert failed[-1] == "3 of 5 recordings failed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.wav", "d.wav"]


def test_a_long_name_is_written(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.2)[0], RATE)
    for name in ("x" * 251 + ".wav", "ä" * 125 + ".wav"):
        assert convert_files(tmp_path / "a.wav", tmp_path / "out" / name) == 0
        assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
        (tmp_path / "out" / name).unlink()


def test_a_network_whose_output_is_not_finite_writes_nothing(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.2)[0], RATE)
    with pytest.raises(UserError, match="output is not finite"):
        convert_files(tmp_path / "a.wav", tmp_path / "out" / "a.wav", network=lambda images: images * np.nan)
    assert not list((tmp_path / "out").iterdir())


def test_formats_that_cannot_hold_it_are_refused(tmp_path):
    soundfile.write(tmp_path / "in.wav", music(1, 48_000, 6).T, 48_000)
    with pytest.raises(UserError, match="MP3 cannot hold"):
        convert_files(tmp_path / "in.wav", tmp_path / "out.mp3")
    with pytest.raises(UserError, match=r"--subtype PCM_24 is not a subtype of \.ogg files"):
        convert_files(tmp_path / "in.wav", tmp_path / "out.ogg", "--subtype", "pcm_24")
    with pytest.raises(UserError, match="must end in one of"):
        convert_files(tmp_path / "in.wav", tmp_path / "out.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav"]


def test_unusual_files_are_converted_or_refused_in_one_line(tmp_path):
    def write(name, samples, **options):
        soundfile.write(tmp_path / name, samples, RATE, **options)
        return tmp_path / name

    for name, samples in (("one.wav", np.full(1, 0.5)), ("silent.wav", np.zeros(RATE))):
        assert convert_files(write(name, samples), tmp_path / f"out_{name}") == 0
        assert soundfile.info(tmp_path / f"out_{name}").frames == len(samples)
        for level in ("match", "peak"):
            assert convert_files(tmp_path / name, tmp_path / f"{level}_{name}", "--level", level) == 0
    assert not soundfile.read(tmp_path / "out_silent.wav")[0].any()

    whole = write("whole.wav", music(3)[0])
    (tmp_path / "truncated.wav").write_bytes(whole.read_bytes()[:100_000])
    assert convert_files(tmp_path / "truncated.wav", tmp_path / "out_truncated.wav") == 1
    assert soundfile.info(tmp_path / "out_truncated.wav").frames == (100_000 - 44) // 2
    (tmp_path / "wav_inside.mp3").write_bytes(whole.read_bytes())
    assert convert_files(tmp_path / "wav_inside.mp3", tmp_path / "out_mislabeled.wav") == 0

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
            convert_files(path, tmp_path / "new.wav")
        assert path.name in one_line(str(error.value))
        assert not (tmp_path / "new.wav").exists()


def test_folders_keep_their_structure_and_bad_files_do_not_stop_the_rest(tmp_path, capsys):
    samples = music(0.5)[0]
    for name in ("a.wav", "deep/b.flac", "deep/er/c.aiff", "a.aiff", ".hidden.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, samples, RATE)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    (tmp_path / "in" / "notes.txt").write_text("no audio either")
    output = tmp_path / "in" / "out"  # inside the input folder, but not part of the input
    assert convert_files(tmp_path / "in", output) == 1
    printed = capsys.readouterr()
    assert "bad.wav" in printed.err
    assert "1 of 5 recordings failed" in printed.err
    made = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    assert made == ["a.aiff.wav", "a.wav", "deep/b.flac", "deep/er/c.wav"]

    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.*")}
    (tmp_path / "in" / "bad.wav").unlink()
    assert convert_files(tmp_path / "in", output) == 0
    assert capsys.readouterr().out.count("skipped:") == 4
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.*")} == before
    assert convert_files(tmp_path / "in", output, "--overwrite") == 0
    assert all(path.stat().st_mtime_ns > before[path] for path in before if path.is_file())
