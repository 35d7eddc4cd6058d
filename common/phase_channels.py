"""A phase as channels of an image, beside the log-magnitude: from slices that hold the phase, in NumPy or TensorFlow.

The representations (`representations.py`): `angle` is the cosine and the sine of the phase itself, `derivatives` those
of the instantaneous frequency and of the group delay. `rotation` shows the network the derivatives of the input, and
asks for the angle from the input's phase to the target's. None of them jumps where the phase does by a whole turn.
"""

from types import ModuleType

import numpy as np

import data
import phase_gradient


def make_slices(log_magnitude: np.ndarray, phase: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Make what the channels are computed from, as `phase_slices.batches` reads it.

    Args:
        log_magnitude: float array [shape=(..., n_bins, n_frames)] in [0, 1].
        phase: float array of the same shape, in radians.
        xp: module that computes: NumPy, or `tensorflow.experimental.numpy` for tensors.

    Returns:
        float array [shape=(..., n_bins, n_frames, 2)]: log-magnitude in [-1, 1], and phase in half turns.
    """
    return xp.stack([data.to_network(log_magnitude), phase * np.float32(1 / np.pi)], axis=-1)


def input_channels(representation: str, slices: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Compute the channels of an image that a network sees.

    Args:
        representation: one of `representations.PHASES_AS_CHANNELS`.
        slices: float array [shape=(..., n_bins, n_frames, 2)]: log-magnitude in [-1, 1], and phase in half turns.
        xp: as for `make_slices`.

    Returns:
        float array [shape=(..., n_bins, n_frames, 3)] for `angle`, otherwise 5 channels, in [-1, 1].
    """
    phase = _radians(slices)
    if representation == "angle":
        of_phase = _direction(phase, xp)
    else:
        of_phase = phase_gradient.as_channels(*phase_gradient.padded_derivatives(phase, xp=xp), xp=xp)
    return xp.concatenate([slices[..., :1], of_phase], axis=-1)


def target_channels(representation: str, slices: np.ndarray, source: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Compute the channels of the image that a network is to generate.

    Args:
        representation: as for `input_channels`.
        slices: those of the target, float array [shape=(..., n_bins, n_frames, 2)].
        source: those of the input, of the same shape; `rotation` alone needs them.
        xp: as for `make_slices`.

    Returns:
        float array [shape=(..., n_bins, n_frames, 5)] for `derivatives`, otherwise 3 channels, in [-1, 1].
    """
    if representation != "rotation":
        return input_channels(representation, slices, xp)
    return xp.concatenate([slices[..., :1], _direction(_radians(slices) - _radians(source), xp)], axis=-1)


def _radians(slices: np.ndarray) -> np.ndarray:
    return slices[..., 1] * np.float32(np.pi)


def _direction(angle: np.ndarray, xp: ModuleType) -> np.ndarray:
    return xp.stack([xp.cos(angle), xp.sin(angle)], axis=-1)
