"""The two derivatives of the phase of a spectrogram, and the phase that fits them best.

From frame to frame, the phase of a bin advances by its instantaneous frequency; from bin to bin, it falls by its group
delay. Both are differences of neighbors here, blind to whole turns: the phase jumps, they are smooth.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

import data

_DELAY_WEIGHT = 1.0  # of neighbors in frequency, relative to neighbors in time
_FLOOR = 1e-5  # of a frame's strongest magnitude, -100 dB: below, all bins count alike


N_INPUTS, N_OUTPUTS = 6, 4  # channels of a network of the derivatives


class Frame(NamedTuple):
    """A frame whose phase is known, from which the next one is found.

    Attributes:
        magnitude: float array [shape=(n_bins,)].
        unit: its phase as complex numbers of magnitude 1 [shape=(n_bins,)].
    """

    magnitude: np.ndarray
    unit: np.ndarray


def wrap(angle: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Wrap angles to [-π, π].

    Args:
        angle: float array of any shape, in radians.
        xp: module that computes: NumPy, or `tensorflow.experimental.numpy` for tensors.
    """
    return angle - np.float32(2 * np.pi) * xp.floor(angle * np.float32(1 / (2 * np.pi)) + np.float32(0.5))


def instantaneous_frequency(phase: np.ndarray, hop_length: int = data.HOP_LENGTH, xp: ModuleType = np) -> np.ndarray:
    """Compute the advance of the phase from the frame before, less that of a sine in the middle of the bin.

    Args:
        phase: float array [shape=(..., n_bins, n_frames)] in radians.
        hop_length: samples from one frame to the next.
        xp: as for `wrap`.

    Returns:
        float array [shape=(..., n_bins, n_frames - 1)] in [-π, π], for the second frame and those that follow. The
        frequency is that of the bin plus it times sample rate / (2π · hop_length); 43 Hz more have 2π · hop / 1024.
    """
    return wrap(phase[..., 1:] - phase[..., :-1] - expected_advance(phase.shape[-2], hop_length), xp)


