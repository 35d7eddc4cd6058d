"""A phase from the derivatives that a network predicts for a magnitude, block by block."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

import data
import phase_gradient
from inference import streaming

# Function of `phase_gradient.network_input` [shape=(n, 256, 256, 6)] to the channels of both derivatives
# [shape=(n, 256, 256, 4)].
DerivativesFn = Callable[[np.ndarray], np.ndarray]

_CONTEXT_FRAMES = 32  # on each side of what is taken of a slice
_SLICES = 4  # that the network gets at a time, of each grid
_ANCHOR_WEIGHT = 100.0  # of a bin whose phase is fixed, relative to the strongest one


def integrate_blocks(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], infer: DerivativesFn, grids: int, n_fixed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the phase that fits the derivatives that a network predicts.

    Where frames are interleaved, each grid is integrated by itself: the network knows advances over 512 samples. All
    channels of a recording are rotated by the same angle, so that the differences of phase between them stay.

    Args:
        blocks: tuples of the spectrum with the output's magnitude and the input's phase, and of the input's spectrum,
            complex64 [shape=(n_channels, n_bins, n_frames)]; of the bins, the network sees the lower 256.
        infer: the network.
        grids: how many grids are interleaved; n_frames is a multiple.
        n_fixed: number of the lowest bins that keep the input's phase.

    Yields:
        Tuples of the spectrum with the new phase, and of the input's, for the same frames in other blocks.
    """
    separate = (tuple(streaming.separate(array, grids) for array in block) for block in blocks)
    n_taken = data.SLICE_FRAMES - 2 * _CONTEXT_FRAMES
    previous: list[phase_gradient.Frame | None] = [None] * grids
    chunks = streaming.rechunk(_pad(separate, _CONTEXT_FRAMES), _SLICES * n_taken, 2 * _CONTEXT_FRAMES)
    for (start, source), _ in chunks:
        n_frames = start.shape[-1] - 2 * _CONTEXT_FRAMES
        taken = slice(_CONTEXT_FRAMES, _CONTEXT_FRAMES + n_frames)
        mixed, mixed_source = (mix(array, grids) for array in (start, source))
        frequency, delay = _derivatives(*(array[:, : data.N_BINS] for array in (mixed, mixed_source)), infer, n_frames)
        rotation = integrate_grids(mixed[..., taken], frequency, delay, previous, n_fixed)
        rotated = start[..., taken] * np.tile(rotation, (len(start) // grids, 1, 1))
        yield streaming.interleave(rotated, grids), streaming.interleave(source[..., taken], grids)


def integrate_grids(
    mixed: np.ndarray,
    frequency: np.ndarray,
    delay: np.ndarray,
    previous: list[phase_gradient.Frame | None],
    n_fixed: int,
) -> np.ndarray:
    """Find the phase that fits derivatives, each grid by itself.

    Args:
        mixed: spectrum with the phase before, complex64 [shape=(grids, n_bins, n_frames)], of 256 bins or more.
        frequency: instantaneous frequency, float32 array [shape=(grids, 256, n_frames)] in [-π, π].
        delay: group delay, of the same shape and range.
        previous: the frame before of each grid, or None; replaced by the last frame.
        n_fixed: number of the lowest bins that keep their phase.

    Returns:
        What to multiply the spectrum with, complex64 of its shape: 1 above 256 bins.
    """
    rotation = np.ones(mixed.shape, np.complex64)
    for grid, spectrum in enumerate(mixed[:, : data.N_BINS]):
        magnitude, unit_before = np.abs(spectrum), np.exp(1j * np.angle(spectrum))
        anchor = np.zeros_like(spectrum)
        anchor[:n_fixed] = _ANCHOR_WEIGHT * unit_before[:n_fixed]
        unit = phase_gradient.integrate(magnitude, frequency[grid], delay[grid], previous=previous[grid], anchor=anchor)
        unit[:n_fixed] = unit_before[:n_fixed]
        previous[grid] = phase_gradient.Frame(magnitude[:, -1], unit[:, -1])
        rotation[grid, : len(unit)] = unit * unit_before.conj()
    return rotation


def _derivatives(
    start: np.ndarray, source: np.ndarray, infer: DerivativesFn, n_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Run slices that overlap through the network, and take the middle of each.

    Args:
        start: spectrum with the output's magnitude, complex64 [shape=(grids, 256, n_frames + 64)].
        source: the input's.
        infer: the network.
        n_frames: frames without the context.

    Returns:
        Instantaneous frequency and group delay, float32 arrays [shape=(grids, 256, n_frames)] in [-π, π].
    """
    of_source = phase_gradient.as_channels(*phase_gradient.padded_derivatives(np.angle(source)))
    images = [data.to_network(data.log_magnitude(spectrum)) for spectrum in (start, source)]
    inputs = phase_gradient.network_input(*images, of_source)
    n_taken = data.SLICE_FRAMES - 2 * _CONTEXT_FRAMES
    n_slices = -(-n_frames // n_taken)
    missing = n_slices * n_taken + 2 * _CONTEXT_FRAMES - inputs.shape[2]
    inputs = np.pad(inputs, ((0, 0), (0, 0), (0, missing), (0, 0)), mode="edge")
    starts = range(0, n_slices * n_taken, n_taken)
    slices = np.stack([inputs[:, :, first : first + data.SLICE_FRAMES] for first in starts])
    outputs = infer(np.ascontiguousarray(slices.reshape(-1, *slices.shape[2:]), dtype=np.float32))
    middle = outputs[:, :, _CONTEXT_FRAMES : _CONTEXT_FRAMES + n_taken].reshape(
        n_slices, len(start), data.N_BINS, -1, 4
    )
    joined = np.moveaxis(middle, 0, 2).reshape(len(start), data.N_BINS, n_slices * n_taken, 4)[:, :, :n_frames]
    return tuple(np.arctan2(joined[..., sine], joined[..., sine - 1]) for sine in (1, 3))


def mix(array: np.ndarray, grids: int) -> np.ndarray:
    """Sum the channels of each grid: [shape=(n_channels * grids, n_bins, n_frames)] to (grids, n_bins, n_frames)."""
    return array.reshape(-1, grids, *array.shape[1:]).sum(axis=0)


def _pad(blocks: Iterable[tuple[np.ndarray, ...]], n_frames: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Put frames of silence before the first block and after the last one."""
    silence = None
    for block in blocks:
        if silence is None:
            silence = tuple(np.zeros((*array.shape[:-1], n_frames), array.dtype) for array in block)
            yield silence
        yield block
    if silence is not None:
        yield silence
