"""What evaluate.py is called with: data sets, models, grids, MIDI files, and what is refused."""

import importlib.util
import shutil
import sys

import numpy as np
import pytest
from conftest import ORIGIN, OTHER, TARGET, note_messages, one_line, write_midi, write_note
from evaluations import read, read_csv, summary_of, write_material, write_model, write_music

import compute_features
import data
import evaluate
import synthesize_audios
from evaluation import equalizer, transcriber
from evaluation.models import choose_grids, load_models

pytestmark = pytest.mark.usefixtures("shallow_networks")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return write_material(tmp_path_factory.mktemp("evaluate"))


def test_a_data_set_gives_its_validation_pieces_and_the_equalizer_of_its_training_pieces(tmp_path, call_script):
    audios = write_music(tmp_path / "audios", pieces=("a", "b", "c", "d"))
    assert call_script(compute_features, "--audios", audios, "--features", tmp_path / "features")[0] == 0
    write_model(tmp_path, "model", [TARGET], data={"validation_pieces": ["b", "d"]})
    model = ("--model", tmp_path / "model")
    dataset_arguments = (*model, "--dataset_path", tmp_path / "features", "--output", tmp_path / "out")
    status, stdout, errors = call_script(evaluate, *dataset_arguments, "--listen", 0, "--seconds", 3)
    assert status == 0, errors
    rows = read_csv(tmp_path / "out" / "scores.csv")
    assert {row["piece"] for row in rows} == {"b", "d"}
    assert "of the training pairs:" in stdout
    difference = np.mean(
        [
            np.load(tmp_path / "features" / TARGET / f"{piece}_{index:03d}.npy").astype(np.float32)
            - np.load(tmp_path / "features" / ORIGIN / f"{piece}_{index:03d}.npy").astype(np.float32)
            for piece in ("a", "c")
            for index in (0, 1)
        ],
        axis=(0, 2, 3),
    )
    measured = equalizer.training_difference([tmp_path / "features"], (ORIGIN, TARGET), {"b", "d"}, seed=0)
    np.testing.assert_allclose(measured, difference, atol=1e-6)
    # A trained model has its own in its configuration.
    arguments = (*model, "--audios_path", audios, "--output", tmp_path / "configured", "--listen", 0, "--pieces", 1)
    write_model(tmp_path, "model", [TARGET], equalisers={f"{ORIGIN}/{TARGET}": difference.tolist()})
    status, stdout, errors = call_script(evaluate, *arguments)
    assert status == 0, errors
    assert "the training pairs of model" in stdout
    measured = float(summary_of(tmp_path / "configured")[TARGET, "fixed equalizer"]["mae"])
    first = [data.log_magnitude(data.stft(read(audios / name / "a.wav"))) for name in (ORIGIN, TARGET)]
    expected = 2 * np.abs(np.clip(first[0] + difference[:, np.newaxis], 0, 1) - first[1]).mean()
    assert measured == pytest.approx(expected, rel=1e-4)
    # Without the audio there is nothing to evaluate on.
    shutil.rmtree(audios)
    write_model(tmp_path, "model", [TARGET], data={"validation_pieces": ["b", "d"]})
    status, _, errors = call_script(evaluate, *dataset_arguments, "--overwrite")
    assert status == 2
    assert "are not where features.json says" in one_line(errors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "nothing/here"}, "nothing/here does not exist"),
        ({"--audios_path": "nowhere"}, "nowhere is not a folder"),
        ({"--target": "flute_acoustic"}, "not for any to flute_acoustic"),
        ({"--phase": "guess"}, "argument --phase"),
        ({"--dataset_path": "."}, "not allowed with argument"),
        ({"--origin": OTHER}, "is for keyboard_acoustic to guitar_acoustic"),
        ({"--midi_path": "nowhere"}, "--midi_path nowhere is not a folder"),
        ({"--reference": "another"}, "--reference another is none of the systems: input unchanged; fixed equalizer;"),
    ],
)
def test_wrong_calls_are_one_line(material, tmp_path, call_script, changes, message):
    flags = {
        "--model": material / "plain",
        "--audios_path": material / "audios",
        "--output": tmp_path / "out",
        **changes,
    }
    status, _, errors = call_script(evaluate, *(word for flag in flags.items() for word in flag))
    assert status == 2
    assert message in one_line(errors)
    assert not (tmp_path / "out").exists()


def test_a_damaged_recording_and_a_single_piece_are_one_line(material, tmp_path, call_script):
    audios = write_music(tmp_path / "audios", pieces=("only",))
    arguments = ("--model", material / "plain", "--audios_path", audios, "--output", tmp_path / "out")
    status, _, errors = call_script(evaluate, *arguments)
    assert status == 2 and "holds one piece" in one_line(errors)
    write_music(audios, pieces=("only", "more"))
    (audios / TARGET / "more.wav").write_bytes(b"nothing of the kind")
    status, _, errors = call_script(evaluate, *arguments)
    assert status == 2 and "more.wav not an audio file" in one_line(errors)


