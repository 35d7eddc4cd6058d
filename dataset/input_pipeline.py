"""The `tf.data` pipeline that reads slice files in batches, and statistics over slices."""

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

import data
from common.cli import UserError
from common.processor import available_cores
from dataset.slice_format import MAGNITUDE, SliceFormat
from dataset.slice_pairs import SlicePairs

_BLOCK_PAIRS = 64  # that a thread compares at a time
_BITS_OF_ONE = 0x3C00  # as float16
REASON_END = "make it again (compute_features.py --overwrite)"
_REASON = f"no {MAGNITUDE} in [0, 1]; {REASON_END}"
# Decorates functions of the path of a slice: they are traced once, not for every data set.
slice_reader = tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)


class SliceError(OSError):
    """A file is not a slice. The text names it."""


def epoch_order(counts: Sequence[int], epoch: int, seed: int) -> np.ndarray:
    """Order the rows of an epoch, decided by seed and epoch alone.

    Every pair of instruments comes up equally often, once in each `len(counts)` consecutive rows; the rows of one pair
    are permuted. Pairs of instruments that have fewer rows than the largest one start over, in another order.

    Args:
        counts: number of slice pairs of each pair of instruments.
        epoch: number of the epoch, from 0.
        seed: of the run.

    Returns:
        int array [shape=(max(counts) * len(counts),)]: rows of the table in which the pairs of instruments follow each
        other.
    """
    rng = np.random.default_rng([seed, epoch])
    longest, columns = max(counts), []
    for first, count in zip(np.cumsum([0, *counts[:-1]]), counts, strict=True):
        rounds = [rng.permutation(count) for _ in range(-(-longest // count))]
        columns.append(first + np.concatenate(rounds)[:longest])
    return rng.permuted(np.stack(columns, axis=1), axis=1).ravel()


def count_steps(n_pairs: int, batch_size: int, steps_per_epoch: int | None) -> int:
    """Count the batches of an epoch.

    Args:
        n_pairs: slice pairs of an epoch.
        batch_size: slices a batch.
        steps_per_epoch: the most that is allowed; None for all.

    Raises:
        UserError: if the pairs do not fill one batch.
    """
    steps = n_pairs // batch_size
    if steps == 0:
        raise UserError(
            f"the data set has {n_pairs} training slices, fewer than --batch_size {batch_size}: "
            "add pieces, or take a smaller batch"
        )
    return min(steps, steps_per_epoch or steps)


def batches(
    columns: Sequence[Sequence], batch_size: int, order: np.ndarray | None = None, drop_remainder: bool = False
) -> tf.data.Dataset:
    """Read slice files in batches.

    Args:
        columns: one for each tensor of the batch, all of the same length: paths of slices, or integers, which are
            passed through.
        batch_size: slices a batch.
        order: indices of the rows to read, in this order; None for all in their own order.
        drop_remainder: whether a last batch that is not full is left out.

    Returns:
        Data set of tuples of float32 tensors (batch, 256, 256, 1) in [-1, 1]; int32 (batch,) for integers. Where a file
        is no slice, it raises an error that `checked` makes one line of.
    """
    return read_batches(columns, batch_size, order, drop_remainder, _read_slice, data.to_network)


def read_batches(
    columns: Sequence[Sequence],
    batch_size: int,
    order: np.ndarray | None,
    drop_remainder: bool,
    read_slice: Callable[[tf.Tensor], tf.Tensor],
    to_network: Callable[[tf.Tensor], tf.Tensor],
) -> tf.data.Dataset:
    """Read files in batches, as `batches` does, whatever their slices hold.

    Args:
        columns: as for `batches`; so are the next three.
        batch_size: slices a batch.
        order: rows to read.
        drop_remainder: whether a last batch that is not full is left out.
        read_slice: function of a path to a float16 tensor.
        to_network: function of a float32 batch of these to what the networks see.
    """
    columns = [_as_column(column if order is None else np.asarray(column)[order]) for column in columns]

    # float16 until the batch is complete: half the bytes to copy, and one conversion a batch.
    @tf.autograph.experimental.do_not_convert
    def read(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(read_slice(value) if value.dtype == tf.string else value for value in values)

    @tf.autograph.experimental.do_not_convert
    def convert(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(to_network(tf.cast(value, tf.float32)) if value.dtype == tf.float16 else value for value in values)

    dataset = tf.data.Dataset.from_tensor_slices(tuple(columns))
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    return dataset.map(convert, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def checked(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield from a data set of slices.

    Raises:
        SliceError: if a file is not a slice.
        tf.errors.NotFoundError: if it has vanished.
    """
    try:
        yield from batches
    except tf.errors.InvalidArgumentError as error:  # of the assertion in `_read_slice`, or a defect
        named = re.search(rf"\[(.*: no .*{re.escape(REASON_END)})\]", error.message, re.DOTALL)
        if not named:
            raise
        raise SliceError(named[1]) from None


def load_slices(paths: Sequence[str]) -> np.ndarray:
    """Read slices as the networks see them: float32 array [shape=(n, 256, 256, 1)] in [-1, 1].

    Raises:
        SliceError: if a file is not a slice.
    """
    (images,) = next(checked(batches([paths], len(paths)).as_numpy_iterator()))
    return images


def unchanged_errors(sources: Sequence[str], targets: Sequence[str], kind: SliceFormat = MAGNITUDE) -> np.ndarray:
    """Compute the mean absolute error of the unchanged source against the target, for each pair of slices.

    Args:
        sources: paths of slices.
        targets: paths of as many slices.
        kind: what the slices hold; the error is that of the magnitude.

    Returns:
        float32 array [shape=(n_pairs,)], on [-1, 1].
    """
    # Not through `batches`, as these may be tens of thousands of slices before the first step. This takes less time:
    # buffers are used again, and slices stay on [0, 1], where differences are half of those on [-1, 1].
    starts = range(0, len(sources), _BLOCK_PAIRS)
    with ThreadPoolExecutor(available_cores()) as pool:
        compare = functools.partial(_differences, kind)
        blocks = pool.map(compare, *([c[i : i + _BLOCK_PAIRS] for i in starts] for c in (sources, targets)))
        return 2 * np.concatenate(list(blocks))


def _differences(kind: SliceFormat, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """Compute the mean absolute difference of pairs of slices on [0, 1]: float32 array [shape=(n_pairs,)]."""
    content = np.empty(kind.n_bytes + 1, np.uint8)
    source, target = np.empty((2, *data.SLICE_SHAPE), np.float32)
    means = np.empty(len(sources), np.float32)
    for row, paths in enumerate(zip(sources, targets, strict=True)):
        for path, image in zip(paths, (source, target), strict=True):
            _read_image(path, kind, content, image)
        np.subtract(target, source, out=target)
        means[row] = np.abs(target, out=target).mean()
    return means


def _read_image(path: str, kind: SliceFormat, content: np.ndarray, image: np.ndarray) -> None:
    """Read the magnitude of a slice into `image`, as `_read_slice` does.

    Args:
        path: the file.
        kind: what it must be.
        content: uint8 array [shape=(kind.n_bytes + 1,)] for the bytes of the file.
        image: float32 array [shape=(256, 256, 1)] that gets the values, in [0, 1].

    Raises:
        SliceError: if the file is not a slice.
        OSError: if it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        n_bytes = file.readinto(content)
    header = kind.header
    values = content[len(header) : kind.n_bytes].view(np.float16)[:: kind.shape[-1]]
    is_slice = n_bytes == kind.n_bytes and content[: len(header)].tobytes() == header
    # A test of the bits is faster; it is as in `_read_slice`.
    if not is_slice or not (values.view(np.uint16).max() <= _BITS_OF_ONE or ((values >= 0) & (values <= 1)).all()):
        raise SliceError(f"{path}: no {kind} in [0, 1]; {REASON_END}")
    image[...] = values.reshape(data.SLICE_SHAPE)


def mean_difference(
    pairs: SlicePairs, seed: int, at_most: int = 1000, read: Callable[..., tf.data.Dataset] = batches
) -> np.ndarray:
    """Compute the mean spectral difference of pairs, target minus source: what a fixed equalizer adds.

    Args:
        pairs: the pairs of slices.
        seed: decides which pairs are read if there are more than `at_most`.
        at_most: the number of pairs that suffice.
        read: `batches`, or that of `phase_slices`.

    Returns:
        float32 array [shape=(256,)], on the scale of the log-magnitude.
    """
    order = np.random.default_rng(seed).permutation(len(pairs))[:at_most]
    pipeline = read((pairs.sources, pairs.targets), 32, order)
    differences = [
        (t - s)[..., :1].mean(axis=(2, 3)) / 2 for s, t in checked(pipeline.as_numpy_iterator())
    ]  # of [-1, 1] to [0, 1]
    return np.concatenate(differences).mean(axis=0)


def sounding_fractions(paths: Sequence[str], read_slice: Callable[[tf.Tensor], tf.Tensor] | None = None) -> np.ndarray:
    """Compute the fraction of the frames of each slice that sound (see `data.sounding`).

    Args:
        paths: the files.
        read_slice: function of a path to a slice, if the slices also hold phases.

    Returns:
        float32 array [shape=(len(paths),)] in [0, 1].
    """

    @tf.autograph.experimental.do_not_convert
    def fraction(path: tf.Tensor) -> tf.Tensor:
        sounds = tf.reduce_max((read_slice or _read_slice)(path)[..., :1], axis=(0, 2)) > data.SOUNDING_LEVEL
        return tf.reduce_mean(tf.cast(sounds, tf.float32))

    dataset = tf.data.Dataset.from_tensor_slices(_as_column(paths))
    dataset = dataset.map(fraction, num_parallel_calls=tf.data.AUTOTUNE)
    return np.concatenate(list(checked(dataset.batch(256).as_numpy_iterator())))


def _as_column(values: Sequence) -> np.ndarray:
    """Convert paths to bytes, as names of files need not be UTF-8, and integers to int32."""
    if len(values) and isinstance(values[0], (str, bytes)):
        return np.array(list(map(os.fsencode, values)))
    return np.array(values, np.int32)


@slice_reader
def _read_slice(path: tf.Tensor) -> tf.Tensor:
    return read_checked(path, MAGNITUDE, _in_range, _REASON)


def _in_range(bits: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    # As integers, the bits of all other values than 0 to 1 are above. Comparing floats takes longer; it is for zeros
    # with a sign.
    return tf.cond(
        tf.reduce_max(bits) <= _BITS_OF_ONE,
        lambda: tf.constant(True),
        lambda: tf.reduce_all((values >= 0) & (values <= 1)),
    )


def read_checked(
    path: tf.Tensor, kind: SliceFormat, in_range: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], reason: str
) -> tf.Tensor:
    """Read a slice of a kind: float16 tensor of its shape.

    Args:
        path: the file.
        kind: what it must be.
        in_range: function of the values, as uint16 and as float16, that tells whether they are in range.
        reason: what the error says if it is not such a slice; it begins with "no " and ends with `REASON_END`.
    """
    # The whole file, header included, and the header cut off: one copy fewer than cutting the string. The length is
    # fixed, so that the check below finds a file that has another one.
    header, n_bytes = kind.header, kind.n_bytes
    content = tf.io.read_file(path)
    bits = tf.io.decode_raw(content, tf.uint16, fixed_length=n_bytes)[len(header) // 2 :]
    values = tf.bitcast(bits, tf.float16)
    is_slice = (tf.strings.length(content) == n_bytes) & (tf.strings.substr(content, 0, len(header)) == header)
    is_slice &= in_range(bits, values)
    message = tf.strings.join([path, f": {reason}"])
    with tf.control_dependencies([tf.debugging.Assert(is_slice, [message], summarize=1)]):
        return tf.reshape(values, kind.shape)
