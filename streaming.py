"""Audio in blocks, from end to end: resampling, the STFT and its inverse as generators that hold little at a time.

A block is a float32 array [shape=(n_channels, n_samples)] of any length; what is made of the blocks does not depend on
how the audio was cut into them.
"""

import concurrent.futures

import numpy as np

import data


def resample(blocks, sample_rate, target_rate):
    """Resamples blocks with soxr."""
    if sample_rate == target_rate:
        yield from blocks
        return
    import soxr

    stream = None
    for block in blocks:
        stream = stream or soxr.ResampleStream(sample_rate, target_rate, len(block), dtype="float32")
        resampled = stream.resample_chunk(np.ascontiguousarray(block.T)).T
        if resampled.shape[1]:
            yield resampled
    if stream:
        yield stream.resample_chunk(np.zeros((0, len(block)), np.float32), last=True).T


def stft(blocks):
    """Yields the frames of `data.stft` of the audio: complex64 arrays [shape=(n_channels, 513, n_frames)]."""
    half, pending, n_samples, n_done = data.N_FFT // 2, None, 0, 0
    for block in blocks:
        pending = np.zeros((len(block), half), np.float32) if pending is None else pending
        pending = np.concatenate([pending, block], axis=1)
        n_samples += block.shape[1]
        ready = max(0, (pending.shape[1] - data.N_FFT) // data.HOP_LENGTH + 1)
        if ready:
            yield data.frame_spectra(pending)
            pending, n_done = pending[:, ready * data.HOP_LENGTH :], n_done + ready
    if pending is not None:
        missing = data.count_frames(n_samples) - n_done
        length = (missing - 1) * data.HOP_LENGTH + data.N_FFT
        yield data.frame_spectra(np.pad(pending, ((0, 0), (0, length - pending.shape[1]))))


def istft(blocks):
    """Inverse of `stft`: yields audio, (n_frames - 1) * 512 samples in all."""
    tail = None
    for block in blocks:
        first, second = data.frame_halves(block)
        before = np.zeros_like(second[:, :1]) if tail is None else tail
        whole = first + np.concatenate([before, second[:, :-1]], axis=1)  # (n_channels, n_frames, 512)
        if tail is None:
            whole = whole[:, 1:]  # what comes before is the half frame before the start
        tail = second[:, -1:]
        yield whole.reshape(len(whole), whole.shape[1] * data.HOP_LENGTH)


def regroup(blocks, size, ahead=0):
    """Cuts blocks anew along their last axis.

    Args:
        blocks: iterable of arrays, or of tuples of arrays that are cut alike.
        size: what each group advances by.
        ahead: by how much a group looks into the next one.

    Yields:
        Tuples of arrays of size + ahead, the last ones shorter, and whether it is the last.
    """
    pending = None
    for block in blocks:
        pending = block if pending is None else tuple(map(_append, pending, block))
        while pending[0].shape[-1] > size + ahead:  # more than that: this is not the last group
            yield tuple(array[..., : size + ahead] for array in pending), False
            pending = tuple(array[..., size:] for array in pending)
    if pending is not None:
        yield pending, True


def look_ahead(blocks):
    """Yields from blocks while a thread already makes the next one."""
    blocks, end = iter(blocks), object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, end)
        while (block := coming.result()) is not end:
            coming = pool.submit(next, blocks, end)
            yield block


def _append(first, second):
    return np.concatenate([first, second], axis=-1)
