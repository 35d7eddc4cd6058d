import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
from conftest import ORIGIN, REPOSITORY, TARGET, one_line, read_json, run_script, write_note

from synthesis.note_sources import SoundFont

SOUNDFONT = Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"
needs_fluidsynth = pytest.mark.skipif(
    not ctypes.util.find_library("fluidsynth"), reason="libfluidsynth is not installed (apt install libfluidsynth3)"
)
SMALL = ("--pitches", "58-62", "--velocities", "25,127")


def levels(folder, instrument):
    return {
        (pitch, velocity): np.sqrt(
            np.mean(soundfile.read(folder / f"{instrument}_000-{pitch:03d}-{velocity:03d}.wav")[0] ** 2)
        )
        for pitch in range(58, 63)
        for velocity in (25, 127)
    }


def check_notes(folder):
    files = sorted(folder.glob("*.wav"))
    assert len(files) == 4 * 5 * 2
    peaks = []
    for path in files:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (16_000, 1, 64_000, "PCM_16")
        audio, _ = soundfile.read(path)
        peaks.append(np.abs(audio).max())
        assert np.abs(audio[-160:]).max() < 0.5 * peaks[-1]  # released
    assert max(peaks) == pytest.approx(10 ** (-1 / 20), rel=0.01)  # one gain: the loudest note is at -1 dBFS
    quiet, loud = levels(folder, ORIGIN)[60, 25], levels(folder, ORIGIN)[60, 127]
    assert quiet < 0.5 * loud


def test_builtin_tones_have_nsynths_names_and_shape(tmp_path):
    run_script("render_notes.py", "--builtin", "--nsynth_path", tmp_path, *SMALL, check=0)
    check_notes(tmp_path)
    audio, _ = soundfile.read(tmp_path / f"{ORIGIN}_000-060-127.wav")
    spectrum = np.abs(np.fft.rfft(audio[:16_000]))
    assert np.argmax(spectrum) == pytest.approx(261.6, abs=1.5)


@needs_fluidsynth
def test_soundfont_notes_have_nsynths_names_and_shape(tmp_path):
    run_script("render_notes.py", "--soundfont", SOUNDFONT, "--nsynth_path", tmp_path, *SMALL, check=0)
    check_notes(tmp_path)
    for pitch, frequency in ((58, 233.1), (60, 261.6), (62, 293.7)):
        audio, _ = soundfile.read(tmp_path / f"guitar_acoustic_000-{pitch:03d}-127.wav")
        spectrum = np.abs(np.fft.rfft(audio[:32_000] * np.hanning(32_000)))
        peak = np.argmax(spectrum[: 2 * 700]) / 2
        assert min(abs(peak / frequency - harmonic) for harmonic in (1, 2)) < 0.02


@needs_fluidsynth
def test_notes_of_44_kilohertz_are_those_of_16_and_have_what_is_above(tmp_path):
    flags = ("--soundfont", SOUNDFONT, "--instruments", "synth_lead_synthetic=81", "--pitches", 60, "--velocities", 127)
    spectra = {}
    for rate in (16_000, 44_100):
        run_script("render_notes.py", *flags, "--nsynth_path", tmp_path / str(rate), "--sample_rate", rate, check=0)
        audio, found = soundfile.read(tmp_path / str(rate) / "synth_lead_synthetic_000-060-127.wav")
        assert (found, len(audio)) == (rate, 4 * rate)
        spectra[rate] = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), norm="forward"))
    low = spectra[44_100][: 4 * 7_000] / spectra[44_100].max()
    np.testing.assert_allclose(low, spectra[16_000][: 4 * 7_000] / spectra[16_000].max(), atol=2e-3)
    power = spectra[44_100] ** 2
    assert power[4 * 8_000 : 4 * 11_000].sum() > 1e-6 * power.sum()


@needs_fluidsynth
def test_a_note_does_not_depend_on_those_before_it(tmp_path):
    common = ("--soundfont", SOUNDFONT, "--instruments", f"{ORIGIN}=0", "--velocities", "127")
    run_script("render_notes.py", *common, "--nsynth_path", tmp_path / "many", "--pitches", "57-60", check=0)
    run_script("render_notes.py", *common, "--nsynth_path", tmp_path / "one", "--pitches", "60", check=0)
    many, _ = soundfile.read(tmp_path / "many" / f"{ORIGIN}_000-060-127.wav")
    one, _ = soundfile.read(tmp_path / "one" / f"{ORIGIN}_000-060-127.wav")
    scale = np.dot(many, one) / np.dot(one, one)
    assert np.abs(many - scale * one).max() < 2e-3


