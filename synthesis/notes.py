"""Single-note recordings named and shaped as NSynth's, and the synthesizer that plays MIDI with them."""

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soxr

from common import failures
from common.audio import AudioError, Reader
from common.cli import UserError
from data import SAMPLE_RATE
from synthesis.midi import NoteEvent

NOTE_RATE = 16_000  # Hz, as NSynth
HELD_SECONDS, RELEASED_SECONDS = 3, 1
NOTE_SECONDS = HELD_SECONDS + RELEASED_SECONDS
DAMPED_SECONDS = 0.05  # about what a piano's damper takes
NOTE_NAME = re.compile(
    r"(?P<instrument>[a-z]+(?:_[a-z]+)+)_(?P<preset>\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})\.wav"
)

_LONGEST_SECONDS = 60  # of a recording of one note
_HIGHEST_PEAK = 1.001  # of a recording in floating point; up to it, cutting off to full scale does not show
_EXAMPLE = "keyboard_acoustic_000-060-100.wav"

# The level to which every instrument's notes are scaled: the root mean square of their first half second (a typical
# note length in music) over all notes. At -26 dBFS most piano pieces stay below full scale without a further factor.
LOUDNESS_SECONDS = 0.5
REFERENCE_RMS = 10 ** (-26 / 20)


def note_name(instrument: str, preset: int, pitch: int, velocity: int) -> str:
    """Return the NSynth file name of a note: `keyboard_acoustic_000-060-100.wav`."""
    return f"{instrument}_{preset:03d}-{pitch:03d}-{velocity:03d}.wav"


def notes_folder(nsynth_path: str | Path) -> Path:
    """Return the folder of the notes: `nsynth_path` itself or, as in NSynth's own layout, `audio/` inside it."""
    nsynth_path = Path(nsynth_path)
    if not nsynth_path.is_dir():
        raise UserError(f"--nsynth_path {nsynth_path} is not a folder; it must hold notes such as {_EXAMPLE}")
    audio = nsynth_path / "audio"
    return audio if audio.is_dir() else nsynth_path


