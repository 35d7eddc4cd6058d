"""Phases for magnitudes: the input's own, and estimators that make neighboring frames consistent.

The estimators work on segments of 512 frames and look 16 frames ahead, so that the memory does not grow with the length
of a recording. The frames before a segment keep the phase that was found for them, so that segments join without a
seam.
"""

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

import data
from common.cli import UserError
from inference import streaming
from inference.settings import PhaseSettings

SEGMENT_FRAMES, LOOKAHEAD_FRAMES, CONTEXT_FRAMES = 512, 16, 8
# Below 1 kHz, partials of neighboring pitches share bins, and only the phase tells them apart.
FIXED_BINS = 24
ITERATIONS, RANDOM_ITERATIONS = 8, 32  # of the estimators that start from the input's phase, and from random phases
_MIN_POWER = np.float32(1e-30)  # far below rounding errors, and far above the smallest float32
_ACCELERATION = 0.99  # of fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013, section 4)

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]
Estimator = Callable[[np.ndarray, int, int], np.ndarray]


def with_phase(blocks: Blocks, settings: PhaseSettings) -> Iterator[np.ndarray]:
    """Give magnitudes a phase.

    The phases that `settings.name` can name:

    - `input`: the input's phase.
    - `griffinlim`: librosa's fast Griffin-Lim from random phases.
    - `griffinlim_input`: fast Griffin-Lim from the input's phase.
    - `admm`: from the input's phase, too, by the alternating direction method of multipliers (Masuyama, Yatabe and
      Oikawa 2019, "Griffin-Lim like phase recovery via ADMM").

    Args:
        blocks: tuples of magnitude and spectrum. The magnitude is that of the output, float32
            [shape=(n_channels, n_bins, n_frames)] on the scale of the STFT, of the lower 256 bins or of all 513. The
            spectrum is the input's STFT, complex64 [shape=(n_channels, 513, n_frames)].
        settings: which phase; by default, estimators run 8 iterations, or 32 from random phases.

    Yields:
        complex64 arrays [shape=(n_channels, n_bins, n_frames)].
    """
    iterations = settings.iterations or (RANDOM_ITERATIONS if settings.name == "griffinlim" else ITERATIONS)
    blocks = ((magnitude, spectrum[:, : magnitude.shape[1]]) for magnitude, spectrum in blocks)
    if settings.name == "input":
        for magnitude, spectrum in blocks:
            yield apply_phase(magnitude, spectrum)
    elif settings.name == "griffinlim":
        yield from _estimate_from_random(blocks, iterations, settings.seed)
    else:
        estimator = {"griffinlim_input": fast_griffin_lim, "admm": admm}[settings.name]
        yield from _estimate_from_input(blocks, estimator, iterations)


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


def consistent(spectrum: np.ndarray) -> np.ndarray:
    """Compute the nearest array that is the STFT of some audio (Griffin and Lim 1984).

    Args:
        spectrum: complex64 array [shape=(n_channels, n_bins, n_frames)].

    Returns:
        complex64 array of the same shape.
    """
    first, second = data.frame_halves(spectrum)
    n_channels, n_frames, hop = first.shape
    audio = np.zeros((n_channels, n_frames + 1, hop), np.float32)
    audio[:, :-1] += first
    audio[:, 1:] += second
    return data.frame_spectra(audio.reshape(n_channels, -1))[:, : spectrum.shape[1]]


def fast_griffin_lim(start: np.ndarray, iterations: int, n_fixed: int) -> np.ndarray:
    """Run fast Griffin-Lim from a phase; the differences of phase between channels stay.

    Args:
        start: complex64 array [shape=(n_channels, n_bins, n_frames)], with the magnitude and the phase to start from.
        iterations: number of iterations.
        n_fixed: number of frames at the beginning whose phase stays; so does that of the lowest `FIXED_BINS` bins.

    Returns:
        complex64 array of the same shape, with the same magnitude.
    """
    rotate = make_rotate(start)
    result = previous = start
    for _ in range(iterations):
        projected = consistent(result)
        result = rotate(projected + np.float32(_ACCELERATION) * (projected - previous))
        _restore_fixed(result, start, n_fixed)
        previous = projected
    return result


def admm(start: np.ndarray, iterations: int, n_fixed: int) -> np.ndarray:
    """Run ADMM from a phase; arguments and result are those of `fast_griffin_lim`."""
    rotate = make_rotate(start)
    projected, dual = start, np.zeros_like(start)
    for _ in range(iterations):
        result = rotate(projected - dual)
        _restore_fixed(result, start, n_fixed)
        projected = consistent(result + dual)
        dual = dual + result - projected
    result = rotate(projected)
    _restore_fixed(result, start, n_fixed)
    return result


def _restore_fixed(result: np.ndarray, start: np.ndarray, n_fixed: int) -> None:
    """Set the first frames and the lowest bins back to `start`, in place."""
    result[..., :n_fixed] = start[..., :n_fixed]
    result[:, :FIXED_BINS] = start[:, :FIXED_BINS]


def _estimate_from_input(blocks: Blocks, estimator: Estimator, iterations: int) -> Iterator[np.ndarray]:
    context = None  # the last frames whose phase was found
    for (magnitude, spectrum), is_last in streaming.rechunk(blocks, SEGMENT_FRAMES, LOOKAHEAD_FRAMES):
        start = apply_phase(magnitude, spectrum)
        context = start[..., :0] if context is None else context
        n_fixed = context.shape[-1]
        result = estimator(np.concatenate([context, start], axis=-1), iterations, n_fixed)
        end = result.shape[-1] if is_last else n_fixed + SEGMENT_FRAMES
        yield result[..., n_fixed:end]
        context = result[..., end - CONTEXT_FRAMES : end]


def _estimate_from_random(blocks: Blocks, iterations: int, seed: int) -> Iterator[np.ndarray]:
    """Run librosa's Griffin-Lim on each segment; as it cannot keep phases, neighbors are cross-faded over 16 frames.

    The phase is found for the sum of the channels, and all of them are rotated by the same angle.
    """
    try:
        import librosa  # takes long to import, and only this phase needs it
    except ImportError:
        raise UserError("--phase griffinlim needs librosa: pip install librosa") from None

    rising = np.sin(np.pi / 2 * (np.arange(LOOKAHEAD_FRAMES, dtype=np.float32) + 0.5) / LOOKAHEAD_FRAMES)
    previous = None  # what the segment before has of the frames that both cover
    segments = streaming.rechunk(blocks, SEGMENT_FRAMES, LOOKAHEAD_FRAMES)
    for index, ((magnitude, spectrum), is_last) in enumerate(segments):
        start = apply_phase(magnitude, spectrum)
        mixed = start.sum(axis=0)
        audio = librosa.griffinlim(
            np.pad(np.abs(mixed), ((0, data.N_FFT // 2 + 1 - len(mixed)), (0, 0))),
            n_iter=iterations,
            hop_length=data.HOP_LENGTH,
            window=data.WINDOW,
            random_state=np.random.RandomState([seed, index]),
        )
        estimated = data.stft(audio)[: len(mixed), : mixed.shape[1]]
        result = start * apply_phase(np.ones(mixed.shape, np.float32), estimated * mixed.conj())
        if previous is not None:
            n = min(LOOKAHEAD_FRAMES, result.shape[-1])
            # The squares of the weights add up to 1, as the two are not in phase.
            result[..., :n] = result[..., :n] * rising[:n] + previous[..., :n] * rising[::-1][:n]
        end = result.shape[-1] if is_last else SEGMENT_FRAMES
        yield result[..., :end]
        previous = result[..., end:]
