"""Metrics that compare audio with a target: distances of spectra and of timbre, and agreement of pitches.

All take mono audio at 44.1 kHz of the same length. Magnitudes are those of the network, its 256 bins up to 11 kHz, if
not said otherwise; a full-scale sine is 1. What lies below -96 dB of that (`data.AMIN`) counts as -96 dB.
"""

import librosa
import numpy as np

import data

RESOLUTIONS = (512, 1024, 2048)  # n_fft of the multi-resolution distance; hops are a quarter
N_MELS, N_MFCC = 40, 13
PITCH_HOP = 2048  # 46 ms
LOWEST_PITCH, N_PITCHES = 33, 72  # A1 to G#7: below, neighboring semitones are nearer than a bin of 1024 is wide
PITCH_FRAME_DB, PITCH_PIECE_DB = 14.0, 45.0
_CQT_SAMPLES = 1 << 16  # 1.5 s, a window of the lowest octave
_OVERTONES = np.array([12, 19, 24, 28, 31, 34, 36])  # semitones of the 2nd to 8th harmonic


def mean_absolute_error(log_magnitude: np.ndarray, target: np.ndarray) -> float:
    """Compute the published figure: the mean absolute difference of two images on the network's scale, [-1, 1].

    Isola et al. 2017, eq. 3, over any number of frames.

    Args:
        log_magnitude: float array [shape=(256, n_frames)] in [0, 1].
        target: float array of the same shape and range.
    """
    return float(np.abs(data.to_network(log_magnitude) - data.to_network(target)).mean())


def log_spectral_distance(magnitude: np.ndarray, target: np.ndarray) -> float:
    """Compute the log-spectral distance in dB (Gray and Markel 1976, "Distance measures for speech processing", L2).

    The root of the mean over bins of the squared difference of levels, averaged over frames. A change of gain by g dB
    has the distance |g|.

    Args:
        magnitude: float array [shape=(n_bins, n_frames)].
        target: float array of the same shape.
    """
    levels, target_levels = (20 * np.log10(np.maximum(values, data.AMIN)) for values in (magnitude, target))
    return float(np.sqrt(np.square(levels - target_levels).mean(axis=0)).mean())


def spectral_convergence(magnitude: np.ndarray, target: np.ndarray) -> float:
    """Compute the norm of the difference of magnitudes over the target's norm (Sturmel and Daudet 2011, section 2).

    A factor g has the convergence |1 - g|. The strongest bins decide.

    Args:
        magnitude: float array [shape=(n_bins, n_frames)].
        target: float array of the same shape.

    Returns:
        The ratio; NaN if the target is silent.
    """
    norm = float(np.linalg.norm(target))
    return float(np.linalg.norm(magnitude - target)) / norm if norm else float("nan")


