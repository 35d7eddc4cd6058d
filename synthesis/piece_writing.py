"""Mixes of a piece → WAV files, all at one scale; instruments with effects in place of those without."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import soxr

from common import storage
from common.audio import BLOCK_SAMPLES, PEAK_LEVEL, open_to_write
from data import SAMPLE_RATE
from synthesis import effect_filters


def write_mixes(mixes: Mapping[str, np.ndarray], sample_rate: int, targets: Mapping[str, Path]) -> tuple[float, int]:
    """Write the mixes of a piece at 44.1 kHz, all scaled by one factor so that none clips.

    One factor keeps the levels of the instruments comparable. It comes from the peak before resampling, which may
    overshoot; where that would clip, all are written again with a smaller factor.

    Args:
        mixes: dict of instrument to float32 array [shape=(n_samples,)].
        sample_rate: of the mixes, in Hz.
        targets: dict of instrument to the WAV file to write.

    Returns:
        The factor, and the number of samples of each file.
    """
    factor = PEAK_LEVEL / max(PEAK_LEVEL, *(float(np.abs(mix).max()) for mix in mixes.values()))
    remaining = list(targets)
    while remaining:
        instrument = remaining.pop(0)
        with storage.atomic_write(targets[instrument], durable=False) as partial:
            peak, n_samples = _write_mix(partial, mixes[instrument], sample_rate, factor)
        if peak > 1:
            factor *= PEAK_LEVEL / peak
            remaining = list(targets)
    return factor, n_samples


def write_changed(
    mix: np.ndarray, sample_rate: int, factor: float, drawn: Mapping[str, Mapping[str, float]], target: Path
) -> float:
    """Write a mix with effects. The files of the other instruments stay: the mix alone is scaled where it would clip.

    Args:
        mix: float32 array [shape=(n_samples,)].
        sample_rate: of the mix, in Hz.
        factor: what `write_mixes` returned for the mixes without effects.
        drawn: dict of effect to parameters.
        target: the WAV file to write.

    Returns:
        The further factor of this file; 1 unless it would clip.
    """
    audio = np.concatenate(list(_resampled_blocks(mix, sample_rate))) * np.float32(factor)
    changed = effect_filters.change(audio, drawn)
    own_factor = PEAK_LEVEL / max(PEAK_LEVEL, float(np.abs(changed).max()))
    with storage.atomic_write(target, durable=False) as partial:
        _write_mix(partial, changed, SAMPLE_RATE, own_factor)
    return own_factor


def _write_mix(path: Path, mix: np.ndarray, sample_rate: int, factor: float) -> tuple[float, int]:
    """Write a mix times a factor at 44.1 kHz, block by block; return its peak and its number of samples."""
    peak, n_samples = 0.0, 0
    with open_to_write(path, SAMPLE_RATE, 1, "PCM_16") as file:
        for block in _resampled_blocks(mix, sample_rate):
            block = block * np.float32(factor)
            peak = max(peak, float(block.max(initial=0)), -float(block.min(initial=0)))
            n_samples += len(block)
            file.write(block)
    return peak, n_samples


def _resampled_blocks(mix: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield a mix at 44.1 kHz in blocks; one that has this rate is not changed."""
    resampler = None
    if sample_rate != SAMPLE_RATE:
        resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")
    for first in range(0, len(mix), BLOCK_SAMPLES):
        block = mix[first : first + BLOCK_SAMPLES]
        yield resampler.resample_chunk(block, last=first + BLOCK_SAMPLES >= len(mix)) if resampler else block
