"""Phases for magnitudes: the input's own, and estimators that make neighboring frames consistent.

The estimators work on segments of 512 frames and look 16 frames ahead (32 where frames are interleaved), so that the
memory does not grow with the length of a recording. The frames before a segment keep the phase that was found for them,
so that segments join without a seam.
"""

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

import data
from common.cli import UserError
from inference import integration, streaming
from inference.settings import PhaseSettings

SEGMENT_FRAMES = 512
LOOKAHEAD_FRAMES, CONTEXT_FRAMES = 16, 8  # every 512 samples; twice as many where frames are interleaved
# Below 1 kHz, partials of neighboring pitches share bins, and only the phase tells them apart.
FIXED_BINS = 24
_MIN_POWER = np.float32(1e-30)  # far below rounding errors, and far above the smallest float32
_ACCELERATION = 0.99  # of fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013, section 4)

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]


def with_phase(blocks: Blocks, settings: PhaseSettings) -> Iterator[np.ndarray]:
    """Give magnitudes a phase.

    The phases that `settings.name` can name:

    - `input`: the input's phase.
    - `griffinlim`: librosa's fast Griffin-Lim from random phases.
    - `griffinlim_input`: fast Griffin-Lim from the input's phase.
    - `network`: fast Griffin-Lim from the phase that fits the derivatives that a network predicts.
    - `model`: the phase that the model predicts beside the magnitude, which is that of the spectrum here
      (`channels.with_predicted_phase`), and fast Griffin-Lim from it if there are iterations.

    Args:
        blocks: tuples of magnitude and spectrum. The magnitude is that of the output, float32
            [shape=(n_channels, n_bins, n_frames)] on the scale of the STFT, of the lower 256 bins or of all 513. The
            spectrum is the input's STFT, complex64 [shape=(n_channels, 513, n_frames)].
        settings: which phase, and on which grid the frames are.

    Yields:
        complex64 arrays [shape=(n_channels, n_bins, n_frames)].
    """
    blocks = ((magnitude, spectrum[:, : magnitude.shape[1]]) for magnitude, spectrum in blocks)
    if settings.name == "input" or settings.n_iterations == 0:
        for magnitude, spectrum in blocks:
            yield apply_phase(magnitude, spectrum)
    elif settings.name == "griffinlim":
        yield from _estimate_from_random(blocks, settings)
    elif settings.name == "network":
        yield from _estimate_from_input(_integrated(blocks, settings), settings)
    else:
        yield from _estimate_from_input(blocks, settings)


def hop_length(settings: PhaseSettings) -> int:
    """Return the samples from one frame to the next, where the phase is found."""
    return data.HOP_LENGTH // settings.grids


