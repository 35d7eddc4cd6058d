"""Styles for training: slices of other pieces played by the target instrument."""

from collections.abc import Sequence

import numpy as np

MIN_SOUNDING = 0.5  # fraction of a slice's frames; the other slices, 1 to 2%, are rests and ends of pieces


class StylePool:
    """The slices of an instrument that sound, from pieces of one side of the split, to draw styles from."""

    def __init__(self, pieces: Sequence[str], paths: Sequence[str], sounding_fractions: Sequence[float]) -> None:
        """Collect slices; those in which less than half of the frames sound are left out.

        Args:
            pieces: the piece of each slice.
            paths: the file of each slice.
            sounding_fractions: the fraction of the frames of each slice that sound.
        """
        rows = sorted(
            {
                (piece, path)
                for piece, path, fraction in zip(pieces, paths, sounding_fractions, strict=True)
                if fraction >= MIN_SOUNDING
            }
        )
        self._paths = np.array([path for _, path in rows])
        self._names, self._firsts, self._counts = np.unique(
            [piece for piece, _ in rows], return_index=True, return_counts=True
        )

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def n_pieces(self) -> int:
        """The number of pieces. It takes two to draw a style from another piece than a given one."""
        return len(self._names)

    def draw(self, pieces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a slice for each of the pieces from any other piece; all slices of the others are equally likely.

        Args:
            pieces: names [shape=(n,)].
            rng: source of random numbers.

        Returns:
            Array of paths [shape=(n,)].
        """
        rows = np.minimum(np.searchsorted(self._names, pieces), len(self._names) - 1)
        is_known = self._names[rows] == pieces
        counts = np.where(is_known, self._counts[rows], 0)
        # An index among the slices of the other pieces; those after the piece's own slices are shifted by their number.
        drawn = rng.integers(0, len(self) - counts)
        return self._paths[drawn + np.where(is_known & (drawn >= self._firsts[rows]), counts, 0)]
