"""The README's commands, as printed, in a copy of the repository: only the data are small and the runs short."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, note_messages, write_midi, write_note

INSTRUMENTS = ("keyboard_acoustic", "guitar_acoustic", "string_acoustic", "synth_lead_synthetic")
SET_UP = {"python3 -m venv .venv", "source .venv/bin/activate", "pip install -r requirements.txt"}
# What makes a run short. It does not change what the command reads and where it writes.
SHORTER = {
    "train.py": "--epochs 1 --steps_per_epoch 1 --base_filters 4 --batch_size 2 --validation_split 0.5",
    "train_multitarget.py": "--epochs 1 --steps_per_epoch 1 --base_filters 4 --batch_size 2 --validation_split 0.5",
    "evaluate.py": "--pieces 1 --seconds 4 --listen 1 --excerpt 1",
}


def commands():
    """The commands in the README's console blocks, in order, with continued lines joined."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        assert all(line.startswith("$ ") for line in lines)
        yield from (" ".join(line[2:].split()) for line in lines)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The tracked files, and beside them small data under the names that the README uses."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file() and not name.startswith(("tests/", "docs/results/", "docs/training/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    for instrument in INSTRUMENTS:
        for pitch in (60, 64, 67):
            write_note(folder / "nsynth-train" / "audio", instrument, pitch, 100)
    for number in range(4):
        notes = []
        for start in range(0, 6000, 480):
            notes += note_messages(start, start + 400, 60 if (start // 480 + number) % 2 else 64)
        write_midi(folder / "midi" / f"piece{number}.mid", [notes])
    time = np.arange(44_100) / 44_100
    soundfile.write(folder / "piano.mp3", 0.3 * np.sin(2 * np.pi * 440 * time), 44_100)
    return folder


def test_the_readme_has_commands_for_every_stage():
    scripts = {command.split()[1] for command in commands() if command.startswith("python ")}
    assert scripts >= {"synthesize_audios.py", "compute_features.py", *SHORTER, "predict.py", "predict_multitarget.py"}
    assert {command for command in commands() if not command.startswith("python ")} <= SET_UP


# Runs commands one after the other as __main__, in one process: TensorFlow takes seconds to start. A command that fails
# ends it with its exit status; what it printed is there to read. The user's own networks are shallow.
DRIVER = """
import json, runpy, sys
import pytest
tests, commands = sys.argv[1:]
for words in json.loads(commands):
    sys.argv = words
    print("$", *words, flush=True)
    with pytest.MonkeyPatch.context() as patch:
        if words[0].startswith("train") or any(word.startswith("models/") for word in words):
            sys.path.append(tests)
            from forked_scripts import make_networks_shallow
            make_networks_shallow(patch.setattr)
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as stop:
            if stop.code:
                raise
"""


def test_the_readmes_commands_work_from_a_clone_as_printed(clone):
    lines = []
    for command in commands():
        if command not in SET_UP:
            _, script, *words = shlex.split(command)
            lines.append([script, *words, *SHORTER.get(script, "").split()])
    result = subprocess.run(
        [sys.executable, "-c", DRIVER, str(REPOSITORY / "tests"), json.dumps(lines)],
        cwd=clone,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=400,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    for words in lines:
        if "--output" in words:
            assert (clone / words[words.index("--output") + 1]).exists()
    trained = {path.parent.name for path in (clone / "models").glob("*/generator.weights.h5")}
    assert trained == {f"keyboard_acoustic_2_{target}" for target in (*INSTRUMENTS[1:], "any")}
    for name in trained:  # no shipped model was touched
        weights = f"{name}/generator.weights.h5"
        assert (clone / "pretrained" / weights).read_bytes() == (REPOSITORY / "pretrained" / weights).read_bytes()
