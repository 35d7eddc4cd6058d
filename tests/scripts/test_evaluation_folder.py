"""Evaluating again, with other pieces, at the same time, after failures: what the folder holds is what it says."""

import base64
import csv
import errno
import io
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, one_line, read_json
from evaluations import write_model

import evaluate
from common import plots, storage
from common.audio import Reader
from common.cli import UserError
from evaluation import metrics, pairs, report_page

pytestmark = pytest.mark.usefixtures("shallow_networks")
PITCHES = metrics.pitches


def write_piece(audios, piece, number, seconds=1.5, level=0.2):
    """Writes a piece of one pitch, by which its audio is recognized."""
    time = np.arange(round(seconds * 44_100)) / 44_100
    for instrument, gain in ((ORIGIN, level), (TARGET, 0.4 * level + 0.02 * number)):
        (audios / instrument).mkdir(parents=True, exist_ok=True)
        tone = gain * np.sin(2 * np.pi * frequency(number) * time)
        soundfile.write(audios / instrument / f"{piece}.wav", tone, 44_100, subtype="PCM_16")


def frequency(number):
    return 300.0 * (number + 1)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Two models and two pieces."""
    folder = tmp_path_factory.mktemp("material")
    write_model(folder, "plain", [TARGET])
    write_model(folder, "any", [TARGET], n_inputs=2)
    for number, piece in enumerate("ac"):
        write_piece(folder / "audios", piece, number)
    return folder


@pytest.fixture
def audios(material, tmp_path, monkeypatch):
    """A copy of the material, in which the test stands: the folder of its recordings."""
    shutil.copytree(material, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "audios"


@pytest.fixture(autouse=True)
def quick_metrics(monkeypatch):
    """The slowest metric and the charts are left out: what is measured matters here, not how well."""
    monkeypatch.setattr(metrics, "pitches", lambda audio: np.zeros((72, 1), bool))
    monkeypatch.setattr(plots, "draw_bands", lambda chart, lines, colors, dark: repr(lines).encode())


@pytest.fixture
def run(call_script, audios):
    """Runs evaluate.py on the recordings: (exit status, stdout, stderr)."""

    def evaluate_into(output="out", *words, models=("plain",)):
        flags = ("--audios_path", "audios", "--output", output, "--excerpt", 1, "--target", TARGET)
        return call_script(evaluate, "--model", *models, *flags, *words)

    return evaluate_into


def configure(folder, **config):
    """Changes the configuration of the first model; its weights stay."""
    path = folder / "plain" / "config.json"
    path.write_text(json.dumps({**read_json(path), **config}))


@pytest.fixture
def evaluated(run):
    assert run()[0] == 0


def sounds(output):
    """Returns the main frequency of each piece's sounds on the page, and the set of those of its versions."""
    found = {}
    page = (output / "report.html").read_text()
    for section in re.findall(r'<section class="piece">.*?</section>', page, re.DOTALL):
        peaks = set()
        for flac in re.findall(r'data:audio/flac;base64,([^"]*)"', section)[:2]:  # the input and the target
            audio, _ = soundfile.read(io.BytesIO(base64.b64decode(flac)))
            spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
            peaks.add(round(np.argmax(spectrum) * 44_100 / len(audio) / 300) - 1)
        found[re.search("<h3>(.*?)</h3>", section)[1]] = peaks
    return found


def results(output):
    names = ("scores.csv", "summary.csv", "differences.csv", "summary.md", "report.html")
    return [(output / name).read_bytes() for name in names]


def test_with_a_piece_more_the_folder_equals_a_new_one(run, audios, tmp_path):
    assert run("out", models=("plain", "any"))[0] == 0
    assert sounds(tmp_path / "out") == {"a": {0}, "c": {1}}
    write_piece(audios, "b", 2)
    assert run("out", models=("plain", "any"))[0] == 0
    assert sounds(tmp_path / "out") == {"a": {0}, "b": {2}, "c": {1}}
    assert (
        run("new", models=("plain", "any"))[0] == 0
    )  # the equalizer is that of all pieces, and the style that of the next one
    assert results(tmp_path / "out") == results(tmp_path / "new")


