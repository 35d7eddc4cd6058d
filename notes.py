"""Single-note recordings named and shaped as NSynth's, and the synthesizer that plays MIDI with them."""

import os
import re
from pathlib import Path

import numpy as np

from cli import UserError

NOTE_RATE = 16_000  # Hz, as NSynth
HELD_SECONDS, RELEASED_SECONDS = 3, 1
NOTE_SAMPLES = NOTE_RATE * (HELD_SECONDS + RELEASED_SECONDS)
RELEASE_SAMPLES = NOTE_RATE // 20  # 50 ms: about what a piano's damper takes
NOTE_NAME = re.compile(
    r"(?P<instrument>[a-z]+(?:_[a-z]+)+)_(?P<preset>\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})\.wav"
)

# The level that every instrument's notes are brought to: the root mean square of their first half second, about as
# long as notes of music are, over all notes. At -26 dBFS most piano pieces stay below full scale without a factor.
LOUDNESS_SAMPLES = NOTE_RATE // 2
REFERENCE_RMS = 10 ** (-26 / 20)


def note_name(instrument, preset, pitch, velocity):
    """The NSynth file name of a note: `keyboard_acoustic_000-060-100.wav`."""
    return f"{instrument}_{preset:03d}-{pitch:03d}-{velocity:03d}.wav"


def notes_folder(nsynth_path):
    """The folder that holds the notes: `nsynth_path` itself or, as in NSynth's own layout, `audio/` inside it."""
    nsynth_path = Path(nsynth_path)
    if not nsynth_path.is_dir():
        raise UserError(f"--nsynth_path {nsynth_path} is not a folder; it must hold notes such as {_EXAMPLE}")
    audio = nsynth_path / "audio"
    return audio if audio.is_dir() else nsynth_path


