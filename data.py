"""Spectrograms of audio: STFT, log-magnitude, slices, and their inverses."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

SAMPLE_RATE = 44_100  # Hz
N_FFT = 1024
HOP_LENGTH = 512
N_BINS = N_FFT // 4  # 256: the lower half of the 513 rows, up to 11 kHz
SLICE_FRAMES = 256  # 2.97 s
AMIN = 2.0**-16  # the smallest step of 16 bit, -96 dB
# A frame sounds if its strongest bin is above -60 dB of full scale: that level as a log-magnitude.
SOUNDING_LEVEL = float(np.log1p(10 ** (-60 / 20) / AMIN) / np.log1p(1 / AMIN))

SLICE_SHAPE = (N_BINS, SLICE_FRAMES, 1)  # frequency bin, frame, channel
PHASE_SLICE_SHAPE = (N_BINS, SLICE_FRAMES, 2)  # the channels are log-magnitude, and phase in half turns
SLICE_NAME = re.compile(r"(?P<piece>[^.].*)_(?P<index>\d{3,})\.npy", re.DOTALL)  # a name may hold a line break
LONGEST_PIECE = 240  # bytes of a piece's name; names of files have 255 at most, and those of slices end in _000.npy

WINDOW = np.hanning(N_FFT).astype(np.float32)
_MAGNITUDE_SCALE = np.float32(2 / WINDOW.sum())  # a full-scale sine is 1
_BLOCK_FRAMES = 4096


def resample(audio: np.ndarray, sample_rate: int, target_rate: int) -> np.ndarray:
    """Resample audio with soxr.

    Args:
        audio: float32 array [shape=(n_samples,)].
        sample_rate: rate of `audio` in Hz.
        target_rate: rate of the result in Hz.

    Returns:
        float32 array [shape=(ceil(n_samples * target_rate / sample_rate),)].
    """
    if sample_rate == target_rate:
        return audio
    import soxr

    n_samples = count_resampled(len(audio), sample_rate, target_rate)
    resampled = soxr.resample(audio, sample_rate, target_rate)
    return np.pad(resampled[:n_samples], (0, n_samples - len(resampled[:n_samples])))


def count_resampled(n_samples: int, sample_rate: int, target_rate: int) -> int:
    """Return the number of samples of resampled audio: ceil(n_samples * target_rate / sample_rate)."""
    return -(-n_samples * target_rate // sample_rate)


def count_frames(n_samples: int) -> int:
    """Return the number of STFT frames of `n_samples` samples: 1 + ceil(n_samples / 512)."""
    return 1 + -(-n_samples // HOP_LENGTH)


def stft(audio: np.ndarray) -> np.ndarray:
    """Compute the short-time Fourier transform: centered Hann windows of `N_FFT` samples every `HOP_LENGTH` samples.

    Equal to `librosa.stft(audio, n_fft=1024, hop_length=512, window=np.hanning(1024))` of audio that is padded with
    zeros to whole hops. Without the padding, only the end of one window would cover the last samples, and `istft`
    could not restore them.

    Args:
        audio: float32 array [shape=(n_samples,)].

    Returns:
        complex64 array [shape=(513, n_frames)] with 1 + ceil(n_samples / 512) frames.
    """
    n_frames = count_frames(len(audio))
    frames = np.empty((n_frames, N_FFT // 2 + 1), dtype=np.complex64)
    for first, spectrum in _spectra(audio):
        frames[first : first + spectrum.shape[1]] = spectrum.T
    return frames.T


def istft(spectrogram: np.ndarray, n_samples: int) -> np.ndarray:
    """Invert `stft` by least-squares overlap-add (Griffin and Lim 1984, eq. 6).

    Args:
        spectrogram: complex64 array [shape=(513, n_frames)].
        n_samples: length of the result, at most (n_frames - 1) * 512.

    Returns:
        float32 array [shape=(n_samples,)].
    """
    n_frames = spectrogram.shape[1]
    audio = np.zeros((n_frames + 1) * HOP_LENGTH, dtype=np.float32)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        part = overlap_add(spectrogram[:, first : first + _BLOCK_FRAMES])
        audio[first * HOP_LENGTH : first * HOP_LENGTH + len(part)] += part
    # Only one frame covers the first and the last half: they lie before the start and after the end.
    return audio[HOP_LENGTH:-HOP_LENGTH][:n_samples]


def frame_spectra(signal: np.ndarray, hop_length: int = HOP_LENGTH) -> np.ndarray:
    """Compute the spectra of the frames that lie wholly inside a signal, the first at its start.

    Args:
        signal: float32 array [shape=(..., n_samples)].
        hop_length: samples from one frame to the next.

    Returns:
        complex64 array [shape=(..., 513, n_frames)].
    """
    import scipy.fft  # takes 0.2 s to import, and most users of this module only need the constants

    frames = np.lib.stride_tricks.sliding_window_view(signal, N_FFT, axis=-1)[..., ::hop_length, :] * WINDOW
    return np.swapaxes(scipy.fft.rfft(frames, axis=-1, overwrite_x=True), -1, -2)


def overlap_add(spectrogram: np.ndarray, hop_length: int = HOP_LENGTH) -> np.ndarray:
    """Invert `frame_spectra` by least-squares overlap-add.

    The first and the last `N_FFT` - `hop_length` samples lack what frames before and after add to them.

    Args:
        spectrogram: complex64 array [shape=(..., 513, n_frames)], or its lower rows if the others are 0.
        hop_length: samples from one frame to the next; a divisor of `N_FFT`, at most half of it.

    Returns:
        float32 array [shape=(..., (n_frames - 1) * hop_length + 1024)].
    """
    import scipy.fft

    frames = scipy.fft.irfft(np.swapaxes(spectrogram, -1, -2), N_FFT, axis=-1) * WINDOW
    frames /= np.tile((WINDOW**2).reshape(-1, hop_length).sum(axis=0), N_FFT // hop_length)  # of all that overlap
    parts = frames.reshape(*frames.shape[:-1], -1, hop_length)  # (..., n_frames, n_parts, hop_length)
    *shape, n_frames, n_parts, _ = parts.shape
    audio = np.zeros((*shape, n_frames + n_parts - 1, hop_length), np.float32)
    for index in range(n_parts):
        audio[..., index : index + n_frames, :] += parts[..., index, :]
    return audio.reshape(*shape, -1)


def log_magnitude(spectrogram: np.ndarray) -> np.ndarray:
    """Convert an STFT to the log-magnitude that the networks see.

    Args:
        spectrogram: complex64 array [shape=(..., 513, n_frames)].

    Returns:
        float32 array [shape=(..., 256, n_frames)] in [0, 1].
    """
    return compress_magnitude(np.abs(spectrogram[..., :N_BINS, :]) * _MAGNITUDE_SCALE)


def stft_magnitude(log_magnitude: np.ndarray) -> np.ndarray:
    """Invert `log_magnitude`: the magnitude of the lower 256 bins, on the scale of the STFT.

    Args:
        log_magnitude: float32 array [shape=(..., 256, n_frames)] in [0, 1].

    Returns:
        float32 array of the same shape.
    """
    return expand_magnitude(log_magnitude) / _MAGNITUDE_SCALE


def compress_magnitude(magnitude: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Compress magnitude to log-magnitude: log1p(magnitude / a) / log1p(1 / a) with a = 2^-16, clipped to [0, 1].

    Args:
        magnitude: float array of any shape, at least 0; a full-scale sine is 1.
        xp: module that computes: NumPy, or `tensorflow.experimental.numpy` for tensors.

    Returns:
        float32 array of the same shape in [0, 1].
    """
    # log(1 + x) for log1p(x): 2.6 times as fast in NumPy, and equal to 2e-7 on this scale.
    log_magnitude = xp.log(1 + xp.asarray(magnitude, dtype=np.float32) * np.float32(1 / AMIN))
    return xp.minimum(log_magnitude * np.float32(1 / np.log1p(1 / AMIN)), np.float32(1))


