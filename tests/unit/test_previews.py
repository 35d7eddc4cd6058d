"""What a run shows of its epochs: audio, and an animation with a frame for each epoch whose prediction is there."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import data
from training import previews


def test_the_animation_leaves_out_epochs_that_are_missing_or_damaged(tmp_path, monkeypatch):
    written, shown = [], {}
    monkeypatch.setattr(previews.plots, "save_animation", lambda path, frames: written.append((path, frames)))
    images = {kind: np.full((1, *data.SLICE_SHAPE), value) for kind, value in (("input", -0.5), ("target", 0.5))}
    both = [SimpleNamespace(suffix=suffix, images=images) for suffix in ("_one", "_other")]
    for epoch in (3, 4, 5, 6, 8):  # the first two belong to a run before --epoch_offset; 7 was removed
        for number, preview in enumerate(both):
            shown[epoch, number] = np.full(data.SLICE_SHAPE, 0.1 * epoch + 0.01 * number, np.float16)
            (tmp_path / f"{epoch:03d}").mkdir(exist_ok=True)
            np.save(tmp_path / f"{epoch:03d}" / f"prediction{preview.suffix}.npy", shown[epoch, number])
    (tmp_path / "004" / "prediction_other.npy").write_bytes(b"cut")
    np.save(tmp_path / "005" / "prediction_one.npy", np.zeros((3, 3)))
    previews._animate(tmp_path, both, 8)
    ((path, frames),) = written
    assert path == tmp_path / "prediction.gif"
    assert len(frames) == 3
    for epoch, rows in zip((3, 6, 8), frames, strict=True):
        for number, (row, title) in enumerate(zip(rows, ("one", "other"), strict=True)):
            assert list(row) == ["input", f"prediction, epoch {epoch}", title]
            source, predicted, target = row.values()
            np.testing.assert_array_equal(predicted, shown[epoch, number][..., 0])
            assert (source == 0.25).all() and (target == 0.75).all()


@pytest.mark.parametrize("folder", ["output", "Pr\udce9lude"])
def test_audio_is_written_without_clipping_into_any_folder(tmp_path, folder):
    path = tmp_path / folder / "input.wav"
    samples = np.array([0.5, -2.0, 1.0], np.float32)
    previews._write_audio(path, samples)
    read, rate = soundfile.read(os.fsencode(path))
    assert (rate, soundfile.info(os.fsencode(path)).subtype) == (data.SAMPLE_RATE, "PCM_16")
    np.testing.assert_allclose(read, samples / 2, atol=2**-15)
