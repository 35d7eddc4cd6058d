import os

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, write_note

from common.cli import UserError
from synthesis.midi import NoteEvent
from synthesis.notes import (
    NOTE_RATE,
    REFERENCE_RMS,
    SAMPLE_RATE,
    NoteBank,
    NoteSynthesizer,
    find_notes,
    read_note,
)

UNIT_GAINS = {ORIGIN: 1.0, TARGET: 1.0}
RELEASE_SAMPLES = NOTE_RATE // 20  # 50 ms


@pytest.fixture
def synthesizer(notes_path):
    return NoteSynthesizer(NoteBank.load(notes_path, {ORIGIN: 0, TARGET: 0}), UNIT_GAINS)


def level_db(value, reference):
    return 20 * np.log10(max(abs(value), 1e-12) / reference)


def test_rendering_leaves_the_recordings_as_they_are(synthesizer):
    events = [NoteEvent(60, 100, 0.0, 0.3), NoteEvent(60, 100, 0.1, 3.9), NoteEvent(63, 50, 0.2, 0.21)]
    before = {key: samples.copy() for key, samples in synthesizer.bank.recordings.items()}
    first = synthesizer.render(events, ORIGIN)
    other_order = synthesizer.render(events[::-1], ORIGIN)
    np.testing.assert_equal(synthesizer.bank.recordings, before)
    np.testing.assert_array_equal(synthesizer.render(events, ORIGIN), first)
    np.testing.assert_allclose(other_order, first, atol=1e-7)


def test_a_note_is_its_recording_at_the_start_of_the_event(synthesizer, notes_path):
    rendered = synthesizer.render([NoteEvent(60, 100, 0.5, 2.5)], ORIGIN)
    recording, _ = soundfile.read(notes_path / f"{ORIGIN}_000-060-100.wav", dtype="float32")
    start = NOTE_RATE // 2
    assert not rendered[:start].any()
    np.testing.assert_allclose(rendered[start : start + 2 * NOTE_RATE], recording[: 2 * NOTE_RATE], atol=1e-6)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 2.0, 3.999, 10.0])
def test_a_note_ends_without_a_click(synthesizer, seconds):
    for instrument in (ORIGIN, TARGET):
        rendered = synthesizer.render([NoteEvent(60, 100, 0.0, seconds)], instrument)
        assert level_db(rendered[-1], np.abs(rendered).max()) < -60
        # The ramp has no jump either: no step in it is higher than the highest of the tone.
        steps = np.abs(np.diff(rendered))
        assert steps[-RELEASE_SAMPLES:].max() <= steps.max()
        assert len(rendered) == min(64_000, max(1, round(seconds * NOTE_RATE)) + RELEASE_SAMPLES)


def test_nothing_at_the_end_of_a_piece_is_cut(synthesizer):
    # The last note to start is not the last to end.
    events = [NoteEvent(60, 100, 1.0, 4.5), NoteEvent(63, 100, 2.0, 2.1)]
    rendered = synthesizer.render(events, ORIGIN)
    assert len(rendered) == round(4.5 * NOTE_RATE) + RELEASE_SAMPLES
    assert np.abs(rendered[round(4.4 * NOTE_RATE) : round(4.5 * NOTE_RATE)]).max() > 1e-3


def test_every_pitch_and_velocity_of_the_piano_is_loaded(tmp_path):
    for pitch, velocity in [(21, 25), (21, 75), (108, 75), (108, 127)]:
        write_note(tmp_path, ORIGIN, pitch, velocity)
    bank = NoteBank.load(tmp_path, {ORIGIN: 0})
    assert bank.nearest(ORIGIN, 21, 70) == (ORIGIN, 21, 75)
    assert bank.nearest(ORIGIN, 108, 1) == (ORIGIN, 108, 75)
    assert bank.nearest(ORIGIN, 108, 101) == (ORIGIN, 108, 75)
    assert bank.nearest(ORIGIN, 108, 102) == (ORIGIN, 108, 127)
    assert bank.nearest(ORIGIN, 60, 100) is None


