"""Test data and helpers: short notes, small MIDI files, data sets of noise, and scripts run as users run them."""

import atexit
import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked_scripts
import mido
import numpy as np
import pytest
import soundfile

from common import cli

REPOSITORY = Path(__file__).resolve().parents[1]
ORIGIN, TARGET, OTHER = "keyboard_acoustic", "guitar_acoustic", "string_acoustic"
INSTRUMENTS = ("--instruments", f"{ORIGIN},{TARGET}")

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the tests' numbers are those of the CPU
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
forked_scripts.collect_rarely()
AT_START = forked_scripts.of_python(os.environ)  # before any test changes it
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as common/device.py, and before a test imports TensorFlow


def write_midi(path, tracks, ticks_per_beat=480):
    """Write a MIDI file from tracks of (absolute tick, message)."""
    midi = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    for events in tracks:
        track, now = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)
    return path


def note_messages(start, end, pitch, velocity=100, channel=0):
    """Make a note as two (tick, message)."""
    return [
        (start, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)),
        (end, mido.Message("note_off", note=pitch, channel=channel)),
    ]


def write_note(folder, instrument, pitch, velocity, preset=0, level=0.5, harmonics=1):
    """Write a decaying tone as an NSynth recording."""
    time = np.arange(64_000) / 16_000
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    tone = sum(np.sin(2 * np.pi * frequency * k * time) / k for k in range(1, harmonics + 1)) / harmonics
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{instrument}_{preset:03d}-{pitch:03d}-{velocity:03d}.wav"
    soundfile.write(path, level * velocity / 127 * tone * np.exp(-time), 16_000, subtype="PCM_16")
    return path


def write_slices(folder, pieces, seed=0):
    """Write a data set of smooth noise in which the targets are functions of the source."""
    rng = np.random.default_rng(seed)
    for piece, count in pieces.items():
        for index in range(count):
            coarse = rng.random((16, 16, 1)).repeat(16, axis=0).repeat(16, axis=1)
            for instrument, image in ((ORIGIN, coarse), (TARGET, 0.5 * coarse**2), (OTHER, 1 - coarse)):
                (folder / instrument).mkdir(parents=True, exist_ok=True)
                np.save(folder / instrument / f"{piece}_{index:03d}.npy", image.astype(np.float16))
    return folder


@functools.cache
def fork_server():
    server = forked_scripts.Server()
    atexit.register(server.close)
    return server


def run_script(name, *arguments, cwd=None, check=None, new=False):
    """Run a script as a user does. `check` is the exit status that it must have; `new` asks for a new process."""
    process = start_script(name, *arguments, cwd=cwd, new=new)
    try:
        stdout, stderr = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if check is not None:
        assert process.returncode == check, f"exit {process.returncode}\n{stdout}\n{stderr}"
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start_script(name, *arguments, cwd=None, new=False, env=None):
    """Start a script without waiting for it: in a fork that has the libraries loaded, where that is the same."""
    environment = dict(os.environ if env is None else env)
    path, words = REPOSITORY / name, [str(argument) for argument in arguments]
    if not new and forked_scripts.AVAILABLE and forked_scripts.of_python(environment) == AT_START:
        return fork_server().start(path, words, environment, cwd)
    runner = [forked_scripts.__file__, "run"] if forked_scripts.SHALLOW in environment else []
    return subprocess.Popen(
        [sys.executable, *runner, path, *words],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def one_line(text):
    """Assert that a message is one line without a traceback, and return it."""
    assert "Traceback" not in text
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def snapshot(folder):
    """When each file of a folder was written: dict of path to nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def read_json(path):
    return json.loads(path.read_text())


def train_arguments(dataset_path, folder, **changes):
    """Make the command line of a tiny run of a train script; flags that are None are left out."""
    flags = {
        "dataset_path": dataset_path,
        "origin": ORIGIN,
        "target": TARGET,
        "base_filters": 4,
        "batch_size": 4,
        "epochs": 2,
        "gen_lr": 1e-3,
        "disc_lr": 1e-4,
        "validation_split": 0.25,
        "models_path": folder / "models",
        "output_path": folder / "output",
        **changes,
    }
    words = []
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name}", *([] if value is True else value if isinstance(value, list) else [value])]
    return words


def history(folder, name):
    """Read the rows of a model's history.csv."""
    with open(folder / "models" / name / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses(folder, name):
    """Read the history without what depends on the clock."""
    rows = history(folder, name)
    return [{key: row[key] for key in row if key not in ("seconds", "images_per_second")} for row in rows]


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def call_script(monkeypatch, capsys):
    """Run a script's module in this process, which has TensorFlow loaded: (exit status, stdout, stderr)."""

    def run(module, *words):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.run(module.main)
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def shallow_networks():
    """Networks of a few levels, in this process and in the scripts that the tests of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        forked_scripts.make_networks_shallow(patch.setattr)
        patch.setenv(forked_scripts.SHALLOW, "1")
        yield


@pytest.fixture(scope="session")
def notes_path(tmp_path_factory):
    """Two instruments, pitches 48 to 84 in fourths of an octave, two velocities, one much louder than the other."""
    folder = tmp_path_factory.mktemp("notes")
    for pitch in range(48, 85, 3):
        for velocity in (50, 100):
            write_note(folder, ORIGIN, pitch, velocity, level=0.1, harmonics=1)
            write_note(folder, TARGET, pitch, velocity, level=0.9, harmonics=6)
    return folder


@pytest.fixture(scope="session")
def midi_path(tmp_path_factory):
    """Four pieces of 7 s."""
    folder = tmp_path_factory.mktemp("midi")
    rng = np.random.default_rng(1)
    for name in ("first", "second", "third", "fourth"):
        events = []
        for start in range(0, 14 * 480, 240):
            events += note_messages(start, start + 230, int(rng.choice(range(48, 85, 3))), int(rng.choice([50, 100])))
        write_midi(folder / f"{name}.mid", [events])
    return folder
