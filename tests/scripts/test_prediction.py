"""The predict scripts as whole commands: wrong input that needs no TensorFlow is refused before it is imported."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, one_line, run_script

from common import pretrained

MODEL = "keyboard_acoustic_2_guitar_acoustic"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with recordings, in which importing TensorFlow or Keras fails."""
    (tmp_path / "broken").mkdir()
    for name in ("tensorflow", "keras"):
        (tmp_path / "broken" / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    soundfile.write(tmp_path / "in.wav", np.full(1000, 0.5), 44_100)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), 44_100)
    soundfile.write(tmp_path / "slow.wav", np.zeros(1000), 3)
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "text.wav").write_text("no audio")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("predict.py", {"--input": "nowhere.wav"}, "nowhere.wav is not a file or folder"),
        ("predict.py", {"--input": "text.wav"}, "text.wav not an audio file"),
        ("predict.py", {"--output": "in.wav"}, "in.wav is an input"),
        ("predict.py", {"--output": "out.xyz"}, "must end in one of"),
        ("predict.py", {"--subtype": "PCM_99"}, "--subtype PCM_99 is not a subtype of .wav files"),
        ("predict.py", {"--overlap": "129"}, "--overlap"),
        ("predict.py", {"--seed": str(2**32)}, f"{2**32} must be from 0 to {2**32 - 1}"),
        ("predict.py", {"--input": "fifo.wav"}, "fifo.wav is not a file or folder"),
        ("predict.py", {"--input": "slow.wav"}, "slow.wav has a rate of 3 Hz"),
        ("predict.py", {"--input": "line\nbreak.wav"}, "line\\nbreak.wav is not a file"),
        ("predict.py", {"--model": "no_such_model"}, "no model's name"),
        ("predict.py", {"--model": f"models/{MODEL}"}, f"is shipped: --model {MODEL}"),
        ("predict_multitarget.py", {"--style": "silent.wav"}, "silent.wav is silent"),
        ("predict_multitarget.py", {"--style": "nowhere.wav"}, "nowhere.wav is not a file"),
        ("predict_multitarget.py", {"--style": "in.wav", "--style_start": "-1"}, "--style_start"),
        ("predict_multitarget.py", {"--style": "in.wav", "--style_start": "3"}, "in.wav ends after"),
        ("predict_multitarget.py", {"--style": "in.wav nowhere.wav"}, "nowhere.wav is not a file"),
        ("predict_multitarget.py", {"--style": "in.wav in.wav", "--style_start": "0"}, "--style_start must have one"),
        ("predict_multitarget.py", {"--style": "in.wav in.wav", "--style_weights": "1"}, "--style: 2, not 1"),
        ("predict_multitarget.py", {"--style": "in.wav", "--style_weights": "1 2"}, "--style: 1, not 2"),
        ("predict_multitarget.py", {"--style": "in.wav in.wav", "--style_weights": "0 0"}, "--style_weights are all 0"),
        ("predict_multitarget.py", {"--style": "in.wav in.wav", "--style_weights": "1 -1"}, "--style_weights: -1 must"),
    ],
)
def test_wrong_input_is_refused_without_tensorflow(folder, name, flags, message):
    flags = {"--model": MODEL, "--input": "in.wav", "--output": "out.wav", **flags}
    words = [word for flag, value in flags.items() for word in (flag, *value.split(" "))]
    assert message in one_line(run_script(name, *words, cwd=folder, check=2).stderr)
    assert not (folder / "out.wav").exists()


def test_what_exists_is_skipped_and_models_are_listed_without_tensorflow(folder):
    (folder / "out.wav").write_bytes(b"precious")
    words = ("--model", MODEL, "--input", "in.wav", "--output", "out.wav")
    for name, style in (("predict.py", ()), ("predict_multitarget.py", ("--style", "in.wav"))):
        result = run_script(name, *words, *style, cwd=folder, check=0)
        assert "skipped: out.wav exists" in result.stdout
        listed = run_script(name, "--list_models", cwd=folder, check=0).stdout
        assert all(f"{model}: " in listed for model in pretrained.shipped())
    assert (folder / "out.wav").read_bytes() == b"precious"


def test_closed_streams_change_nothing(tmp_path):
    """Where descriptors 0 to 2 are closed, what is opened next must not get them: libraries write messages to 2."""
    program = """
from common import cli
def main():
    with open("out", "w") as file:
        file.write(f"{file.fileno() > 2}")
    print("to stdout", flush=True)
    raise cli.UserError("to stderr")
cli.run(main)
"""
    for closed in ("<&- >&- 2>&-", "2>&-", ">&-", "<&-"):
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program]
        result = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True)
        assert result.returncode == 2
        assert result.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"to stdout\n")
        assert result.stderr == (b"" if "2>&-" in closed else b"-c: to stderr\n")
        assert (tmp_path / "out").read_text() == "True"
