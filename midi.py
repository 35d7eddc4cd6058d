"""MIDI files as note events."""

import bisect
from collections import defaultdict
from typing import NamedTuple

import mido
import numpy as np

LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # A0 and C8, the piano's keys and NSynth's pitches
DRUM_CHANNEL = 9
SUSTAIN_PEDAL, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123  # controllers
DEFAULT_TEMPO = 500_000  # microseconds a quarter note, where a file does not say


class NoteEvent(NamedTuple):
    """A note to be played: MIDI pitch and velocity, start and end in seconds."""

    pitch: int
    velocity: int
    start: float
    end: float


def read_midi(path, sustain=True):
    """Reads the notes of a standard MIDI file, type 0 or 1, by start and pitch; drums (channel 10) are left out.

    Controllers hold for a channel, whichever track they stand in: many piano files keep the pedal in a track of its
    own. While the sustain pedal is down (controller 64 at 64 or above) a released note sounds on until the pedal comes
    up, or until the same key is struck again. A note that is never released ends with the file.

    Args:
        path: the file.
        sustain: whether the sustain pedal is honoured.

    Returns:
        A list of `NoteEvent`, possibly empty.

    Raises:
        ValueError: if the file is not a MIDI file that can be played.
    """
    try:
        midi = mido.MidiFile(path, clip=True)
        messages = [
            (tick, track_index, message)
            for track_index, track in enumerate(midi.tracks)
            for tick, message in _with_absolute_ticks(track)
        ]
    except OSError as error:
        raise ValueError(str(error) or "not a MIDI file") from None
    except Exception as error:  # mido lets IndexError, KeyError, EOFError and more through for damaged files
        raise ValueError(f"not a MIDI file that can be read ({type(error).__name__}: {error})") from None
    if midi.type == 2:
        raise ValueError("MIDI type 2 (independent sequences) cannot be played as one piece")
    messages.sort(key=lambda item: item[0])

    notes = []  # [channel, pitch, velocity, start tick, end tick]
    sounding = defaultdict(list)  # (track, channel, pitch) -> notes not yet released
    pedals = defaultdict(list)  # channel -> [(tick, is down)]
    for tick, track_index, message in messages:
        if message.type == "note_on" and message.velocity > 0:
            if message.channel != DRUM_CHANNEL:
                note = [message.channel, message.note, message.velocity, tick, None]
                notes.append(note)
                sounding[track_index, message.channel, message.note].append(note)
        elif message.type in ("note_on", "note_off"):
            for note in sounding.pop((track_index, message.channel, message.note), ()):
                note[4] = tick
        elif message.type == "control_change" and message.control == SUSTAIN_PEDAL:
            pedals[message.channel].append((tick, message.value >= 64))
        elif message.type == "control_change" and message.control in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            for key in [key for key in sounding if key[1] == message.channel]:
                for note in sounding.pop(key):
                    note[4] = tick
    last_tick = messages[-1][0] if messages else 0
    for note in notes:
        if note[4] is None:
            note[4] = last_tick
    if sustain:
        _hold_with_pedal(notes, pedals, last_tick)
    if not notes:
        return []

    columns = np.array(notes, dtype=np.int64).T
    starts, ends = _ticks_to_seconds(columns[3:], midi.ticks_per_beat, messages)
    events = map(NoteEvent, columns[1].tolist(), columns[2].tolist(), starts.tolist(), ends.tolist())
    return sorted(events, key=lambda event: (event.start, event.pitch))


def arrange(events, playback_speed=1.0, duration_rate=1.0, transpose=0):
    """Plays a piece faster, holds its notes longer, moves its pitches.

    A pitch that is (or comes to be) outside A0 to C8 is moved by octaves to the nearest one inside.

    Args:
        events: list of `NoteEvent`.
        playback_speed: 2 plays twice as fast.
        duration_rate: 2 holds each note twice as long from its start.
        transpose: semitones.

    Returns:
        A new list of `NoteEvent`, and the number of notes that were moved by octaves.
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


def _with_absolute_ticks(track):
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def _hold_with_pedal(notes, pedals, last_tick):
    """Moves the end of each note that is released while the pedal is down, in place."""
    strikes = defaultdict(list)  # (channel, pitch) -> start ticks, ascending
    for channel, pitch, _, start, _ in notes:
        strikes[channel, pitch].append(start)
    for channel, changes in pedals.items():
        ticks = [tick for tick, _ in changes]
        lifted = last_tick
        up_after = [0] * len(changes)  # for each change, the next tick at which the pedal comes up
        for index in reversed(range(len(changes))):
            if not changes[index][1]:
                lifted = ticks[index]
            up_after[index] = lifted
        for note in notes:
            if note[0] != channel:
                continue
            latest = bisect.bisect_right(ticks, note[4]) - 1
            if latest < 0 or not changes[latest][1]:
                continue
            same_key = strikes[channel, note[1]]
            following = bisect.bisect_left(same_key, max(note[4], note[3] + 1))
            struck_again = same_key[following] if following < len(same_key) else last_tick
            note[4] = max(note[4], min(up_after[latest], struck_again))


def _ticks_to_seconds(ticks, ticks_per_beat, messages):
    if ticks_per_beat < 0:  # SMPTE: frames a second in the upper byte (negated), ticks a frame in the lower
        return ticks / (-(ticks_per_beat >> 8) * (ticks_per_beat & 0xFF))
    change_ticks, tempos = [0], [DEFAULT_TEMPO]
    for tick, _, message in messages:
        if message.type == "set_tempo":
            change_ticks.append(tick)
            tempos.append(message.tempo)
    change_ticks = np.array(change_ticks)
    seconds_per_tick = np.array(tempos) / (1e6 * max(1, ticks_per_beat))
    change_seconds = np.concatenate([[0.0], np.cumsum(np.diff(change_ticks) * seconds_per_tick[:-1])])
    latest = np.searchsorted(change_ticks, ticks, side="right") - 1
    return change_seconds[latest] + (ticks - change_ticks[latest]) * seconds_per_tick[latest]
