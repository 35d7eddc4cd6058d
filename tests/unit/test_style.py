import tracemalloc

import numpy as np
import pytest
import soundfile
from sounds import music

import data
from common import audio, cli
from common.cli import UserError
from inference.arguments import add_style_arguments, style_settings
from inference.settings import StyleSettings
from inference.style import choose_slices, read_style, read_styles


def recording(*parts):
    """Log-magnitude of parts of (frames, value)."""
    return np.concatenate([np.full((256, frames), value, np.float32) for frames, value in parts], axis=1)


def seconds(frames):
    return frames * data.HOP_LENGTH / data.SAMPLE_RATE


def test_the_fullest_part_is_chosen_and_always_the_same():
    image = recording((300, 0), (400, 0.45), (300, 0.6), (500, 0.5), (700, 0))
    for _ in range(2):
        slices, starts = choose_slices(image)
        assert slices.shape == (1, *data.SLICE_SHAPE)
        assert starts == pytest.approx([seconds(700)])
        assert (slices == np.float32(0.6)).all()


def test_several_parts_do_not_overlap_and_are_never_silent():
    image = recording((100, 0), (300, 0.6), (600, 0), (300, 0.5), (50, 0))
    slices, starts = choose_slices(image, 10)
    assert len(slices) == len(starts) < 10
    assert all(np.diff(sorted(starts)) >= seconds(255.9))
    assert all(data.sounding(part[..., 0]).any() for part in slices)
    assert starts[0] == pytest.approx(seconds(100))


@pytest.mark.parametrize("frames", [1, 40, 255])
def test_a_short_style_is_repeated(frames):
    sound = np.random.default_rng(0).uniform(0.5, 0.9, (256, frames)).astype(np.float32)
    slices, starts = choose_slices(np.concatenate([recording((30, 0)), sound, recording((60, 0))], axis=1))
    assert starts == pytest.approx([seconds(30)])
    np.testing.assert_array_equal(slices[0, ..., 0], np.tile(sound, 256)[:, :256])


def test_the_start_can_be_set():
    image = recording((1000, 0.6), (512, 0.5), (300, 0))
    slices, starts = choose_slices(image, 2, start=seconds(1000))
    assert starts == pytest.approx([seconds(1000), seconds(1256)])
    assert (slices == 0.5).all()
    with pytest.raises(ValueError, match="is silent"):
        choose_slices(image, start=seconds(1512))
    with pytest.raises(ValueError, match=r"ends after 21\.0"):
        choose_slices(image, start=30)
    with pytest.raises(ValueError, match="is silent"):
        choose_slices(recording((400, 0.3)))


def test_a_style_is_read_from_a_recording(tmp_path):
    time = np.arange(5 * 44_100) / 44_100
    path = str(tmp_path / "style.wav")
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 440 * time) * (time >= 1), 44_100)
    style = read_style(path)
    assert style.slices.shape == (1, *data.SLICE_SHAPE)
    assert style.slices.dtype == np.float32
    assert -1 <= style.slices.min() < style.slices.max() <= 1
    (notice,) = style.notices
    assert notice.startswith(f"style: {path} from ")
    assert 0.98 < float(notice.split(" from ")[1].removesuffix(" s")) < 2.1  # the slice lies within the tone
    style = read_style(path, 4, start=1.5)
    assert style.notices == [f"style: {path} from 1.50 s", "it holds 1 slices that sound, not 4"]
    with pytest.raises(UserError, match=r"--style .*style\.wav ends after 5\.00 s"):
        read_style(path, start=6)
    with pytest.raises(UserError, match="--style nowhere is not a file"):
        read_style("nowhere")


def test_several_styles_are_read_with_their_weights_and_those_of_weight_0_are_not(tmp_path):
    path = str(tmp_path / "style.wav")
    soundfile.write(path, music(4)[0], 44_100)
    settings = [StyleSettings(path, 1, 0.5, 0.7), StyleSettings("nowhere", weight=0.0), StyleSettings(path, 2, 0, 0.3)]
    first, second = read_styles(settings)
    assert first.notices == [f"style, 70%: {path} from 0.50 s"]
    assert second.notices == [f"style, 30%: {path} from 0.00 s", "it holds 1 slices that sound, not 2"]
    assert (first.weight, second.weight) == (0.7, 0.3)
    np.testing.assert_array_equal(first.slices, read_style(path, 1, 0.5).slices)
    with pytest.raises(UserError, match="--style nowhere is not a file"):
        read_styles([StyleSettings(path, weight=0.5), StyleSettings("nowhere", weight=0.5)])


