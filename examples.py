"""What a run learns from and is measured by: pairs of slices, split by piece, and styles where they are wanted."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

import dataset
from augment import make_augment
from cli import UserError
from styles import StylePool


class Case(NamedTuple):
    """A slice to show after each epoch: instruments, piece, paths of slices (`style_path` is None without styles)."""

    origin: str
    target: str
    piece: str
    source_path: str
    style_path: str | None
    target_path: str


class _Side(NamedTuple):
    """One side of the split: the pairs of all couples in one table, couple after couple."""

    pieces: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    target_indices: np.ndarray
    counts: list  # of the pairs of each couple
    pools: list  # a StylePool for each target; empty without styles


class Examples:
    """Training and validation slices of one or several couples of instruments.

    Attributes:
        notices: lines about what was found and left out.
        targets: the target instruments, in order; `target_indices` count in it.
        steps: batches an epoch.
        train_pieces, validation_pieces: sets of names.
    """

    def __init__(
        self,
        dataset_paths,
        couples,
        batch_size,
        steps_per_epoch,
        validation_split,
        seed,
        with_style=False,
        augmented=False,
    ):
        """Finds and splits the pairs.

        Args:
            dataset_paths: folders that compute_features.py wrote.
            couples: list of (origin, target).
            batch_size: slices a step.
            steps_per_epoch: at most so many steps an epoch; None for all.
            validation_split: the share of the pieces that validates.
            seed: decides split, orders and styles.
            with_style: whether batches hold a style; then they also hold the index of the target.
            augmented: whether the sources of training batches are changed by chance (see augment.py).

        Raises:
            UserError: if there is nothing to pair, too little for a batch, or no other piece to take a style from.
        """
        self._couples, self._batch_size, self._seed = couples, batch_size, seed
        self._with_style, self._augmented = with_style, augmented
        self.targets = list(dict.fromkeys(target for _, target in couples))
        tables, self.notices = dataset.find_pairs(dataset_paths, couples)
        pieces = {piece for table in tables for piece in table.pieces}
        self.train_pieces, self.validation_pieces = dataset.split_pieces(
            pieces, validation_split, seed, least=2 if with_style else 1
        )
        self.train = self._side(tables, self.train_pieces, "training")
        self.validation = self._side(tables, self.validation_pieces, "validation") if self.validation_pieces else None
        rows = max(self.train.counts) * len(couples)
        self.steps = dataset.count_steps(rows, batch_size, steps_per_epoch)

    def _side(self, tables, pieces, name):
        tables = [table.of(pieces) for table in tables]
        for (origin, target), table in zip(self._couples, tables, strict=True):
            if not len(table):
                raise UserError(
                    f"no {name} piece holds slices of both {origin} and {target}; "
                    "add pieces, or choose another --validation_split or --seed"
                )
        columns = [np.concatenate([np.array(table[field]) for table in tables]) for field in range(3)]
        counts = [len(table) for table in tables]
        indices = np.repeat([self.targets.index(target) for _, target in self._couples], counts)
        side = _Side(*columns, indices, counts, [])
        if self._with_style:
            side.pools.extend(self._pool(side, index, target, name) for index, target in enumerate(self.targets))
        return side

    def _pool(self, side, index, target, name):
        chosen = side.target_indices == index
        pieces, paths = side.pieces[chosen], side.targets[chosen]
        pool = StylePool(pieces, paths, dataset.sounding_shares(paths))
        if pool.n_pieces < 2:
            raise UserError(
                f"{pool.n_pieces} {name} pieces hold slices of {target} that sound; a style comes from another piece, "
                "so it takes 2: add pieces, or choose another --validation_split (0 for no validation)"
            )
        self.notices.append(f"{name} styles of {target}: {len(pool)} of {len(set(paths))} slices sound enough")
        return pool

    def train_batches(self, epoch, first_step):
        """The batches of an epoch from a step on: (source, target), or (source, style, target, target index)."""
        order = dataset.epoch_order(self.train.counts, epoch, self._seed)[: self.steps * self._batch_size]
        columns = self._columns(self.train, order, [self._seed, epoch, 1])
        columns = [column[first_step * self._batch_size :] for column in columns]
        batches = dataset.batches(columns, self._batch_size, drop_remainder=True)
        if not self._augmented:
            return batches
        augment = make_augment(self._seed, epoch)
        batches = batches.enumerate(first_step).map(
            lambda step, batch: (augment(step, batch[0]), *batch[1:]), num_parallel_calls=tf.data.AUTOTUNE
        )
        return batches.prefetch(tf.data.AUTOTUNE)

    def validation_batches(self):
        """The validation batches, with the same styles each time; the last one need not be full."""
        order = np.arange(len(self.validation.pieces))
        return dataset.batches(self._columns(self.validation, order, [self._seed, 0, 2]), self._batch_size)

    def _columns(self, side, order, seeds):
        if not self._with_style:
            return side.sources[order], side.targets[order]
        indices = side.target_indices[order]
        styles = self._draw_styles(side, side.pieces[order], indices, np.random.default_rng(seeds))
        return side.sources[order], styles, side.targets[order], indices

    @staticmethod
    def _draw_styles(side, pieces, indices, rng):
        styles = np.empty(len(pieces), dtype=object)
        for index, pool in enumerate(side.pools):
            chosen = indices == index
            styles[chosen] = pool.draw(pieces[chosen], rng)
        return styles.astype(str)

    def unchanged_errors(self):
        """What the validation errors would be if the source were handed on unchanged: dict of metric to float."""
        errors = dataset.unchanged_errors(self.validation)
        result = {"gen_mae_val": float(errors.mean())}
        if self._with_style:
            of_target = ((name, self.validation.target_indices == index) for index, name in enumerate(self.targets))
            result |= {f"gen_mae_{name}_val": float(errors[chosen].mean()) for name, chosen in of_target}
        return result

    def equalisers(self):
        """The mean spectral difference of the training pairs of each couple, for evaluations: dict of JSON values."""
        firsts = np.cumsum([0, *self.train.counts])
        return {
            f"{origin}/{target}": dataset.mean_difference(
                dataset.Pairs(*(column[first:end] for column in self.train[:3])), self._seed
            )
            .round(5)
            .tolist()
            for (origin, target), first, end in zip(self._couples, firsts[:-1], firsts[1:], strict=True)
        }

    def cases(self):
        """What to show after each epoch: for each target, the loudest slice of the first piece of the validation.

        Returns:
            List of `Case`.
        """
        side, cases = self.validation or self.train, []
        for index, target in enumerate(self.targets):
            couple = next(number for number, (_, name) in enumerate(self._couples) if name == target)
            first = sum(side.counts[:couple])
            piece = side.pieces[first]
            rows = first + np.flatnonzero(side.pieces[first : first + side.counts[couple]] == piece)
            row = rows[np.argmax(dataset.load_slices(side.sources[rows]).mean(axis=(1, 2, 3)))]
            rng = np.random.default_rng([self._seed, 0, 3])
            style = str(side.pools[index].draw(side.pieces[[row]], rng)[0]) if self._with_style else None
            paths = str(side.sources[row]), style, str(side.targets[row])
            cases.append(Case(self._couples[couple][0], target, str(piece), *paths))
        return cases

    def describe(self):
        """What a run that goes on must find again: dict of JSON values."""
        return {
            "slices": len(self.train.pieces),
            "fingerprint": dataset.fingerprint(self.train.sources, self.train.targets),
            "validation_slices": len(self.validation.pieces) if self.validation else 0,
            "validation_pieces": sorted(self.validation_pieces),
        }