def find_notes(nsynth_path: str | Path) -> dict[tuple[str, int], dict[tuple[int, int], str]]:
    """Find the notes in a folder.

    Returns:
        dict of (instrument, preset) to dict of (pitch, velocity) to path. Other files are ignored.
    """
    found: dict[tuple[str, int], dict[tuple[int, int], str]] = {}
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
        recordings: dict of (instrument, pitch, velocity) to samples, int16 [shape=(n_samples,)]. Do not change them.
        sample_rate: of all recordings, in Hz.
        instruments: the instruments' names.
        longest: the number of samples of the longest recording.
    """

    def __init__(self, recordings: Mapping[tuple[str, int, int], np.ndarray], sample_rate: int = NOTE_RATE) -> None:
        """Take the samples of each note, dict of (instrument, pitch, velocity) to int16 array, and their rate in Hz."""
        self.recordings = recordings
        self.sample_rate = sample_rate
        self.instruments = list(dict.fromkeys(instrument for instrument, _, _ in recordings))
        self.longest = max(len(samples) for samples in recordings.values())

        self._velocities: dict[tuple[str, int], list[int]] = {}  # (instrument, pitch) to velocities
        for instrument, pitch, velocity in recordings:
            self._velocities.setdefault((instrument, pitch), []).append(velocity)
        for instrument, pitch in list(self._velocities):
            recorded = set(self._velocities[instrument, pitch])
            shared = recorded.intersection(*(self._velocities.get((other, pitch), ()) for other in self.instruments))
            # A pair must differ in timbre alone: all instruments play the same velocity if they have one in common.
            self._velocities[instrument, pitch] = sorted(shared or recorded)

    @classmethod
    def load(cls, nsynth_path: str | Path, presets: Mapping[str, int]) -> "NoteBank":
        """Read the notes of some instruments, all at one rate: 16 kHz, or 44.1 kHz if any note has a higher one.

        Args:
            nsynth_path: a folder of notes, or one with the notes in `audio/`.
            presets: dict of instrument to preset number.

        Raises:
            UserError: if an instrument has no notes there, or a note cannot be read.
        """
        found = find_notes(nsynth_path)
        paths = {}
        for instrument, preset in presets.items():
            if (instrument, preset) not in found:
                raise UserError(_no_notes(nsynth_path, instrument, preset, found))
            for (pitch, velocity), path in found[instrument, preset].items():
                paths[instrument, pitch, velocity] = path
        sample_rate = NOTE_RATE if all(_read_rate(path) <= NOTE_RATE for path in paths.values()) else SAMPLE_RATE
        return cls({key: read_note(path, sample_rate) for key, path in paths.items()}, sample_rate)

    def find_silent(self) -> list[tuple[str, int, int]]:
        """Find the notes without any sound: keys of `recordings`.

        Raises:
            UserError: if an instrument has no others.
        """
        silent = [key for key, samples in self.recordings.items() if not samples.any()]
        for name in self.instruments:
            n_silent = sum(key[0] == name for key in silent)
            if n_silent == sum(key[0] == name for key in self.recordings):
                raise UserError(f"--nsynth_path: all {n_silent} notes of {name} are silent")
        return silent

    def nearest(self, instrument: str, pitch: int, velocity: int) -> tuple[str, int, int] | None:
        """Return the key of the note with the pitch and the nearest velocity; None if the pitch is missing."""
        velocities = self._velocities.get((instrument, pitch))
        if velocities is None:
            return None
        return instrument, pitch, min(velocities, key=lambda candidate: abs(candidate - velocity))

    def gains(self) -> dict[str, float]:
        """Compute one gain per instrument that makes all instruments equally loud.

        Loudness is the root mean square of the first half second of the notes (of the pitches and velocities that all
        instruments have, or of all notes if there are none). The gain scales it to `REFERENCE_RMS`.

        Returns:
            dict of instrument to a factor on samples in [-1, 1].
        """
        keys = {name: {key[1:] for key in self.recordings if key[0] == name} for name in self.instruments}
        shared = set.intersection(*keys.values())
        n_samples = round(LOUDNESS_SECONDS * self.sample_rate)
        gains = {}
        for name in self.instruments:
            powers = []
            for pitch, velocity in sorted(shared or keys[name]):
                start = self.recordings[name, pitch, velocity][:n_samples].astype(np.float32) / 32768
                powers.append(np.dot(start, start) / len(start))
            power = float(np.mean(powers))
            gains[name] = REFERENCE_RMS / power**0.5 if power > 0 else 0.0
        return gains


def read_note(path: str | Path, sample_rate: int = NOTE_RATE) -> np.ndarray:
    """Read a recording as mono of a rate; other rates are resampled, channels averaged.

    Args:
        path: the recording.
        sample_rate: of the result, in Hz.

    Returns:
        int16 array [shape=(n_samples,)].

    Raises:
        UserError: if it is no audio, empty, louder than full scale, or longer than a note.
    """
    parts, peak = [], 0.0
    with _naming(path), Reader(path) as reader:
        rate = reader.sample_rate
        for block in reader.blocks():
            if reader.n_samples > _LONGEST_SECONDS * rate:
                raise AudioError(f"is longer than {_LONGEST_SECONDS} s; it must be a recording of one note")
            parts.append(block[0] if len(block) == 1 else block.mean(axis=0))
            if reader.subtype in ("FLOAT", "DOUBLE"):  # integers end at full scale
                peak = max(peak, float(np.abs(block).max()))
        if reason := reader.cut_off():
            raise AudioError(reason)
    if not parts:
        raise UserError(f"{path} is an empty recording; a note must have samples")
    if peak > _HIGHEST_PEAK:
        raise UserError(f"{path} has a peak of {peak:.3g}; full scale is 1: make all notes softer by the same factor")
    samples = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate)
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def _read_rate(path: str | Path) -> int:
    """Return the sample rate of a recording in Hz.

    Raises:
        UserError: if it is no audio.
    """
    with _naming(path), Reader(path) as reader:
        return reader.sample_rate


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Turn the errors of reading a recording into a `UserError` that names it."""
    try:
        yield
    except AudioError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {failures.describe(error)}") from None


