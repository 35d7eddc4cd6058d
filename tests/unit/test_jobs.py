import pytest
import soundfile
from sounds import RATE, music

from common.cli import UserError
from inference.jobs import check_jobs, list_jobs


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
