"""Folders of rendered notes: what counts as complete, and what a kill or a full disk leaves."""

import errno

import pytest
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


def test_one_run_at_a_time(render, tmp_path):
    with storage.lock(tmp_path / "notes"):
        status, _, err = render()
    assert status == 2
    assert "is in use by another run" in err[0] and len(err) == 1
