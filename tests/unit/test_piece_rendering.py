"""Folders of synthesized audio: what one bad MIDI file costs, what is made again, and who may write."""

import errno
import json
import os

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, note_messages, read_json, write_midi, write_note

import synthesize_audios
from common import storage
from synthesis import piece_rendering, piece_writing
from synthesis.effects import PARAMETERS
from synthesis.notes import NoteBank


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    for instrument in (ORIGIN, TARGET):
        write_note(folder, instrument, 60, 100)
    return folder


@pytest.fixture
def synthesize(call_script, notes, tmp_path):
    """Run the script in this process on tmp_path/midi: (exit status, lines of stdout, lines of stderr)."""

    def run(*flags):
        words = ("--nsynth_path", notes, "--midi_path", tmp_path / "midi", "--audios_path", tmp_path / "audios")
        instruments = ("--instruments", ORIGIN, TARGET)
        status, out, err = call_script(synthesize_audios, *words, *instruments, *flags)
        assert "Traceback" not in err
        return status, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def midi(tmp_path):
    """A folder of two good pieces."""
    write_midi(tmp_path / "midi" / "a.mid", [note_messages(0, 480, 60)])
    write_midi(tmp_path / "midi" / "b.mid", [note_messages(0, 960, 60)])
    return tmp_path / "midi"


def audio(folder, instrument=ORIGIN):
    return sorted(path.name for path in (folder / "audios" / instrument).iterdir())


def with_division(path, division):
    content = bytearray(path.read_bytes())
    content[12:14] = division
    path.write_bytes(content)


def test_bad_files_cost_themselves_alone(synthesize, midi, tmp_path):
    write_midi(midi / "delta.mid", [note_messages(2**28 - 1, 2**28, 60)])
    step = 2**28 - 1  # the longest that a file can say
    giants = [note_messages(number * step, (number + 1) * step, 60 + number % 2) for number in range(50)]
    write_midi(midi / "deltas.mid", [[message for note in giants for message in note]])
    for name, division in (("zero", b"\0\0"), ("smpte", b"\xe7\0")):
        with_division(write_midi(midi / f"{name}.mid", [note_messages(0, 480, 60)]), division)
    with_division(write_midi(midi / "one.mid", [note_messages(1_000_000, 1_000_001, 60)]), b"\0\1")
    write_midi(midi / "gap.mid", [note_messages(0, 480, 60) + note_messages(3 * 3600 * 960, 3 * 3600 * 960 + 9, 60)])
    (midi / "text.mid").write_text("no MIDI")
    (midi / "dead.mid").symlink_to(midi / "nowhere")
    (midi / "loop.mid").symlink_to(midi / "loop.mid")
    os.mkfifo(midi / "pipe.mid")
    long = "x" * 130
    write_midi(midi / long / f"{long}.mid", [note_messages(0, 480, 60)])
    status, out, err = synthesize("--jobs", 2)
    bad = ("delta", "deltas", "zero", "smpte", "one", "gap", "text", "dead", "loop", "pipe", long)
    assert status == 1
    assert len(err) == len(bad) + 1, err
    for name in bad:
        assert sum(f"{name}.mid: " in line for line in err) == 1
    assert sum("--max_minutes 120 is the most" in line for line in err) == 4
    assert out[0].startswith("2 pieces of")
    for instrument in (ORIGIN, TARGET):
        assert audio(tmp_path, instrument) == ["a.wav", "b.wav"]


def test_longer_pieces_are_played_on_demand(synthesize, midi, tmp_path):
    write_midi(midi / "long.mid", [note_messages(0, 480, 60) + note_messages(120 * 960, 120 * 960 + 480, 60)])
    status, _, err = synthesize("--max_minutes", 1)
    assert status == 1
    assert "lasts 2.0" in err[0] and "--max_minutes 1 is" in err[0]
    assert synthesize()[0] == 0  # the limit is no setting of the folder
    assert soundfile.info(tmp_path / "audios" / ORIGIN / "long.wav").duration > 120


def test_names_may_hold_line_breaks_and_other_bytes(synthesize, midi, tmp_path):
    for piece in ("caf\udce9", "two\nlines", "Prelude:No1"):
        write_midi(midi / f"{piece}.mid", [note_messages(0, 480, 60)])
    assert synthesize()[0] == 0
    assert {"caf\udce9.wav", "two\nlines.wav", "Prelude:No1.wav"} < set(audio(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "audios").rglob("*.wav")}
    _, out, _ = synthesize()
    assert "5 were there already" in out[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "audios").rglob("*.wav")} == before


def test_a_full_disk_is_a_line_for_each_piece(synthesize, midi, tmp_path, monkeypatch):
    synthesize()
    errors = [soundfile.LibsndfileError(2), OSError(errno.ENOSPC, "No space left on device")]
    write = piece_writing._write_mix

    def fill(path, *arguments):
        if TARGET in str(path):
            raise errors.pop()
        return write(path, *arguments)

    monkeypatch.setattr(piece_writing, "_write_mix", fill)
    status, _, err = synthesize("--overwrite", "--jobs", 1)
    assert status == 1
    assert len(err) == 3
    # No recording of a piece without the others, and nothing half-written.
    assert audio(tmp_path, ORIGIN) == audio(tmp_path, TARGET) == []
    monkeypatch.undo()


