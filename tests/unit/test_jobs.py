import os
from pathlib import Path

import pytest
import soundfile
from sounds import RATE, music

from common import storage
from common.cli import UserError
from inference.jobs import Job, check_jobs, list_jobs


def relative(jobs, folder):
    return [tuple(os.path.relpath(path, folder) for path in job) for job in jobs]


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """A folder with recordings, in the current folder."""
    (tmp_path / "songs" / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.flac"):
        soundfile.write(tmp_path / "songs" / name, music(0.1)[0], RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "songs"


@pytest.mark.parametrize("output", [".", "..", "other"])
def test_an_output_folder_may_hold_the_input(songs, output):
    target = Path(output)
    assert list_jobs(["songs"], output) == [
        (Path("songs/a.wav"), target / "a.wav"),
        (Path("songs/deep/b.flac"), target / "deep/b.flac"),
    ]


def test_an_output_folder_in_the_input_is_not_input(songs):
    (songs / "link").symlink_to(songs / "deep")
    for output in ("songs/out", "songs/deep/out", str(songs / "link" / "out")):
        Path(output).mkdir(exist_ok=True)
        soundfile.write(Path(output) / "old.wav", music(0.1)[0], RATE)
        assert [source for source, _ in relative(list_jobs(["songs"], output), songs)] == ["a.wav", "deep/b.flac"]
        (Path(output) / "old.wav").unlink()
    with pytest.raises(UserError, match="is the input folder"):
        list_jobs(["songs"], str(songs))


def test_links_that_lead_nowhere_are_found_and_fail_later(songs):
    (songs / "dead.wav").symlink_to(songs / "nowhere.wav")
    (songs / "loop.wav").symlink_to(songs / "loop.wav")
    (songs / "folder.wav").mkdir()
    os.mkfifo(songs / "fifo.wav")
    listed = check_jobs(list_jobs(["songs"], "out"), subtype=None, overwrite=False)
    names = [source for source, _ in relative(listed, songs)]
    assert names == ["a.wav", "dead.wav", "deep/b.flac", "fifo.wav", "loop.wav"]
    for name in ("dead.wav", "fifo.wav", "loop.wav"):
        with pytest.raises(UserError, match="is not a file or folder"):
            list_jobs([str(songs / name)], "out")
    (songs / "out").symlink_to(songs / "out")
    check_jobs(list_jobs([str(songs / "a.wav")], str(songs / "out")), subtype=None, overwrite=False)


def test_impossible_outputs_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "again").mkdir()
    for name in ("folder/a.wav", "b.wav", "again/b.wav"):
        soundfile.write(tmp_path / name, music(0.1)[0], RATE)
    (tmp_path / "file").write_bytes(b"precious")
    cases = [
        ([tmp_path / "folder", tmp_path / "b.wav"], tmp_path / "out.wav", "must be a folder"),
        ([tmp_path / "empty"], tmp_path / "out", "holds no audio files"),
        ([tmp_path / "nowhere"], tmp_path / "out", "is not a file or folder"),
        ([tmp_path / "b.wav", tmp_path / "again"], tmp_path / "out", "would both become"),
        ([tmp_path / "b.wav"], tmp_path / "file", "file without an extension"),
    ]
    for inputs, output, message in cases:
        with pytest.raises(UserError, match=message):
            list_jobs(list(map(str, inputs)), str(output))
    for output in (tmp_path / "b.wav", tmp_path):
        listed = list_jobs([str(tmp_path / "b.wav")], str(output))
        with pytest.raises(UserError, match="is an input"):
            check_jobs(listed, subtype=None, overwrite=True)


def test_the_lock_file_of_a_killed_run_goes_with_the_next_run_unless_it_is_held(songs, capsys):
    job = Job(songs / "a.wav", songs.parent / "out.wav")
    job.output_path.write_bytes(b"whole")  # renamed into place; the run was killed before it removed its lock file
    stale = songs.parent / ".lock-out.wav"
    with storage.lock_file(job.output_path):
        assert check_jobs([job], None, overwrite=False) == []
        assert stale.exists()
    stale.touch()
    assert check_jobs([job], None, overwrite=False) == []
    assert not stale.exists()
    assert capsys.readouterr().out.count("skipped") == 2
    assert job.output_path.read_bytes() == b"whole"