def find_notes(nsynth_path):
    """Finds the notes in a folder.

    Returns:
        dict of (instrument, preset) to dict of (pitch, velocity) to path. Other files are ignored.
    """
    found = {}
    with os.scandir(notes_folder(nsynth_path)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            match = NOTE_NAME.fullmatch(entry.name)
            if match:
                preset = found.setdefault((match["instrument"], int(match["preset"])), {})
                preset[int(match["pitch"]), int(match["velocity"])] = entry.path
    return found


class NoteBank:
    """The notes of the instruments of a run, in memory.

    Attributes:
        recordings: dict of (instrument, pitch, velocity) to samples, int16 [shape=(n_samples,)], 16 kHz; not to be
            written to.
        instruments: the instruments' names.
        longest: the number of samples of the longest recording.
    """

    def __init__(self, recordings):
        """Takes a dict of (instrument, pitch, velocity) to int16 samples."""
        self.recordings = recordings
        self.instruments = list(dict.fromkeys(instrument for instrument, _, _ in recordings))
        self.longest = max(len(samples) for samples in recordings.values())

        self._velocities = {}  # (instrument, pitch) -> velocities
        for instrument, pitch, velocity in recordings:
            self._velocities.setdefault((instrument, pitch), []).append(velocity)
        for instrument, pitch in list(self._velocities):
            own = set(self._velocities[instrument, pitch])
            shared = own.intersection(*(self._velocities.get((other, pitch), ()) for other in self.instruments))
            # A pair should differ in timbre alone: all play the same velocity where there is one that all have.
            self._velocities[instrument, pitch] = sorted(shared or own)

    @classmethod
    def load(cls, nsynth_path, presets):
        """Reads the notes of some instruments.

        Args:
            nsynth_path: a folder of notes, or one with the notes in `audio/`.
            presets: dict of instrument to preset number.

        Raises:
            UserError: if an instrument has no notes there, or a note cannot be read.
        """
        found = find_notes(nsynth_path)
        recordings = {}
        for instrument, preset in presets.items():
            if (instrument, preset) not in found:
                raise UserError(_no_notes(nsynth_path, instrument, preset, found))
            for (pitch, velocity), path in found[instrument, preset].items():
                recordings[instrument, pitch, velocity] = read_note(path)
        return cls(recordings)

    def nearest(self, instrument, pitch, velocity):
        """The (instrument, pitch, velocity) of the note to play, of the nearest velocity; None if the pitch lacks."""
        velocities = self._velocities.get((instrument, pitch))
        if velocities is None:
            return None
        return instrument, pitch, min(velocities, key=lambda candidate: abs(candidate - velocity))

    def gains(self):
        """One gain per instrument, so that all are equally loud.

        The measure is the root mean square of the first half second of the notes (of those pitches and velocities that
        all instruments have, or of all notes where there are none); the gain brings it to `REFERENCE_RMS`.

        Returns:
            dict of instrument to float, a factor on samples in [-1, 1].
        """
        keys = {name: {key[1:] for key in self.recordings if key[0] == name} for name in self.instruments}
        shared = set.intersection(*keys.values())
        gains = {}
        for name in self.instruments:
            powers = []
            for pitch, velocity in sorted(shared or keys[name]):
                start = self.recordings[name, pitch, velocity][:LOUDNESS_SAMPLES].astype(np.float32) / 32768
                powers.append(np.dot(start, start) / len(start))
            power = float(np.mean(powers))
            gains[name] = REFERENCE_RMS / power**0.5 if power > 0 else 0.0
        return gains


def read_note(path):
    """Reads a recording as 16 kHz mono int16; other rates are resampled, channels averaged."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} is not an audio file that can be read ({error.error_string})") from None
    if samples.ndim == 2 or rate != NOTE_RATE:
        import soxr

        samples = samples.astype(np.float32) if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
        if rate != NOTE_RATE:
            samples = soxr.resample(samples, rate, NOTE_RATE)
        samples = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    if len(samples) == 0:
        raise UserError(f"{path} is an empty recording; a note must have samples")
    return samples


class NoteSynthesizer:
    """Plays note events with the recordings of a `NoteBank`.

    The note of the event's pitch and of the nearest velocity is loaded, brought to the event's duration, and added at
    its start. A note shorter than its recording is released over `RELEASE_SAMPLES`; a longer one ends with it.
    """

    def __init__(self, bank, gains):
        self.bank = bank
        self.gains = gains
        # Half a raised cosine, from just below 1 to exactly 0.
        self._ramp = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, RELEASE_SAMPLES + 1) / RELEASE_SAMPLES)).astype(
            np.float32
        )

    def playable(self, events):
        """The events that every instrument can play, and the number of those that are left out for all."""
        events_kept = [
            event
            for event in events
            if all(self.bank.nearest(name, event.pitch, event.velocity) for name in self.bank.instruments)
        ]
        return events_kept, len(events) - len(events_kept)

    def render(self, events, instrument):
        """Plays events with one instrument.

        Args:
            events: list of `NoteEvent`, all of them playable.
            instrument: its name.

        Returns:
            float32 array [shape=(n_samples,)] at 16 kHz, as long for one instrument as for another and long enough for
            the last release; levels are those of the recordings times the instrument's gain, and may exceed 1.
        """
        placed = [(round(event.start * NOTE_RATE), self._samples_heard(event), event) for event in events]
        mix = np.zeros(max(start + heard for start, heard, _ in placed), dtype=np.float32)
        for start, heard, event in placed:
            recording = self.bank.recordings[self.bank.nearest(instrument, event.pitch, event.velocity)][:heard]
            ramp = self._ramp[-len(recording) :]
            body = start + len(recording) - len(ramp)
            mix[start:body] += recording[: len(recording) - len(ramp)]
            mix[body : body + len(ramp)] += recording[len(recording) - len(ramp) :] * ramp
        mix *= np.float32(self.gains[instrument] / 32768)
        return mix

    def _samples_heard(self, event):
        held = max(1, round((event.end - event.start) * NOTE_RATE))
        return min(held + RELEASE_SAMPLES, self.bank.longest)


_EXAMPLE = note_name("keyboard_acoustic", 0, 60, 100)


def _no_notes(nsynth_path, instrument, preset, found):
    presets = sorted(number for name, number in found if name == instrument)
    if presets:
        shown = ", ".join(map(str, presets[:10])) + (", …" if len(presets) > 10 else "")
        return f"--nsynth_path {nsynth_path} has no notes of {instrument} with preset {preset}; it has presets {shown}"
    there = ", ".join(sorted({name for name, _ in found})[:10]) or f"no file named as NSynth's ({_EXAMPLE})"
    return f"--nsynth_path {nsynth_path} has no notes of {instrument}; it has {there}"
