"""Good files, of which the campaign damages copies, and what the scripts make of them undisturbed."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import processes

ORIGIN, TARGET = "keyboard_acoustic", "guitar_acoustic"
PIECES, RATE = ("first", "second", "third", "fourth"), 44_100
MODEL = f"{ORIGIN}_2_{TARGET}"
_CLOCK = ("seconds", "images_per_second")  # columns of history.csv


class World:
    """The good files, in one folder that no case writes to.

    Attributes:
        folder: holds `midi`, `notes`, `audios`, `features`, `formats`, `model`, `style_model`; and `finished`, a
            complete training run.
        jobs: dict of a job's name to the function that makes its script and words for an output folder.
        undisturbed: dict of a job's name to what `run_undisturbed` returns.
        training: the jobs that train. What a failed save leaves in their folders is removed by the next one.
    """

    training = ("train", "train_generator", "train_multitarget", "resumed")

    def __init__(self, folder, with_network=True):
        self.folder = folder
        self.undisturbed = {}
        (folder / "formats").mkdir(parents=True, exist_ok=True)
        self.jobs = self._jobs()
        _write_midi(folder / "midi")
        _write_formats(folder / "formats")
        words = ("--nsynth_path", folder / "notes", *_NOTES)
        self._must("render_notes.py", "--builtin", *words)
        words = ("--midi_path", folder / "midi", "--audios_path", folder / "audios", "--instruments", ORIGIN, TARGET)
        self._must("synthesize_audios.py", "--nsynth_path", folder / "notes", *words)
        self._must("compute_features.py", "--audios", folder / "audios", "--features", folder / "features")
        if with_network:
            log = folder / "log"
            outcome = processes.in_fork(lambda: _save_models(folder), log)
            if outcome.status:
                raise RuntimeError(f"the models cannot be made: {outcome}")

    def _must(self, script, *words):
        outcome = processes.run(script, words, self.folder / "log")
        if outcome.status:
            raise RuntimeError(f"{script} does not run undisturbed: {outcome}")

    def _jobs(self):
        """Make the commands that the campaign disturbs. Each writes to one folder, and reads this world."""
        here = self.folder
        training = (
            *("--dataset_path", here / "features", "--base_filters", 4, "--batch_size", 2, "--epochs", 2),
            *("--validation_split", 0.25, "--checkpoint_minutes", 1e-4, "--seed", 3, "--deterministic"),
        )
        audios = here / "audios"
        pair = ("--origin", ORIGIN, "--target", TARGET)

        def train(script, out, *more):
            folders = ("--models_path", out / "models", "--output_path", out / "output")
            return script, (*pair, *training, *folders, *more)

        return {
            "render_notes": lambda out: ("render_notes.py", ("--builtin", "--nsynth_path", out / "notes", *_NOTES)),
            "synthesis": lambda out: (
                "synthesize_audios.py",
                (
                    *("--nsynth_path", here / "notes", "--midi_path", here / "midi", "--audios_path", out / "audios"),
                    *("--instruments", ORIGIN, TARGET),
                ),
            ),
            "features": lambda out: ("compute_features.py", ("--audios", audios, "--features", out / "features")),
            "train": lambda out: train("train.py", out),
            "train_generator": lambda out: train("train_generator.py", out),
            "resumed": lambda out: train("train_generator.py", out, "--epochs", 3),
            "train_multitarget": lambda out: train("train_multitarget.py", out),
            "prediction": lambda out: (
                "predict.py",
                ("--model", here / "model", "--input", audios / ORIGIN, "--output", out / "converted"),
            ),
            "prediction_multitarget": lambda out: (
                "predict_multitarget.py",
                (
                    *("--model", here / "style_model", "--input", audios / ORIGIN, "--output", out / "converted"),
                    *("--style", audios / TARGET / "first.wav"),
                ),
            ),
            "evaluation": lambda out: (
                "evaluate.py",
                (
                    *("--model", here / "model", "--dataset_path", here / "features", "--output", out / "scores"),
                    *("--seconds", 3, "--excerpt", 1),
                ),
            ),
        }

    def run_undisturbed(self, name, folder):
        """Run a job without a fault.

        Returns:
            The contents of its folder, its seconds, the bytes of all its files, and those of the largest one.
        """
        out = folder / name
        out.mkdir(parents=True)
        outcome = processes.run(*self.jobs[name](out), folder / f"{name}.log")
        if outcome.status or outcome.problem():
            raise RuntimeError(f"{name} does not run undisturbed: {outcome}")
        found, sizes = contents(out), [path.stat().st_size for path in out.rglob("*") if path.is_file()]
        if name == "train_generator":
            shutil.move(out, self.folder / "finished")  # a run to be continued by the job `resumed`
        shutil.rmtree(out, ignore_errors=True)
        return found, outcome.seconds, sum(sizes), max(sizes)

    def formats(self):
        """Return the good recordings by extension."""
        return {path.suffix: path for path in sorted((self.folder / "formats").iterdir())}


_NOTES = ("--instruments", f"{ORIGIN}=0", f"{TARGET}=24", "--pitches", "57-64", "--velocities", "50", "100")


def contents(folder, without=()):
    """Describe what is in an output folder: dict of relative path to a value that equal contents share.

    Data count by their bits, weights by their values, the history without its clock, pictures by being there. The
    state of a run, locks, and files named in `without` do not count.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name not in (".lock", *without) and "checkpoints" not in path.parts:
            found[name] = _describe(path, folder)
    return found


