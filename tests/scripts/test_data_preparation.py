"""Synthesis and features as users run them: what they make of odd notes, MIDI files and audio, and what they leave."""

import numpy as np
import pytest
import soundfile
from conftest import (
    INSTRUMENTS,
    ORIGIN,
    TARGET,
    note_messages,
    one_line,
    read_json,
    run_script,
    snapshot,
    write_midi,
    write_note,
)


def test_synthesis_finds_all_midi_files_and_reports_bad_ones(tmp_path, notes_path):
    midi = tmp_path / "midi"
    for path in (midi / "a.mid", midi / "deep" / "er" / "b.MIDI", midi / "deep" / "c.midi"):
        write_midi(path, [note_messages(0, 480, 60)])
    write_midi(midi / "empty.mid", [[]])
    (midi / "corrupt.mid").write_bytes(b"MThd broken")
    (midi / ".DS_Store").write_bytes(b"x")
    arguments = ("--nsynth_path", notes_path, "--midi_path", midi, "--audios_path", tmp_path / "audios", *INSTRUMENTS)
    result = run_script("synthesize_audios.py", *arguments, check=1)
    assert "Traceback" not in result.stderr
    assert "corrupt.mid" in result.stderr
    assert "empty.mid" in result.stderr
    written = sorted(path.name for path in (tmp_path / "audios" / ORIGIN).iterdir())
    assert written == ["a.wav", "deep-c.wav", "deep-er-b.wav"]


def test_transposition_speed_and_missing_notes_change_the_audio(tmp_path):
    notes = tmp_path / "notes"
    for pitch in (60, 64, 67):
        write_note(notes, ORIGIN, pitch, 100)
        write_note(notes, TARGET, pitch, 100)
    (notes / f"{TARGET}_000-067-100.wav").unlink()
    events = note_messages(0, 960, 60) + note_messages(1920, 2880, 67)
    write_midi(tmp_path / "midi" / "a.mid", [events])

    def synthesize(name, *flags):
        folder = tmp_path / name
        arguments = ("--nsynth_path", notes, "--midi_path", tmp_path / "midi", "--audios_path", folder, *INSTRUMENTS)
        result = run_script("synthesize_audios.py", *arguments, *flags, check=0)
        return result.stdout, [soundfile.read(folder / i / "a.wav")[0] for i in (ORIGIN, TARGET)]

    stdout, (origin, target) = synthesize("plain")
    assert "1 of 2 notes left out" in stdout
    for audio in (origin, target):  # if one instrument lacks the note, both are silent
        assert np.argmax(np.abs(np.fft.rfft(audio[:44_100]))) == pytest.approx(261.6, abs=1)
        assert len(audio) < 2 * 44_100
    _, (up, _) = synthesize("up", "--transpose", "4")
    assert np.argmax(np.abs(np.fft.rfft(up[:44_100]))) == pytest.approx(329.6, abs=1)
    _, (fast, _) = synthesize("fast", "--playback_speed", "2", "--duration_rate", "3")
    assert len(fast) / 44_100 == pytest.approx(1.55, abs=0.01)


def test_loud_pieces_keep_their_balance_and_do_not_clip_or_wrap(tmp_path):
    for pitch in range(40, 90):
        write_note(tmp_path / "notes", ORIGIN, pitch, 127, level=1.0)
        write_note(tmp_path / "notes", TARGET, pitch, 127, level=1.0, harmonics=4)
    for count in (1, 50):
        chord = [message for pitch in range(40, 40 + count) for message in note_messages(0, 960, pitch, 127)]
        write_midi(tmp_path / "midi" / f"chord{count}.mid", [chord])
    arguments = ("--nsynth_path", tmp_path / "notes", "--midi_path", tmp_path / "midi")
    run_script("synthesize_audios.py", *arguments, "--audios_path", tmp_path / "audios", *INSTRUMENTS, check=0)
    manifest = read_json(tmp_path / "audios" / "synthesis.json")
    factors = {piece: entry["factor"] for piece, entry in manifest["entries"].items()}
    assert factors["chord1"] == 1
    assert factors["chord50"] < 1
    peaks = {}
    for instrument in (ORIGIN, TARGET):
        for piece in factors:
            pcm, _ = soundfile.read(tmp_path / "audios" / instrument / f"{piece}.wav", dtype="int16")
            peaks[instrument, piece] = np.abs(pcm.astype(int)).max()
            # Wrapping around would step by nearly the whole range at once.
            assert np.abs(np.diff(pcm.astype(int))).max() < 40_000
    assert max(peaks.values()) < 32_767
    # Files are not normalized one by one: one instrument has the highest peak, the other stays below it as before.
    assert peaks[ORIGIN, "chord50"] != pytest.approx(peaks[TARGET, "chord50"], rel=0.05)


