"""Sources of single notes: SoundFonts that FluidSynth plays, and additive tones that need neither."""

import ctypes
import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from common.audio import silent_libraries
from common.cli import UserError
from common.process_cache import ProcessCache
from data import resample
from synthesis.notes import HELD_SECONDS, NOTE_RATE, NOTE_SECONDS, RELEASED_SECONDS

# FluidSynth resamples without a low-pass filter: at 16 kHz, everything above 8 kHz would alias. It plays at 48 kHz, and
# soxr resamples the result.
SYNTH_RATE = 48_000
# With this gain a voice at full scale in both channels, and layered voices too, stay within FluidSynth's 16 bits.
SYNTH_GAIN = 0.4
_SHORT = 256  # samples after which voices that were stopped are free
_DITHER = 48_000  # samples after which the dither of its 16 bits repeats
_FLUID_ERROR, _FLUID_LEVELS = 1, 5  # of its log: panic 0, error 1, warning 2, information 3, debugging 4

# Parameters of the additive tones: harmonics fall off as 1 / number ** slope; attack and decay (to 1 / e) in seconds;
# vibrato in cents; level of the even harmonics. Families without an entry sound like the first one.
_TONES = {
    "keyboard": {"slope": 1.6, "attack": 0.004, "decay": 1.2, "release": 0.12, "vibrato": 0, "even": 1.0},
    "guitar": {"slope": 1.0, "attack": 0.002, "decay": 0.5, "release": 0.15, "vibrato": 0, "even": 0.4},
    "string": {"slope": 1.2, "attack": 0.12, "decay": np.inf, "release": 0.25, "vibrato": 12, "even": 0.9},
    "synth": {"slope": 0.6, "attack": 0.01, "decay": np.inf, "release": 0.05, "vibrato": 0, "even": 1.0},
}


class NoteSource(Protocol):
    """What plays single notes.

    Attributes:
        name: name of the source, for the manifest.
        sha256: the start of its file's SHA-256 in hexadecimal; empty if it has no file.
        sample_rate: of its notes, in Hz.
    """

    name: str
    sha256: str
    sample_rate: int

    def select(self, bank: int, program: int) -> None:
        """Choose the instrument.

        Raises:
            UserError: if there is none of that number.
        """

    def render(self, name: str, pitch: int, velocity: int) -> np.ndarray:
        """Play one note: 3 s held, 1 s released. Relative levels are the same in all calls.

        Args:
            name: the instrument as NSynth names it.
            pitch: MIDI number.
            velocity: MIDI velocity.

        Returns:
            float32 array [shape=(4 * sample_rate,)].
        """