@needs_fluidsynth
def test_a_note_has_the_same_bits_whatever_was_played_before():
    notes = [(program, pitch) for program in (0, 48, 81) for pitch in (30, 48, 93)]
    played = []
    for order in (notes, notes[::-1]):
        source = SoundFont(SOUNDFONT)
        samples = {}
        for program, pitch in order:
            source.select(0, program)
            samples[program, pitch] = source.render(ORIGIN, pitch, 100)
        played.append(samples)
    for note in notes:
        assert np.array_equal(played[0][note], played[1][note]), note


@needs_fluidsynth
def test_missing_programs_and_files_are_one_line(tmp_path):
    cases = [
        (("--soundfont", SOUNDFONT, "--instruments", f"{ORIGIN}=77:3"), "has no program 3 in bank 77"),
        (("--soundfont", tmp_path / "none.sf2"), "is not a file"),
        (("--soundfont", __file__), "cannot be read as a SoundFont (FluidSynth: "),
    ]
    for arguments, message in cases:
        result = run_script("render_notes.py", *arguments, "--nsynth_path", tmp_path / "notes")
        assert result.returncode == 2
        assert message in one_line(result.stderr)  # FluidSynth writes none of its own


@needs_fluidsynth
def test_a_damaged_soundfont_writes_no_lines_of_its_own(tmp_path):
    content = SOUNDFONT.read_bytes()
    (tmp_path / "half.sf2").write_bytes(content[: len(content) // 2])
    arguments = ("--soundfont", tmp_path / "half.sf2", "--nsynth_path", tmp_path / "notes", *SMALL)
    assert "half.sf2" in one_line(run_script("render_notes.py", *arguments, check=2).stderr)


def test_a_stopped_run_continues_with_the_same_gain(tmp_path):
    common = ("--builtin", "--pitches", "60", "--velocities", "100")
    two = ("--instruments", f"{ORIGIN}=0", f"{TARGET}=24")
    run_script("render_notes.py", *common, *two, "--nsynth_path", tmp_path / "whole", check=0)
    run_script("render_notes.py", *common, *two, "--nsynth_path", tmp_path / "stopped", check=0)
    manifest_path = tmp_path / "stopped" / "render_notes.json"
    manifest = read_json(manifest_path)
    manifest["entries"][f"{TARGET}_000"]["notes"] = 0  # as a run that was killed while rendering the guitar leaves it
    manifest_path.write_text(json.dumps(manifest))
    (tmp_path / "stopped" / f"{TARGET}_000-060-100.wav").write_bytes(b"half a note")
    run_script("render_notes.py", *common, *two, "--nsynth_path", tmp_path / "stopped", check=0)
    for name in (f"{ORIGIN}_000-060-100.wav", f"{TARGET}_000-060-100.wav", "render_notes.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_presets_live_side_by_side_and_nothing_is_overwritten(tmp_path):
    one = ("--builtin", "--nsynth_path", tmp_path, "--pitches", "60", "--velocities", "100")
    run_script("render_notes.py", *one, "--instruments", f"{ORIGIN}=0", check=0)
    run_script("render_notes.py", *one, "--instruments", f"{ORIGIN}=0", "--preset", "1", check=0)
    assert {path.name for path in tmp_path.glob("*.wav")} == {f"{ORIGIN}_00{n}-060-100.wav" for n in (0, 1)}
    assert sorted(read_json(tmp_path / "render_notes.json")["entries"]) == [f"{ORIGIN}_000", f"{ORIGIN}_001"]
    assert "is there already" in run_script("render_notes.py", *one, "--instruments", f"{ORIGIN}=0", check=0).stdout

    foreign = write_note(tmp_path, TARGET, 60, 100)
    before = foreign.read_bytes()
    result = run_script("render_notes.py", *one, "--instruments", f"{TARGET}=0", check=2)
    assert "--preset" in one_line(result.stderr)
    assert foreign.read_bytes() == before
    run_script("render_notes.py", *one, "--instruments", f"{TARGET}=0", "--overwrite", check=0)
    assert foreign.read_bytes() != before


def test_without_fluidsynth_one_line_says_how_to_install_it(tmp_path):
    # A module of the same name hides pyfluidsynth; the message is the same as without the library.
    (tmp_path / "fluidsynth.py").write_text("raise ImportError('hidden')")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(REPOSITORY)!r}]; import render_notes;"
        f"sys.argv = ['render_notes.py', '--soundfont', {str(SOUNDFONT)!r}, '--nsynth_path', {str(tmp_path)!r}];"
        "from common import cli; cli.run(render_notes.main)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert result.returncode == 2
    assert "apt install libfluidsynth3" in one_line(result.stderr)