def detune(recording: np.ndarray, cents: float) -> np.ndarray:
    """Play a note faster or slower, so that its pitch changes by cents; its start stays.

    Args:
        recording: int16 array [shape=(n_samples,)].
        cents: hundredths of a semitone.

    Returns:
        float32 array [shape=(n_samples / 2 ** (cents / 1200),)] on the scale of the recording.
    """
    return soxr.resample(recording.astype(np.float32), 2 ** (cents / 1200), 1.0)


class NoteSynthesizer:
    """Plays note events with the recordings of a `NoteBank`.

    The note with the event's pitch and the nearest velocity is cut to the event's duration and added at its start. A
    note shorter than its recording is released over `DAMPED_SECONDS`; a longer one ends with the recording.
    """

    def __init__(self, bank: NoteBank, gains: Mapping[str, float]) -> None:
        """Take the notes, and the gain of each instrument (see `NoteBank.gains`)."""
        self.bank = bank
        self.gains = gains
        n_damped = round(DAMPED_SECONDS * bank.sample_rate)
        # Half a raised cosine, from just below 1 to exactly 0.
        self._ramp = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, n_damped + 1) / n_damped)).astype(np.float32)

    def playable(self, events: Sequence[NoteEvent]) -> tuple[list[NoteEvent], int]:
        """Return the events that every instrument can play, and the number of the others."""
        events_kept = [
            event
            for event in events
            if all(self.bank.nearest(name, event.pitch, event.velocity) for name in self.bank.instruments)
        ]
        return events_kept, len(events) - len(events_kept)

    def count_seconds(self, events: Sequence[NoteEvent]) -> float:
        """Return how long `render` plays events, without the last release; infinite if that is no number."""
        if not all(math.isfinite(event.end) for event in events):
            return float("inf")
        return max(min(event.end, event.start + self.bank.longest / self.bank.sample_rate) for event in events)

    def render(self, events: Sequence[NoteEvent], instrument: str, cents: Sequence[float] | None = None) -> np.ndarray:
        """Play events with one instrument.

        Args:
            events: notes that are all `playable`.
            instrument: its name.
            cents: by how many cents each MIDI pitch is out of tune, if any is.

        Returns:
            float32 array [shape=(n_samples,)] at the rate of the notes, equally long for all instruments, with the last
            release. Levels are those of the recordings times the instrument's gain, and may exceed 1.
        """
        sample_rate = self.bank.sample_rate
        spans = [(round(event.start * sample_rate), self._count_samples(event)) for event in events]
        mix = np.zeros(max(start + n_samples for start, n_samples in spans), dtype=np.float32)
        detuned: dict[tuple[str, int, int], np.ndarray] = {}
        for event, (start, n_samples) in zip(events, spans, strict=True):
            key = self.bank.nearest(instrument, event.pitch, event.velocity)
            if cents is not None and key not in detuned:
                detuned[key] = detune(self.bank.recordings[key], cents[event.pitch])
            recording = (self.bank.recordings if cents is None else detuned)[key][:n_samples]
            ramp = self._ramp[-len(recording) :]
            body = start + len(recording) - len(ramp)
            mix[start:body] += recording[: len(recording) - len(ramp)]
            mix[body : body + len(ramp)] += recording[len(recording) - len(ramp) :] * ramp
        mix *= np.float32(self.gains[instrument] / 32768)
        return mix

    def _count_samples(self, event: NoteEvent) -> int:
        """Return the length of an event with its release, at most that of the longest recording."""
        held = max(1, round((event.end - event.start) * self.bank.sample_rate))
        return min(held + len(self._ramp), self.bank.longest)


def _no_notes(nsynth_path: str | Path, instrument: str, preset: int, found: Mapping) -> str:
    """Return the error message for an instrument, or a preset of it, without notes."""
    presets = sorted(number for name, number in found if name == instrument)
    if presets:
        listed = ", ".join(map(str, presets[:10])) + (", …" if len(presets) > 10 else "")
        return f"--nsynth_path {nsynth_path} has no notes of {instrument} with preset {preset}; it has presets {listed}"
    instruments = ", ".join(sorted({name for name, _ in found})[:10]) or f"no file named as NSynth's ({_EXAMPLE})"
    return f"--nsynth_path {nsynth_path} has no notes of {instrument}; it has {instruments}"