def expand_magnitude(log_magnitude: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Invert `compress_magnitude`.

    Args:
        log_magnitude: float array of any shape in [0, 1].
        xp: as for `compress_magnitude`.

    Returns:
        float32 array of the same shape in [0, 1].
    """
    log_magnitude = xp.asarray(log_magnitude, dtype=np.float32)
    return xp.expm1(log_magnitude * np.float32(np.log1p(1 / AMIN))) * np.float32(AMIN)


# The names of the published description. They are no decibels, and librosa's functions of these names compute something
# else.
amplitude_to_db, db_to_amplitude = compress_magnitude, expand_magnitude


def decibels_to_gain(decibels: float) -> float:
    """Convert decibels to a factor on amplitudes; works on arrays and tensors, too."""
    return 10 ** (decibels / 20)


def sounding(log_magnitude: np.ndarray) -> np.ndarray:
    """Find the frames that sound: those whose strongest bin is above -60 dB of full scale.

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].

    Returns:
        bool array [shape=(n_frames,)].
    """
    return log_magnitude.max(axis=0) > SOUNDING_LEVEL


def to_network(log_magnitude: np.ndarray) -> np.ndarray:
    """Map log-magnitude in [0, 1] to the range of the networks, [-1, 1]; works on tensors, too."""
    return 2 * log_magnitude - 1


def from_network(image: np.ndarray) -> np.ndarray:
    """Map the range of the networks, [-1, 1], to log-magnitude in [0, 1]: the inverse of `to_network`."""
    return (image + 1) / 2


def slices(audio: np.ndarray, with_phase: bool = False) -> Iterator[np.ndarray]:
    """Yield the log-magnitude of audio in slices of 256 frames; the last one is padded with 0 (silence).

    Args:
        audio: float32 array [shape=(n_samples,)].
        with_phase: whether the slices also hold the phase.

    Yields:
        float32 arrays [shape=(256, 256, 1)] in [0, 1]; the axes are frequency bin, frame, channel. With the phase
        [shape=(256, 256, 2)]: the second channel is the angle of the STFT over π, in [-1, 1].
    """
    for _, spectrum in _spectra(audio):
        channels = [log_magnitude(spectrum)]
        if with_phase:
            channels.append(np.angle(spectrum[:N_BINS]) / np.float32(np.pi))
        image = np.stack(channels, axis=-1)
        for first in range(0, image.shape[1], SLICE_FRAMES):
            part = image[:, first : first + SLICE_FRAMES]
            yield np.pad(part, ((0, 0), (0, SLICE_FRAMES - part.shape[1]), (0, 0)))


def slice_path(folder: Path, piece: str, index: int) -> Path:
    """Return the file of a slice: `<folder>/<piece>_<index>.npy`."""
    return folder / f"{piece}_{index:03d}.npy"


def find_slices(folder: Path) -> dict[str, dict[int, os.DirEntry]]:
    """Find the slice files in a folder. Other files are ignored.

    Returns:
        dict of piece to dict of index to `os.DirEntry`; empty if there is no such folder.
    """
    found: dict[str, dict[int, os.DirEntry]] = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                match = SLICE_NAME.fullmatch(entry.name)
                if match:
                    found.setdefault(match["piece"], {})[int(match["index"])] = entry
    return found


def _spectra(audio: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame, complex64 array [shape=(513, n_frames)]) for blocks of `_BLOCK_FRAMES` frames of `stft`."""
    n_frames = count_frames(len(audio))
    for first in range(0, n_frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, n_frames)
        start, stop = first * HOP_LENGTH - N_FFT // 2, (last - 1) * HOP_LENGTH + N_FFT // 2
        yield first, frame_spectra(np.pad(audio[max(0, start) : stop], (max(0, -start), max(0, stop - len(audio)))))
