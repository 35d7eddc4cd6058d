"""The page of an evaluation: each version has its own name, sound, picture and scores, and names are only text."""

import base64
import csv
import io
import re

import numpy as np
import pytest
import soundfile

import data
from common.cli import UserError
from evaluation import report, report_page, scoring

SYSTEMS = (scoring.INPUT, scoring.EQUALIZER, f"{scoring.TRUTH}, input", "first, input", "second, input")
LEVELS = {"true target": 0.05, **{system: 0.1 * number for number, system in enumerate(SYSTEMS, 1)}}


def tone(level, seconds=2.0, frequency=1000.0):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * 44_100)) / 44_100)).astype(np.float32)


def make_result(folder, piece="piece", systems=SYSTEMS, excerpts=True):
    """Makes the result of an evaluation in which each version has its own level, by which it is recognized."""
    scores = {
        system: {metric: number + 0.1 * column for column, metric in enumerate(scoring.METRICS)}
        for number, system in enumerate(systems, 1)
    }
    if excerpts:
        outputs = [tone(LEVELS[system]) for system in systems]
        report_page.write_excerpts(folder, tone(LEVELS["true target"]), outputs, 1.0)
    summary = scoring.summarize([scores], 0)
    return scoring.Result("keyboard_acoustic", "guitar_acoustic", {piece: scores}, summary, {piece: folder}, "x")


def cards(page):
    """Returns of each card its name, audio and scores, in the order of the page."""
    found = []
    for card in re.findall(r"<article .*?</article>", page, re.DOTALL):
        name = re.search(r"<h4>(.*?)</h4>", card)[1].replace("<wbr>", "")
        audio, _ = soundfile.read(io.BytesIO(base64.b64decode(re.search(r'flac;base64,([^"]*)"', card)[1])))
        found.append((name, audio, re.findall(r"<dd>(.*?)</dd>", card), card))
    return found


def test_each_version_has_its_own_name_sound_and_scores(tmp_path):
    found = cards(report_page.render([make_result(tmp_path / "audio")], {}))
    assert [name for name, *_ in found] == [
        scoring.INPUT,
        "true target",
        "first, input",
        "second, input",
        scoring.EQUALIZER,
        f"{scoring.TRUTH}, input",
    ]
    for name, audio, scores, card in found:
        assert np.abs(audio).max() == pytest.approx(LEVELS[name], abs=1e-3)
        assert f'aria-label="{name}, piece"' in card
        if name == "true target":
            assert not scores
        else:
            values = [SYSTEMS.index(name) + 1 + 0.1 * column for column in range(len(scoring.METRICS))]
            shown = [metric.format(value) for metric, value in zip(scoring.METRICS.values(), values, strict=True)]
            assert scores == shown


def test_the_page_says_how_long_its_excerpts_are_and_which_scores_are_better(tmp_path):
    page = report_page.render([make_result(tmp_path / "audio")], {})
    assert "An excerpt of 1.0 s, " in page
    better = dict(re.findall(r'<th scope="col">(.*?) <span aria-label="(\w+ is better">.)</span>', page))
    assert better == {
        metric.title: 'more is better">↑' if name == "pitch_f_measure" else 'less is better">↓'
        for name, metric in scoring.METRICS.items()
    }


def test_tables_hold_every_score_and_interval(tmp_path):
    result = make_result(tmp_path / "audio")
    report.write(tmp_path / "out", [result], {})
    with open(tmp_path / "out" / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["system"] for row in rows] == list(SYSTEMS)
    with open(tmp_path / "out" / "summary.csv", newline="") as file:
        summary = list(csv.DictReader(file))
    assert [row["system"] for row in summary] == list(SYSTEMS)
    for number, (row, means) in enumerate(zip(rows, summary, strict=True), 1):
        for column, metric in enumerate(scoring.METRICS):
            value = number + 0.1 * column
            names = (metric, f"{metric}_low", f"{metric}_high")
            assert [float(row[metric])] * 3 == [float(means[name]) for name in names] == pytest.approx([value] * 3)
    table = (tmp_path / "out" / "summary.md").read_text()
    assert table.count("\n| ") == 1 + len(SYSTEMS)
    assert all(f" | {metric.title} " in table for metric in scoring.METRICS.values())