def test_audio_that_was_cut_short_is_made_again(synthesize, midi, tmp_path):
    synthesize()
    path = tmp_path / "audios" / TARGET / "b.wav"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    (path.parent / ".partial-b.wav").write_bytes(b"half")
    status, out, _ = synthesize()
    assert status == 0
    assert "1 were there already" in out[0]
    assert path.read_bytes() == content
    assert audio(tmp_path, TARGET) == ["a.wav", "b.wav"]


@pytest.mark.parametrize("seconds", [None, "1", -1, 1e308, 10**400, float("nan")])
def test_an_entry_without_a_sensible_length_is_no_complete_piece(tmp_path, seconds):
    (tmp_path / "a.wav").write_bytes(bytes(2 * 44_100))
    assert piece_rendering._is_complete([tmp_path / "a.wav"], {"seconds": 1})
    assert not piece_rendering._is_complete([tmp_path / "a.wav"], {"seconds": seconds})


def test_audio_of_pieces_that_are_gone_is_reported_and_removed_on_demand(synthesize, midi, tmp_path):
    synthesize()
    (midi / "b.mid").unlink()
    soundfile.write(tmp_path / "audios" / ORIGIN / "mine.wav", np.zeros(9), 44_100)
    _, out, _ = synthesize()
    assert "1 pieces are not below --midi_path any more" in out[1]
    assert "1 files are not listed in synthesis.json" in out[2] and "mine.wav" in out[2]
    assert audio(tmp_path) == ["a.wav", "b.wav", "mine.wav"]
    synthesize("--overwrite")
    assert audio(tmp_path) == ["a.wav", "mine.wav"]


def test_one_run_at_a_time(synthesize, midi, tmp_path):
    with storage.lock(tmp_path / "audios"):
        status, _, err = synthesize()
    assert status == 2
    assert "is in use by another run" in err[0] and len(err) == 1


def test_names_in_the_manifest_lead_nowhere_else(synthesize, midi, tmp_path):
    synthesize()
    (tmp_path / "precious.wav").write_bytes(b"precious")
    path = tmp_path / "audios" / "synthesis.json"
    manifest = read_json(path)
    for name in ("../precious", "../../precious", "precious"):
        manifest["entries"][name] = {}
    manifest["settings"]["presets"] = {"..": 0, "../audios/..": 0, "": 0}
    path.write_text(json.dumps(manifest))
    assert synthesize("--overwrite")[0] == 0
    assert (tmp_path / "precious.wav").exists()


def test_the_manifest_is_not_written_for_each_piece(synthesize, tmp_path, monkeypatch):
    for number in range(30):
        write_midi(tmp_path / "midi" / f"{number}.mid", [note_messages(0, 48, 60)])
    saves = []
    monkeypatch.setattr(storage, "write_json", lambda path, value: saves.append(len(value["entries"])))
    monkeypatch.setattr(storage, "_SAVE_SECONDS", 1e9)
    assert synthesize()[0] == 0
    assert saves[0] == 0 and saves[-1] == 30
    assert len(saves) <= 3


EFFECTS = ("--effects", "all")


def recordings(folder, instrument=ORIGIN):
    return {path.name: path.read_bytes() for path in (folder / "audios" / instrument).iterdir()}


def test_effects_change_the_origin_and_no_bit_of_the_target(synthesize, midi, tmp_path):
    synthesize()
    dry, target = recordings(tmp_path), recordings(tmp_path, TARGET)
    _, _, err = synthesize(*EFFECTS)
    assert len(err) == 1 and "was made with other settings (effects None then" in err[0]
    assert synthesize(*EFFECTS, "--jobs", 1, "--overwrite")[0] == 0
    wet = recordings(tmp_path)
    assert recordings(tmp_path, TARGET) == target
    manifest = read_json(tmp_path / "audios" / "synthesis.json")
    assert manifest["settings"]["effects_on"] == [ORIGIN] and manifest["settings"]["effects_seed"] == 0
    for piece in ("a", "b"):
        assert wet[f"{piece}.wav"] != dry[f"{piece}.wav"] and len(wet[f"{piece}.wav"]) == len(dry[f"{piece}.wav"])
        samples, _ = soundfile.read(tmp_path / "audios" / ORIGIN / f"{piece}.wav")
        assert 0.01 < np.abs(samples).max() <= 0.9  # -1 dBFS
        drawn = manifest["entries"][piece]["effects"][ORIGIN]
        assert set(PARAMETERS) <= set(drawn) <= {*PARAMETERS, "factor"}
    rooms = [manifest["entries"][piece]["effects"][ORIGIN]["room"] for piece in ("a", "b")]
    assert rooms[0]["seed"] != rooms[1]["seed"] and rooms[0]["rt60"] != rooms[1]["rt60"]

    # What is made again is the same, whoever makes it and in whatever order.
    (tmp_path / "audios" / ORIGIN / "a.wav").unlink()
    _, out, _ = synthesize(*EFFECTS, "--jobs", 2)
    assert "1 were there already" in out[0]
    assert recordings(tmp_path) == wet
    synthesize(*EFFECTS, "--jobs", 2, "--overwrite")
    assert recordings(tmp_path) == wet and recordings(tmp_path, TARGET) == target
    for changes in (("--effects", "all=0.9"), (*EFFECTS, "--seed", 1), (*EFFECTS, "--effects_on", TARGET), ()):
        status, _, err = synthesize(*changes)
        assert status == 2 and "was made with other settings" in err[0]
    synthesize("--overwrite")
    assert recordings(tmp_path) == dry and recordings(tmp_path, TARGET) == target
    assert "effects" not in read_json(tmp_path / "audios" / "synthesis.json")["settings"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--effects", "echo"), "'echo' must be all or one of detune, room"),
        (("--effects", "room=1.5"), "with a probability"),
        (("--effects", "room", "--effects_on", "string_acoustic"), "string_acoustic is not one of the instruments"),
        (("--effects_on", ORIGIN), "needs --effects"),
    ],
)
def test_wrong_effects_are_one_line(synthesize, midi, tmp_path, flags, message):
    status, _, err = synthesize(*flags)
    assert status == 2 and len(err) == 1 and message in err[0]
    assert not (tmp_path / "audios").exists()


