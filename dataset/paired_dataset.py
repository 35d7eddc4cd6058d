"""What a run learns from and is measured on: pairs of slices, split by piece, and styles if the network takes them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from common.cli import UserError
from dataset import input_pipeline, phase_slices
from dataset.augment import make_augment
from dataset.slice_format import MAGNITUDE, WITH_PHASE
from dataset.slice_pairs import SlicePairs, find_pairs, fingerprint, recorded_sounding, split_pieces
from dataset.style_pool import StylePool

_N_HASHED = 64  # pairs of slices whose contents tell one data set from another


class DatasetSettings(NamedTuple):
    """Which slices a run learns from, and how they become batches.

    Attributes:
        dataset_paths: folders that compute_features.py wrote.
        instrument_pairs: list of (origin, target).
        batch_size: slices a step.
        steps_per_epoch: the most steps of an epoch; None for all.
        validation_split: fraction of the pieces that validates.
        seed: decides about split, orders and styles.
        with_style: whether batches hold a style; they then also hold the index of the target.
        augment: whether the sources of training batches are changed at random (see augment.py).
        worker: index of this machine, of several that train together.
        n_workers: number of machines; each reads its part of every batch, by position.
        with_phase: whether the slices hold a phase, too.
    """

    dataset_paths: list[str]
    instrument_pairs: list[tuple[str, str]]
    batch_size: int
    steps_per_epoch: int | None = None
    validation_split: float = 0.1
    seed: int = 0
    with_style: bool = False
    augment: bool = False
    worker: int = 0
    n_workers: int = 1
    with_phase: bool = False


class PreviewSlice(NamedTuple):
    """A validation slice to show after each epoch.

    Attributes:
        origin: instrument of the source.
        target: instrument of the target.
        piece: name of the piece.
        source_path: file of the source.
        style_path: file of the style; None without styles.
        target_path: file of the target.
    """

    origin: str
    target: str
    piece: str
    source_path: str
    style_path: str | None
    target_path: str


@dataclass(frozen=True)
class _Side:
    """One side of the split: the slice pairs of all pairs of instruments in one table, one after the other.

    Attributes:
        pieces: the piece of each row.
        sources: path of each source.
        targets: path of each target.
        target_indices: index of each target instrument in `PairedDataset.targets`.
        counts: rows of each pair of instruments.
        pools: a `StylePool` for each target instrument; empty without styles.
    """

    pieces: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    target_indices: np.ndarray
    counts: list[int]
    pools: list[StylePool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pieces)


class PairedDataset:
    """Training and validation slices of one or several pairs of instruments.

    Attributes:
        notices: messages about what was found and left out.
        targets: the target instruments; `target_indices` are indices of this list.
        steps: batches an epoch.
        train: the training side.
        validation: the validation side, or None.
        train_pieces: names of the pieces to train with.
        validation_pieces: names of the pieces to validate with.
    """

    def __init__(self, settings: DatasetSettings) -> None:
        """Find and split the pairs.

        Raises:
            UserError: if there is nothing to pair, too little for a batch, or no other piece to take a style from.
        """
        self._settings = settings
        self.targets = list(dict.fromkeys(target for _, target in settings.instrument_pairs))
        self._kind = kind = WITH_PHASE if settings.with_phase else MAGNITUDE
        self._reader = phase_slices if settings.with_phase else input_pipeline
        tables, self.notices = find_pairs(settings.dataset_paths, settings.instrument_pairs, kind)
        pieces = {piece for table in tables for piece in table.pieces}
        self.train_pieces, self.validation_pieces = split_pieces(
            pieces, settings.validation_split, settings.seed, least=2 if settings.with_style else 1
        )
        self.train = self._make_side(tables, self.train_pieces, "training")
        self.validation = (
            self._make_side(tables, self.validation_pieces, "validation") if self.validation_pieces else None
        )
        n_rows = max(self.train.counts) * len(settings.instrument_pairs)
        self.steps = input_pipeline.count_steps(n_rows, settings.batch_size, settings.steps_per_epoch)

    def train_batches(self, epoch: int, first_step: int) -> Iterator[tuple[tf.Tensor, ...]]:
        """Read the batches of an epoch from a step on: (source, target), or (source, style, target, target index).

        Of several machines, each reads its own rows of the same batches.

        Raises:
            SliceError: on the way, if a file is not a slice.
        """
        settings = self._settings
        order = input_pipeline.epoch_order(self.train.counts, epoch, settings.seed)[: self.steps * settings.batch_size]
        columns = self._columns(self.train, order, [settings.seed, epoch, 1])
        own = np.arange(len(order)).reshape(self.steps, settings.n_workers, -1)[first_step:, settings.worker].ravel()
        columns = [column[own] for column in columns]
        batches = self._reader.batches(columns, settings.batch_size // settings.n_workers, drop_remainder=True)
        if not settings.augment:
            return input_pipeline.checked(batches)
        augment = make_augment(settings.seed, epoch, settings.worker, settings.n_workers)
        change_source = tf.autograph.experimental.do_not_convert(
            lambda step, batch: (augment(step, batch[0]), *batch[1:])
        )
        batches = batches.enumerate(first_step).map(change_source, num_parallel_calls=tf.data.AUTOTUNE)
        return input_pipeline.checked(batches.prefetch(tf.data.AUTOTUNE))

    def validation_batches(self) -> Iterator[tuple[tf.Tensor, ...]]:
        """Read the validation batches, with the same styles each time; the last batch may be smaller.

        Of several machines, each reads its own part, of a length that may differ by one.

        Raises:
            SliceError: on the way, if a file is not a slice.
        """
        settings, order = self._settings, np.arange(len(self.validation))
        columns = self._columns(self.validation, order, [settings.seed, 0, 2])
        own = np.array_split(order, settings.n_workers)[settings.worker]
        if not len(own):
            return iter(())
        columns = [column[own] for column in columns]
        return input_pipeline.checked(self._reader.batches(columns, settings.batch_size // settings.n_workers))

    def unchanged_errors(self) -> dict[str, float]:
        """Compute the validation errors of the unchanged source: dict of metric, as in the history, to float."""
        errors = input_pipeline.unchanged_errors(self.validation.sources, self.validation.targets, self._kind)
        result = {"gen_mae_val": float(errors.mean())}
        if self._settings.with_style:
            for index, name in enumerate(self.targets):
                result[f"gen_mae_{name}_val"] = float(errors[self.validation.target_indices == index].mean())
        return result

    def equalizers(self) -> dict[str, list[float]]:
        """Compute the mean spectral difference of the training pairs, for evaluations.

        Returns:
            dict of "<origin>/<target>" to 256 numbers, on the scale of the log-magnitude.
        """
        side, result, first = self.train, {}, 0
        for (origin, target), count in zip(self._settings.instrument_pairs, side.counts, strict=True):
            rows = slice(first, first + count)
            pairs = SlicePairs(side.pieces[rows], side.sources[rows], side.targets[rows])
            difference = input_pipeline.mean_difference(pairs, self._settings.seed, read=self._reader.batches)
            result[f"{origin}/{target}"] = difference.round(5).tolist()
            first += count
        return result

    def preview_slices(self) -> list[PreviewSlice]:
        """Choose what to show after each epoch: for each target, the loudest slice of the first validation piece."""
        side, previews = self.validation or self.train, []
        instrument_pairs = self._settings.instrument_pairs
        for index, target in enumerate(self.targets):
            number = next(number for number, (_, name) in enumerate(instrument_pairs) if name == target)
            first = sum(side.counts[:number])
            piece = side.pieces[first]
            rows = first + np.flatnonzero(side.pieces[first : first + side.counts[number]] == piece)
            row = rows[np.argmax(self._reader.load_slices(side.sources[rows])[..., 0].mean(axis=(1, 2)))]
            rng = np.random.default_rng([self._settings.seed, 0, 3])
            style = str(side.pools[index].draw(side.pieces[[row]], rng)[0]) if side.pools else None
            paths = str(side.sources[row]), style, str(side.targets[row])
            previews.append(PreviewSlice(instrument_pairs[number][0], target, str(piece), *paths))
        return previews

    def describe(self) -> dict[str, Any]:
        """Return what a resumed run must find again, as JSON values."""
        return {
            "slices": len(self.train),
            "fingerprint": fingerprint(self.train.sources, self.train.targets),
            "content": _hash_sample(self.train),
            "validation_slices": len(self.validation) if self.validation else 0,
            "validation_pieces": sorted(self.validation_pieces),
        }

    def _make_side(self, tables: list[SlicePairs], pieces: set[str], name: str) -> _Side:
        tables = [table.of(pieces) for table in tables]
        for (origin, target), table in zip(self._settings.instrument_pairs, tables, strict=True):
            if not len(table):
                raise UserError(
                    f"no {name} piece holds slices of both {origin} and {target}; "
                    "add pieces, or choose another --validation_split or --seed"
                )
        # Paths as objects, which all columns and copies share: as an array of text, each takes four bytes a character.
        types = (str, object, object)
        columns = [
            np.concatenate([np.array(table[field], dtype) for table in tables]) for field, dtype in enumerate(types)
        ]
        counts = [len(table) for table in tables]
        indices = np.repeat([self.targets.index(target) for _, target in self._settings.instrument_pairs], counts)
        side = _Side(*columns, indices, counts)
        if self._settings.with_style:
            side.pools.extend(self._make_pool(side, index, target, name) for index, target in enumerate(self.targets))
        return side

    def _make_pool(self, side: _Side, index: int, target: str, name: str) -> StylePool:
        chosen = side.target_indices == index
        pieces, paths = side.pieces[chosen], side.targets[chosen]
        fractions = recorded_sounding(paths)
        if fractions is None:
            read_slice = phase_slices.read_slice if self._settings.with_phase else None
            fractions = input_pipeline.sounding_fractions(paths, read_slice)
        pool = StylePool(pieces, paths, fractions)
        if pool.n_pieces < 2:
            raise UserError(
                f"{pool.n_pieces} {name} pieces hold slices of {target} that sound; a style comes from another piece, "
                "so it takes 2: add pieces, or choose another --validation_split (0 for no validation)"
            )
        self.notices.append(f"{name} styles of {target}: {len(pool)} of {len(set(paths))} slices sound enough")
        return pool

    def _columns(self, side: _Side, order: np.ndarray, seeds: list[int]) -> tuple[np.ndarray, ...]:
        if not self._settings.with_style:
            return side.sources[order], side.targets[order]
        pieces, indices, rng = side.pieces[order], side.target_indices[order], np.random.default_rng(seeds)
        styles = np.empty(len(order), dtype=object)
        for index, pool in enumerate(side.pools):
            chosen = indices == index
            styles[chosen] = pool.draw(pieces[chosen], rng)
        return side.sources[order], styles.astype(str), side.targets[order], indices


def _hash_sample(side: _Side) -> str:
    """Hash the contents of some pairs of slices, spread over all, to 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for row in np.linspace(0, len(side) - 1, min(len(side), _N_HASHED)).round().astype(int):
        for path in (side.sources[row], side.targets[row]):
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()[:16]
