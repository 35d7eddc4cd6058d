"""What a network makes of the same slices and the same music after each epoch, as pictures and audio."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import data
from common import audio, plots, storage
from common.cli import UserError
from dataset import input_pipeline, phase_slices, slice_pairs
from dataset.paired_dataset import PreviewSlice
from inference.channels import representation_of
from inference.keras_network import make_predict_fn
from inference.settings import MODEL_PHASE, PhaseSettings, TransferSettings
from inference.transfer import transfer_audio

PREVIEW_SLICES = 5  # 15 s of music


@dataclass(frozen=True)
class _Preview:
    """A validation slice with what belongs to it.

    Attributes:
        preview_slice: instruments, piece and files.
        suffix: the end of its files' names: `_<target>` where there are several previews.
        images: dict of `input`, `target` and, with styles, `style` to image [shape=(1, 256, 256, 1)] in [-1, 1]; the
            phase is a second channel for a network that predicts one.
        predict_fn: the network in training, with the style.
        excerpt: the music to convert, float32 [shape=(n_samples,)]; None if it was not found.
    """

    preview_slice: PreviewSlice
    suffix: str
    images: dict[str, np.ndarray]
    predict_fn: Callable[[np.ndarray], np.ndarray]
    excerpt: np.ndarray | None


def read_excerpt(path: str) -> np.ndarray:
    """Read the first 15 s of the audio that `--sample_audio` names.

    Returns:
        float32 array [shape=(n_samples,)] at 44.1 kHz.

    Raises:
        UserError: if it is no audio.
    """
    try:
        return audio.load_audio(path)[: _count_samples(PREVIEW_SLICES)]
    except ValueError as error:
        raise UserError(f"--sample_audio {path} {error}") from None


def make_preview_writer(
    folder: Path, generator: keras.Model, preview_slices: Sequence[PreviewSlice], excerpt: np.ndarray | None = None
) -> tuple[Callable[[int], Path], list[str]]:
    """Make the function that writes the previews of an epoch: what the generator makes of some slices and their music.

    An epoch's folder is `<epoch:03d>/` with `spectrogram.png`, `prediction.npy` (the slice, in the format of slice
    files) and `prediction.wav`. `folder` itself gets `input.wav`, `target.wav`, with styles `style.wav`, and
    `prediction.gif`, which shows all epochs so far. If there are several slices, the names end in `_<target>`.

    Args:
        folder: where all of this goes.
        generator: the network in training.
        preview_slices: what to show. The music is the piece's audio from the slice on, if compute_features.py recorded
            where it is.
        excerpt: audio to use instead, float32 [shape=(n_samples,)] at 44.1 kHz.

    Returns:
        Function of the epoch's number that writes its previews and returns its folder; and a list of messages about
        what is missing.
    """
    previews, notices = [], []
    for preview_slice in preview_slices:
        suffix = f"_{preview_slice.target}" if len(preview_slices) > 1 else ""
        paths = {
            "input": preview_slice.source_path,
            "style": preview_slice.style_path,
            "target": preview_slice.target_path,
        }
        excerpts = {kind: _read_recording(path) for kind, path in paths.items() if path}
        if excerpt is not None:
            excerpts |= {"input": excerpt, "target": None}  # there is no such target
        elif excerpts["input"] is None:
            notices.append(
                f"the audio of {preview_slice.piece} was not found, so previews are pictures only; "
                "--sample_audio names a file"
            )
        for kind, samples in excerpts.items():
            if samples is not None:
                _write_audio(
                    folder / f"{kind}{suffix}.wav", samples[: _count_samples(1)] if kind == "style" else samples
                )
        load_slices = phase_slices.load_slices if generator.inputs[0].shape[-1] > 1 else input_pipeline.load_slices
        images = {kind: load_slices([path]) for kind, path in paths.items() if path}
        predict_fn = make_predict_fn(generator, images.get("style"))
        previews.append(_Preview(preview_slice, suffix, images, predict_fn, excerpts["input"]))

    def write(epoch: int) -> Path:
        epoch_folder = folder / f"{epoch:03d}"
        rows = [_write_preview(epoch_folder, preview) for preview in previews]
        title = f"{preview_slices[0].piece}, epoch {epoch}"
        plots.save_spectrograms(epoch_folder / "spectrogram.png", rows, title=title)
        _animate(folder, previews, epoch)
        return epoch_folder

    return write, notices


def _write_preview(folder: Path, preview: _Preview) -> dict[str, np.ndarray]:
    """Write the predicted slice and the converted music; return titles and images [shape=(256, 256)] of a picture."""
    predicted = data.from_network(preview.predict_fn(preview.images["input"])[0, ..., :1])
    with storage.atomic_write(folder / f"prediction{preview.suffix}.npy") as partial:
        np.save(partial, predicted.astype(np.float16))
    if preview.excerpt is not None:
        phase = PhaseSettings(MODEL_PHASE) if representation_of(preview.predict_fn) else PhaseSettings()
        settings = TransferSettings(phase)
        converted = transfer_audio(preview.excerpt[np.newaxis], data.SAMPLE_RATE, preview.predict_fn, settings)[0]
        _write_audio(folder / f"prediction{preview.suffix}.wav", converted)
    origin, target = preview.preview_slice.origin, preview.preview_slice.target
    titles = {"input": f"input: {origin}", "style": "style", "target": f"target: {target}"}
    row = {titles[kind]: data.from_network(image[0, ..., 0]) for kind, image in preview.images.items()}
    return {**row, "prediction": predicted[..., 0]}


def _animate(folder: Path, previews: Sequence[_Preview], last_epoch: int) -> None:
    """Write `prediction.gif` from the predictions of all epochs: input, prediction and target side by side."""
    frames = []
    for epoch in range(1, last_epoch + 1):
        paths = [folder / f"{epoch:03d}" / f"prediction{preview.suffix}.npy" for preview in previews]
        if not all(path.is_file() for path in paths):
            continue  # before an --epoch_offset, or removed
        rows = []
        predictions = [_load_prediction(path) for path in paths]
        if any(predicted is None for predicted in predictions):
            continue
        for preview, predicted in zip(previews, predictions, strict=True):
            source, target = (data.from_network(preview.images[kind][0, ..., 0]) for kind in ("input", "target"))
            title = preview.suffix.strip("_") or "target"
            rows.append({"input": source, f"prediction, epoch {epoch}": predicted, title: target})
        frames.append(rows)
    plots.save_animation(folder / "prediction.gif", frames)


def _load_prediction(path: Path) -> np.ndarray | None:
    """Read a predicted slice of an earlier epoch, float32 [shape=(256, 256)]; None if the file is damaged."""
    try:
        image = np.load(path)
    except (ValueError, EOFError):
        return None
    return image[..., 0].astype(np.float32) if image.shape == data.SLICE_SHAPE else None


def _read_recording(slice_path: str) -> np.ndarray | None:
    """Read the audio of a slice and what follows it, up to the length of a preview; None if it is not found."""
    slice_path = Path(slice_path)
    name = data.SLICE_NAME.fullmatch(slice_path.name)
    path = slice_pairs.recording_path(slice_path.parents[1], slice_path.parent.name, name["piece"])
    if path is None:
        return None
    start = int(name["index"]) * _count_samples(1)
    return audio.load_audio(path)[start : start + _count_samples(PREVIEW_SLICES)]


def _count_samples(n_slices: int) -> int:
    return n_slices * data.SLICE_FRAMES * data.HOP_LENGTH


def _write_audio(path: Path, samples: np.ndarray) -> None:
    """Write 16-bit mono at 44.1 kHz, scaled to full scale where it would clip."""
    scaled = samples / max(1.0, float(np.abs(samples).max(initial=0)))
    with storage.atomic_write(path) as partial, audio.open_to_write(partial, data.SAMPLE_RATE, 1, "PCM_16") as file:
        file.write(scaled)
