"""Slices that tell a style: other notes played by the target instrument. For training and for prediction."""

import numpy as np

import data

MIN_SOUNDING = 0.5  # of a slice's frames; the others of the SoundFont data set, 1 to 2%, are rests and ends of pieces


class StylePool:
    """The slices of an instrument that sound, from pieces of one side of the split, to draw styles from."""

    def __init__(self, pieces, paths, sounding_shares):
        """Takes columns of the same length; slices in which less than half of the frames sound are left out."""
        rows = sorted(
            {(p, path) for p, path, s in zip(pieces, paths, sounding_shares, strict=True) if s >= MIN_SOUNDING}
        )
        self._paths = np.array([path for _, path in rows])
        self._names, self._firsts, self._counts = np.unique(
            [piece for piece, _ in rows], return_index=True, return_counts=True
        )

    def __len__(self):
        return len(self._paths)

    @property
    def n_pieces(self):
        """The number of pieces; two at least are needed to draw from another one than any given."""
        return len(self._names)

    def draw(self, pieces, rng):
        """Draws a slice for each of the pieces, from any other piece, all slices of the others being as likely.

        Args:
            pieces: array of names [shape=(n,)].
            rng: `np.random.Generator`.

        Returns:
            Array of paths [shape=(n,)].
        """
        places = np.minimum(np.searchsorted(self._names, pieces), len(self._names) - 1)
        own = self._names[places] == pieces
        counts = np.where(own, self._counts[places], 0)
        # A number among the slices of the others; those after the piece's own slices are beyond them.
        drawn = rng.integers(0, len(self) - counts)
        return self._paths[drawn + np.where(own & (drawn >= self._firsts[places]), counts, 0)]


def choose_slices(log_magnitude, count=1, start=None):
    """Chooses the slices of a recording that tell its style.

    Without `start`, rests at both ends are cut off, and the slices are those with the greatest mean log-magnitude that
    do not overlap: the fullest part of the music. With it, they follow each other from there. What is shorter than a
    slice is repeated until it fills one.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1].
        count: slices to choose; fewer if the recording does not hold so many.
        start: seconds.

    Returns:
        float32 array [shape=(n_slices, 256, 256, 1)] in [0, 1], and the seconds at which each begins.

    Raises:
        ValueError: if the recording ends before `start`, or nothing sounds.
    """
    width, seconds_per_frame = data.SLICE_FRAMES, data.HOP_LENGTH / data.SAMPLE_RATE
    _, n_frames = log_magnitude.shape
    first = 0 if start is None else round(start / seconds_per_frame)
    if first >= n_frames:
        raise ValueError(f"ends after {(n_frames - 1) * seconds_per_frame:.2f} s, before its style would begin")
    part = log_magnitude[:, first:] if start is None else log_magnitude[:, first : first + count * width]
    sounding = np.flatnonzero(data.sounding(part))
    if len(sounding) == 0:
        raise ValueError("is silent (nothing above -60 dB of full scale) where its style would be taken from")
    if start is None:
        first, part = int(sounding[0]), part[:, sounding[0] : sounding[-1] + 1]

    _, n_frames = part.shape
    if n_frames < width:
        part = np.tile(part, (1, -(-width // n_frames)))[:, :width]
        return part[np.newaxis, ..., np.newaxis], [first * seconds_per_frame]
    if start is None:
        cumulative = np.concatenate([[0], np.cumsum(part.mean(axis=0, dtype=np.float64))])
        scores = cumulative[width:] - cumulative[:-width]  # of the slice that begins at each frame
        begins = []
        while len(begins) < count and np.isfinite(scores).any():
            begins.append(int(np.argmax(scores)))
            scores[max(0, begins[-1] - width + 1) : begins[-1] + width] = -np.inf
    else:
        begins = range(0, n_frames - width + 1, width)
    chosen = np.stack([part[:, begin : begin + width, np.newaxis] for begin in begins])
    kept = [index for index, image in enumerate(chosen) if data.sounding(image[..., 0]).any()]
    return chosen[kept], [(first + begins[index]) * seconds_per_frame for index in kept]
