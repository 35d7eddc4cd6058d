"""MIDI files as note events."""

import bisect
import io
import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np

LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # A0 and C8: the keys of a piano, and NSynth's pitches
DRUM_CHANNEL = 9
SUSTAIN_PEDAL, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123  # controllers
DEFAULT_TEMPO = 500_000  # microseconds a quarter note, where a file sets none

_LARGEST_FILE = 10_000_000  # bytes; a symphony takes one tenth of it, and reading it takes minutes
_LONGEST_NUMBER = 10_000  # bytes that may continue a number (it has 4 at most) or be a text without ASCII
_LAST_TICK = 2**53  # ticks are exact up to it as float64


class NoteEvent(NamedTuple):
    """A note to be played: MIDI pitch and velocity, start and end in seconds."""

    pitch: int
    velocity: int
    start: float
    end: float


class _TimedMessage(NamedTuple):
    """A MIDI message, the tick at which it is sent, counted from the start, and the index of its track."""

    tick: int
    track: int
    message: mido.Message


@dataclass(slots=True)
class _Note:
    """A note as the file has it; start and end in ticks."""

    channel: int
    pitch: int
    velocity: int
    start: int
    end: int


def read_midi(path: Path, sustain: bool = True) -> list[NoteEvent]:
    """Read the notes of a standard MIDI file, type 0 or 1, sorted by start and pitch; drums (channel 10) are left out.

    Controllers apply to a channel in all tracks: many piano files have the pedal in a separate track. While the sustain
    pedal is down (controller 64 at 64 or above), a released note continues until the pedal comes up or the same key is
    struck again. A note that is never released ends with the file.

    Args:
        path: the file.
        sustain: whether the sustain pedal is honored.

    Returns:
        A list of `NoteEvent`, possibly empty.

    Raises:
        ValueError: if the file is not a MIDI file that can be played.
        OSError: if it cannot be opened.
    """
    messages, ticks_per_beat = _read_messages(path)
    last_tick = messages[-1].tick if messages else 0
    if last_tick > _LAST_TICK:
        raise ValueError("is damaged: it has times of more than 2^53 ticks")
    notes = _pair_notes(messages, last_tick)
    if not notes:
        return []
    if sustain:
        _hold_with_pedal(notes, _pedal_spans(messages, last_tick))
    ticks = np.array([(note.start, note.end) for note in notes], dtype=np.int64)
    seconds = _ticks_to_seconds(ticks, ticks_per_beat, messages).tolist()
    events = [NoteEvent(note.pitch, note.velocity, *span) for note, span in zip(notes, seconds, strict=True)]
    return sorted(events, key=lambda event: (event.start, event.pitch))


