import csv
import importlib.util
import json
import re
import shutil
import sys

import chromium
import numpy as np
import pytest
import soundfile
from conftest import (
    ORIGIN,
    OTHER,
    TARGET,
    note_messages,
    one_line,
    read_json,
    run_script,
    write_midi,
    write_note,
)

import compute_features
import data
import evaluate
import synthesize_audios
from common.weights import save_model
from evaluation import equalizer, transcriber
from evaluation.measures import piece_metrics
from evaluation.models import choose_grids, load_models
from model import Generator

pytestmark = pytest.mark.usefixtures("shallow_networks")
GAIN = 0.5  # from source to target


def write_music(folder, pieces=("first", "second", "third"), seconds=5.0):
    """Writes pieces for a source, a target that is the source at half the level, and an unrelated second target."""
    time = np.arange(round(seconds * 44_100)) / 44_100
    for number, piece in enumerate(pieces):
        rng = np.random.default_rng(number)
        source = sum(
            np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * np.exp(-((time - start) % 1.0) * 3)
            for pitch, start in zip(rng.integers(45, 90, 6), rng.random(6), strict=True)
        )
        other = np.sin(2 * np.pi * (200 + 50 * number) * time)
        for instrument, audio in ((ORIGIN, 0.1 * source), (TARGET, GAIN * 0.1 * source), (OTHER, 0.3 * other)):
            (folder / instrument).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / instrument / f"{piece}.wav", audio, 44_100, subtype="PCM_16")
    return folder


def write_model(folder, name, targets, n_inputs=1, **config):
    size = {"base_filters": 4, "n_inputs": n_inputs}
    target = targets[0] if n_inputs == 1 else list(targets)
    origin = ORIGIN if n_inputs == 1 else [ORIGIN]
    save_model(
        folder / name, {"generator": Generator(**size)}, {"model": size, "origin": origin, "target": target, **config}
    )
    return folder / name


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    write_music(folder / "audios")
    write_model(folder, "plain", [TARGET])
    write_model(folder, "any", [TARGET, OTHER], n_inputs=2)
    return folder


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read(path):
    return soundfile.read(path, dtype="float32")[0]


def summary_of(output):
    return {(row["target"], row["system"]): row for row in read_csv(output / "summary.csv")}


@pytest.fixture(scope="module")
def evaluated(material):
    """An evaluation of two models with two phases, as a user runs it."""
    output = material / "out"
    models = ("--model", material / "plain", material / "any")
    options = ("--phase", "input,griffinlim_input", "--seconds", 4, "--listen", 1, "--excerpt", 2)
    arguments = (*models, "--audios_path", material / "audios", "--output", output, *options)
    result = run_script("evaluate.py", *arguments, check=0)
    return output, arguments, result.stdout


def test_every_system_has_all_metrics_on_all_pieces(evaluated):
    output, _, stdout = evaluated
    rows = read_csv(output / "scores.csv")
    systems = {
        TARGET: {f"{model}, {phase}" for model in ("plain", "any") for phase in ("input", "griffinlim_input")},
        OTHER: {f"any, {phase}" for phase in ("input", "griffinlim_input")},
    }
    baselines = {"input unchanged", "fixed equalizer", "true magnitude, input", "true magnitude, griffinlim_input"}
    for target, names in systems.items():
        for piece in ("first", "second", "third"):
            found = [row for row in rows if (row["target"], row["piece"]) == (target, piece)]
            assert {row["system"] for row in found} == names | baselines
            assert len(found) == len(names | baselines)
    for row in rows:
        names = piece_metrics(with_notes=False)
        if row["target"] == OTHER:  # a steady tone has no texture, and no energy in some octaves
            names = [name for name in names if not name.startswith(("texture", "level", "pattern", "contrast"))]
        assert all(np.isfinite(float(row[name])) for name in names)
    for row in summary_of(output).values():
        values = [float(r["mae"]) for r in rows if (r["target"], r["system"]) == (row["target"], row["system"])]
        assert float(row["mae"]) == pytest.approx(np.mean(values))
        assert min(values) <= float(row["mae_low"]) <= float(row["mae"]) <= float(row["mae_high"]) <= max(values)
    table = (output / "summary.md").read_text()
    assert table.strip() in stdout
    # Three tables of the systems of both targets, with a heading each; and the differences from one of them.
    assert table.count("\n| ") == 3 * (8 + 1 + 6 + 1) + 8 + 6
    differences = read_csv(output / "differences.csv")
    assert {(row["target"], row["reference"]) for row in differences} == {
        (TARGET, "plain, input"),
        (OTHER, "any, input"),
    }


