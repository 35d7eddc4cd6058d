"""Audio and spectrograms: reading and writing audio, STFT, log-magnitude, slices."""

import os
import re

import numpy as np

SAMPLE_RATE = 44_100  # Hz
N_FFT = 1024
HOP_LENGTH = 512
N_BINS = N_FFT // 4  # 256: the lower half of the 513 rows, up to 11 kHz
SLICE_FRAMES = 256  # 2.97 s
AMIN = 2.0**-16  # the smallest step of 16 bit, -96 dB
# A frame sounds if its strongest bin is above -60 dB of full scale, which is here on the scale of the log-magnitude.
SOUNDING_LEVEL = float(np.log1p(10 ** (-60 / 20) / AMIN) / np.log1p(1 / AMIN))

SLICE_SHAPE = (N_BINS, SLICE_FRAMES, 1)  # frequency bin, frame, channel
SLICE_NAME = re.compile(r"(?P<piece>[^.].*)_(?P<index>\d{3,})\.npy")

WINDOW = np.hanning(N_FFT).astype(np.float32)
# Sum of the squared windows over a sample, for the inverse; both halves of a frame overlap one neighbour each.
_OVERLAP = WINDOW[:HOP_LENGTH] ** 2 + WINDOW[HOP_LENGTH:] ** 2
_MAGNITUDE_SCALE = np.float32(2 / WINDOW.sum())  # a full-scale sine is 1
_BLOCK_FRAMES = 4096


def load_audio(path, sample_rate=SAMPLE_RATE):
    """Reads an audio file, mixed to mono and resampled.

    Args:
        path: a file that libsndfile reads (WAV, FLAC, OGG, MP3, …).
        sample_rate: Hz to resample to.

    Returns:
        float32 array [shape=(n_samples,)].

    Raises:
        ValueError: if the file is not audio or holds values that are not numbers.
    """
    audio, native_rate = read_audio(path)
    return resample(audio.mean(axis=0), native_rate, sample_rate)


def read_audio(path):
    """Reads an audio file as it is.

    Returns:
        float32 array [shape=(n_channels, n_samples)], in [-1, 1] unless the file is floating point, and its rate in Hz.

    Raises:
        ValueError: if the file is not audio or holds values that are not numbers.
    """
    import soundfile

    try:
        audio, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"not an audio file that can be read ({error.error_string.strip().rstrip('.')})") from None
    if not np.isfinite(audio).all():
        raise ValueError("holds samples that are not numbers (NaN or infinity)")
    return np.ascontiguousarray(audio.T), sample_rate


