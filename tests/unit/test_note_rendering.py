"""Folders of rendered notes: what counts as complete, and what a kill or a full disk leaves."""

import errno
import json

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, read_json

import render_notes
from common import storage
from synthesis import note_rendering


@pytest.fixture
def render(call_script, tmp_path):
    """Render two notes of two instruments: (exit status, stdout, lines of stderr)."""

    def run(*flags):
        words = ("--builtin", "--nsynth_path", tmp_path / "notes", "--pitches", "60-61", "--velocities", 100)
        status, out, err = call_script(render_notes, *words, "--instruments", f"{ORIGIN}=0", f"{TARGET}=0", *flags)
        assert "Traceback" not in err
        return status, out, err.splitlines()

    return run


def contents(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "notes").iterdir()}


class Killed(BaseException):
    """Ends a run as a kill does: nothing handles it."""


@pytest.mark.parametrize("flags", [(), ("--overwrite",)])
@pytest.mark.parametrize("n_notes", [0, 1, 3])
def test_a_killed_run_goes_on(render, tmp_path, monkeypatch, flags, n_notes):
    render()
    expected = contents(tmp_path)
    if not flags:
        for path in (tmp_path / "notes").iterdir():
            path.unlink()
    left = [None] * n_notes
    write = storage.atomic_write

    def write_some(path, **options):
        if path.suffix == ".wav":
            try:
                left.pop()
            except IndexError:
                raise Killed from None
        return write(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "atomic_write", write_some)
        with pytest.raises(Killed):
            render(*flags)
    status, out, _ = render()
    assert status == 0
    assert (f"{ORIGIN}_000 is there already" in out) == (n_notes == 3)
    assert contents(tmp_path) == expected


def test_notes_that_were_cut_short_are_rendered_again(render, tmp_path):
    render()
    expected = contents(tmp_path)
    (tmp_path / "notes" / f"{TARGET}_000-061-100.wav").write_bytes(b"")
    (tmp_path / "notes" / f".partial-{TARGET}_000-061-100.wav").write_bytes(b"half")
    status, out, _ = render()
    assert status == 0
    assert f"{ORIGIN}_000 is there already" in out and f"{TARGET}_000: 2 notes" in out
    assert contents(tmp_path) == expected


def test_a_full_disk_is_a_line_for_each_instrument(render, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(note_rendering, "open_to_write", full)
        status, _, err = render()
    assert status == 1
    assert [line.partition(": ")[2] for line in err] == [
        f"{TARGET}_000: no space left on device",
        f"{ORIGIN}_000: no space left on device",
        "",
    ]
    assert render()[0] == 0
    assert {entry["notes"] for entry in read_json(tmp_path / "notes" / "render_notes.json")["entries"].values()} == {2}


def test_the_sample_rate_is_a_setting_and_the_tones_use_it(render, tmp_path):
    assert render("--sample_rate", 44_100)[0] == 0
    entries = read_json(tmp_path / "notes" / "render_notes.json")["entries"]
    assert {entry["sample_rate"] for entry in entries.values()} == {44_100}
    audio, rate = soundfile.read(tmp_path / "notes" / f"{ORIGIN}_000-060-100.wav")
    assert (rate, len(audio)) == (44_100, 4 * 44_100)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    assert np.argmax(spectrum) / 4 == pytest.approx(261.6, abs=0.3)
    assert "is there already" in render("--sample_rate", 44_100)[1]
    before = contents(tmp_path)
    status, _, err = render()
    assert status == 2 and len(err) == 1 and "with other settings" in err[0]
    assert contents(tmp_path) == before


def test_notes_of_runs_that_recorded_no_rate_are_known(render, tmp_path):
    render()
    path = tmp_path / "notes" / "render_notes.json"
    manifest = read_json(path)
    for entry in manifest["entries"].values():
        assert entry.pop("sample_rate") == 16_000
    path.write_text(json.dumps(manifest))
    assert render()[1].count("is there already") == 2
    assert render("--sample_rate", 22_050)[0] == 2


@pytest.mark.parametrize("rate", ["0", "-16000", "7999", "48001", "44.1", "CD"])
def test_silly_rates_are_one_line(render, tmp_path, rate):
    status, _, err = render("--sample_rate", rate)
    assert status == 2 and len(err) == 1 and "--sample_rate" in err[0]
    assert not (tmp_path / "notes").exists()


def test_one_run_at_a_time(render, tmp_path):
    with storage.lock(tmp_path / "notes"):
        status, _, err = render()
    assert status == 2
    assert "is in use by another run" in err[0] and len(err) == 1