def test_only_what_differs_is_measured_again(run, audios, tmp_path, monkeypatch):
    measured = []
    write = report_page.write_excerpts
    monkeypatch.setattr(
        report_page, "write_excerpts", lambda folder, *words: (measured.append(folder.name[0]), write(folder, *words))
    )

    def evaluate_again():
        measured.clear()
        assert run()[0] == 0
        return "".join(measured)

    configure(tmp_path, equalisers={f"{ORIGIN}/{TARGET}": [0.01] * 256})  # does not depend on the other pieces
    assert evaluate_again() == "ac"
    assert evaluate_again() == ""
    write_piece(audios, "b", 2)
    assert evaluate_again() == "b"
    write_piece(audios, "a", 3, seconds=1.2)
    assert evaluate_again() == "a" and sounds(tmp_path / "out")["a"] == {3}
    configure(tmp_path, equalisers={f"{ORIGIN}/{TARGET}": [0.02] * 256})
    assert evaluate_again() == "abc"


def test_excerpts_are_of_the_recording_that_was_measured(run, audios, tmp_path):
    assert run("out", "--listen", 1)[0] == 0
    assert sounds(tmp_path / "out") == {"a": {0}}
    write_piece(audios, "0", 2)  # now the first one; the piece "a" changes while it is not listened to
    write_piece(audios, "a", 3)
    assert run("out", "--listen", 1)[0] == 0
    assert sounds(tmp_path / "out") == {"0": {2}}
    for instrument in (ORIGIN, TARGET):
        (audios / instrument / "0.wav").unlink()
    assert run("out", "--listen", 1)[0] == 0
    assert sounds(tmp_path / "out") == {"a": {3}}


CHANGES = [
    lambda entry: {"audio": entry["audio"], "scores": entry["scores"]},  # as an earlier version wrote it
    lambda entry: {},
    lambda entry: {**entry, "scores": 3},
    lambda entry: {**entry, "scores": {}},
    lambda entry: {**entry, "scores": {system: {} for system in entry["scores"]}},
    lambda entry: {**entry, "scores": {system: {"mae": "x"} for system in entry["scores"]}},
    lambda entry: {**entry, "scores": {system: dict.fromkeys(of, True) for system, of in entry["scores"].items()}},
    lambda entry: {**entry, "scores": {system: dict.fromkeys(of, np.inf) for system, of in entry["scores"].items()}},
    lambda entry: {**entry, "style": 3},
    lambda entry: {**entry, "style": [3, 4]},
    lambda entry: {**entry, "equalizer": None},
    lambda entry: {**entry, "excerpts": False},
    lambda entry: {**entry, "slices": None},
    lambda entry: {**entry, "slices": {**entry["slices"], "true target": "AAAA"}},
    lambda entry: {**entry, "notes": "of a MIDI file"},
    lambda entry: {
        **entry,
        "scores": {
            system: {name: value for name, value in of.items() if name != "pitch_jaccard"}
            for system, of in entry["scores"].items()
        },
    },
]


def test_an_entry_that_lacks_something_is_measured_again(run, evaluated, tmp_path):
    before, path = results(tmp_path / "out"), tmp_path / "out" / "evaluation.json"
    record = read_json(path)
    keys = [f"{ORIGIN}/{TARGET}/{piece}" for piece in "ac"]
    for changes in zip(CHANGES[::2], CHANGES[1::2], strict=True):
        changed = {key: change(record["entries"][key]) for key, change in zip(keys, changes, strict=True)}
        path.write_text(json.dumps({**record, "entries": changed}))
        status, _, errors = run()
        assert status == 0, errors
        assert json.dumps(read_json(path)) == json.dumps(record)  # NaN is not equal to itself
        assert results(tmp_path / "out") == before


def test_a_missing_excerpt_is_made_again(run, evaluated, tmp_path):
    before = results(tmp_path / "out")
    path = next((tmp_path / "out" / "audio").rglob("02.flac"))
    path.unlink()
    assert run()[0] == 0
    assert results(tmp_path / "out") == before
    path.write_bytes(b"nothing of the kind")
    status, _, errors = run()
    assert status == 2 and "02.flac" in one_line(errors)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(run, tmp_path, monkeypatch):
    assert run("whole")[0] == 0
    replace, renamed = os.replace, []

    def fill(*paths):
        renamed.append(paths)
        if len(renamed) > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(paths[0]))
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fill)
        status, _, errors = run()
    assert status == 1 and "no space left on device" in one_line(errors)
    assert not list((tmp_path / "out").rglob(".partial-*")) and not (tmp_path / "out" / "report.html").exists()
    assert run()[0] == 0
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_a_folder_is_for_one_evaluation_at_a_time(run, tmp_path):
    with storage.lock(tmp_path / "out"):
        status, _, errors = run()
    assert status == 2 and "is in use by another run" in one_line(errors)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    (tmp_path / "out" / "audio").mkdir()
    (tmp_path / "out" / "audio" / ".partial-00.flac").write_bytes(b"of a run that was killed")
    assert run()[0] == 0
    assert not list((tmp_path / "out").rglob(".partial-*"))


