"""Slices that hold a phase, as batches."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

import data
from dataset.input_pipeline import REASON_END, SliceError, read_batches, read_checked, slice_reader
from dataset.slice_format import WITH_PHASE

_HEADER, _BYTES = WITH_PHASE.header, WITH_PHASE.n_bytes
_REASON = f"no {WITH_PHASE}, in [0, 1] and [-1, 1]; {REASON_END}"


def batches(
    columns: Sequence[Sequence[str]], batch_size: int, order: np.ndarray | None = None, drop_remainder: bool = False
) -> tf.data.Dataset:
    """Read slice files with phases in batches, as `input_pipeline.batches` does those without.

    Returns:
        Data set of tuples of float32 tensors (batch, 256, 256, 2): log-magnitude in [-1, 1], and phase in half turns.
        Where a file is no such slice, it raises an error that `input_pipeline.checked` makes one line of.
    """
    return read_batches(columns, batch_size, order, drop_remainder, read_slice, _to_network)


def load_slices(paths: Sequence[str]) -> np.ndarray:
    """Read slices as `batches` does: float32 array [shape=(n, 256, 256, 2)].

    Raises:
        SliceError: if a file is not such a slice.
    """
    slices = []
    for path in paths:
        with open(path, "rb") as file:
            content = file.read(_BYTES + 1)
        values = np.frombuffer(content[len(_HEADER) :], np.float16) if content.startswith(_HEADER) else np.empty(0)
        if len(content) != _BYTES or not (np.abs(values) <= 1).all():
            raise SliceError(f"{path}: {_REASON}")
        slices.append(values.reshape(WITH_PHASE.shape).astype(np.float32))
    return _to_network(np.stack(slices), np)


def _to_network(slices: tf.Tensor | np.ndarray, xp: object = tf) -> tf.Tensor | np.ndarray:
    return xp.stack([data.to_network(slices[..., 0]), slices[..., 1]], axis=-1)


@slice_reader
def read_slice(path: tf.Tensor) -> tf.Tensor:
    """Read a slice file: float16 (256, 256, 2), as it is stored."""
    return read_checked(path, WITH_PHASE, lambda _, values: tf.reduce_all(tf.abs(values) <= 1), _REASON)
