import mido
import numpy as np
import pretty_midi
import pytest
from conftest import note_messages, write_midi

from synthesis.midi import NoteEvent, arrange, read_midi

PEDAL_DOWN = mido.Message("control_change", control=64, value=127)
PEDAL_UP = mido.Message("control_change", control=64, value=0)
QUARTER = 480  # ticks; half a second without a tempo


def test_notes_have_pitch_velocity_and_seconds(tmp_path):
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60, 33) + note_messages(960, 1440, 64, 75)])
    assert read_midi(path) == [NoteEvent(60, 33, 0.0, 0.5), NoteEvent(64, 75, 1.0, 1.5)]


def test_tempo_changes_apply_to_what_follows(tmp_path):
    tempo = [(QUARTER, mido.MetaMessage("set_tempo", tempo=1_000_000))]
    path = write_midi(tmp_path / "a.mid", [tempo, note_messages(0, QUARTER, 60) + note_messages(QUARTER, 960, 62)])
    assert read_midi(path) == [NoteEvent(60, 100, 0.0, 0.5), NoteEvent(62, 100, 0.5, 1.5)]


def test_time_in_smpte_frames(tmp_path):
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60)])
    content = bytearray(path.read_bytes())
    content[12:14] = 256 - 25, 40  # the time division: 25 frames a second (negated) of 40 ticks
    path.write_bytes(content)
    assert read_midi(path) == [NoteEvent(60, 100, 0.0, 0.48)]


def test_long_files_with_short_ticks(tmp_path):
    path = write_midi(tmp_path / "a.mid", [note_messages(0, 900 * 19_200, 60)], ticks_per_beat=9_600)
    assert read_midi(path)[0].end == pytest.approx(900)


def test_notes_without_a_length_are_kept(tmp_path):
    notes = [*note_messages(QUARTER, QUARTER, 60), *note_messages(0, 960, 62)]
    assert read_midi(write_midi(tmp_path / "a.mid", [notes]))[1] == NoteEvent(60, 100, 0.5, 0.5)


def test_a_note_is_released_by_its_own_track(tmp_path):
    # Two hands on one channel: the left strikes and releases the key that the right holds.
    path = write_midi(tmp_path / "a.mid", [note_messages(0, 1920, 60), note_messages(480, 960, 60)])
    assert read_midi(path) == [NoteEvent(60, 100, 0.0, 2.0), NoteEvent(60, 100, 0.5, 1.0)]


def test_drums_are_left_out(tmp_path):
    path = write_midi(tmp_path / "a.mid", [note_messages(0, 480, 36, channel=9), note_messages(0, 480, 60)])
    assert [event.pitch for event in read_midi(path)] == [60]


def test_pedal_in_a_separate_track_holds_the_notes_of_the_channel(tmp_path):
    pedal = [(240, PEDAL_DOWN), (1920, PEDAL_UP)]
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60), pedal, note_messages(2400, 2880, 62)])
    assert [event.end for event in read_midi(path)] == [2.0, 3.0]
    assert [event.end for event in read_midi(path, sustain=False)] == [0.5, 3.0]


def test_pedal_holds_only_the_notes_of_its_channel(tmp_path):
    pedal = [(0, PEDAL_DOWN.copy(channel=1)), (1920, PEDAL_UP.copy(channel=1))]
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60), pedal])
    assert read_midi(path)[0].end == 0.5


def test_held_note_ends_where_the_same_key_is_struck_again(tmp_path):
    notes = note_messages(0, 240, 60) + note_messages(960, 1200, 60) + note_messages(480, 720, 64)
    path = write_midi(tmp_path / "a.mid", [notes, [(0, PEDAL_DOWN), (3840, PEDAL_UP)]])
    assert [(event.pitch, event.start, event.end) for event in read_midi(path)] == [
        (60, 0.0, 1.0),
        (64, 0.5, 4.0),
        (60, 1.0, 4.0),
    ]


def test_pedal_that_never_comes_up_and_note_that_is_never_released_end_with_the_file(tmp_path):
    hanging = [(0, mido.Message("note_on", note=50, velocity=80)), (1920, mido.MetaMessage("marker", text="end"))]
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60), [(0, PEDAL_DOWN)], hanging])
    assert [event.end for event in read_midi(path)] == [2.0, 2.0]
    assert [event.end for event in read_midi(path, sustain=False)] == [2.0, 0.5]


def test_all_notes_off_ends_notes(tmp_path):
    events = [
        (0, mido.Message("note_on", note=50, velocity=80)),
        (480, mido.Message("control_change", control=123)),
        (960, mido.MetaMessage("marker", text="end")),
    ]
    assert read_midi(write_midi(tmp_path / "a.mid", [events])) == [NoteEvent(50, 80, 0.0, 0.5)]


def test_agrees_with_pretty_midi_where_there_is_no_pedal(tmp_path):
    rng = np.random.default_rng(0)
    tracks = [
        [(int(tick), mido.MetaMessage("set_tempo", tempo=int(rng.integers(2e5, 1e6)))) for tick in range(0, 9000, 700)]
    ]
    for channel in (0, 1, 2):
        notes = []
        for start in range(0, 9000, 300):
            notes += note_messages(start, start + int(rng.integers(10, 290)), int(rng.integers(21, 109)), 64, channel)
        tracks.append(notes)
    path = write_midi(tmp_path / "a.mid", tracks)
    reference = sorted(
        (note.start, note.pitch, note.end)
        for part in pretty_midi.PrettyMIDI(str(path)).instruments
        for note in part.notes
    )
    notes = sorted((event.start, event.pitch, event.end) for event in read_midi(path))
    np.testing.assert_allclose(notes, reference, atol=1e-9)


@pytest.mark.parametrize("content", [b"", b"MThd", b"not MIDI at all", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\1\0\x90"])
def test_damaged_files_raise_value_error(tmp_path, content):
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        read_midi(path)


def test_arrange_applies_speed_duration_and_transposition():
    arranged, moved = arrange([NoteEvent(60, 90, 1.0, 2.0)], playback_speed=2, duration_rate=3, transpose=5)
    assert arranged == [NoteEvent(65, 90, 0.5, 2.0)]
    assert moved == 0


@pytest.mark.parametrize(
    ("pitch", "transpose", "expected"),
    [(21, 0, 21), (108, 0, 108), (20, 0, 32), (100, 12, 100), (21, -24, 21), (0, 0, 24)],
)
def test_pitches_outside_the_piano_move_by_octaves(pitch, transpose, expected):
    arranged, moved = arrange([NoteEvent(pitch, 90, 0.0, 1.0)], transpose=transpose)
    assert arranged[0].pitch == expected
    assert moved == (expected != pitch + transpose)


@pytest.mark.parametrize("division", [b"\0\0", b"\xe7\0"])
def test_a_time_division_of_no_ticks_is_refused(tmp_path, division):
    path = write_midi(tmp_path / "a.mid", [note_messages(0, QUARTER, 60)])
    content = bytearray(path.read_bytes())
    content[12:14] = division
    path.write_bytes(content)
    with pytest.raises(ValueError, match="0 ticks"):
        read_midi(path)


def track(content):
    return b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (track(b"\0\x90\x3c\x40" + b"\xff" * 9 + b"\x7f\x80\x3c\x40\0\xff\x2f\0"), "2.53 ticks"),
        (track(b"\xff" * 20_000), "do not end"),
        (track(b"") + bytes(10_000_001), "more than 10 MB"),
    ],
    ids=["tick", "number", "size"],
)
def test_numbers_and_files_without_bounds_are_refused(tmp_path, content, message):
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_midi(path)