def multi_resolution_distance(audio: np.ndarray, target: np.ndarray) -> float:
    """Compute the multi-resolution STFT distance (Yamamoto, Song and Kim 2020, "Parallel WaveGAN", eqs. 3 to 6).

    The mean over windows of 512, 1024 and 2048 samples (every quarter of that, all bins) of the spectral convergence
    plus the mean absolute difference of the natural logarithms of the magnitudes. A factor g has |1 - g| + |ln g|.

    Args:
        audio: float32 array [shape=(n_samples,)].
        target: float32 array of the same shape.

    Returns:
        The distance; NaN if the target is silent.
    """
    distances = []
    for n_fft in RESOLUTIONS:
        scale = 4 / n_fft  # over the sum of a Hann window, both sides of the spectrum
        magnitude, target_magnitude = (
            np.abs(librosa.stft(signal, n_fft=n_fft, hop_length=n_fft // 4)) * scale for signal in (audio, target)
        )
        logarithm, target_logarithm = (
            np.log(np.maximum(values, data.AMIN)) for values in (magnitude, target_magnitude)
        )
        log_difference = float(np.abs(logarithm - target_logarithm).mean())
        distances.append(spectral_convergence(magnitude, target_magnitude) + log_difference)
    return float(np.mean(distances))


def mfcc_distance(magnitude: np.ndarray, target: np.ndarray) -> float:
    """Compute the distance of timbre: that of MFCCs 1 to 12, averaged over the frames in which the target sounds.

    The distance is Euclidean. The coefficients are librosa's: the orthonormal DCT of 40 mel bands in dB (Davis and
    Mermelstein 1980). Coefficient 0, the level, is left out, so that a change of gain has the distance 0. Mel-cepstral
    distortion (Kubichek 1993) is the same with other mel bands and scale.

    Args:
        magnitude: float array [shape=(256, n_frames)].
        target: float array of the same shape.

    Returns:
        The distance; NaN if nothing sounds.
    """
    sounding = data.sounding(data.compress_magnitude(target))
    if not sounding.any():
        return float("nan")
    coefficients, target_coefficients = (mfcc(values[:, sounding]) for values in (magnitude, target))
    return float(np.linalg.norm(coefficients - target_coefficients, axis=0).mean())


def mfcc(magnitude: np.ndarray) -> np.ndarray:
    """Compute MFCCs without the first one, the level: float array [shape=(12, n_frames)]."""
    filters = librosa.filters.mel(
        sr=data.SAMPLE_RATE,
        n_fft=data.N_FFT,
        n_mels=N_MELS,
        fmax=data.N_BINS * data.SAMPLE_RATE / data.N_FFT,
        norm=None,
    )[:, : data.N_BINS]
    bands = librosa.power_to_db(filters @ np.square(magnitude), amin=data.AMIN**2, top_db=None)
    return librosa.feature.mfcc(S=bands, n_mfcc=N_MFCC)[1:]


def pitches(audio: np.ndarray) -> np.ndarray:
    """Find the pitches that sound: the peaks of librosa's constant-Q transform that are no overtones.

    A peak counts if it lies within 14 dB of the frame's strongest and 45 dB of the recording's, and if it is more than
    half as strong as each pitch found below it that it would be the 2nd to 8th harmonic of. That is enough to compare
    two recordings, but not a transcription: docs/benchmarks.md compares it with the MIDI notes themselves.

    Args:
        audio: float32 array [shape=(n_samples,)].

    Returns:
        bool array [shape=(72, n_frames)]: MIDI pitch 33 (A1) and up, a frame every 2048 samples.
    """
    peaks = _spectral_peaks(audio)
    gate = np.maximum(
        peaks.max(axis=0) * data.decibels_to_gain(-PITCH_FRAME_DB),
        peaks.max() * data.decibels_to_gain(-PITCH_PIECE_DB),
    )
    loud = peaks > gate
    found = np.zeros_like(loud)
    for pitch in range(N_PITCHES):
        below = pitch - _OVERTONES
        below = below[below >= 0]
        found[pitch] = loud[pitch] & (peaks[pitch] > (peaks[below] * found[below]).max(axis=0, initial=0) / 2)
    return found


def _spectral_peaks(audio: np.ndarray) -> np.ndarray:
    """Compute the magnitude of the spectral peak at each pitch, 0 where there is none.

    Args:
        audio: float32 array [shape=(n_samples,)].

    Returns:
        float32 array [shape=(72, n_frames)].
    """
    # Three bins a semitone: the middle one is the pitch, and the other two show whether there is a peak.
    n_frames = 1 + len(audio) // PITCH_HOP
    audio = np.pad(audio, (0, max(0, _CQT_SAMPLES - len(audio))))  # librosa warns of less
    lowest_bin = float(librosa.midi_to_hz(LOWEST_PITCH - 1 / 3))
    spectrum = np.abs(
        librosa.hybrid_cqt(
            audio,
            sr=data.SAMPLE_RATE,
            hop_length=PITCH_HOP,
            fmin=lowest_bin,
            n_bins=3 * N_PITCHES,
            bins_per_octave=36,
        )
    )[:, :n_frames]
    inner, peaks = spectrum[1:-1], np.zeros_like(spectrum)
    peaks[1:-1] = np.where((inner > spectrum[:-2]) & (inner >= spectrum[2:]), inner, 0)
    return peaks.reshape(N_PITCHES, 3, -1).max(axis=1)


def pitch_f_measure(found: np.ndarray, target: np.ndarray) -> float:
    """Compute the F-measure of pitches over all frames: 2 · common / (found + in the target).

    Args:
        found: bool array [shape=(72, n_frames)], from `pitches`.
        target: bool array of the same shape.

    Returns:
        The F-measure in [0, 1]; 1 if neither holds any pitch.
    """
    total = int(found.sum()) + int(target.sum())
    return 2 * int((found & target).sum()) / total if total else 1.0


def pitch_jaccard(found: np.ndarray, target: np.ndarray) -> float:
    """Compute the Jaccard index of pitches over all frames: common / (found or in the target).

    It is F / (2 - F) of the F-measure F.

    Args:
        found: bool array [shape=(72, n_frames)], from `pitches`.
        target: bool array of the same shape.

    Returns:
        The index in [0, 1]; 1 if neither holds any pitch.
    """
    either = int((found | target).sum())
    return int((found & target).sum()) / either if either else 1.0
