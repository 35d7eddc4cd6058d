"""The derivatives of the phase of a validation slice after each epoch, true and predicted, as a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import phase_gradient
from common import plots
from dataset import phase_slices
from dataset.paired_dataset import PreviewSlice
from training import phase_steps


def make_preview_writer(
    folder: Path, network: keras.Model, preview_slices: Sequence[PreviewSlice]
) -> tuple[Callable[[int], Path], list[str]]:
    """Make the function that writes the preview of an epoch, `derivatives.png` in `<epoch:03d>/`.

    Args:
        folder: where the epochs' folders go.
        network: the network in training.
        preview_slices: what to show: a row for each target.

    Returns:
        Function of the epoch's number that writes its preview and returns its folder; and no messages.
    """
    slices = [
        [tf.constant(phase_slices.load_slices([path])) for path in (preview.source_path, preview.target_path)]
        for preview in preview_slices
    ]

    def write(epoch: int) -> Path:
        rows = []
        for preview, (source, target) in zip(preview_slices, slices, strict=True):
            inputs = phase_gradient.network_input(target[..., 0], source[..., 0], phase_steps.channels(source), np)
            shown = {
                f"input: {preview.origin}": phase_steps.channels(source),
                "predicted": network(inputs, training=False),
                f"target: {preview.target}": phase_steps.channels(target),
            }
            rows.extend(_rows({title: np.asarray(values)[0] for title, values in shown.items()}))
        epoch_folder = folder / f"{epoch:03d}"
        plots.save_derivatives(epoch_folder / "derivatives.png", rows, f"{preview_slices[0].piece}, epoch {epoch}")
        return epoch_folder

    return write, []


def _rows(channels: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Make a row of angles for the instantaneous frequency and one for the group delay."""
    return [
        {
            f"{title}, {name}": np.arctan2(values[..., first + 1], values[..., first])
            for title, values in channels.items()
        }
        for name, first in (("frequency", 0), ("delay", 2))
    ]