def parse_styles(words):
    parser = cli.ArgumentParser("test")
    add_style_arguments(parser)
    return style_settings(parser.parse_args(words.split()))


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ("--style a", [1]),
        ("--style a --style_weights 0.2", [1]),
        ("--style a b", [0.5, 0.5]),
        ("--style a b --style_weights 0.7 0.3", [0.7, 0.3]),
        ("--style a b --style_weights 3 1", [0.75, 0.25]),
        ("--style a b c --style_weights 0 5 0", [0, 1, 0]),
        ("--style a b --style_weights 1e308 1e308", [0.5, 0.5]),
        ("--style a b --style_weights 1e-320 0", [1, 0]),
    ],
)
def test_weights_add_up_to_1(words, weights):
    settings = parse_styles(words)
    assert [style.path for style in settings] == ["a", "b", "c"][: len(weights)]
    assert [style.weight for style in settings] == pytest.approx(weights, abs=1e-15)
    assert all(style.weight == weight for style, weight in zip(settings, weights, strict=True) if weight in (0, 1))


def test_each_style_has_its_start_and_all_have_as_many_slices():
    settings = parse_styles("--style a b --style_start 1.5 0 --style_slices 3")
    assert settings == [StyleSettings("a", 3, 1.5, 0.5), StyleSettings("b", 3, 0, 0.5)]
    assert parse_styles("--style a --style_start 2") == [StyleSettings("a", 1, 2)]
    assert [style.start for style in parse_styles("--style a b")] == [None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--style a b --style_weights 1", "--style_weights must have one number for each --style: 2, not 1"),
        ("--style a --style_weights 1 1", "--style_weights must have one number for each --style: 1, not 2"),
        ("--style a b --style_start 1", "--style_start must have one number for each --style: 2, not 1"),
        ("--style a b --style_weights 0 0", "--style_weights are all 0"),
    ],
)
def test_numbers_that_do_not_fit_the_styles_are_refused(words, message):
    with pytest.raises(UserError, match=message):
        parse_styles(words)


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """A minute of chords at 48 kHz that are fullest near its end."""
    samples = np.concatenate([music(50, 48_000, level=0.05), music(10, 48_000, level=0.5)], axis=1)
    path = tmp_path_factory.mktemp("style") / "long.flac"
    soundfile.write(path, samples.T, 48_000)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("count", "start"), [(1, None), (3, None), (2, 20.5), (40, None), (3, 58)])
def test_a_style_that_is_read_in_blocks_is_that_of_the_whole(long_recording, monkeypatch, count, start):
    log_magnitude = data.log_magnitude(data.stft(audio.load_audio(long_recording)))
    expected, starts = choose_slices(log_magnitude, count, start)
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 30_000)
    style = read_style(str(long_recording), count, start)
    np.testing.assert_allclose(style.slices, data.to_network(expected), atol=1e-5)
    assert style.notices[0].endswith(", ".join(f"{second:.2f} s" for second in starts))


@pytest.mark.slow
def test_a_style_takes_little_memory_and_reads_no_more_than_it_needs(long_recording, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 30_000)
    read, blocks = [], audio.Reader.blocks
    monkeypatch.setattr(audio.Reader, "blocks", lambda reader: (read.append(1) or block for block in blocks(reader)))
    read_style(str(long_recording), 1, start=2)
    assert len(read) < 2 * 15
    tracemalloc.start()
    style = read_style(str(long_recording), 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(style.slices) == 2
    assert peak < 6e6  # bytes; the log-magnitude of all frames has 5.3 MB, their STFT 21 MB, the samples 11.5 MB


def test_a_style_that_was_cut_off_is_refused(tmp_path, long_recording):
    with soundfile.SoundFile(long_recording) as file:
        soundfile.write(tmp_path / "cut.wav", file.read(), 48_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:1_000_000])
    with pytest.raises(UserError, match="it was cut off"):
        read_style(str(tmp_path / "cut.wav"))
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 48_000)
    with pytest.raises(UserError, match="holds no samples"):
        read_style(str(tmp_path / "empty.wav"))