def test_a_piece_without_effects_is_the_dry_one(synthesize, midi, tmp_path):
    synthesize()
    dry = recordings(tmp_path)
    synthesize("--effects", "all=0", "--overwrite")
    assert recordings(tmp_path) == dry
    assert "effects" not in read_json(tmp_path / "audios" / "synthesis.json")["entries"]["a"]


def test_notes_of_44_kilohertz_are_mixed_and_written_without_resampling(call_script, midi, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "notes"
    folder.mkdir()
    noise = rng.integers(-9_000, 9_000, 4 * 44_100).astype(np.int16)  # what any filter would change
    for instrument in (ORIGIN, TARGET):
        soundfile.write(folder / f"{instrument}_000-060-100.wav", noise, 44_100, subtype="PCM_16")
    words = ("--nsynth_path", folder, "--midi_path", midi, "--audios_path", tmp_path / "audios")
    assert call_script(synthesize_audios, *words, "--instruments", ORIGIN, TARGET)[0] == 0
    settings = read_json(tmp_path / "audios" / "synthesis.json")["settings"]
    assert settings["note_rate"] == 44_100
    gain = np.float32(NoteBank.load(folder, {ORIGIN: 0, TARGET: 0}).gains()[ORIGIN] / 32_768)
    for instrument in (ORIGIN, TARGET):
        written, rate = soundfile.read(tmp_path / "audios" / instrument / "b.wav", dtype="int16")
        assert rate == 44_100 and len(written) == 44_100 + 2_205  # 1 s held, 50 ms released
        expected = np.floor(noise[:44_100].astype(np.float32) * gain * np.float32(32_768))  # as libsndfile rounds
        np.testing.assert_array_equal(written[:44_100], expected)


def test_one_note_of_a_high_rate_raises_that_of_the_run(call_script, midi, tmp_path):
    write_note(tmp_path / "notes", ORIGIN, 60, 100)
    time = np.arange(4 * 48_000) / 48_000
    soundfile.write(tmp_path / "notes" / f"{TARGET}_000-060-100.wav", 0.3 * np.sin(2 * np.pi * 9_000 * time), 48_000)
    words = ("--nsynth_path", tmp_path / "notes", "--midi_path", midi, "--audios_path", tmp_path / "audios")
    assert call_script(synthesize_audios, *words, "--instruments", ORIGIN, TARGET)[0] == 0
    written, _ = soundfile.read(tmp_path / "audios" / TARGET / "b.wav")
    assert np.argmax(np.abs(np.fft.rfft(written[:44_100]))) == 9_000  # above what 16 kHz could hold
    assert len(written) == soundfile.info(tmp_path / "audios" / ORIGIN / "b.wav").frames


def test_float_notes_sound_and_silent_ones_are_reported(call_script, midi, tmp_path):
    for instrument in (ORIGIN, TARGET):
        path = write_note(tmp_path / "notes", instrument, 60, 100)
        soundfile.write(path, *soundfile.read(path), subtype="FLOAT")
    write_note(tmp_path / "notes", ORIGIN, 62, 100, level=0)
    words = ("--nsynth_path", tmp_path / "notes", "--midi_path", midi, "--audios_path", tmp_path / "audios")
    status, out, _ = call_script(synthesize_audios, *words, "--instruments", ORIGIN, TARGET)
    assert status == 0
    assert f"1 of 3 notes are silent, such as {ORIGIN}-62-100" in out
    assert np.abs(soundfile.read(tmp_path / "audios" / ORIGIN / "a.wav")[0]).max() > 0.05
    assert all(
        0.1 < gain < 10 for gain in read_json(tmp_path / "audios" / "synthesis.json")["settings"]["gains"].values()
    )