def group_delay(phase: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Compute the fall of the phase from the bin below, less that of a click in the middle of the frame.

    Args:
        phase: float array [shape=(..., n_bins, n_frames)] in radians.
        xp: as for `wrap`.

    Returns:
        float array [shape=(..., n_bins - 1, n_frames)] in [-π, π], for the second bin and those above. What sounds t
        samples after the middle of the frame has 2π · t / 1024.
    """
    return wrap(phase[..., :-1, :] - phase[..., 1:, :] - np.float32(np.pi), xp)


def as_channels(frequency: np.ndarray, delay: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Make the channels of a network from both derivatives: their cosines and sines, which have no jumps.

    Args:
        frequency: float array [shape=(..., n_bins, n_frames)], of `instantaneous_frequency`.
        delay: float array of the same shape, of `group_delay`.
        xp: as for `wrap`.

    Returns:
        float array [shape=(..., n_bins, n_frames, 4)].
    """
    return xp.stack([xp.cos(frequency), xp.sin(frequency), xp.cos(delay), xp.sin(delay)], axis=-1)


def padded_derivatives(
    phase: np.ndarray, hop_length: int = data.HOP_LENGTH, xp: ModuleType = np
) -> tuple[np.ndarray, np.ndarray]:
    """Compute both derivatives for all bins and frames: 0 in the first frame, and in the lowest bin.

    Args:
        phase: float array [shape=(..., n_bins, n_frames)] in radians.
        hop_length: samples from one frame to the next.
        xp: as for `wrap`.

    Returns:
        Two float arrays of the same shape.
    """
    nothing = xp.zeros_like(phase)
    frequency = xp.concatenate([nothing[..., :1], instantaneous_frequency(phase, hop_length, xp)], axis=-1)
    return frequency, xp.concatenate([nothing[..., :1, :], group_delay(phase, xp)], axis=-2)


def network_input(target: np.ndarray, source: np.ndarray, of_source: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Make the input of a network that predicts the derivatives of a target's phase.

    Args:
        target: its log-magnitude, float array [shape=(..., n_bins, n_frames)] in [-1, 1].
        source: that of the input, of the same shape.
        of_source: `as_channels` of the derivatives of the input's phase.
        xp: as for `wrap`.

    Returns:
        float array [shape=(..., n_bins, n_frames, 6)] in [-1, 1].
    """
    return xp.concatenate([xp.stack([target, source], axis=-1), of_source], axis=-1)


def expected_advance(n_bins: int, hop_length: int) -> np.ndarray:
    """Return by how much the phase of a sine in the middle of each bin advances: [shape=(n_bins, 1)], mod 2π."""
    turns = np.arange(n_bins)[:, np.newaxis] * hop_length / data.N_FFT % 1
    return (2 * np.pi * turns).astype(np.float32)


def integrate(
    magnitude: np.ndarray,
    frequency: np.ndarray,
    delay: np.ndarray,
    hop_length: int = data.HOP_LENGTH,
    previous: Frame | None = None,
    anchor: np.ndarray | None = None,
) -> np.ndarray:
    """Find the phase that fits both derivatives best, frame by frame.

    The phase of a frame minimizes Σ a |z - advanced z of the frame before|² + Σ b |z - delayed z of the bin below|² +
    Σ |c - anchor|², over complex z of which the angle is taken. The weights are products of the magnitudes that a term
    compares: strong neighbors decide. Each frame is a Hermitian tridiagonal system. Masuyama et al. 2022
    (arXiv:2211.08246) and Nguyen et al. (arXiv:2505.24498) have systems like it.

    Args:
        magnitude: float array [shape=(n_bins, n_frames)].
        frequency: what `instantaneous_frequency` would give for each frame, [shape=(n_bins, n_frames)]; without a
            previous frame, that of the first one is not used.
        delay: what `group_delay` would give for each bin, [shape=(n_bins, n_frames)]; that of bin 0 is not used.
        hop_length: samples from one frame to the next.
        previous: the frame before; None at the start of a recording.
        anchor: complex array [shape=(n_bins, n_frames)]: an angle, and as magnitude a weight relative to the strongest
            bin of the frame; 0 where the phase is free. None if it is free everywhere. Then one phase, the same for all
            bins, is arbitrary at the start; it is 0 in the strongest bin.

    Returns:
        complex64 array [shape=(n_bins, n_frames)] of magnitude 1.
    """
    import scipy.linalg

    n_bins, n_frames = magnitude.shape
    advance = np.exp(1j * (frequency.astype(np.float64) + expected_advance(n_bins, hop_length)))
    step = np.exp(-1j * (delay[1:].astype(np.float64) + np.pi))  # from each bin to the one above
    relative = magnitude / np.maximum(magnitude.max(axis=0), 1e-30) + _FLOOR
    result = np.empty((n_bins, n_frames), np.complex64)
    banded = np.zeros((2, n_bins), np.complex128)  # the diagonal, and the one above it
    for index in range(n_frames):
        weight = relative[:, index].astype(np.float64)
        if previous is None:
            strongest = np.argmax(weight)
            from_time, wanted = np.zeros(n_bins), np.zeros(n_bins, np.complex128)
            if anchor is None or not np.abs(anchor[:, index]).any():
                from_time[strongest] = wanted[strongest] = 1
        else:
            from_time = weight * (previous.magnitude / max(float(previous.magnitude.max()), 1e-30) + _FLOOR)
            wanted = from_time * previous.unit * advance[:, index]
        if anchor is not None:
            from_time = from_time + np.abs(anchor[:, index])
            wanted = wanted + anchor[:, index]
        from_below = _DELAY_WEIGHT * weight[1:] * weight[:-1]
        banded[1] = from_time
        banded[1, 1:] += from_below
        banded[1, :-1] += from_below
        banded[0, 1:] = -from_below * step[:, index].conj()
        solved = scipy.linalg.solveh_banded(banded, wanted, overwrite_b=True, check_finite=False)
        unit = np.exp(1j * np.angle(solved))
        result[:, index] = unit
        previous = Frame(magnitude[:, index], unit)
    return result