def test_a_note_that_one_instrument_lacks_is_left_out_for_all(tmp_path):
    for pitch in (60, 62, 64):
        write_note(tmp_path, ORIGIN, pitch, 100)
    for pitch in (60, 64):
        write_note(tmp_path, TARGET, pitch, 100)
    synthesizer = NoteSynthesizer(NoteBank.load(tmp_path, {ORIGIN: 0, TARGET: 0}), UNIT_GAINS)
    playable, left_out = synthesizer.playable([NoteEvent(pitch, 100, 0, 1) for pitch in (60, 62, 64)])
    assert [event.pitch for event in playable] == [60, 64]
    assert left_out == 1


def test_all_instruments_play_a_velocity_that_all_have(tmp_path):
    for velocity in (25, 75, 100):
        write_note(tmp_path, ORIGIN, 60, velocity)
    for velocity in (75, 127):
        write_note(tmp_path, TARGET, 60, velocity)
    bank = NoteBank.load(tmp_path, {ORIGIN: 0, TARGET: 0})
    assert [bank.nearest(name, 60, 110)[2] for name in (ORIGIN, TARGET)] == [75, 75]


def test_instruments_without_a_common_velocity_play_their_nearest(tmp_path):
    write_note(tmp_path, ORIGIN, 60, 100)
    write_note(tmp_path, TARGET, 60, 127)
    bank = NoteBank.load(tmp_path, {ORIGIN: 0, TARGET: 0})
    assert [bank.nearest(name, 60, 64)[2] for name in (ORIGIN, TARGET)] == [100, 127]


def test_gains_make_instruments_equally_loud(notes_path):
    bank = NoteBank.load(notes_path, {ORIGIN: 0, TARGET: 0})
    gains = bank.gains()
    assert gains[ORIGIN] > 1.5 * gains[TARGET]  # the guitar was recorded louder
    synthesizer = NoteSynthesizer(bank, gains)
    for name in (ORIGIN, TARGET):
        power = [
            np.mean(synthesizer.render([NoteEvent(pitch, velocity, 0, 1)], name)[: NOTE_RATE // 2] ** 2)
            for pitch in range(48, 85, 3)
            for velocity in (50, 100)
        ]
        assert np.sqrt(np.mean(power)) == pytest.approx(REFERENCE_RMS, rel=1e-3)


def test_nsynth_layout_presets_and_other_files(tmp_path):
    audio = tmp_path / "nsynth-train" / "audio"
    write_note(audio, ORIGIN, 60, 100)
    write_note(audio, ORIGIN, 60, 100, preset=17)
    (audio / ".DS_Store").write_bytes(b"x")
    (audio / "keyboard_acoustic.wav").write_bytes(b"x")
    (tmp_path / "nsynth-train" / "examples.json").write_text("{}")
    assert sorted(find_notes(tmp_path / "nsynth-train")) == [(ORIGIN, 0), (ORIGIN, 17)]


def test_recordings_of_other_rates_and_channels_are_converted(tmp_path):
    time = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / f"{ORIGIN}_000-069-100.wav", np.stack([tone, tone], axis=1), 44_100)
    recording = read_note(tmp_path / f"{ORIGIN}_000-069-100.wav", NOTE_RATE)
    assert len(recording) == pytest.approx(16_000, abs=1)
    expected = 16_384 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(recording[500:15_500], expected[500:15_500], atol=30)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((16_000, 16_000), 16_000), ((8_000, 16_000), 16_000), ((16_000, 22_050), 44_100), ((44_100, 48_000), 44_100)],
)
def test_a_run_has_one_rate_that_no_note_needs_more_than(tmp_path, rates, expected):
    seconds = 2
    for pitch, rate in zip((57, 69), rates, strict=True):
        tone = 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(seconds * rate) / rate)
        soundfile.write(tmp_path / f"{ORIGIN}_000-{pitch:03d}-100.wav", tone, rate)
    bank = NoteBank.load(tmp_path, {ORIGIN: 0})
    assert bank.sample_rate == expected
    for pitch in (57, 69):
        recording = bank.recordings[ORIGIN, pitch, 100]
        assert len(recording) == seconds * expected
        assert np.argmax(np.abs(np.fft.rfft(recording))) == seconds * 440 * 2 ** ((pitch - 69) / 12)
    assert bank.gains()[ORIGIN] == pytest.approx(REFERENCE_RMS / (0.5 / np.sqrt(2)), rel=0.01)


