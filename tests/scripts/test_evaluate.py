"""Whole evaluations: scores, baselines, the report."""

import json
import re

import chromium
import numpy as np
import pytest
from conftest import ORIGIN, OTHER, TARGET, one_line, read_json, run_script
from evaluations import GAIN, read, read_csv, summary_of, write_material

import data
from evaluation.measures import piece_metrics

pytestmark = pytest.mark.usefixtures("shallow_networks")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return write_material(tmp_path_factory.mktemp("evaluate"))


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