RECORDS = ("render_notes.json", "synthesis.json", "features.json", "evaluation.json")


def differences(expected, found):
    """Say how contents differ, in one line; None if they do not."""
    changes = [f"{name} is missing" for name in expected if name not in found]
    changes += [f"{name} is left over" for name in found if name not in expected]
    changes += [f"{name} differs" for name in expected if name in found and found[name] != expected[name]]
    return "; ".join(changes[:4]) + (f" and {len(changes) - 4} more" if len(changes) > 4 else "") or None


def leftovers(folder):
    """Name what a run left lying that only belongs to a run in progress."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(".partial-")]
    names += [str(path.relative_to(folder)) for path in folder.rglob("*_temp*")]
    states = {path.stem for path in folder.rglob("checkpoints/ckpt-*.index")}
    names += [f"{len(states)} checkpoints"] if len(states) > 1 else []
    return f"left lying: {', '.join(names[:3])}" if names else None


def _describe(path, folder):
    if path.suffix in (".png", ".gif"):
        return path.stat().st_size > 0
    if path.suffix == ".h5":
        return _weights(path)
    data = path.read_bytes().replace(os.fsencode(folder), b"")
    if path.name == "history.csv":
        rows = [line.split(",") for line in data.decode().splitlines()]
        kept = [index for index, column in enumerate(rows[0]) if column not in _CLOCK]
        return [[row[index] for index in kept] for row in rows]
    if path.suffix == ".json":
        return json.loads(data)
    return hashlib.sha256(data).hexdigest()


def _weights(path):
    import h5py

    digest = hashlib.sha256()
    with h5py.File(path) as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in sorted(names):
            digest.update(f"{name}{file[name].shape}{file[name].dtype}".encode() + file[name][()].tobytes())
    return digest.hexdigest()


def write_midi(path, notes, ticks_per_beat=480):
    """Write a MIDI file of (start, end, pitch, velocity), in beats of half a second."""
    import mido

    events = []
    for start, end, pitch, velocity in notes:
        events.append((round(start * ticks_per_beat), mido.Message("note_on", note=pitch, velocity=velocity)))
        events.append((round(end * ticks_per_beat), mido.Message("note_off", note=pitch)))
    midi, track, now = mido.MidiFile(ticks_per_beat=ticks_per_beat), mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)


def _write_midi(folder):
    for number, piece in enumerate(PIECES):
        beats = [(step / 2, step / 2 + 0.4) for step in range(14)]
        pitches = [57 + (3 * step + number) % 8 for step in range(len(beats))]
        notes = [(*span, pitch, 50 + 50 * (pitch % 2)) for span, pitch in zip(beats, pitches, strict=True)]
        write_midi(folder / f"{piece}.mid", notes)


def music(seconds=2.0, rate=RATE):
    """Make decaying tones: float32 array [shape=(n_samples,)] in [-0.6, 0.6]."""
    import numpy as np

    time = np.arange(int(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * frequency * time) for frequency in (220, 440, 660, 1320))
    return (0.15 * tones * np.exp(-3 * (time % 0.5))).astype(np.float32)


def _write_formats(folder):
    """Write one recording in each format."""
    import av
    import soundfile

    audio = music()
    for extension in (".wav", ".flac", ".ogg", ".mp3", ".aiff"):
        soundfile.write(folder / f"music{extension}", audio, RATE)
    with av.open(str(folder / "music.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        for start in range(0, len(audio), 1024):
            block = audio[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _save_models(folder):
    """Save generators with random weights; runs in a fork, as it starts TensorFlow."""
    import sys

    sys.path.insert(0, str(processes.REPOSITORY))
    from common.device import start_tensorflow

    start_tensorflow(-1)
    import keras

    from common.weights import save_model
    from model import Generator

    for name, n_inputs in (("model", 1), ("style_model", 2)):
        keras.utils.set_random_seed(n_inputs)
        config = {"model": {"base_filters": 4, "n_inputs": n_inputs}, "origin": ORIGIN, "target": TARGET}
        config["data"] = {"validation_pieces": ["first", "second"]}
        save_model(folder / name, {"generator": Generator(4, n_inputs)}, config)


def scale_weights(path, factor):
    """Multiply all weights of a file by a factor."""
    import h5py

    def scale(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            item[...] = item[()] * factor

    with h5py.File(path, "r+") as file:
        file.visititems(scale)


def copy(source, target):
    """Copy a file or folder, with times, as the records of the scripts compare them."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    return shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
