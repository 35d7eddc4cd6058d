"""The page of `make demo`: recordings to listen to, in one file."""

import base64
import importlib.util
import io
import re

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY

SPEC = importlib.util.spec_from_file_location("write_page", REPOSITORY / "docs" / "examples" / "write_page.py")
write_page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(write_page)


def test_the_page_holds_recordings_and_picture_and_escapes_names(tmp_path):
    rng = np.random.default_rng(0)
    names = ["<b>piano</b>", "guitar"]
    samples = {name: np.round(rng.uniform(-0.5, 0.5, 4000) * 2**15) / 2**15 for name in names}
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path, values in zip(paths, samples.values(), strict=True):
        soundfile.write(path, values, 44_100, subtype="PCM_16")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    page = write_page.render("A & B", list(zip(names, paths, strict=True)), tmp_path / "picture.png")
    assert "<title>A &amp; B</title>" in page
    assert "1 &lt;b&gt;piano&lt;/b&gt;</label>" in page and "<b>piano" not in page
    assert "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode() in page
    encoded = re.findall(r"data:audio/flac;base64,([\w+/=]+)", page)
    assert len(encoded) == 2
    for text, expected in zip(encoded, samples.values(), strict=True):
        values, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
        assert rate == 44_100
        np.testing.assert_array_equal(values, expected)
    assert not re.search(r"https?://", page)


def test_a_missing_recording_is_one_line(tmp_path, monkeypatch, capsys):
    output = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["write_page.py", "--output", str(output), "a=nowhere.wav"])
    with pytest.raises(SystemExit) as stop:
        write_page.main()
    assert stop.value.code == 2
    assert "nowhere.wav is not a file" in capsys.readouterr().err
    assert not output.exists()