def test_the_baselines_have_the_expected_scores(evaluated, material):
    summary = summary_of(evaluated[0])
    unchanged = summary[TARGET, "input unchanged"]
    # The target is the source at half the level.
    assert float(unchanged["spectral_convergence"]) == pytest.approx(1 / GAIN - 1, rel=0.01)
    assert float(unchanged["pitch_f_measure"]) > 0.98
    assert float(unchanged["pitch_jaccard"]) > 0.96
    for low in (150, 300, 600, 1200):
        assert float(unchanged[f"level_{low}"]) == pytest.approx(-20 * np.log10(GAIN), abs=0.1)
        # The quiet bins between the tones are near the floor, where the log-magnitude of half the level is flatter.
        assert 1 < float(unchanged[f"texture_{low}"]) < 1.3
        assert float(summary[TARGET, "true magnitude, input"][f"texture_{low}"]) == pytest.approx(1, abs=0.1)
        assert float(summary[TARGET, "true magnitude, input"][f"level_{low}"]) == pytest.approx(0, abs=0.1)
    images = []
    for piece in ("first", "second", "third"):
        pair = [read(material / "audios" / name / f"{piece}.wav") for name in (ORIGIN, TARGET)]
        images.append([data.log_magnitude(data.stft(audio[: 4 * 44_100])) for audio in pair])
    expected = np.mean([2 * np.abs(source - target).mean() for source, target in images])
    assert float(unchanged["mae"]) == pytest.approx(expected, rel=1e-5)
    # The equalizer of a piece is the mean difference of the two others.
    differences = [(target - source).mean(axis=1) for source, target in images]
    errors = []
    for number, (source, target) in enumerate(images):
        mean = (sum(differences) - differences[number])[:, np.newaxis] / 2
        errors.append(2 * np.abs(np.clip(source + mean, 0, 1) - target).mean())
    assert float(summary[TARGET, "fixed equalizer"]["mae"]) == pytest.approx(np.mean(errors), rel=1e-5)
    # The phase is right but for the level, so that the true magnitude is the true audio; with another target it is not.
    assert float(summary[TARGET, "true magnitude, input"]["mae"]) == 0
    assert float(summary[TARGET, "true magnitude, input"]["mae_audio"]) < 0.02
    assert float(summary[OTHER, "true magnitude, input"]["mae_audio"]) > 0.02


def test_the_same_command_again_measures_nothing_and_other_settings_are_refused(evaluated, material):
    output, arguments, _ = evaluated
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.flac")}
    assert len(before) == (1 + 4 + 4) + (1 + 4 + 2)  # the target and the systems, of one piece, for each target
    record = (output / "evaluation.json").read_bytes()
    scores = (output / "scores.csv").read_bytes()
    assert json.loads(record)["settings"]["format"] == 4  # what earlier versions recorded is not mixed with this
    # As if the run had been killed before the last piece.
    entries = json.loads(record)
    removed = entries["entries"].pop(f"{ORIGIN}/{OTHER}/third")
    (output / "evaluation.json").write_text(json.dumps(entries))
    run_script("evaluate.py", *arguments, check=0)
    measured = read_json(output / "evaluation.json")["entries"][f"{ORIGIN}/{OTHER}/third"]
    assert json.dumps(measured) == json.dumps(removed)  # NaN is not equal to itself
    assert (output / "scores.csv").read_bytes() == scores
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.flac")} == before
    refused = run_script("evaluate.py", *arguments, "--overlap", 16, check=2)
    assert "overlap 32 then, 16 now" in one_line(refused.stderr)
    # Another reference needs no measuring.
    run_script("evaluate.py", *arguments, "--reference", "fixed equalizer", check=0)
    assert {row["reference"] for row in read_csv(output / "differences.csv")} == {"fixed equalizer"}
    assert (output / "scores.csv").read_bytes() == scores
    run_script("evaluate.py", *arguments, check=0)
    earlier = json.loads(record)
    earlier["settings"]["format"] = 3
    (output / "evaluation.json").write_text(json.dumps(earlier))
    refused = run_script("evaluate.py", *arguments, check=2)
    assert "format 3 then, 4 now" in one_line(refused.stderr) and "--overwrite" in refused.stderr
    (output / "evaluation.json").write_bytes(record)


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


def test_the_report_needs_no_other_file(evaluated):
    page = (evaluated[0] / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("<audio ") == 9 + 7
    assert page.count("data:audio/flac;base64,") == 9 + 7
    assert page.count("<img ") == 2 * (9 + 7) - 2 + 2 * 2  # a target has no difference from itself; two charts each
    assert "$" not in re.sub(r"base64,[^\"]*", "", page)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = chromium.start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


def playing(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('audio')].filter((audio) => !audio.paused)"
        ".map((audio) => audio.closest('article').dataset.version)"
    )


def test_the_report_works_in_a_browser(evaluated, browser):
    from selenium.webdriver import Keys
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((evaluated[0] / "report.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, "table")) == 2 * 4
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 3 * (8 + 6) + 7 + 5
    decoded = browser.execute_async_script(
        """
        const done = arguments[0], context = new OfflineAudioContext(1, 1, 44100);
        Promise.all([...document.querySelectorAll("audio")].map(async (audio) => {
          const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), (letter) => letter.charCodeAt(0));
          const buffer = await context.decodeAudioData(bytes.buffer);
          return [buffer.duration, Math.max(...buffer.getChannelData(0))];
        })).then(done, (error) => done(String(error)));
        """
    )
    assert len(decoded) == 16
    assert all(1.9 < seconds < 2.1 and peak > 0 for seconds, peak in decoded)
    assert browser.execute_script(
        "return [...document.images].every((image) => image.complete && image.naturalWidth > 150 "
        "&& image.naturalHeight === (image.closest('.chart') ? 400 : 256))"
    )

    # By keyboard alone: to the first button, by number, and pause.
    wait = WebDriverWait(browser, 20)
    for _ in range(20):  # each table can be scrolled
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.tag_name == "button":
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait.until(lambda _: playing(browser) == ["1"])
    browser.switch_to.active_element.send_keys("2")
    wait.until(lambda _: playing(browser) == ["2"])
    pressed = browser.find_elements(By.CSS_SELECTOR, "button[aria-pressed=true]")
    assert [button.get_attribute("data-version") for button in pressed] == ["2"]
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait.until(lambda _: playing(browser) == [])

    # On a phone nothing is wider than the screen but the table, which scrolls by itself; dark mode is dark.
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    brightness = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        colors = browser.execute_script(
            "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
        )
        brightness[scheme] = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors]
    assert brightness["light"][0] > 600 > 200 > brightness["light"][1]
    assert brightness["dark"][0] < 200 < 600 < brightness["dark"][1]
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


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