def test_notes_of_44_kilohertz_keep_their_bits(tmp_path):
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 3 * 44_100).astype(np.int16)
    soundfile.write(tmp_path / f"{ORIGIN}_000-060-100.wav", samples, SAMPLE_RATE, subtype="PCM_16")
    bank = NoteBank.load(tmp_path, {ORIGIN: 0})
    np.testing.assert_array_equal(bank.recordings[ORIGIN, 60, 100], samples)
    rendered = NoteSynthesizer(bank, UNIT_GAINS).render([NoteEvent(60, 100, 0.5, 2.5)], ORIGIN)
    start = SAMPLE_RATE // 2
    np.testing.assert_array_equal(rendered[start : 5 * start] * 32_768, samples[: 4 * start])
    assert len(rendered) == 5 * start + SAMPLE_RATE // 20


@pytest.mark.parametrize(
    ("instrument", "preset", "message"), [(TARGET, 0, "it has keyboard"), (ORIGIN, 3, "it has presets 0")]
)
def test_missing_instruments_are_named(tmp_path, instrument, preset, message):
    write_note(tmp_path, ORIGIN, 60, 100)
    with pytest.raises(UserError, match=message):
        NoteBank.load(tmp_path, {instrument: preset})


def test_unreadable_and_empty_notes_are_named(tmp_path):
    (tmp_path / f"{ORIGIN}_000-060-100.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"060-100\.wav: not an audio file"):
        NoteBank.load(tmp_path, {ORIGIN: 0})
    soundfile.write(tmp_path / f"{ORIGIN}_000-060-100.wav", np.zeros(0), 16_000)
    with pytest.raises(UserError, match="empty"):
        NoteBank.load(tmp_path, {ORIGIN: 0})


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_24"])
def test_a_note_is_the_same_however_it_is_stored(tmp_path, subtype):
    path = write_note(tmp_path, ORIGIN, 60, 100)
    expected = read_note(path)
    samples, rate = soundfile.read(path)
    soundfile.write(tmp_path / "other.wav", samples, rate, subtype=subtype)
    np.testing.assert_array_equal(read_note(tmp_path / "other.wav"), expected)
    np.testing.assert_array_equal(expected, soundfile.read(path, dtype="int16")[0])


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.full(16_000, 1.5), 16_000, "has a peak of 1.5"),
        (np.full(16_000, 1e30), 16_000, "holds samples of 1e"),
        (np.full(100, 0.5), 1, "rate of 1 Hz"),
        (np.zeros(61 * 4_000), 4_000, "longer than 60 s"),
    ],
    ids=["loud", "absurd", "rate", "length"],
)
def test_recordings_that_are_no_notes_are_refused(tmp_path, samples, rate, message):
    soundfile.write(tmp_path / f"{ORIGIN}_000-060-100.wav", samples, rate, subtype="FLOAT")
    with pytest.raises(UserError, match=message):
        NoteBank.load(tmp_path, {ORIGIN: 0})


def test_pipes_and_dead_links_among_the_notes_are_named(tmp_path):
    path = tmp_path / f"{ORIGIN}_000-060-100.wav"
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"060-100\.wav: is not a regular file"):
        NoteBank.load(tmp_path, {ORIGIN: 0})
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"060-100\.wav: .*no such file"):
        NoteBank.load(tmp_path, {ORIGIN: 0})


def test_silent_notes_are_found_and_silent_instruments_refused(tmp_path):
    write_note(tmp_path, ORIGIN, 60, 100, level=0)
    with pytest.raises(UserError, match="all 1 notes of keyboard_acoustic are silent"):
        NoteBank.load(tmp_path, {ORIGIN: 0}).find_silent()
    write_note(tmp_path, ORIGIN, 62, 100)
    assert NoteBank.load(tmp_path, {ORIGIN: 0}).find_silent() == [(ORIGIN, 60, 100)]