class SoundFont:
    """A `NoteSource` of a SoundFont, without reverb and chorus."""

    def __init__(self, path: str | Path, sample_rate: int = NOTE_RATE) -> None:
        """Open a .sf2 or .sf3 file.

        Args:
            path: the file.
            sample_rate: of the notes, in Hz.

        Raises:
            UserError: if libfluidsynth is missing or the file is not a SoundFont.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"--soundfont {path} is not a file; it must be a SoundFont (.sf2, .sf3)")
        try:
            import fluidsynth
        except (ImportError, OSError):
            raise UserError(
                "libfluidsynth is not installed: apt install libfluidsynth3 (Debian, Ubuntu), brew install "
                "fluid-synth (macOS), or use --builtin instead of --soundfont"
            ) from None
        self.name, self.sample_rate = path.name, sample_rate
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        self.sha256 = digest.hexdigest()[:16]
        self._log, self._keep = _take_log(fluidsynth)
        settings = {"synth.reverb.active": 0, "synth.chorus.active": 0, "synth.polyphony": 64}
        self._synth = fluidsynth.Synth(gain=SYNTH_GAIN, samplerate=float(SYNTH_RATE), channels=16, **settings)
        try:
            with silent_libraries():
                self._font = self._synth.sfload(str(path))
        except UnicodeEncodeError:
            raise UserError(f"--soundfont {path}: FluidSynth takes only names in UTF-8; rename it") from None
        said = f" (FluidSynth: {self._log[0]}{', …' if len(self._log) > 1 else ''})" if self._log else ""
        if self._font < 0:
            raise UserError(f"--soundfont {path} cannot be read as a SoundFont{said}; it must be a .sf2 or .sf3 file")
        if said:
            print(f"{path} may be damaged{said}")

    def select(self, bank: int, program: int) -> None:
        """Choose the instrument; see `NoteSource`."""
        if self._synth.program_select(0, self._font, bank, program) != 0:
            raise UserError(f"--instruments: {self.name} has no program {program} in bank {bank}")

    def render(self, name: str, pitch: int, velocity: int) -> np.ndarray:
        """Play one note; see `NoteSource`.

        The samples are the same whatever was played before. A voice of FluidSynth fades in from the level and panning
        of what it played last, so that each voice first plays the beginning of this note. The dither goes on from note
        to note, so that whole periods of it are played.
        """
        held, rest = HELD_SECONDS * SYNTH_RATE, RELEASED_SECONDS * SYNTH_RATE
        self._synth.noteon(0, pitch, velocity)
        self._synth.get_samples(_SHORT)
        self._synth.all_sounds_off(0)
        self._synth.get_samples(-(2 * _SHORT + held + rest) % _DITHER)
        self._synth.noteon(0, pitch, velocity)
        parts = [self._synth.get_samples(held)]
        self._synth.noteoff(0, pitch)
        parts.append(self._synth.get_samples(rest))
        # Nothing of this note may sound in the next one, and its voices must be free.
        self._synth.all_sounds_off(0)
        self._synth.get_samples(_SHORT)
        stereo = np.concatenate(parts).reshape(-1, 2)
        if np.abs(stereo.astype(np.int32)).max() >= 32767:
            raise UserError(f"{self.name}: pitch {pitch} at velocity {velocity} exceeds the 16 bits of FluidSynth")
        mono = stereo.mean(axis=1, dtype=np.float32) / 32768
        return resample(mono, SYNTH_RATE, self.sample_rate)


def _take_log(fluidsynth: ModuleType) -> tuple[list[str], Any]:
    """Collect the errors that FluidSynth would write to stderr, and drop its warnings.

    Returns:
        The list that gets the errors, and what must live as long as FluidSynth is used.
    """
    errors: list[str] = []
    log_function = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

    def collect(level: int, message: bytes, _: Any) -> None:
        if level <= _FLUID_ERROR:
            errors.append(message.decode(errors="replace").strip())

    function = log_function(collect)
    if library := getattr(fluidsynth, "_fl", None):  # pyfluidsynth's handle of the library
        for level in range(_FLUID_LEVELS):
            library.fluid_set_log_function(level, function, None)
    return errors, function


class AdditiveTones:
    """A `NoteSource` of simple tones, too plain to train on; the instrument's family decides, not the program."""

    name = "builtin"
    sha256 = ""

    def __init__(self, sample_rate: int = NOTE_RATE) -> None:
        """Take the rate of the notes in Hz."""
        self.sample_rate = sample_rate

    def select(self, bank: int, program: int) -> None:
        """Do nothing: the instrument's family decides."""

    def render(self, name: str, pitch: int, velocity: int) -> np.ndarray:
        """Make one note; see `NoteSource`."""
        tone = _TONES.get(name.split("_")[0], _TONES["keyboard"])
        n_samples = NOTE_SECONDS * self.sample_rate
        time = np.arange(n_samples) / self.sample_rate  # seconds
        frequency = 440.0 * 2 ** ((pitch - 69) / 12)
        # The phase of a vibrato of 5 Hz: the integral of the frequency.
        depth = frequency * (2 ** (tone["vibrato"] / 1200) - 1)
        phase = 2 * np.pi * frequency * time + depth / 5 * (1 - np.cos(2 * np.pi * 5 * time))
        # Within one period float32 is exact enough, and NumPy computes it ten times as fast.
        phase = np.remainder(phase, 2 * np.pi).astype(np.float32)
        damping = np.exp(-time / (4 * tone["decay"])).astype(np.float32)  # upper harmonics die sooner
        brightness = 0.5 + velocity / 127  # louder notes are brighter
        samples, damped = np.zeros(n_samples, dtype=np.float32), np.float32(1)
        for number in range(1, 25):
            if number * frequency * 1.02 > self.sample_rate / 2:
                break
            level = number ** (-tone["slope"] / brightness) * (tone["even"] if number % 2 == 0 else 1.0)
            samples += np.float32(level) * damped * np.sin(number * phase)
            damped = damped * damping
        held = np.minimum(time, HELD_SECONDS)
        envelope = np.minimum(1, time / tone["attack"]) * np.exp(-held / tone["decay"])
        envelope *= np.exp(-np.maximum(0, time - HELD_SECONDS) / (tone["release"] / 3))
        return (samples * envelope * (velocity / 127) ** 1.5 / 4).astype(np.float32)


def _open(soundfont: str | None, sample_rate: int) -> tuple[str, NoteSource]:
    """Open a SoundFont, or the additive tones; return a hash of what decides about the notes, and the source."""
    source = SoundFont(soundfont, sample_rate) if soundfont else AdditiveTones(sample_rate)
    return source.sha256, source


SOURCES = ProcessCache(_open)
