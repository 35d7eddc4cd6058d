"""Notes from the probabilities of the transcriber, in closed form, and the transcriber itself where it is installed."""

import importlib.util

import numpy as np
import pytest
from conftest import one_line

from common.cli import UserError
from evaluation import transcriber

N_FRAMES = 200
FRAME_SECONDS = transcriber.HOP / transcriber.RATE


def posteriors(*notes):
    """Makes the probabilities of notes (key, first frame, frame after the last)."""
    frames, onsets = (np.zeros((N_FRAMES, 88), np.float32) for _ in range(2))
    for key, start, end in notes:
        frames[start:end, key] = 0.8
        onsets[start - 1 : start + 2, key] = 0.4, 0.9, 0.4
    return frames, onsets


def found(frames, onsets):
    notes = transcriber.find_notes(frames, onsets)
    assert notes.intervals.shape == (len(notes.pitches), 2)
    spans = np.round(notes.intervals / FRAME_SECONDS).astype(int)
    return [(pitch - 21, *span) for pitch, span in zip(notes.pitches.tolist(), spans.tolist(), strict=True)]


def test_a_made_melody_is_found():
    melody = [(39, 10, 40), (41, 40, 70), (43, 70, 110), (60, 70, 110)]
    assert found(*posteriors(*melody)) == melody
    assert transcriber.find_notes(*posteriors((48, 20, 60))).pitches.tolist() == [69]  # A4 is key 48 of a piano


def test_a_key_that_is_struck_again_is_two_notes():
    assert found(*posteriors((39, 10, 40), (39, 40, 80))) == [(39, 10, 40), (39, 40, 80)]


def test_notes_last_more_than_eleven_frames():
    assert found(*posteriors((39, 10, 21), (50, 10, 22))) == [(50, 10, 22)]


@pytest.mark.parametrize(("pause", "expected"), [(10, [(39, 20, 100)]), (11, [(39, 20, 50), (39, 61, 99)])])
def test_short_pauses_do_not_end_a_note(pause, expected):
    frames, onsets = posteriors((39, 20, 100))
    frames[50 : 50 + pause, 39] = 0
    onsets[50:, 39] = 0.3  # where the note sounds again, the rise is as an onset of this height at most
    frames[50 + pause : 100, 39] = 0.31
    assert found(frames, onsets) == expected


def test_weak_onsets_and_frames_are_no_notes():
    frames, onsets = posteriors((39, 10, 60), (60, 10, 60))
    onsets[:, 39] *= 0.5
    frames[:, 39] = np.minimum(frames[:, 39], np.linspace(0, 1, N_FRAMES))  # nor does it rise steeply
    assert found(frames, onsets) == [(60, 10, 60)]
    frames[:, 60] *= 0.3
    assert found(frames, onsets) == []


def test_a_steep_rise_is_an_onset():
    frames, onsets = posteriors((39, 10, 60), (60, 100, 150))
    onsets[:, 60] = 0
    assert found(frames, onsets) == [(39, 10, 60), (60, 100, 150)]


def test_the_neighbor_of_a_later_note_is_cut():
    # The earlier note ends where the later one, a semitone above, has taken its frames.
    assert found(*posteriors((39, 10, 100), (40, 50, 100))) == [(39, 10, 50), (40, 50, 100)]


def test_what_sounds_long_without_an_onset_is_a_note():
    frames, onsets = posteriors((39, 10, 60))
    frames[100:150, 70] = np.minimum(0.05 * np.arange(1, 51), 0.5)  # it rises slowly, to the threshold in five frames
    frames[160:172, 20] = 0.31  # twelve frames: too short, as the package counts them without the last one
    assert found(frames, onsets) == [(39, 10, 60), (70, 105, 149)]


def test_silence_has_no_notes():
    assert found(*posteriors()) == []
    empty = np.zeros((1, 88), np.float32)
    assert found(empty, empty) == []


def test_joined_windows_are_the_frames_of_the_audio():
    # As if the network gave the first sample of each frame: the joined frames are the audio at every 256th sample.
    audio = np.random.default_rng(0).standard_normal(3 * 142 * 256 + 1000).astype(np.float32)
    windows = transcriber.windows(audio)
    assert windows.shape == (4, 43_844, 1)
    outputs = np.repeat(windows[:, : 172 * 256 : 256], 88, axis=2)
    joined = transcriber.join_windows(outputs, 1 + len(audio) // 256)
    np.testing.assert_array_equal(joined[:, 0], audio[::256])


@pytest.mark.parametrize("n_samples", [0, 1, 142 * 256 - 1, 142 * 256, 142 * 256 + 1])
def test_audio_of_any_length_is_covered(n_samples):
    windows = transcriber.windows(np.ones(n_samples, np.float32))
    assert (len(windows) - 1) * 142 <= n_samples // 256 < len(windows) * 142
    assert windows.sum() >= n_samples


def test_what_is_missing_is_one_line_with_the_command(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "basic_pitch" else find_spec(name))
    with pytest.raises(
        UserError, match=r"--midi_path needs .*basic_pitch: pip install -r requirements-notes\.txt"
    ) as error:
        transcriber.Transcriber()
    one_line(str(error.value))


@pytest.fixture(scope="module")
def hear():
    for name in ("onnxruntime", "mir_eval", "basic_pitch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}: {transcriber.INSTALL}")
    return transcriber.Transcriber().transcribe


def test_the_transcriber_hears_a_melody_at_its_time(hear):
    pitches, step = [60, 64, 67, 72, 60, 55, 60], 0.5
    time = np.arange(round(step * 44_100)) / 44_100
    tones = []
    for pitch in pitches:
        frequency = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * frequency * n * time) / n**2 for n in range(1, 6)) * np.exp(-5 * time)
        tones.append(0.2 * tone * np.clip((step - time) / 0.02, 0, 1))
    notes = hear(np.concatenate([np.zeros(22_050), *tones, np.zeros(22_050)]).astype(np.float32))
    assert notes.pitches.tolist() == pitches
    np.testing.assert_allclose(notes.intervals[:, 0], 0.5 + step * np.arange(len(pitches)), atol=0.03)


@pytest.mark.parametrize("n_samples", [2048, 44_100])
def test_silence_is_heard_as_silence(hear, n_samples):
    assert len(hear(np.zeros(n_samples, np.float32)).pitches) == 0