def test_an_instrument_of_silent_notes_is_refused(tmp_path):
    write_note(tmp_path / "notes", ORIGIN, 60, 100, level=0)
    write_midi(tmp_path / "midi" / "a.mid", [note_messages(0, 480, 60)])
    arguments = ("--nsynth_path", tmp_path / "notes", "--midi_path", tmp_path / "midi", "--instruments", ORIGIN)
    result = run_script("synthesize_audios.py", *arguments, "--audios_path", tmp_path / "audios", check=2)
    assert "all 1 notes of keyboard_acoustic are silent" in one_line(result.stderr)
    assert not (tmp_path / "audios").exists()


def test_overwriting_leaves_nothing_of_other_settings(tmp_path, notes_path):
    for name in ("a", "b"):
        write_midi(tmp_path / "midi" / f"{name}.mid", [note_messages(0, 960, 60)])
    arguments = ("--nsynth_path", notes_path, "--midi_path", tmp_path / "midi", "--audios_path", tmp_path / "audios")
    run_script("synthesize_audios.py", *arguments, *INSTRUMENTS, check=0)
    foreign = tmp_path / "audios" / TARGET / "foreign.wav"
    foreign.write_bytes(b"precious")
    (tmp_path / "midi" / "b.mid").unlink()
    fewer = ("--instruments", ORIGIN, "--overwrite")
    run_script("synthesize_audios.py", *arguments, *fewer, check=0)
    assert [path.name for path in (tmp_path / "audios" / ORIGIN).iterdir()] == ["a.wav"]
    assert [path.name for path in (tmp_path / "audios" / TARGET).iterdir()] == ["foreign.wav"]
    assert foreign.read_bytes() == b"precious"


def test_presets_are_chosen_by_instrument(tmp_path):
    write_note(tmp_path / "notes", ORIGIN, 60, 100)
    write_note(tmp_path / "notes", TARGET, 60, 100, preset=7)
    write_midi(tmp_path / "midi" / "a.mid", [note_messages(0, 960, 60)])
    arguments = ("--nsynth_path", tmp_path / "notes", "--midi_path", tmp_path / "midi", *INSTRUMENTS)
    result = run_script("synthesize_audios.py", *arguments, "--audios_path", tmp_path / "a", check=2)
    assert "preset 0; it has presets 7" in one_line(result.stderr)
    presets = ("--preset", "0", f"{TARGET}=7")
    run_script("synthesize_audios.py", *arguments, "--audios_path", tmp_path / "b", *presets, check=0)
    wrong = ("--preset", "flute_acoustic=7")
    result = run_script("synthesize_audios.py", *arguments, "--audios_path", tmp_path / "c", *wrong, check=2)
    assert "--preset" in one_line(result.stderr)


def test_foreign_audio_is_not_overwritten(tmp_path, notes_path):
    write_midi(tmp_path / "midi" / "a.mid", [note_messages(0, 960, 60)])
    (tmp_path / "audios" / ORIGIN).mkdir(parents=True)
    (tmp_path / "audios" / ORIGIN / "a.wav").write_bytes(b"precious")
    arguments = ("--nsynth_path", notes_path, "--midi_path", tmp_path / "midi", "--audios_path", tmp_path / "audios")
    result = run_script("synthesize_audios.py", *arguments, *INSTRUMENTS, check=2)
    assert "--overwrite" in one_line(result.stderr)
    assert (tmp_path / "audios" / ORIGIN / "a.wav").read_bytes() == b"precious"


def test_features_skip_what_is_complete_and_renew_what_changed(tmp_path):
    time = np.arange(5 * 44_100) / 44_100
    folder = tmp_path / "audios" / ORIGIN
    folder.mkdir(parents=True)
    soundfile.write(folder / "long.wav", 0.1 * np.sin(2 * np.pi * 440 * time), 44_100)
    soundfile.write(folder / "short.flac", 0.1 * np.sin(2 * np.pi * 440 * time[:44_100]), 44_100)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (tmp_path / "audios" / "stray.wav").write_bytes(b"x")
    arguments = ("--audios_path", tmp_path / "audios", "--features_path", tmp_path / "features")
    run_script("compute_features.py", *arguments, check=0)
    slices = tmp_path / "features" / ORIGIN
    assert sorted(path.name for path in slices.iterdir()) == ["long_000.npy", "long_001.npy", "short_000.npy"]
    assert all(path.stat().st_size == 128 + 2 * 256 * 256 for path in slices.iterdir())

    before = snapshot(slices)
    run_script("compute_features.py", *arguments, check=0)
    assert snapshot(slices) == before

    (slices / "long_001.npy").unlink()
    soundfile.write(folder / "short.flac", 0.2 * np.sin(2 * np.pi * 660 * time[:40_000]), 44_100)
    run_script("compute_features.py", *arguments, check=0)
    after = snapshot(slices)
    assert sorted(path.name for path in after) == ["long_000.npy", "long_001.npy", "short_000.npy"]
    assert after[slices / "short_000.npy"] != before[slices / "short_000.npy"]

    soundfile.write(folder / "long.wav", np.zeros(100), 44_100)
    (folder / "broken.wav").write_bytes(b"RIFF")
    result = run_script("compute_features.py", *arguments, check=1)
    assert "broken.wav: not an audio file" in result.stderr
    assert sorted(path.name for path in slices.iterdir()) == ["long_000.npy", "short_000.npy"]