NAMES = ["<script>", r"a$\frac$b", "${x}", "caf\udce9", "new\nline", "-x", "n" * 250, "dots.a..", "曲"]


def test_pieces_of_any_name(run, audios, tmp_path):
    for instrument in (ORIGIN, TARGET):
        for name in NAMES:
            shutil.copy2(audios / instrument / "a.wav", audios / instrument / f"{name}.wav")
    status, _, errors = run("out", "--listen", 20, "--seconds", 0.5)
    assert status == 0, errors
    assert "<script>c" not in (tmp_path / "out" / "report.html").read_bytes().decode()
    (folder,) = (tmp_path / "out" / "audio").iterdir()
    assert len(list(folder.iterdir())) == len(NAMES) + 2
    entries = read_json(tmp_path / "out" / "evaluation.json")["entries"]
    assert set(entries) == {f"{ORIGIN}/{TARGET}/{name}" for name in (*NAMES, "a", "c")}
    before = results(tmp_path / "out")
    assert run("out", "--listen", 20, "--seconds", 0.5)[0] == 0
    assert results(tmp_path / "out") == before


@pytest.mark.parametrize("n_samples", [0, 1, 2, 2047])
def test_recordings_without_a_window_are_one_line(run, audios, n_samples):
    soundfile.write(audios / TARGET / "c.wav", np.full(n_samples, 0.1), 44_100)
    status, _, errors = run()
    assert status == 2 and "c.wav" in one_line(errors)


@pytest.mark.filterwarnings("error")
def test_short_silent_and_unequal_recordings_have_sensible_scores(run, audios, tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "pitches", PITCHES)
    for instrument in (ORIGIN, TARGET):
        soundfile.write(audios / instrument / "short.wav", np.full(2048, 0.1), 44_100)
    write_piece(audios, "silent", 2, level=0.0)
    soundfile.write(audios / TARGET / "silent.wav", np.zeros(44_100), 44_100)
    soundfile.write(audios / ORIGIN / "c.wav", 0.1 * np.sin(np.arange(30_000)), 48_000)
    status, _, errors = run("out", "--listen", 9, models=("plain", "any"))
    assert status == 0, errors
    with open(tmp_path / "out" / "scores.csv", newline="") as file:
        errors = [float(row["mae"]) for row in csv.DictReader(file)]
    assert len(errors) > 12 and all(0 <= error <= 2 for error in errors)
    assert set(sounds(tmp_path / "out")) == {"a", "c", "short", "silent"}


def test_only_the_seconds_that_are_asked_for_are_read(audios, monkeypatch):
    write_piece(audios, "long", 0, seconds=60.0)
    pair = pairs.RecordingPair("long", audios / ORIGIN / "long.wav", audios / TARGET / "long.wav")
    read, blocks = [], Reader.blocks

    def count(reader):
        for block in blocks(reader):
            read.append(block.shape[1])
            yield block

    monkeypatch.setattr(Reader, "blocks", count)
    source, target = pairs.read_pair(pair, 2.0)
    assert len(source) == len(target) == 88_200
    assert sum(read) < 2 * 15 * 44_100
    assert len(pairs.read_pair(pair, 1e300)[0]) == 60 * 44_100
    with pytest.raises(UserError, match="at least 2048 are needed") as error:
        pairs.read_pair(pair, 1e-9)
    one_line(str(error.value))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", 2**32), "argument --seed"),
        (("--seed", -1), "argument --seed"),
        (("--seconds", "inf"), "argument --seconds"),
        (("--seconds", "nan"), "argument --seconds"),
    ],
)
def test_wrong_numbers_are_one_line(run, words, message):
    status, _, errors = run("out", *words)
    assert status == 2 and message in one_line(errors)


def test_the_largest_seed_is_taken(run):
    assert run("out", "--seed", 2**32 - 1, "--phase", "griffinlim")[0] == 0


@pytest.mark.parametrize("equalizer", [[0.1], ["x"] * 256, [float("nan")] * 256, [1.5] * 256, 3, {"a": 1}])
def test_a_damaged_equalizer_is_one_line(run, audios, tmp_path, equalizer):
    configure(tmp_path, equalisers={f"{ORIGIN}/{TARGET}": equalizer})
    status, _, errors = run()
    assert status == 2 and "equalisers" in one_line(errors)


def test_models_that_were_replaced_are_told_by_their_weights(run, evaluated, tmp_path):
    shutil.rmtree(tmp_path / "plain")
    write_model(tmp_path, "plain", [TARGET])
    status, _, errors = run()
    assert status == 2 and "models" in one_line(errors)
