"""Measures that show what a mean absolute error does not: texture and level by octave, pattern, and contrast."""

import numpy as np

import data
from common import bands

TEXTURE_BANDS = bands.OCTAVES
LEVEL_BANDS = ((0, 150), *TEXTURE_BANDS)
TEXTURE_AIM, LEVEL_AIM = 0.15, 1.5  # how far from 1, and from 0 dB, is near enough
_DECIBELS = -20 * np.log10(data.AMIN)  # of the whole range of log-magnitude
LEAST_TEXTURE = 0.002  # of log-magnitude, 0.2 dB: rounding to 16 bit has half of that
CONTRAST_BINS = 17  # of the moving mean above which a bin is a partial, 0.7 kHz
PATTERN_FRAMES = 32  # the U-Net's layers double an image, and slices start at multiples of this


def texture(log_magnitude: np.ndarray) -> np.ndarray:
    """Compute the fast changes over time in each octave.

    They are the log-magnitude minus its centered moving mean over 9 frames, in the frames that have four neighbors on
    each side. The texture is their standard deviation over time, root mean square over the bins of the octave. A
    definition of this project: vibrato, beats and noise have much of it, a smooth average of what is possible little.

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].

    Returns:
        float64 array [shape=(6,)], by `TEXTURE_BANDS`, on the scale of the log-magnitude; NaN with fewer than 10
        frames.
    """
    if log_magnitude.shape[1] <= bands.TEXTURE_FRAMES:
        return np.full(len(TEXTURE_BANDS), np.nan)
    variances = fast_changes(log_magnitude).var(axis=1)
    return np.sqrt([variances[bands.bins(*band)].mean() for band in TEXTURE_BANDS])


def pattern_share(log_magnitude: np.ndarray) -> float:
    """Compute the share of the fast changes over time that repeats every 32 frames.

    A generator that upsamples unevenly draws a checkerboard (Odena et al. 2016, doi.org/10.23915/distill.00003): a
    pattern with the periods of its layers, the same in every slice. It sounds like a buzz, and `texture` counts it as
    texture. The share is that of the variance between frames of another place in the period, over all bins from 150 to
    9600 Hz, without what it would be by chance (analysis of variance, one-way, with random effects).

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].

    Returns:
        The share: 1 for a pattern alone, about 0 if nothing repeats; a little below 0 by chance. NaN with fewer than 72
        frames, or without any changes.
    """
    if log_magnitude.shape[1] < 2 * PATTERN_FRAMES + bands.TEXTURE_FRAMES - 1:
        return float("nan")
    changes = fast_changes(log_magnitude)[bands.bins(TEXTURE_BANDS[0][0], TEXTURE_BANDS[-1][1])]
    return repeating_share(in_periods(changes))


def in_periods(changes: np.ndarray) -> np.ndarray:
    """Cut [shape=(n_bins, n_frames)] into periods [shape=(n_bins, n_periods, 32)]; the rest is left out."""
    n_periods = changes.shape[1] // PATTERN_FRAMES
    return changes[:, : n_periods * PATTERN_FRAMES].reshape(len(changes), n_periods, PATTERN_FRAMES)


def repeating_share(periods: np.ndarray) -> float:
    """Compute the share of the variance of some bins that is the same in all periods; see `pattern_share`.

    Args:
        periods: float array [shape=(n_bins, n_periods, 32)], at least two periods.
    """
    within = periods.var(axis=1, ddof=1).mean()
    between = periods.mean(axis=1).var(axis=1, ddof=1).mean() - within / periods.shape[1]
    return float(between / (between + within)) if between + within > LEAST_TEXTURE**2 else float("nan")


def contrast_error(log_magnitude: np.ndarray, target: np.ndarray) -> float:
    """Compute by how many dB partials stand out more from what lies between them than in the target.

    A bin of the target, averaged over 9 frames, is on a partial if it is above its moving mean over 17 bins, and
    between partials if not. The contrast of an octave is the mean log-magnitude of the former minus that of the latter,
    at the places that the target gives. Noise between the partials lowers it, and so do partials that are smeared or
    missing; `texture` counts that noise as texture. A definition of this project.

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].
        target: float array of the same shape and range.

    Returns:
        The contrast minus that of the target, in the mean over the octaves, in dB (as they are where it is loud): 0 is
        right, below 0 the sound is hazy. NaN with fewer than 9 frames, or if the target is silent.
    """
    if target.shape[1] < bands.TEXTURE_FRAMES:
        return float("nan")
    slow = _moving_mean(target, bands.TEXTURE_FRAMES, axis=1)
    margin = CONTRAST_BINS // 2
    around = _moving_mean(np.pad(slow, ((margin, margin), (0, 0)), mode="edge"), CONTRAST_BINS, axis=0)
    on_partial = slow > around
    difference = _moving_mean(log_magnitude, bands.TEXTURE_FRAMES, axis=1) - slow
    errors = []
    for band in TEXTURE_BANDS:
        places, values = on_partial[bands.bins(*band)], difference[bands.bins(*band)]
        if places.any() and not places.all():
            errors.append(values[places].mean(dtype=np.float64) - values[~places].mean(dtype=np.float64))
    return float(np.mean(errors)) * _DECIBELS if errors else float("nan")


def _moving_mean(values: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Compute the means of all runs of a length along an axis."""
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=axis).mean(axis=-1)


def fast_changes(log_magnitude: np.ndarray) -> np.ndarray:
    """Subtract the centered moving mean over 9 frames, in the frames that have four neighbors on each side.

    Args:
        log_magnitude: float array [shape=(n_bins, n_frames)].

    Returns:
        float64 array [shape=(n_bins, n_frames - 8)].
    """
    margin = bands.TEXTURE_FRAMES // 2
    means = _moving_mean(log_magnitude, bands.TEXTURE_FRAMES, axis=1)
    return np.asarray(log_magnitude[:, margin:-margin] - means, np.float64)


def texture_ratios(log_magnitude: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the texture of each octave over that of the target: 1 is right, 0 is smooth.

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].
        target: float array of the same shape and range.

    Returns:
        float64 array [shape=(6,)], by `TEXTURE_BANDS`; NaN where the target has a texture below 0.002: it is silent, or
        a steady tone.
    """
    textures, target_textures = texture(log_magnitude), texture(target)
    target_textures[target_textures < LEAST_TEXTURE] = np.nan
    return textures / target_textures


def level_errors(magnitude: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the level of each band relative to the target: 10 log10 of the ratio of their energies.

    Args:
        magnitude: float array [shape=(256, n_frames)]; a full-scale sine is 1.
        target: float array of the same shape.

    Returns:
        float64 array [shape=(7,)] in dB, by `LEVEL_BANDS`; NaN where the target's mean power is below -96 dB of full
        scale. An output with less counts as -96 dB.
    """
    floor = data.AMIN**2
    powers, target_powers = (
        np.array([np.square(values[bands.bins(*band)], dtype=np.float64).mean() for band in LEVEL_BANDS])
        for values in (magnitude, target)
    )
    target_powers[target_powers < floor] = np.nan
    return 10 * np.log10(np.maximum(powers, floor) / target_powers)


def mean_error(errors: np.ndarray) -> float:
    """Compute the mean of the magnitudes of the finite errors; NaN if there are none."""
    errors = errors[np.isfinite(errors)]
    return float(np.abs(errors).mean()) if len(errors) else float("nan")
