"""The effects as functions of audio. None of them changes its length or moves the direct sound.

docs/method.md has the formulas, effects.py the ranges of the parameters. Audio is a float32 array [shape=(n_samples,)]
at 44.1 kHz; so is what the functions return. Levels in dB are relative to the root mean square (RMS) of the audio.
"""

from collections.abc import Callable, Mapping

import numpy as np
import scipy.fft
from scipy import signal

from data import SAMPLE_RATE, decibels_to_gain
from synthesis.effects import EQUALIZER_HZ

_CURVE_TAPS = 8192
_CURVE_HZ = 40.0, 16_000.0  # a slope goes on from here to there
_PIVOT_HZ = 1000.0  # where a slope is 0 dB, and above which a room's decay gets shorter
_ROOM_HZ = 125.0 * 2.0 ** np.arange(7)  # centers of the bands that decay at speeds of their own
HARMONICS = 8  # of hum
FAINT = 1e-3  # echoes below it are left out
KNEE = 8  # exponent of the clipping: the higher, the harder


def change(audio: np.ndarray, drawn: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """Apply effects to an instrument of a piece, and give it the RMS that it had.

    Args:
        audio: the sound without effects; its notes are detuned already.
        drawn: dict of effect to parameters, as `effects.draw` returns it.
    """
    level = root_mean_square(audio)
    if not level:
        return audio
    changed = audio
    for name, parameters in drawn.items():
        if name in _FUNCTIONS:
            changed = _FUNCTIONS[name](changed, **parameters)
    return (changed * (level / root_mean_square(changed))).astype(np.float32)


def root_mean_square(audio: np.ndarray) -> float:
    """Return the root mean square; the sum does not depend on the number of threads."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def detunings(cents: float, spread: float, seed: int) -> np.ndarray:
    """Return by how many cents each pitch is out of tune: float64 array [shape=(128,)].

    Args:
        cents: of all pitches.
        spread: standard deviation of a pitch around that; twice as much is the most.
        seed: of the deviations.
    """
    return cents + spread * np.clip(np.random.default_rng(seed).standard_normal(128), -2, 2)


def add_room(audio: np.ndarray, rt60: float, direct_db: float, gap: float, damping: float, seed: int) -> np.ndarray:
    """Put the sound into a room: convolve it with `room_response`."""
    return _convolve(audio, room_response(rt60, direct_db, gap, damping, seed))


def room_response(rt60: float, direct_db: float, gap: float, damping: float, seed: int) -> np.ndarray:
    """Make the impulse response of a room: the direct sound, which is 1, and a diffuse tail of decaying noise.

    Args:
        rt60: reverberation time up to 1 kHz in seconds: after it, the tail has fallen by 60 dB.
        direct_db: energy of the direct sound relative to that of the tail.
        gap: seconds from the direct sound to the beginning of the tail.
        damping: reverberation time at 8 kHz divided by `rt60`; between 1 and 8 kHz it falls evenly with each octave.
        seed: of the noise.

    Returns:
        float32 array [shape=(n_samples,)].
    """
    start = round(gap * SAMPLE_RATE)
    noise = np.random.default_rng(seed).standard_normal(round(rt60 * SAMPLE_RATE))
    seconds = (start + np.arange(len(noise))) / SAMPLE_RATE
    spectrum = scipy.fft.rfft(noise)
    # In which band a frequency is, and how far on its way to the next one.
    places = np.interp(np.log2(_hertz(len(noise))), np.log2(_ROOM_HZ), np.arange(len(_ROOM_HZ)))
    tail = np.zeros(len(noise))
    for number, center in enumerate(_ROOM_HZ):
        octaves = max(0.0, np.log2(center / _PIVOT_HZ))
        share = 0.5 + 0.5 * np.cos(np.pi * np.minimum(np.abs(places - number), 1))
        band = scipy.fft.irfft(spectrum * share, len(noise))
        tail += band * 10 ** (-3 * seconds / (rt60 * damping ** (octaves / 3)))
    tail *= decibels_to_gain(-direct_db) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], np.zeros(start - 1), tail]).astype(np.float32)


def add_delay(audio: np.ndarray, seconds: float, level_db: float, feedback: float) -> np.ndarray:
    """Add echoes: each comes `seconds` after the one before it and is `feedback` times as loud.

    Args:
        audio: the sound.
        seconds: between echoes.
        level_db: of the first echo, relative to the sound.
        feedback: factor from echo to echo.
    """
    changed, gain, period = audio.copy(), decibels_to_gain(level_db), round(seconds * SAMPLE_RATE)
    for start in range(period, len(audio), period):
        if gain < FAINT:
            break
        changed[start:] += np.float32(gain) * audio[: len(audio) - start]
        gain *= feedback
    return changed


def equalize(audio: np.ndarray, **points: float) -> np.ndarray:
    """Change the levels at the frequencies of `EQUALIZER_HZ` by `db_<hertz>`, with raised cosines in between."""
    return _filter(audio, equalizer_curve(_hertz(_CURVE_TAPS), points))


def equalizer_curve(hertz: np.ndarray, points: Mapping[str, float]) -> np.ndarray:
    """Compute the levels of `equalize` in dB at some frequencies above 0, arrays of the same shape."""
    levels = np.array([points[f"db_{point}"] for point in EQUALIZER_HZ])
    places = np.interp(np.log2(hertz), np.log2(EQUALIZER_HZ), np.arange(len(levels)))
    first = np.minimum(places.astype(int), len(levels) - 2)
    share = 0.5 - 0.5 * np.cos(np.pi * (places - first))
    return levels[first] * (1 - share) + levels[first + 1] * share


def tilt(audio: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Raise or lower the level with each octave from 40 Hz to 16 kHz; at 1 kHz it stays."""
    return _filter(audio, slope_curve(_hertz(_CURVE_TAPS), db_per_octave))


def slope_curve(hertz: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Compute a slope in dB at some frequencies, arrays of the same shape."""
    return db_per_octave * np.log2(np.clip(hertz, *_CURVE_HZ) / _PIVOT_HZ)


def add_noise(audio: np.ndarray, level_db: float, db_per_octave: float, seed: int) -> np.ndarray:
    """Add noise of a level whose spectrum falls with each octave: 0 is white, -3 pink, -6 brown."""
    noise = np.random.default_rng(seed).standard_normal(len(audio), dtype=np.float32)
    return _add(audio, tilt(noise, db_per_octave), level_db)


def add_hum(audio: np.ndarray, hertz: int, level_db: float, slope: float, seed: int) -> np.ndarray:
    """Add the hum of the mains: eight harmonics of random phase that fall off as 1 / number ** slope.

    Args:
        audio: the sound.
        hertz: 50 or 60, of which a period is a whole number of samples.
        level_db: of the hum.
        slope: exponent; the smaller, the more it buzzes.
        seed: of the phases.
    """
    period = np.arange(SAMPLE_RATE // hertz) * (2 * np.pi * hertz / SAMPLE_RATE)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, HARMONICS)
    hum = sum(number**-slope * np.sin(number * period + phase) for number, phase in enumerate(phases, 1))
    return _add(audio, np.resize(hum.astype(np.float32), len(audio)), level_db)


def compress(audio: np.ndarray, threshold_db: float, ratio: float, seconds: float) -> np.ndarray:
    """Compress what is louder than a threshold, without looking ahead.

    Args:
        audio: the sound.
        threshold_db: level above which it acts.
        ratio: dB of the input for each dB of the output above the threshold.
        seconds: time constant of the level, a mean of squares with exponential weights.
    """
    memory = np.exp(-1 / (seconds * SAMPLE_RATE))
    power = signal.lfilter([1 - memory], [1, -memory], np.square(audio, dtype=np.float64))
    over_db = 10 * np.log10(power / root_mean_square(audio) ** 2 + 1e-12) - threshold_db
    return (audio * decibels_to_gain(-(1 - 1 / ratio) * np.maximum(over_db, 0))).astype(np.float32)


def clip(audio: np.ndarray, over_db: float) -> np.ndarray:
    """Clip softly: the loudest peak is `over_db` above the ceiling."""
    ceiling = np.abs(audio).max() / decibels_to_gain(over_db)
    return (audio / (1 + np.abs(audio / ceiling) ** KNEE) ** (1 / KNEE)).astype(np.float32)


def limit_band(audio: np.ndarray, low: float, high: float) -> np.ndarray:
    """Cut what is below `low` and above `high` Hz: Butterworth filters of second order, there and back (-6 dB)."""
    changed = audio
    for hertz, kind in ((low, "highpass"), (high, "lowpass")):
        changed = signal.sosfiltfilt(signal.butter(2, hertz, kind, fs=SAMPLE_RATE, output="sos"), changed)
    return changed.astype(np.float32)


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "room": add_room,
    "delay": add_delay,
    "equalizer": equalize,
    "tilt": tilt,
    "noise": add_noise,
    "hum": add_hum,
    "compression": compress,
    "clipping": clip,
    "band": limit_band,
}


def _hertz(n_samples: int) -> np.ndarray:
    """Return the frequencies of a real spectrum, the first one above 0 so that it has a logarithm."""
    return np.maximum(scipy.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE), 1.0)


def _filter(audio: np.ndarray, curve_db: np.ndarray) -> np.ndarray:
    """Filter with zero phase.

    Args:
        audio: the sound.
        curve_db: gains in dB [shape=(_CURVE_TAPS // 2 + 1,)], at evenly spaced frequencies from 0 on.
    """
    middle = _CURVE_TAPS // 2
    taps = np.roll(scipy.fft.irfft(decibels_to_gain(curve_db)), middle) * signal.windows.hann(_CURVE_TAPS, sym=False)
    return _convolve(audio, taps.astype(np.float32), middle)


def _convolve(audio: np.ndarray, response: np.ndarray, start: int = 0) -> np.ndarray:
    """Convolve, and keep as many samples as the audio has, from `start` on."""
    return signal.oaconvolve(audio, response)[start : start + len(audio)]


def _add(audio: np.ndarray, disturbance: np.ndarray, level_db: float) -> np.ndarray:
    """Add a sound at a level relative to the audio."""
    gain = decibels_to_gain(level_db) * root_mean_square(audio) / root_mean_square(disturbance)
    return audio + np.float32(gain) * disturbance