def resample(audio, sample_rate, target_rate):
    """Resamples float32 audio [shape=(n_samples,)] with soxr to ceil(n_samples * target_rate / sample_rate) samples."""
    if sample_rate == target_rate:
        return audio
    import soxr

    n_samples = -(-len(audio) * target_rate // sample_rate)
    resampled = soxr.resample(audio, sample_rate, target_rate)
    return np.pad(resampled[:n_samples], (0, n_samples - len(resampled[:n_samples])))


def count_frames(n_samples):
    """The number of STFT frames of audio."""
    return 1 + -(-n_samples // HOP_LENGTH)


def stft(audio):
    """Short-time Fourier transform: frames of `N_FFT` under a Hann window every `HOP_LENGTH` samples, centred.

    The same as `librosa.stft(audio, n_fft=1024, hop_length=512, window=np.hanning(1024))` of audio that is filled up
    with zeros to whole hops. Without that the last samples would stand under one end of one window alone, and `istft`
    could not give them back.

    Args:
        audio: float32 array [shape=(n_samples,)].

    Returns:
        complex64 array [shape=(513, n_frames)] with 1 + ceil(n_samples / 512) frames.
    """
    n_frames = count_frames(len(audio))
    frames = np.empty((n_frames, N_FFT // 2 + 1), dtype=np.complex64)
    for first, spectrum in _spectra(audio):
        frames[first : first + len(spectrum)] = spectrum
    return frames.T


def istft(spectrogram, n_samples):
    """Inverse of `stft`: least-squares overlap-add (Griffin and Lim 1984, eq. 6).

    Args:
        spectrogram: complex64 array [shape=(513, n_frames)].
        n_samples: length of the result, at most (n_frames - 1) * 512.

    Returns:
        float32 array [shape=(n_samples,)].
    """
    import scipy.fft

    n_frames = spectrogram.shape[1]
    halves = np.zeros((n_frames + 1, HOP_LENGTH), dtype=np.float32)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, n_frames)
        frames = scipy.fft.irfft(spectrogram[:, first:last].T, N_FFT, axis=-1) * WINDOW
        halves[first:last] += frames[:, :HOP_LENGTH]
        halves[first + 1 : last + 1] += frames[:, HOP_LENGTH:]
    # The first and the last half, under one frame alone, lie before the start and beyond the end.
    return (halves[1:-1] / _OVERLAP).reshape(-1)[:n_samples]


def magnitude_and_phase(spectrogram):
    """Splits an STFT into what the network sees and what is kept for the way back.

    Returns:
        magnitude: float32 array [shape=(256, n_frames)], the lower half of the rows; a full-scale sine is 1.
        phase: float32 array [shape=(513, n_frames)], radians.
    """
    return np.abs(spectrogram[:N_BINS]) * _MAGNITUDE_SCALE, np.angle(spectrogram)


def from_magnitude_and_phase(magnitude, phase):
    """Inverse of `magnitude_and_phase`; the rows above the magnitude's are zero.

    Returns:
        complex64 array [shape=(513, n_frames)].
    """
    n_bins, _ = magnitude.shape
    spectrogram = np.zeros(phase.shape, dtype=np.complex64)
    spectrogram[:n_bins] = np.exp(1j * phase[:n_bins]) * (magnitude / _MAGNITUDE_SCALE)
    return spectrogram


def amplitude_to_db(magnitude):
    """Magnitude to log-magnitude, log1p(magnitude / a) / log1p(1 / a) with a = 2^-16, clipped to [0, 1]."""
    # log(1 + x) for log1p(x): 2.6 times as fast in NumPy, and the same to 2e-7 on this scale.
    log_magnitude = np.log(1 + np.asarray(magnitude, dtype=np.float32) * np.float32(1 / AMIN))
    log_magnitude *= np.float32(1 / np.log1p(1 / AMIN))
    return np.minimum(log_magnitude, np.float32(1), out=log_magnitude)


def db_to_amplitude(log_magnitude):
    """Log-magnitude in [0, 1] to magnitude in [0, 1]: the inverse of `amplitude_to_db`."""
    log_magnitude = np.asarray(log_magnitude, dtype=np.float32)
    return np.expm1(log_magnitude * np.float32(np.log1p(1 / AMIN))) * np.float32(AMIN)


def sounding(log_magnitude):
    """Which frames of a log-magnitude spectrogram [shape=(256, n_frames)] sound: bool array [shape=(n_frames,)]."""
    return log_magnitude.max(axis=0) > SOUNDING_LEVEL


def to_network(log_magnitude):
    """Log-magnitude in [0, 1] to the network's range [-1, 1]."""
    return 2 * log_magnitude - 1


def from_network(image):
    """The network's range [-1, 1] to log-magnitude in [0, 1]: the inverse of `to_network`."""
    return (image + 1) / 2


def slices(audio):
    """Yields the log-magnitude of audio in slices of 256 frames; the last one is padded with 0 (silence).

    Args:
        audio: float32 array [shape=(n_samples,)].

    Yields:
        float32 arrays [shape=(256, 256, 1)] in [0, 1], axes frequency bin, frame, channel.
    """
    for _, spectrum in _spectra(audio):
        log_magnitude = amplitude_to_db(np.abs(spectrum[:, :N_BINS]) * _MAGNITUDE_SCALE)
        for first in range(0, len(log_magnitude), SLICE_FRAMES):
            part = log_magnitude[first : first + SLICE_FRAMES]
            image = np.zeros(SLICE_SHAPE, dtype=np.float32)
            image[:, : len(part), 0] = part.T
            yield image


def slice_path(folder, piece, index):
    """The file of a slice: `<folder>/<piece>_<index>.npy`."""
    return folder / f"{piece}_{index:03d}.npy"


def find_slices(folder):
    """Finds the slice files in a folder; other files are ignored.

    Returns:
        dict of piece to dict of index to `os.DirEntry`; empty if there is no such folder.
    """
    found = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                match = SLICE_NAME.fullmatch(entry.name)
                if match:
                    found.setdefault(match["piece"], {})[int(match["index"])] = entry
    return found


def _spectra(audio):
    """Yields (first frame, complex64 array [shape=(n_frames, 513)]) for blocks of `_BLOCK_FRAMES` frames."""
    import scipy.fft  # 0.2 s that who only wants the constants need not wait for

    n_frames = count_frames(len(audio))
    for first in range(0, n_frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, n_frames)
        start, stop = first * HOP_LENGTH - N_FFT // 2, (last - 1) * HOP_LENGTH + N_FFT // 2
        block = np.pad(audio[max(0, start) : stop], (max(0, -start), max(0, stop - len(audio))))
        frames = np.lib.stride_tricks.sliding_window_view(block, N_FFT)[::HOP_LENGTH] * WINDOW
        yield first, scipy.fft.rfft(frames, axis=-1, overwrite_x=True)