def arrange(
    events: Sequence[NoteEvent], playback_speed: float = 1.0, duration_rate: float = 1.0, transpose: int = 0
) -> tuple[list[NoteEvent], int]:
    """Change speed, note lengths and pitches of a piece.

    A pitch outside A0 to C8, before or after the transposition, is moved by octaves to the nearest one inside.

    Args:
        events: the notes.
        playback_speed: 2 plays twice as fast.
        duration_rate: 2 holds each note twice as long from its start.
        transpose: semitones.

    Returns:
        The changed notes, and the number of notes that were moved by octaves.
    """
    arranged, moved = [], 0
    for pitch, velocity, start, end in events:
        pitch += transpose
        inside = pitch
        if pitch < LOWEST_PITCH:
            inside += 12 * -((pitch - LOWEST_PITCH) // 12)
        elif pitch > HIGHEST_PITCH:
            inside -= 12 * -((HIGHEST_PITCH - pitch) // 12)
        moved += inside != pitch
        start, end = start / playback_speed, end / playback_speed
        arranged.append(NoteEvent(inside, velocity, start, start + (end - start) * duration_rate))
    return arranged, moved


def _read_messages(path: Path) -> tuple[list[_TimedMessage], int]:
    """Read the messages of all tracks in the order of time, and the ticks per beat."""
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"has more than {_LARGEST_FILE // 1_000_000} MB; a MIDI file of a piece is smaller")
    content = path.read_bytes()
    # mido would take minutes to read them as one number.
    if max(map(len, re.findall(rb"[\x80-\xff]+", content)), default=0) > _LONGEST_NUMBER:
        raise ValueError("is damaged: it has numbers that do not end")
    try:
        midi = mido.MidiFile(file=io.BytesIO(content), clip=True)
    except OSError as error:  # mido's own, of a file that is not MIDI
        raise ValueError(str(error) or "not a MIDI file") from None
    except Exception as error:  # for damaged files, mido raises IndexError, KeyError, EOFError and more
        raise ValueError(f"not a MIDI file that can be read ({type(error).__name__}: {error})") from None
    if midi.type == 2:
        raise ValueError("MIDI type 2 (independent sequences) cannot be played as one piece")
    if midi.ticks_per_beat == 0 or (midi.ticks_per_beat < 0 and midi.ticks_per_beat & 0xFF == 0):
        raise ValueError("is damaged: its time division has 0 ticks")
    messages = []
    for index, track in enumerate(midi.tracks):
        ticks = itertools.accumulate(message.time for message in track)
        messages += [_TimedMessage(tick, index, message) for tick, message in zip(ticks, track, strict=True)]
    messages.sort(key=lambda timed: timed.tick)
    return messages, midi.ticks_per_beat


def _pair_notes(messages: Sequence[_TimedMessage], last_tick: int) -> list[_Note]:
    """Match the starts of notes with their ends, in the order of their starts.

    An end belongs to its own track: in many piano files both hands play on one channel, in two tracks, and may strike
    the same key.
    """
    notes = []
    sounding = defaultdict(list)  # (track, channel, pitch) -> notes that are not released yet
    for tick, track, message in messages:
        if message.type == "note_on" and message.velocity > 0:
            if message.channel != DRUM_CHANNEL:
                note = _Note(message.channel, message.note, message.velocity, tick, last_tick)
                notes.append(note)
                sounding[track, message.channel, message.note].append(note)
            continue
        if message.type in ("note_on", "note_off"):
            released = [(track, message.channel, message.note)]
        elif message.type == "control_change" and message.control in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            released = [key for key in sounding if key[1] == message.channel]
        else:
            continue
        for key in released:
            for note in sounding.pop(key, ()):
                note.end = tick
    return notes


def _pedal_spans(messages: Sequence[_TimedMessage], last_tick: int) -> dict[int, list[tuple[int, int]]]:
    """Find when the sustain pedal is down: dict of channel to (first tick, tick at which it comes up), ascending."""
    spans = defaultdict(list)
    pressed: dict[int, int] = {}  # channel -> first tick, of pedals that are down
    for tick, _, message in messages:
        if message.type != "control_change" or message.control != SUSTAIN_PEDAL:
            continue
        if message.value >= 64:
            pressed.setdefault(message.channel, tick)
        elif message.channel in pressed:
            spans[message.channel].append((pressed.pop(message.channel), tick))
    for channel, tick in pressed.items():
        spans[channel].append((tick, last_tick))
    return spans


def _hold_with_pedal(notes: Sequence[_Note], spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
    """Move the end of each note that is released while the pedal is down, in place."""
    strikes = defaultdict(list)  # (channel, pitch) -> start ticks, ascending
    for note in notes:
        strikes[note.channel, note.pitch].append(note.start)
    for note in notes:
        of_channel = spans.get(note.channel, ())
        index = bisect.bisect_right(of_channel, note.end, key=itemgetter(0)) - 1
        if index < 0 or note.end >= of_channel[index][1]:
            continue  # released with the pedal up
        starts = strikes[note.channel, note.pitch]
        next_strike = bisect.bisect_left(starts, max(note.end, note.start + 1))
        note.end = min([of_channel[index][1], *starts[next_strike : next_strike + 1]])


def _ticks_to_seconds(ticks: np.ndarray, ticks_per_beat: int, messages: Sequence[_TimedMessage]) -> np.ndarray:
    """Convert ticks to seconds by the tempo changes of all tracks.

    Args:
        ticks: int64 array of any shape.
        ticks_per_beat: the file's time division.
        messages: the file's messages, in the order of time.

    Returns:
        float64 array of the same shape.
    """
    if ticks_per_beat < 0:  # SMPTE: frames a second in the upper byte (negated), ticks a frame in the lower
        return ticks / (-(ticks_per_beat >> 8) * (ticks_per_beat & 0xFF))
    changes = [(0, DEFAULT_TEMPO)]
    changes += [(tick, message.tempo) for tick, _, message in messages if message.type == "set_tempo"]
    change_ticks, tempos = np.array(changes).T
    seconds_per_tick = tempos / (1e6 * ticks_per_beat)
    change_seconds = np.concatenate([[0.0], np.cumsum(np.diff(change_ticks) * seconds_per_tick[:-1])])
    latest = np.searchsorted(change_ticks, ticks, side="right") - 1
    return change_seconds[latest] + (ticks - change_ticks[latest]) * seconds_per_tick[latest]
