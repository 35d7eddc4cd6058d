"""The Fréchet distance between two sets of slices, by how timbre is distributed and moves in them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import librosa
import numpy as np

import data
from evaluation import metrics
from evaluation.intervals import UNDEFINED, Interval, jackknife_interval

N_STATISTICS = 4 * (metrics.N_MFCC - 1)  # means and standard deviations of MFCCs 1 to 12 and of their deltas
LEAST_SLICES = 50  # two sets of n slices of the same kind are about 144 / n apart by chance
_LEAST_DEVIATION = 1e-3  # dB: what does not vary at all is measured on this scale


Distances = dict[str, tuple[float, np.ndarray]]  # by system, what `distances_without_each` returns


def sounding_slices(log_magnitude: np.ndarray) -> np.ndarray:
    """Find the slices of 256 frames in at least half of which the target sounds; a last, shorter one does not count.

    Args:
        log_magnitude: of the target, float array [shape=(256, n_frames)] in [0, 1].

    Returns:
        int64 array [shape=(n_slices,)] of their numbers.
    """
    n_whole = log_magnitude.shape[1] // data.SLICE_FRAMES
    sounding = data.sounding(log_magnitude[:, : n_whole * data.SLICE_FRAMES])
    return np.flatnonzero(sounding.reshape(n_whole, data.SLICE_FRAMES).mean(axis=1) >= 0.5)


def slice_statistics(magnitude: np.ndarray, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
    """Compute the statistics of slices: mean and standard deviation over time of MFCCs 1 to 12 and of their deltas.

    Deltas are librosa's: the slope of a line through nine frames, in dB a frame. Coefficient 0, the level, is left out.

    Args:
        magnitude: float array [shape=(256, n_frames)].
        numbers: the slices, from `sounding_slices`.

    Returns:
        float32 array [shape=(n_slices, 48)].
    """
    statistics = np.empty((len(numbers), N_STATISTICS), np.float32)
    for row, number in zip(statistics, numbers, strict=True):
        first = number * data.SLICE_FRAMES
        coefficients = metrics.mfcc(magnitude[:, first : first + data.SLICE_FRAMES])
        series = np.concatenate([coefficients, librosa.feature.delta(coefficients)])
        row[:] = np.concatenate([series.mean(axis=1), series.std(axis=1)])
    return statistics


def frechet_distance(samples: np.ndarray, target: np.ndarray) -> float:
    """Compute the Fréchet distance of two sets: |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), of their means and covariances.

    That is the squared distance of Gaussians (Dowson and Landau 1982, "The Fréchet distance between multivariate normal
    distributions", eq. 4). Each dimension is divided by the target's standard deviation first, or those with large
    values, the means, would drown the others. Covariances are shrunk (`shrunk_covariance`). It is not the Fréchet audio
    distance: that has the embeddings of a network.

    Args:
        samples: float array [shape=(n_samples, n_dimensions)].
        target: float array [shape=(n_target_samples, n_dimensions)].

    Returns:
        The distance, at least 0.
    """
    scale = np.maximum(target.std(axis=0, dtype=np.float64), _LEAST_DEVIATION)
    samples, target = (values.astype(np.float64) / scale for values in (samples, target))
    covariance, target_covariance = shrunk_covariance(samples), shrunk_covariance(target)
    root = _square_root(covariance)
    # The eigenvalues of C1 C2 are those of C1^½ C2 C1^½, which is symmetric.
    eigenvalues = np.linalg.eigvalsh(root @ target_covariance @ root)
    cross = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    shift = np.square(samples.mean(axis=0) - target.mean(axis=0)).sum()
    return max(0.0, float(shift + np.trace(covariance) + np.trace(target_covariance) - 2 * cross))


def shrunk_covariance(samples: np.ndarray) -> np.ndarray:
    """Estimate a covariance from few samples: correlations are shrunk towards 0, variances stay.

    The factor is that of Schäfer and Strimmer 2005, "A shrinkage approach to large-scale covariance matrix estimation",
    section 2.4: 1 - min(1, Σ Var(r) / Σ r²) over the correlations r. With many samples it is 1.

    Args:
        samples: float64 array [shape=(n_samples, n_dimensions)], at least three samples.

    Returns:
        float64 array [shape=(n_dimensions, n_dimensions)].
    """
    n_samples = len(samples)
    centered = samples - samples.mean(axis=0)
    deviations = np.sqrt(np.square(centered).sum(axis=0) / (n_samples - 1))
    scores = centered / np.where(deviations > 0, deviations, 1)
    means = scores.T @ scores / n_samples  # of the products; the correlations are n / (n - 1) of them
    squares = np.square(scores).T @ np.square(scores) / n_samples
    correlations = means * n_samples / (n_samples - 1)
    variances = (squares - np.square(means)) * n_samples**2 / (n_samples - 1) ** 3
    others = ~np.eye(len(correlations), dtype=bool)
    total = np.square(correlations[others]).sum()
    kept = max(0.0, 1 - variances[others].sum() / total) if total > 0 else 0.0
    return np.where(others, kept * correlations, correlations) * np.outer(deviations, deviations)


def _square_root(covariance: np.ndarray) -> np.ndarray:
    """Compute the symmetric square root of a covariance."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(eigenvalues, 0)) @ vectors.T


def distances_without_each(samples: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """Compute the Fréchet distance over all pieces, and without each of them.

    Args:
        samples: the statistics of each piece, arrays [shape=(n_slices, 48)].
        target: those of the target's slices.

    Returns:
        The distance, NaN with fewer than `LEAST_SLICES` slices, and float64 array [shape=(n_pieces,)], by pieces that
        have slices; NaN where the others have less than three.
    """
    pieces = [number for number, slices in enumerate(samples) if len(slices)]
    if sum(len(samples[number]) for number in pieces) < LEAST_SLICES:
        return np.nan, np.full(len(pieces), np.nan)

    def distance(numbers: Sequence[int]) -> float:
        chosen, target_chosen = (np.concatenate([of[number] for number in numbers]) for of in (samples, target))
        return frechet_distance(chosen, target_chosen) if len(chosen) >= 3 else np.nan

    others = [[other for other in pieces if other != number] for number in pieces]
    return distance(pieces), np.array([distance(numbers) if numbers else np.nan for numbers in others])


def distances_by_system(pieces: Sequence[Mapping[str, np.ndarray]], target: str) -> Distances:
    """Compute the Fréchet distance of each system from the target, over all pieces and without each.

    Args:
        pieces: for each piece, the statistics of its slices: dict of system, and `target`, to array
            [shape=(n_slices, 48)].
        target: the key of the target.

    Returns:
        dict of system to what `distances_without_each` returns.
    """
    return {
        system: distances_without_each([piece[system] for piece in pieces], [piece[target] for piece in pieces])
        for system in pieces[0]
        if system != target
    }


def interval(distances: tuple[float, np.ndarray]) -> Interval:
    """Make an interval of what `distances_without_each` returns; it begins at 0 at the lowest."""
    value, low, high = jackknife_interval(*distances)
    return Interval(value, float(np.maximum(low, 0)), high) if np.isfinite(value) else UNDEFINED


def encode(statistics: np.ndarray) -> str:
    """Encode statistics for a JSON file."""
    return base64.b64encode(statistics.astype("<f4").tobytes()).decode()


def decode(text: Any) -> np.ndarray | None:
    """Invert `encode`: float32 array [shape=(n_slices, 48)]; None if it is something else."""
    try:
        statistics = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(-1, N_STATISTICS)
    except (TypeError, ValueError, binascii.Error):
        return None
    return statistics.astype(np.float32) if np.isfinite(statistics).all() else None
