"""Audio in blocks: resampling, the STFT and its inverse as generators that hold little at a time.

A block is a float32 array [shape=(n_channels, n_samples)] of any length. Results do not depend on how the audio was cut
into blocks.
"""

import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

import data

Block = TypeVar("Block")


def resample(blocks: Iterable[np.ndarray], sample_rate: int, target_rate: int) -> Iterator[np.ndarray]:
    """Resample blocks with soxr.

    Args:
        blocks: float32 arrays [shape=(n_channels, n_samples)].
        sample_rate: rate of `blocks` in Hz.
        target_rate: rate of the result in Hz.

    Yields:
        float32 arrays [shape=(n_channels, n_samples)]; in all, as many samples as `data.resample` gives.
    """
    if sample_rate == target_rate:
        yield from blocks
        return
    import soxr

    stream, n_read, n_done = None, 0, 0
    for block in blocks:
        stream = stream or soxr.ResampleStream(sample_rate, target_rate, len(block), dtype="float32")
        resampled = stream.resample_chunk(np.ascontiguousarray(block.T)).T
        n_read, n_done = n_read + block.shape[1], n_done + resampled.shape[1]
        if resampled.shape[1]:
            yield resampled
    if stream:
        # soxr rounds the number of samples. Silence at the end gives those that are wanted if it rounds down.
        silence = np.zeros((2 * -(-sample_rate // target_rate), len(block)), np.float32)
        n_left = data.count_resampled(n_read, sample_rate, target_rate) - n_done
        yield stream.resample_chunk(silence, last=True).T[:, :n_left]


def stft(blocks: Iterable[np.ndarray], hop_length: int = data.HOP_LENGTH) -> Iterator[np.ndarray]:
    """Compute the frames of `data.stft` of the audio in blocks, or those of a finer grid.

    A grid of 256 samples has the frames of `data.stft` of the audio after 256 zeros, and those of the audio itself, in
    turn: the first frame is centered 256 samples before the audio begins. So each sample is in as many frames as any
    other. There is one frame more of each than `data.stft` has.

    Args:
        blocks: float32 arrays [shape=(n_channels, n_samples)].
        hop_length: samples from one frame to the next: 512 or a divisor.

    Yields:
        complex64 arrays [shape=(n_channels, 513, n_frames)]; n_frames is a multiple of 512 / `hop_length`.
    """
    per_hop = data.HOP_LENGTH // hop_length
    pending, n_samples, n_done = None, 0, 0
    for block in blocks:
        if pending is None:
            pending = np.zeros((len(block), _samples_before(hop_length)), np.float32)
        pending = np.concatenate([pending, block], axis=1)
        n_samples += block.shape[1]
        n_ready = max(0, (pending.shape[1] - data.N_FFT) // hop_length + 1)
        n_ready -= n_ready % per_hop
        if n_ready:
            yield data.frame_spectra(pending[:, : (n_ready - 1) * hop_length + data.N_FFT], hop_length)
            pending, n_done = pending[:, n_ready * hop_length :], n_done + n_ready
    if pending is not None:
        n_frames = data.count_frames(n_samples) if per_hop == 1 else per_hop * (data.count_frames(n_samples) + 1)
        length = (n_frames - n_done - 1) * hop_length + data.N_FFT
        yield data.frame_spectra(np.pad(pending, ((0, 0), (0, length - pending.shape[1]))), hop_length)


def istft(spectra: Iterable[np.ndarray], hop_length: int = data.HOP_LENGTH) -> Iterator[np.ndarray]:
    """Invert `stft`.

    Args:
        spectra: complex64 arrays [shape=(n_channels, n_bins, n_frames)]: all 513 bins, or the lower ones if the others
            are 0.
        hop_length: samples from one frame to the next: 512 or a divisor.

    Yields:
        float32 arrays [shape=(n_channels, n_samples)]; in all, as many samples as were analyzed, or up to 511 more.
    """
    tail, n_before = None, _samples_before(hop_length)
    for spectrum in spectra:
        audio = data.overlap_add(spectrum, hop_length)
        if tail is not None:
            audio[:, : tail.shape[1]] += tail
        n_whole = spectrum.shape[-1] * hop_length  # samples to which later frames add nothing
        tail = audio[:, n_whole:]
        n_skipped = min(n_before, n_whole)
        n_before -= n_skipped
        yield audio[:, n_skipped:n_whole]


def _samples_before(hop_length: int) -> int:
    """Return how many samples of the first frame's window lie before the audio."""
    return data.N_FFT // 2 + data.HOP_LENGTH - hop_length


def separate(array: np.ndarray, grids: int) -> np.ndarray:
    """Make channels of grids.

    Args:
        array: [shape=(n_channels, n_bins, n_frames)].
        grids: how many grids are interleaved.

    Returns:
        Array [shape=(n_channels * grids, n_bins, n_frames / grids)].
    """
    n_channels, n_bins, _ = array.shape
    parts = np.moveaxis(array.reshape(n_channels, n_bins, -1, grids), -1, 1)
    return parts.reshape(n_channels * grids, n_bins, -1)


def interleave(array: np.ndarray, grids: int) -> np.ndarray:
    """Invert `separate`."""
    n_channels, n_bins, _ = array.shape
    parts = np.moveaxis(array.reshape(n_channels // grids, grids, n_bins, -1), 1, -1)
    return parts.reshape(n_channels // grids, n_bins, -1)


def rechunk(
    blocks: Iterable[tuple[np.ndarray, ...]], size: int, lookahead: int = 0
) -> Iterator[tuple[tuple[np.ndarray, ...], bool]]:
    """Cut blocks into chunks of another size along their last axis.

    Args:
        blocks: tuples of arrays whose last axes are equally long.
        size: step from the start of a chunk to that of the next.
        lookahead: by how much a chunk extends into the next one.

    Yields:
        Tuple of arrays of length size + lookahead (in the last chunk at most that), and whether it is the last chunk.
    """
    pending = None
    for block in blocks:
        pending = block if pending is None else tuple(map(_append, pending, block))
        while pending[0].shape[-1] > size + lookahead:  # if it were equal, this might be the last chunk
            yield tuple(array[..., : size + lookahead] for array in pending), False
            pending = tuple(array[..., size:] for array in pending)
    if pending is not None:
        yield pending, True


def prefetch(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield from `blocks` while a thread computes the next one."""
    blocks, end = iter(blocks), object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, blocks, end)
        while (block := future.result()) is not end:
            future = pool.submit(next, blocks, end)
            yield block


def _append(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([first, second], axis=-1)
