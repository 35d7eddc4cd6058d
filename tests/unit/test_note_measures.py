"""Notes compared with those of MIDI files: scores in closed form, and the truth as the synthesis played it."""

import hashlib
import json

import numpy as np
import pytest
from conftest import note_messages, one_line, write_midi

from common.cli import UserError
from evaluation import notes
from evaluation.measures import NOTE_METRICS
from evaluation.pairs import RecordingPair
from evaluation.transcriber import Notes
from synthesis.midi import NoteEvent

try:
    import mir_eval
except ImportError:
    mir_eval = None

needs_mir_eval = pytest.mark.skipif(mir_eval is None, reason="needs mir_eval: requirements-notes.txt")


def made(*onsets_and_pitches, length=0.4):
    onsets, pitches = np.array(onsets_and_pitches).T if onsets_and_pitches else ([], [])
    onsets = np.asarray(onsets, np.float64)
    return Notes(np.stack([onsets, onsets + length], axis=1), np.asarray(pitches, np.int64))


TRUTH = made((0, 60), (0.5, 62), (1, 64), (1, 67))


@needs_mir_eval
def test_the_scores_of_a_made_transcription():
    # Right: two. One has the wrong pitch, one is late by 60 ms, and one is too much.
    found = made((0.02, 60), (0.5, 63), (1, 64), (1.06, 67), (1.5, 60))
    scores = notes.note_scores(found, TRUTH)
    assert scores["notes_precision"] == pytest.approx(2 / 5)
    assert scores["notes_recall"] == pytest.approx(2 / 4)
    assert scores["notes_f"] == pytest.approx(2 * 2 / (5 + 4))
    assert scores["onsets_f"] == pytest.approx(2 * 3 / (5 + 4))  # the wrong pitch has a right onset


@needs_mir_eval
def test_ends_do_not_count():
    longer = made((0, 60), (0.5, 62), (1, 64), (1, 67), length=2.0)
    assert notes.note_scores(longer, TRUTH) == dict.fromkeys(
        ("notes_precision", "notes_recall", "notes_f", "onsets_f"), 1.0
    )


@pytest.mark.filterwarnings("error")
def test_nothing_heard_is_0_and_nothing_to_hear_is_undefined():
    assert set(notes.note_scores(made(), TRUTH).values()) == {0.0}
    assert np.isnan(list(notes.note_scores(TRUTH, made()).values())).all()


def test_true_notes_begin_before_the_end_and_are_merged_where_two_hands_strike_one_key():
    events = [
        NoteEvent(60, 90, 0.0, 0.5),
        NoteEvent(60, 50, 0.0002, 0.8),
        NoteEvent(64, 90, 0.0, 0.5),
        NoteEvent(62, 90, 1.0, 1.0),
        NoteEvent(65, 90, 2.0, 3.0),
    ]
    truth = notes.true_notes(events, 2.0)
    assert truth.pitches.tolist() == [64, 60, 62]
    np.testing.assert_allclose(truth.intervals, [[0, 0.5], [0, 0.8], [1, 1.001]])
    assert notes.true_notes([], 1.0).intervals.shape == (0, 2)


class Dictation:
    """A transcriber that hears what it is told, by the first sample of the audio."""

    def __init__(self, **heard):
        self.heard = heard

    def transcribe(self, audio):
        return self.heard["target" if audio[0] else "output"]


@needs_mir_eval
def test_scores_are_also_relative_to_the_target():
    events = [NoteEvent(pitch, 90, start, start + 0.4) for start, pitch in ((0, 60), (0.5, 62), (1, 64), (1, 67))]
    heard = Dictation(target=made((0, 60), (0.5, 62), (1, 64), (1, 70)), output=made((0, 60), (0.5, 63)))
    target, output = np.ones(88_200, np.float32), np.zeros(88_200, np.float32)
    scores = notes.Judge(heard, events, target).score(output)
    assert list(scores) == list(NOTE_METRICS)
    assert scores["target_notes_f"] == pytest.approx(3 / 4) and scores["target_onsets_f"] == 1
    assert scores["notes_f"] == pytest.approx(2 * 1 / 6)
    assert scores["notes_f_relative"] == pytest.approx((2 / 6) / (3 / 4))
    assert scores["onsets_f_relative"] == scores["onsets_f"] == pytest.approx(2 * 2 / 6)
    deaf = Dictation(target=made(), output=made((0, 60)))
    scores = notes.Judge(deaf, events, target).score(output)
    assert np.isnan(scores["notes_f_relative"]) and scores["notes_f"] > 0
    assert np.isnan(list(notes.Judge(heard, None, target).score(output).values())).all()


@pytest.fixture
def world(tmp_path):
    """A folder of MIDI files, and pairs of recordings that need not exist."""
    write_midi(tmp_path / "midi" / "bach" / "one.mid", [note_messages(0, 480, 60) + note_messages(480, 960, 62)])
    write_midi(tmp_path / "midi" / "two.mid", [note_messages(0, 480, 64)])
    folder = tmp_path / "audios"
    folder.mkdir()

    def pair(piece):
        return RecordingPair(piece, folder / "keyboard_acoustic" / f"{piece}.wav", folder / "guitar" / f"{piece}.wav")

    def write_manifest(entries=None, **settings):
        (folder / "synthesis.json").write_text(json.dumps({"settings": settings, "entries": entries or {}}))

    return tmp_path / "midi", pair, write_manifest


def test_the_truth_is_what_the_synthesis_played(world):
    midi_path, pair, write_manifest = world
    pairs = [pair("bach-one"), pair("two"), pair("other")]
    events = notes.read_events(midi_path, pairs)
    assert set(events) == {"bach-one", "two"}
    assert [(event.pitch, event.start, event.end) for event in events["bach-one"]] == [(60, 0, 0.5), (62, 0.5, 1.0)]
    write_manifest(playback_speed=2.0, duration_rate=0.5, transpose=-3, sustain=True, presets={})
    (first, second) = notes.read_events(midi_path, pairs)["bach-one"]
    assert (first.pitch, first.start, first.end) == (57, 0, pytest.approx(0.125))
    assert (second.pitch, second.start, second.end) == (59, 0.25, pytest.approx(0.375))
    assert notes.events_hash([first]) != notes.events_hash([second])
    assert notes.events_hash(None) is None


def test_another_midi_file_than_that_of_the_audio_is_refused(world):
    midi_path, pair, write_manifest = world
    digest = hashlib.sha256((midi_path / "two.mid").read_bytes()).hexdigest()[:16]
    write_manifest({"two": {"midi": digest}})
    assert len(notes.read_events(midi_path, [pair("two")])["two"]) == 1
    write_midi(midi_path / "two.mid", [note_messages(0, 480, 65)])
    with pytest.raises(UserError, match=r"two\.mid is not the file that .* was synthesized from") as error:
        notes.read_events(midi_path, [pair("two")])
    one_line(str(error.value))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda midi, write: write(playback_speed=0), "is damaged"),
        (lambda midi, write: write(transpose="up"), "is damaged"),
        (lambda midi, write: write(sustain=1), "is damaged"),
        (lambda midi, write: (midi / "two.mid").write_bytes(b"nothing of the kind"), r"two\.mid .*not a MIDI file"),
        (lambda midi, write: (midi / "two.mid").unlink(), "has no MIDI file of two"),
    ],
)
def test_what_cannot_be_the_truth_is_one_line(world, damage, message):
    midi_path, pair, write_manifest = world
    damage(midi_path, write_manifest)
    with pytest.raises(UserError, match=message) as error:
        notes.read_events(midi_path, [pair("two")])
    one_line(str(error.value))
