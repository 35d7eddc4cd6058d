"""Two predictions that write to one folder, or to one file."""

import contextlib
import shutil

import pytest
import soundfile
from sounds import RATE, identity, music
from test_convert import convert_files

from common import storage
from common.cli import UserError


def test_two_runs_never_write_the_same_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.2)[0], RATE)
    soundfile.write(tmp_path / "b.wav", music(0.2)[0], RATE)
    before = {"a.wav", "b.wav"}

    def meanwhile(images):
        with pytest.raises(UserError, match=r"out\.wav is being written by another run"):
            convert_files(tmp_path / "b.wav", tmp_path / "out.wav", "--overwrite", network=identity)
        assert convert_files(tmp_path / "b.wav", tmp_path / "other.wav", "--overwrite") == 0
        return images

    assert convert_files(tmp_path / "a.wav", tmp_path / "out.wav", network=meanwhile) == 0
    assert {path.name for path in tmp_path.iterdir()} == before | {"out.wav", "other.wav"}
    assert convert_files(tmp_path / "b.wav", tmp_path / "out.wav", "--overwrite") == 0


def test_a_file_that_another_run_writes_is_tried_again_at_the_end(tmp_path, capsys):
    """Of three recordings, the first output is made by another run meanwhile, or given up by it, or still held."""
    out = tmp_path / "out"
    (tmp_path / "songs").mkdir()
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / "songs" / f"{name}.wav", music(0.2)[0], RATE)
    for end, status in (("made", 0), ("given up", 0), ("held", 1)):
        with contextlib.ExitStack() as other_run:
            other_run.enter_context(storage.lock_file(out / "a.wav"))

            def meanwhile(images, other_run=other_run, end=end):
                if end == "made":
                    (out / "a.wav").write_bytes(b"of the other run")
                if end != "held":
                    other_run.close()
                return images

            assert convert_files(tmp_path / "songs", out, network=meanwhile) == status
        made, (printed, errors) = {path.name for path in out.iterdir()}, capsys.readouterr()
        assert made == ({"b.wav", "c.wav"} | (set() if end == "held" else {"a.wav"}))
        if end == "made":
            assert (out / "a.wav").read_bytes() == b"of the other run"
            assert "a.wav exists" in printed.splitlines()[-1]
        assert ("a.wav is being written by another run" in errors) == (end == "held")
        shutil.rmtree(out)
