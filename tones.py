"""Simple tones in place of recordings: for the demo and the tests, where no SoundFont is at hand."""

import numpy as np

from notes import HELD_SECONDS, NOTE_RATE, NOTE_SAMPLES

# What tells the tones apart: harmonics fall off as 1 / number ** slope; attack and decay (to 1 / e) in seconds;
# vibrato in cents; even harmonics may be missing. Families without an entry sound as the first one.
_TONES = {
    "keyboard": {"slope": 1.6, "attack": 0.004, "decay": 1.2, "release": 0.12, "vibrato": 0, "even": 1.0},
    "guitar": {"slope": 1.0, "attack": 0.002, "decay": 0.5, "release": 0.15, "vibrato": 0, "even": 0.4},
    "string": {"slope": 1.2, "attack": 0.12, "decay": np.inf, "release": 0.25, "vibrato": 12, "even": 0.9},
    "synth": {"slope": 0.6, "attack": 0.01, "decay": np.inf, "release": 0.05, "vibrato": 0, "even": 1.0},
}


class BuiltinTones:
    """Additive tones with the interface of `soundfonts.SoundFont`; every program sounds alike."""

    name = "builtin"
    sha256 = ""

    def select(self, bank, program):
        """Does nothing: the instrument's family decides."""

    def render(self, name, pitch, velocity):
        """Makes one note.

        Args:
            name: the instrument, whose family chooses the tone.
            pitch, velocity: MIDI numbers.

        Returns:
            float32 array [shape=(64000,)] at 16 kHz.
        """
        tone = _TONES.get(name.split("_")[0], _TONES["keyboard"])
        time = np.arange(NOTE_SAMPLES) / NOTE_RATE  # seconds
        frequency = 440.0 * 2 ** ((pitch - 69) / 12)
        # The phase of a vibrato of 5 Hz: the integral of the frequency.
        depth = frequency * (2 ** (tone["vibrato"] / 1200) - 1)
        phase = 2 * np.pi * frequency * time + depth / 5 * (1 - np.cos(2 * np.pi * 5 * time))
        # Within a turn float32 is exact enough, and NumPy computes it ten times as fast.
        phase = np.remainder(phase, 2 * np.pi).astype(np.float32)
        damping = np.exp(-time / (4 * tone["decay"])).astype(np.float32)  # upper harmonics die sooner
        brightness = 0.5 + velocity / 127  # louder notes are brighter
        samples, damped = np.zeros(NOTE_SAMPLES, dtype=np.float32), np.float32(1)
        for number in range(1, 25):
            if number * frequency * 1.02 > NOTE_RATE / 2:
                break
            level = number ** (-tone["slope"] / brightness) * (tone["even"] if number % 2 == 0 else 1.0)
            samples += np.float32(level) * damped * np.sin(number * phase)
            damped = damped * damping
        held = np.minimum(time, HELD_SECONDS)
        envelope = np.minimum(1, time / tone["attack"]) * np.exp(-held / tone["decay"])
        envelope *= np.exp(-np.maximum(0, time - HELD_SECONDS) / (tone["release"] / 3))
        return (samples * envelope * (velocity / 127) ** 1.5 / 4).astype(np.float32)
