"""Pairs of slice files, their split by piece, and the `tf.data` pipeline that reads them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import data
import files
from cli import UserError

_HEADER_BYTES = 128  # of a .npy file of this shape and type, whatever NumPy version wrote it
_SLICE_BYTES = _HEADER_BYTES + 2 * int(np.prod(data.SLICE_SHAPE))


class Pairs(NamedTuple):
    """Slices of the same moment of the same piece, played by two instruments.

    Attributes:
        pieces: the piece of each pair.
        sources: path of the origin's slice.
        targets: path of the target's slice.
    """

    pieces: Sequence[str]
    sources: Sequence[str]
    targets: Sequence[str]

    def __len__(self):
        return len(self.pieces)

    def of(self, pieces):
        """The pairs of some pieces."""
        chosen = [index for index, piece in enumerate(self.pieces) if piece in pieces]
        return Pairs(*([column[index] for index in chosen] for column in self))


def find_pairs(dataset_paths, couples):
    """Matches the slices of couples of instruments by piece and index, in one or several data sets.

    Args:
        dataset_paths: folders that compute_features.py wrote.
        couples: list of (origin, target), instrument names.

    Returns:
        List of `Pairs`, one for each couple, in the order of folder, piece and index; and a list of lines that say what
        was left out.

    Raises:
        UserError: if a folder or an instrument is missing, or a couple has nothing to pair.
    """
    rows, notices = [[] for _ in couples], []
    for dataset_path in map(Path, dataset_paths):
        instruments = dict.fromkeys(instrument for couple in couples for instrument in couple)
        slices = {instrument: _usable_slices(dataset_path, instrument, notices) for instrument in instruments}
        for (origin, target), found in zip(couples, rows, strict=True):
            sources, targets = slices[origin], slices[target]
            shared = sources.keys() & targets.keys()
            for name, partner in ((origin, target), (target, origin)):
                alone = len(slices[name]) - len(shared)
                if alone:
                    notices.append(f"{dataset_path}: {alone} slices of {name} have no partner of {partner}, left out")
            found += [(piece, sources[piece, index], targets[piece, index]) for piece, index in sorted(shared)]
    for (origin, target), found in zip(couples, rows, strict=True):
        if not found:
            folders = " ".join(map(str, dataset_paths))
            raise UserError(
                f"--dataset_path {folders}: no slice of {origin} has a partner of {target}; "
                "both must be made from audio with the same piece names (see compute_features.py)"
            )
    return [Pairs(*map(list, zip(*found, strict=True))) for found in rows], notices


def split_pieces(pieces, validation_split, seed, least=1):
    """Splits pieces for validation. A piece is on one side alone, in all the data sets that hold it.

    The pieces are put in the order of a hash of seed and name, and the first share validates: if it is above 0, at
    least `least` pieces, and never so many that fewer are left to train with; none where there are too few for that.
    More pieces leave the order of the others as it is.

    Returns:
        Two sets of pieces: for training, for validation.
    """
    ordered = sorted(set(pieces), key=lambda piece: hashlib.sha256(f"{seed}/{piece}".encode()).digest())
    count = min(max(least, round(validation_split * len(ordered))), len(ordered) - least)
    if not validation_split or len(ordered) < 2 * least:
        count = 0
    return set(ordered[count:]), set(ordered[:count])


def fingerprint(*columns):
    """A short hash of lists of slice paths, by the names of file and instrument folder alone: data sets may move."""
    digest = hashlib.sha256()
    for column in columns:
        for path in column:
            digest.update("/".join(Path(path).parts[-2:]).encode() + b"\n")
    return digest.hexdigest()[:16]


def epoch_order(counts, epoch, seed):
    """The order in which an epoch sees the pairs of couples of instruments, decided by seed and epoch alone.

    Every couple comes up equally often, once in each `len(counts)` rows that follow each other; within a couple the
    order is a permutation. Couples that have fewer pairs than the largest one begin again, in another order.

    Args:
        counts: how many pairs each couple has.

    Returns:
        int array [shape=(max(counts) * len(counts),)]: rows of the table in which the couples follow each other.
    """
    rng = np.random.default_rng([seed, epoch])
    longest, columns = max(counts), []
    for first, count in zip(np.cumsum([0, *counts[:-1]]), counts, strict=True):
        rounds = [rng.permutation(count) for _ in range(-(-longest // count))]
        columns.append(first + np.concatenate(rounds)[:longest])
    return rng.permuted(np.stack(columns, axis=1), axis=1).ravel()


def batches(columns, batch_size, order=None, drop_remainder=False):
    """Reads slice files in batches.

    Args:
        columns: lists of paths, one for each tensor of the batch, all of the same length; a list of numbers is handed
            on as it is.
        batch_size: slices a batch.
        order: indices of the rows to read, in this order; None for all as they come.
        drop_remainder: whether a last batch that is not full is left out.

    Returns:
        `tf.data.Dataset` of tuples of float32 tensors (batch, 256, 256, 1) in [-1, 1]; int32 (batch,) for numbers.
    """
    columns = [np.array(column) for column in columns]
    columns = [column.astype(np.int32) if column.dtype.kind == "i" else column for column in columns]
    if order is not None:
        columns = [column[order] for column in columns]

    # float16 until the batch is whole: half the bytes to copy, and one conversion a batch.
    def read(*values):
        return tuple(_read_slice(value) if value.dtype == tf.string else value for value in values)

    def to_network(*values):
        return tuple(
            data.to_network(tf.cast(value, tf.float32)) if value.dtype == tf.float16 else value for value in values
        )

    dataset = tf.data.Dataset.from_tensor_slices(tuple(columns))
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    return dataset.map(to_network, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def count_steps(n_pairs, batch_size, steps_per_epoch):
    """The batches that an epoch takes; a `UserError` if there is not one full batch."""
    steps = n_pairs // batch_size
    if steps == 0:
        raise UserError(
            f"the data set has {n_pairs} training slices, fewer than --batch_size {batch_size}: "
            "add pieces, or take a smaller batch"
        )
    return min(steps, steps_per_epoch or steps)


def unchanged_errors(pairs):
    """The mean absolute error of handing each source on unchanged, on [-1, 1]: float array [shape=(len(pairs),)]."""
    pipeline = batches((pairs.sources, pairs.targets), 32)
    return np.concatenate([np.abs(t - s).mean(axis=(1, 2, 3)) for s, t in pipeline.as_numpy_iterator()])


def mean_difference(pairs, seed, at_most=1000):
    """The mean spectral difference of pairs, target less source: what a fixed equaliser would add.

    Args:
        pairs: `Pairs`.
        seed: which of them are read where there are more than `at_most`.

    Returns:
        float32 array [shape=(256,)], on the scale of the log-magnitude.
    """
    order = np.random.default_rng(seed).permutation(len(pairs))[:at_most]
    pipeline = batches((pairs.sources, pairs.targets), 32, order)
    differences = [(t - s).mean(axis=(2, 3)) / 2 for s, t in pipeline.as_numpy_iterator()]  # of [-1, 1] to [0, 1]
    return np.concatenate(differences).mean(axis=0)


def sounding_shares(paths):
    """The share of the frames of each slice that sound (see `data.sounding`): float array [shape=(len(paths),)]."""

    def share(path):
        sounds = tf.reduce_max(_read_slice(path), axis=(0, 2)) > data.SOUNDING_LEVEL
        return tf.reduce_mean(tf.cast(sounds, tf.float32))

    dataset = tf.data.Dataset.from_tensor_slices(np.array(paths)).map(share, num_parallel_calls=tf.data.AUTOTUNE)
    return np.concatenate(list(dataset.batch(256).as_numpy_iterator()))


def recording(dataset_path, instrument, piece):
    """The audio that slices were made from, as compute_features.py has noted it; None if it is not there."""
    record_path = Path(dataset_path) / "features.json"
    if not record_path.is_file():
        return None
    entry = files.read_json(record_path).get("entries", {}).get(f"{instrument}/{piece}", {})
    path = Path(entry.get("path", ""))
    return path if path.is_file() else None


def load_slices(paths):
    """Reads slices as the network sees them: float32 array [shape=(n, 256, 256, 1)] in [-1, 1]."""
    return np.stack([data.to_network(np.load(path).astype(np.float32)) for path in paths])


def _read_slice(path):
    # The whole file as float16, header included, and the header cut off: one copy fewer than cutting the string.
    values = tf.io.decode_raw(tf.io.read_file(path), tf.float16)
    return tf.reshape(values[_HEADER_BYTES // 2 :], data.SLICE_SHAPE)


def _usable_slices(dataset_path, instrument, notices):
    """dict of (piece, index) to path."""
    if not dataset_path.is_dir():
        raise UserError(f"--dataset_path {dataset_path} is not a folder; compute_features.py makes one")
    found = data.find_slices(dataset_path / instrument)
    if not found:
        there = ", ".join(sorted(path.name for path in dataset_path.iterdir() if path.is_dir())) or "no folders"
        raise UserError(f"--dataset_path {dataset_path} holds no slices of {instrument}; it holds {there}")
    first = min(entry.path for entries in found.values() for entry in entries.values())
    with open(first, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if header.startswith(b"\x93NUMPY") and b"fortran_order': True" in header:
        raise UserError(f"{first} is stored in Fortran order; make the slices again (compute_features.py --overwrite)")
    slices, damaged = {}, 0
    for piece, entries in found.items():
        for index, entry in entries.items():
            if entry.stat().st_size == _SLICE_BYTES:
                slices[piece, index] = entry.path
            else:
                damaged += 1
    if damaged:
        notices.append(
            f"{dataset_path / instrument}: {damaged} files are no float16 slices of (256, 256, 1) and are left out"
        )
    return slices
