"""Phases for magnitudes: the input's own, and estimators that make neighbouring frames agree.

The estimators work on segments of 512 frames that look 16 frames ahead, so that recordings of any length take the same
memory; the frames before a segment are held as they were decided, so that segments join without a seam.
"""

import functools

import numpy as np

import data
import streaming

SEGMENT_FRAMES, AHEAD_FRAMES, BEFORE_FRAMES = 512, 16, 8
HELD_BINS = 24  # below 1 kHz, where partials of neighbouring pitches share bins and only the phase tells them apart
_LEAST_POWER = np.float32(1e-30)  # far below rounding, and far above where float32 ends
ITERATIONS, RANDOM_ITERATIONS = 8, 32  # of the estimators that start from the input's phase, and from random ones
_ACCELERATION = 0.99  # of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013, section 4)


def with_phase(blocks, name, iterations=None, seed=0):
    """Gives magnitudes a phase.

    Args:
        blocks: iterable of (magnitude, spectrum): what shall sound, float32 [shape=(n_channels, n_bins, n_frames)] on
            the scale of the spectrum, of the lower 256 bins or of all 513; and the input's STFT, complex64
            [shape=(n_channels, 513, n_frames)].
        name: `input`: the input's phase. `griffinlim`: librosa's fast Griffin-Lim from random phases.
            `griffinlim_input`: fast Griffin-Lim from the input's phase. `admm`: from the input's phase too, by the
            alternating direction method of multipliers (Masuyama, Yatabe and Oikawa 2019, "Griffin-Lim like phase
            recovery via ADMM").
        iterations: of the estimators; None for 8, and 32 from random phases.
        seed: of random phases.

    Yields:
        complex64 arrays [shape=(n_channels, n_bins, n_frames)].
    """
    iterations = iterations or (RANDOM_ITERATIONS if name == "griffinlim" else ITERATIONS)
    blocks = ((magnitude, spectrum[:, : magnitude.shape[1]]) for magnitude, spectrum in blocks)
    if name == "input":
        for magnitude, spectrum in blocks:
            yield impose(magnitude, spectrum)
    elif name == "griffinlim":
        yield from _librosa(blocks, iterations, seed)
    else:
        yield from _iterated(blocks, {"griffinlim_input": fast_griffin_lim, "admm": admm}[name], iterations)


def impose(magnitude, spectrum):
    """The spectrum's phase with another magnitude; where the spectrum is 0, its phase is."""
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    result = spectrum * (magnitude / np.sqrt(np.maximum(power, _LEAST_POWER)))
    unknown = power < _LEAST_POWER
    if unknown.any():
        result[unknown] = magnitude[unknown]
    return result


def make_turn(start):
    """Makes a function that turns all channels by one phase a bin and frame, to fit a spectrum as well as that can.

    The differences of phase between the channels, which place the sounds in the room, stay. The phase is that of the
    sum over the channels of spectrum · conj(start), the least squares' one. A single channel gets the spectrum's own.
    """
    if len(start) == 1:
        return functools.partial(impose, np.abs(start))

    def turn(spectrum):
        turned = np.sum(spectrum * start.conj(), axis=0)
        return start * impose(np.ones(turned.shape, np.float32), turned)

    return turn


def consistent(spectrum):
    """The nearest array that is the STFT of some audio (Griffin and Lim 1984)."""
    first, second = data.frame_halves(spectrum)
    n_channels, n_frames, hop = first.shape
    audio = np.zeros((n_channels, n_frames + 1, hop), np.float32)
    audio[:, :-1] += first
    audio[:, 1:] += second
    return data.frame_spectra(audio.reshape(n_channels, -1))[:, : spectrum.shape[1]]


def fast_griffin_lim(start, iterations, n_held):
    """Fast Griffin-Lim from a phase; the differences of phase between channels stay.

    Args:
        start: complex64 array [shape=(n_channels, n_bins, n_frames)], with the magnitude and the phase to start from.
        iterations: how many.
        n_held: number of frames at the beginning that stay as they are; so do the lowest `HELD_BINS` bins.

    Returns:
        complex64 array of the same shape, with the same magnitude.
    """
    turn = make_turn(start)
    result = previous = start
    for _ in range(iterations):
        projected = consistent(result)
        result = turn(projected + np.float32(_ACCELERATION) * (projected - previous))
        _hold(result, start, n_held)
        previous = projected
    return result


def admm(start, iterations, n_held):
    """ADMM from a phase; arguments and result are those of `fast_griffin_lim`."""
    turn = make_turn(start)
    fitting, dual = start, np.zeros_like(start)
    for _ in range(iterations):
        result = turn(fitting - dual)
        _hold(result, start, n_held)
        fitting = consistent(result + dual)
        dual = dual + result - fitting
    result = turn(fitting)
    _hold(result, start, n_held)
    return result


def _hold(result, start, n_frames):
    """Gives the first frames and the lowest bins back what they started with."""
    result[..., :n_frames] = start[..., :n_frames]
    result[:, :HELD_BINS] = start[:, :HELD_BINS]


def _iterated(blocks, estimate, iterations):
    held = None  # frames that are decided
    for (magnitude, spectrum), last in streaming.regroup(blocks, SEGMENT_FRAMES, AHEAD_FRAMES):
        start = impose(magnitude, spectrum)
        held = start[..., :0] if held is None else held
        n_held = held.shape[-1]
        result = estimate(np.concatenate([held, start], axis=-1), iterations, n_held)
        end = result.shape[-1] if last else n_held + SEGMENT_FRAMES
        yield result[..., n_held:end]
        held = result[..., end - BEFORE_FRAMES : end]


def _librosa(blocks, iterations, seed):
    """Segment by segment, as librosa knows no phase to hold on to; neighbours are cross-faded over 16 frames.

    The phase is found for the sum of the channels, and all of them are turned by as much.
    """
    import librosa

    rising = np.sin(np.pi / 2 * (np.arange(AHEAD_FRAMES, dtype=np.float32) + 0.5) / AHEAD_FRAMES)
    before = None
    for number, ((magnitude, spectrum), last) in enumerate(streaming.regroup(blocks, SEGMENT_FRAMES, AHEAD_FRAMES)):
        start = impose(magnitude, spectrum)
        mixed = start.sum(axis=0)
        audio = librosa.griffinlim(
            np.pad(np.abs(mixed), ((0, data.N_FFT // 2 + 1 - len(mixed)), (0, 0))),
            n_iter=iterations,
            hop_length=data.HOP_LENGTH,
            window=data.WINDOW,
            random_state=np.random.RandomState([seed, number]),
        )
        found = data.stft(audio)[: len(mixed), : mixed.shape[1]]
        result = start * impose(np.ones(mixed.shape, np.float32), found * mixed.conj())
        if before is not None:
            n = min(AHEAD_FRAMES, result.shape[-1])
            # Squares add up to 1: the two are not in phase.
            result[..., :n] = result[..., :n] * rising[:n] + before[..., :n] * rising[::-1][:n]
        end = result.shape[-1] if last else SEGMENT_FRAMES
        yield result[..., :end]
        before = result[..., end:]