def test_models_of_the_same_name_get_different_labels(material, tmp_path):
    shutil.copytree(material / "plain", tmp_path / "plain")
    models = load_models([material / "plain", tmp_path / "plain"])
    assert [model.label for model in models] == [f"{material.name}/plain", f"{tmp_path.name}/plain"]


def test_notes_are_compared_with_the_midi_files(tmp_path, call_script):
    for name in ("onnxruntime", "mir_eval", "basic_pitch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}: {transcriber.INSTALL}")
    for pitch in range(55, 80):
        for instrument in (ORIGIN, TARGET):
            write_note(tmp_path / "notes", instrument, pitch, 100, harmonics=6)
    for number, piece in enumerate(("first", "second")):
        melody = [60, 64, 67, 72, 71, 67, 64, 60]
        events = [
            message
            for step, pitch in enumerate(melody)
            for message in note_messages(240 * step, 240 * step + 230, pitch + number)
        ]
        write_midi(tmp_path / "midi" / f"{piece}.mid", [events])
    words = ("--nsynth_path", tmp_path / "notes", "--midi_path", tmp_path / "midi", "--transpose", 2)
    instruments = ("--instruments", ORIGIN, TARGET)
    assert call_script(synthesize_audios, *words, "--audios_path", tmp_path / "audios", *instruments)[0] == 0
    for instrument in (ORIGIN, TARGET):
        shutil.copy(tmp_path / "audios" / instrument / "first.wav", tmp_path / "audios" / instrument / "third.wav")
    write_model(tmp_path, "model", [TARGET])
    models = ("--model", tmp_path / "model", "--audios_path", tmp_path / "audios", "--output", tmp_path / "out")
    arguments = (*models, "--midi_path", tmp_path / "midi", "--listen", 1, "--excerpt", 1)
    status, stdout, errors = call_script(evaluate, *arguments)
    assert status == 0, errors
    assert "1 of 3 pieces have no MIDI file" in stdout and "such as third" in stdout
    assert "notes, relative to the target" in stdout
    rows = {(row["piece"], row["system"]): row for row in read_csv(tmp_path / "out" / "scores.csv")}
    for piece in ("first", "second"):
        unchanged = rows[piece, "input unchanged"]
        # Without the transposition, which synthesis.json has, no pitch would be right.
        assert float(unchanged["notes_f"]) > 0.8 and float(unchanged["onsets_f"]) > 0.8
        assert float(unchanged["notes_f_relative"]) == pytest.approx(
            float(unchanged["notes_f"]) / float(unchanged["target_notes_f"])
        )
    assert rows["third", "input unchanged"]["notes_f"] == "nan"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "against the MIDI files of 2 pieces" in page
    scores = (tmp_path / "out" / "scores.csv").read_bytes()
    measured = (tmp_path / "out" / "evaluation.json").read_bytes()
    assert call_script(evaluate, *arguments)[0] == 0
    assert (tmp_path / "out" / "scores.csv").read_bytes() == scores
    assert (tmp_path / "out" / "evaluation.json").read_bytes() == measured
    status, _, errors = call_script(evaluate, *models, "--listen", 1, "--excerpt", 1)
    assert status == 2 and "midi_path" in one_line(errors)


@pytest.mark.parametrize(
    ("flags", "of", "grids"),
    [
        ((), ["alone"], [False]),
        ((), ["adversarial"], [True]),
        ((), ["alone", "adversarial"], [False, True]),
        (("--interleave", "no"), ["adversarial"], [False]),
        (("--interleave", "both"), ["alone"], [False, True]),
    ],
)
def test_models_are_measured_on_the_grid_of_the_predict_scripts(material, tmp_path, monkeypatch, flags, of, grids):
    configs = {"alone": {"arguments": {"lr": 1e-3}}, "adversarial": {"arguments": {"disc_lr": 1e-4}}}
    models = [write_model(tmp_path, name, [TARGET], **configs[name]) for name in of]
    words = ("--audios_path", material / "audios", "--output", tmp_path / "out", "--model", *models)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, words), "--phase", "input,griffinlim_input", *flags])
    settings = choose_grids(evaluate.make_settings(evaluate.parse_arguments()), load_models(models))
    expected = [(name, grid) for name in ("input", "griffinlim_input") for grid in grids]
    assert [(phase.name, phase.interleave) for phase in settings.phases] == expected


def test_a_missing_transcriber_is_one_line_before_anything_is_measured(material, tmp_path, call_script, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "basic_pitch" else find_spec(name))
    arguments = ("--model", material / "plain", "--audios_path", material / "audios", "--output", tmp_path / "out")
    status, _, errors = call_script(evaluate, *arguments, "--midi_path", material)
    assert status == 2
    assert "basic_pitch: pip install -r requirements-notes.txt && pip install --no-deps" in one_line(errors)
    assert not (tmp_path / "out").exists()
