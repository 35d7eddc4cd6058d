"""SoundFonts played by FluidSynth, note by note."""

import hashlib
from pathlib import Path

import numpy as np

from cli import UserError
from notes import HELD_SECONDS, NOTE_RATE, NOTE_SAMPLES

# FluidSynth resamples without a low-pass filter, so at 16 kHz whatever a sample holds above 8 kHz would fold back.
# It plays at 48 kHz, and soxr brings that down.
SYNTH_RATE = 48_000
# A single voice at full scale, in both channels, stays below the 16 bits that FluidSynth gives; layered ones too.
SYNTH_GAIN = 0.4


class SoundFont:
    """A SoundFont that plays single notes as NSynth's are: 3 s held, 1 s released, no reverb, no chorus.

    Attributes:
        name: the file's name.
        sha256: the start of the file's SHA-256, in hexadecimal.
    """

    def __init__(self, path):
        """Opens a .sf2 or .sf3 file.

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
        self.name = path.name
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        self.sha256 = digest.hexdigest()[:16]
        settings = {"synth.reverb.active": 0, "synth.chorus.active": 0, "synth.polyphony": 64}
        self._synth = fluidsynth.Synth(gain=SYNTH_GAIN, samplerate=float(SYNTH_RATE), channels=16, **settings)
        self._font = self._synth.sfload(str(path))
        if self._font < 0:
            raise UserError(f"--soundfont {path} cannot be read as a SoundFont; it must be a .sf2 or .sf3 file")

    def select(self, bank, program):
        """Chooses the instrument; a `UserError` if the SoundFont has none of that number."""
        if self._synth.program_select(0, self._font, bank, program) != 0:
            raise UserError(f"--instruments: {self.name} has no program {program} in bank {bank}")

    def render(self, name, pitch, velocity):
        """Plays one note.

        Returns:
            float32 array [shape=(64000,)] at 16 kHz. Levels keep their relations between calls.
        """
        import soxr

        held = HELD_SECONDS * SYNTH_RATE
        rest = NOTE_SAMPLES * SYNTH_RATE // NOTE_RATE - held
        self._synth.noteon(0, pitch, velocity)
        parts = [self._synth.get_samples(held)]
        self._synth.noteoff(0, pitch)
        parts.append(self._synth.get_samples(rest))
        # Let nothing of this note sound in the next.
        self._synth.all_sounds_off(0)
        self._synth.get_samples(256)
        stereo = np.concatenate(parts).reshape(-1, 2)
        if np.abs(stereo.astype(np.int32)).max() >= 32767:
            raise UserError(f"{self.name}: pitch {pitch} at velocity {velocity} exceeds the 16 bits of FluidSynth")
        mono = stereo.mean(axis=1, dtype=np.float32) / 32768
        return soxr.resample(mono, SYNTH_RATE, NOTE_RATE)[:NOTE_SAMPLES]