def test_buttons_play_the_version_that_they_name(tmp_path):
    page = report_page.render([make_result(tmp_path / "audio")], {})
    buttons = re.findall(r'<button [^>]*data-version="(\d)">(?:<kbd>(\d)</kbd> )?(.*?)</button>', page)
    versions = re.findall(r'<article data-version="(\d)"><h4>(.*?)</h4>', page)
    assert [(number, name) for number, _, name in buttons] == versions
    assert all(number == key for number, key, _ in buttons)


def test_pictures_are_the_spectrogram_and_its_difference_from_the_target(tmp_path):
    import matplotlib
    from PIL import Image

    colors = matplotlib.colormaps[report_page._COLOR_MAP]
    for name, audio, _, card in cards(report_page.render([make_result(tmp_path / "audio")], {})):
        sources = re.findall(r'src="data:image/png;base64,([^"]*)"', card)
        pictures = [np.array(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]
        image = data.log_magnitude(data.stft(audio.astype(np.float32)))
        np.testing.assert_array_equal(pictures[0], np.round(image[::-1] * 255).astype(np.uint8))  # low ones at the foot
        drawn = np.array(Image.open(io.BytesIO(base64.b64decode(sources[0]))).convert("RGB"))
        np.testing.assert_array_equal(drawn, colors(pictures[0], bytes=True)[..., :3])
        assert len(pictures) == (1 if name == "true target" else 2)
        if name != "true target":
            assert pictures[1][255 - 23].mean() > 130  # the bin of 1 kHz, louder than in the target: above the middle


def test_the_excerpt_is_the_fullest_part(tmp_path):
    audio = np.concatenate([tone(0.01, 3.0), tone(0.5, 1.0), tone(0.01, 3.0)])
    report_page.write_excerpts(tmp_path, audio, [2 * audio], 1.0)
    target, output = (soundfile.read(tmp_path / name)[0] for name in ("00.flac", "01.flac"))
    assert len(target) == len(output) == pytest.approx(44_100, abs=512)
    assert np.sqrt(np.mean(target**2)) > 0.95 * 0.5 / np.sqrt(2)
    np.testing.assert_allclose(output, 2 * target, atol=1e-4)


def test_loud_excerpts_are_turned_down_by_one_gain(tmp_path):
    report_page.write_excerpts(tmp_path, tone(0.5), [tone(2.0), tone(0.1)], 1.0)
    peaks = [np.abs(soundfile.read(tmp_path / f"{number:02d}.flac")[0]).max() for number in range(3)]
    assert peaks == pytest.approx([0.25, 1.0, 0.05], abs=1e-3)


@pytest.mark.parametrize("seconds", [1e-9, 1e300])
def test_excerpts_of_any_length(tmp_path, seconds):
    report_page.write_excerpts(tmp_path, tone(0.1, 0.5), [tone(0.1, 0.5)], seconds)
    assert 0 < len(soundfile.read(tmp_path / "00.flac")[0]) <= 22_050


NAMES = ['<script>alert("1")</script>', "\"><img src=x onerror='x'>", "a & b", r"a$\frac$b", "${about}", "caf\udce9"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_names_are_only_text(tmp_path, name):
    result = make_result(tmp_path / "audio", piece=name)
    plain = report_page.render([make_result(tmp_path / "audio", piece="plain")], {"pairs": "plain"})
    result = result._replace(equalizer=name)
    report.write(tmp_path / "out", [result], {"pairs": name})
    page = (tmp_path / "out" / "report.html").read_bytes().decode()
    assert re.findall(r"<(\w+)", page) == re.findall(r"<(\w+)", plain)  # no element more
    assert len(re.findall(r'[\w-]+="', page)) == len(re.findall(r'[\w-]+="', plain))  # nor attribute
    for file in ("scores.csv", "summary.csv", "summary.md"):
        (tmp_path / "out" / file).read_bytes().decode()  # UTF-8


def test_a_damaged_excerpt_is_one_line(tmp_path):
    result = make_result(tmp_path / "audio")
    path = tmp_path / "audio" / "02.flac"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"02\.flac .* remove it"):
        report_page.render([result], {})
    path.unlink()
    assert report_page.has_excerpts(tmp_path / "audio", 1)
    assert not report_page.has_excerpts(tmp_path / "audio", 2)