def apply_phase(magnitude: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Combine a magnitude with the phase of a spectrum; where the spectrum is 0, the phase is 0.

    Args:
        magnitude: float32 array of any shape.
        spectrum: complex64 array of the same shape.

    Returns:
        complex64 array of the same shape.
    """
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    result = spectrum * (magnitude / np.sqrt(np.maximum(power, _MIN_POWER)))
    is_zero = power < _MIN_POWER
    if is_zero.any():
        result[is_zero] = magnitude[is_zero]
    return result


def make_rotate(start: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function that rotates the phases of `start` towards those of another spectrum.

    In each bin and frame, all channels are rotated by the same angle. The differences of phase between the channels,
    which place sounds in the room, stay. The angle is the least-squares one: that of the sum over the channels of
    spectrum · conj(start). A single channel gets the spectrum's phase.

    Args:
        start: complex64 array [shape=(n_channels, n_bins, n_frames)].

    Returns:
        Function from a spectrum to `start` rotated, complex64 arrays of the same shape.
    """
    if len(start) == 1:
        return functools.partial(apply_phase, np.abs(start))

    def rotate(spectrum: np.ndarray) -> np.ndarray:
        rotation = np.sum(spectrum * start.conj(), axis=0)
        return start * apply_phase(np.ones(rotation.shape, np.float32), rotation)

    return rotate


def consistent(spectrum: np.ndarray, hop_length: int = data.HOP_LENGTH) -> np.ndarray:
    """Compute the nearest array that is the STFT of some audio (Griffin and Lim 1984).

    Args:
        spectrum: complex64 array [shape=(n_channels, n_bins, n_frames)].
        hop_length: samples from one frame to the next.

    Returns:
        complex64 array of the same shape.
    """
    return data.frame_spectra(data.overlap_add(spectrum, hop_length), hop_length)[:, : spectrum.shape[1]]


def fast_griffin_lim(start: np.ndarray, iterations: int, n_fixed: int, hop_length: int = data.HOP_LENGTH) -> np.ndarray:
    """Run fast Griffin-Lim from a phase; the differences of phase between channels stay.

    Args:
        start: complex64 array [shape=(n_channels, n_bins, n_frames)], with the magnitude and the phase to start from.
        iterations: number of iterations.
        n_fixed: number of frames at the beginning whose phase stays; so does that of the lowest `FIXED_BINS` bins.
        hop_length: samples from one frame to the next.

    Returns:
        complex64 array of the same shape, with the same magnitude.
    """
    rotate = make_rotate(start)
    result = previous = start
    for _ in range(iterations):
        projected = consistent(result, hop_length)
        result = rotate(projected + np.float32(_ACCELERATION) * (projected - previous))
        _restore_fixed(result, start, n_fixed)
        previous = projected
    return result


def _restore_fixed(result: np.ndarray, start: np.ndarray, n_fixed: int) -> None:
    """Set the first frames and the lowest bins back to `start`, in place."""
    result[..., :n_fixed] = start[..., :n_fixed]
    result[:, :FIXED_BINS] = start[:, :FIXED_BINS]


def _integrated(blocks: Blocks, settings: PhaseSettings) -> Blocks:
    """Replace the input's phase by the one that fits a network's derivatives, except in the lowest bins."""
    starts = ((apply_phase(magnitude, spectrum), spectrum) for magnitude, spectrum in blocks)
    for start, _ in integration.integrate_blocks(starts, settings.network, settings.grids, FIXED_BINS):
        yield np.abs(start), start


def _estimate_from_input(blocks: Blocks, settings: PhaseSettings) -> Iterator[np.ndarray]:
    lookahead, n_context = LOOKAHEAD_FRAMES * settings.grids, CONTEXT_FRAMES * settings.grids
    context = None  # the last frames whose phase was found
    for (magnitude, spectrum), is_last in streaming.rechunk(blocks, SEGMENT_FRAMES, lookahead):
        start = apply_phase(magnitude, spectrum)
        context = start[..., :0] if context is None else context
        n_fixed = context.shape[-1]
        whole = np.concatenate([context, start], axis=-1)
        result = fast_griffin_lim(whole, settings.n_iterations, n_fixed, hop_length(settings))
        end = result.shape[-1] if is_last else n_fixed + SEGMENT_FRAMES
        yield result[..., n_fixed:end]
        context = result[..., end - n_context : end]


def _estimate_from_random(blocks: Blocks, settings: PhaseSettings) -> Iterator[np.ndarray]:
    """Run librosa's Griffin-Lim on each segment; as it cannot keep phases, neighbors are cross-faded for 0.2 s.

    The phase is found for the sum of the channels, and all of them are rotated by the same angle.
    """
    lookahead = LOOKAHEAD_FRAMES * settings.grids
    rising = np.sin(np.pi / 2 * (np.arange(lookahead, dtype=np.float32) + 0.5) / lookahead)
    previous = None  # what the segment before has of the frames that both cover
    segments = streaming.rechunk(blocks, SEGMENT_FRAMES, lookahead)
    for index, ((magnitude, spectrum), is_last) in enumerate(segments):
        start = apply_phase(magnitude, spectrum)
        mixed = start.sum(axis=0)
        estimated = _random_griffin_lim(np.abs(mixed), settings, [settings.seed, index])
        result = start * apply_phase(np.ones(mixed.shape, np.float32), estimated * mixed.conj())
        if previous is not None:
            n = min(lookahead, result.shape[-1])
            # The squares of the weights add up to 1, as the two are not in phase.
            result[..., :n] = result[..., :n] * rising[:n] + previous[..., :n] * rising[::-1][:n]
        end = result.shape[-1] if is_last else SEGMENT_FRAMES
        yield result[..., :end]
        previous = result[..., end:]


def _random_griffin_lim(magnitude: np.ndarray, settings: PhaseSettings, seed: list[int]) -> np.ndarray:
    """Run librosa's fast Griffin-Lim from random phases.

    Args:
        magnitude: float32 array [shape=(n_bins, n_frames)].
        settings: iterations and grid.
        seed: seed of the phases.

    Returns:
        complex64 array of the same shape: the spectrum of audio.
    """
    try:
        import librosa  # takes long to import, and only this phase needs it
    except ImportError:
        raise UserError("--phase griffinlim needs librosa: pip install librosa") from None

    n_bins, n_frames = magnitude.shape
    audio = librosa.griffinlim(
        np.pad(magnitude, ((0, data.N_FFT // 2 + 1 - n_bins), (0, 0))),
        n_iter=settings.n_iterations,
        hop_length=hop_length(settings),
        window=data.WINDOW,
        random_state=np.random.RandomState(seed),
    )
    padded = np.pad(audio, data.N_FFT // 2)  # the first frame is centered on the first sample
    return data.frame_spectra(padded, hop_length(settings))[:n_bins, :n_frames]
