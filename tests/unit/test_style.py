import numpy as np
import pytest
import soundfile

import data
from common.cli import UserError
from inference.style import choose_slices, read_style


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
