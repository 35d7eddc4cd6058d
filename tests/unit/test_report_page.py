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
from evaluation import differences, octaves, report, report_page, report_tables, scoring
from evaluation.measures import LEVEL, MAIN, METRICS, NOTES, TEXTURE, of_table, piece_metrics

SYSTEMS = (scoring.INPUT, scoring.EQUALIZER, f"{scoring.TRUTH}, input", "first, input", "second, input")
LABELS = {MAIN: "Scores", TEXTURE: "Texture", LEVEL: "Level", NOTES: "Notes"}
LEVELS = {"true target": 0.05, **{system: 0.1 * number for number, system in enumerate(SYSTEMS, 1)}}


def tone(level, seconds=2.0, frequency=1000.0):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * 44_100)) / 44_100)).astype(np.float32)


def make_result(folder, piece="piece", systems=SYSTEMS, excerpts=True, with_notes=False):
    """Makes the result of an evaluation in which each version has its own level, by which it is recognized."""
    scores = {
        system: {metric: number + 0.1 * column for column, metric in enumerate(piece_metrics(with_notes))}
        for number, system in enumerate(systems, 1)
    }
    if excerpts:
        outputs = [tone(LEVELS[system]) for system in systems]
        report_page.write_excerpts(folder, tone(LEVELS["true target"]), outputs, 1.0)
    distances = {system: (5.0 + number, np.array([5.0, 6.0])) for number, system in enumerate(systems)}
    summary = scoring.summarize([scores], 0, distances)
    compared = differences.compare([scores], distances, "first, input", 0)
    names = ("keyboard_acoustic", "guitar_acoustic")
    return scoring.Result(*names, {piece: scores}, summary, {piece: folder}, "x", "first, input", compared)


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
            names = piece_metrics(with_notes=False)
            values = {metric: SYSTEMS.index(name) + 1 + 0.1 * column for column, metric in enumerate(names)}
            shown = {metric: METRICS[metric].format(value) for metric, value in values.items()}
            by_octave = [" ".join(shown[metric] for metric in of_table(names, table)) for table in (TEXTURE, LEVEL)]
            assert scores == [*(shown[metric] for metric in of_table(names, MAIN)), *by_octave]


def test_the_page_says_how_long_its_excerpts_are_and_which_scores_are_better(tmp_path):
    page = report_page.render([make_result(tmp_path / "audio")], {})
    assert "An excerpt of 1.0 s, " in page
    for table in (MAIN, TEXTURE, LEVEL):
        (part,) = re.findall(f'aria-label="{LABELS[table]}, .*?</table>', page)
        better = re.findall(r'<th scope="col">(.*?) <span aria-label="(.*?)">(.*?)</span>', part)
        expected = {
            MAIN: lambda metric: (
                ("0 is best", "→ 0")
                if metric is METRICS["contrast"]
                else (("more is better", "↑") if metric.more_is_better else ("less is better", "↓"))
            ),
            TEXTURE: lambda metric: ("1 is best", "→ 1"),
            LEVEL: lambda metric: ("0 is best", "→ 0"),
        }[table]
        names = of_table(METRICS, table)
        assert better == [(METRICS[name].title, *expected(METRICS[name])) for name in names]
    assert {name for name in of_table(METRICS, MAIN) if METRICS[name].more_is_better} == {
        "pitch_f_measure",
        "pitch_jaccard",
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
        for column, metric in enumerate(piece_metrics(with_notes=False)):
            value = number + 0.1 * column
            names = (metric, f"{metric}_low", f"{metric}_high")
            assert [float(row[metric])] * 3 == [float(means[name]) for name in names] == pytest.approx([value] * 3)
    assert [float(row["frechet_distance"]) for row in summary] == [5, 6, 7, 8, 9]
    table = (tmp_path / "out" / "summary.md").read_text()
    assert table.count("\n| ") == 3 * (1 + len(SYSTEMS)) + len(SYSTEMS)  # of the differences, the reference has no row
    assert all(f" | {METRICS[name].title} " in table for name in result.metrics)
    with open(tmp_path / "out" / "differences.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["system"] for row in rows} == {*SYSTEMS} - {"first, input"}
    assert [row["metric"] for row in rows if row["system"] == "second, input"] == result.metrics
    (row,) = [row for row in rows if (row["system"], row["metric"]) == ("second, input", "mae")]
    assert (row["reference"], row["pieces"], row["verdict"]) == ("first, input", "1", "undecided")
    assert float(row["difference"]) == float(row["difference_low"]) == pytest.approx(1.0)


def test_notes_have_a_table_of_their_own_with_what_the_target_reaches(tmp_path):
    assert 'aria-label="Notes, ' not in report_page.render([make_result(tmp_path / "audio")], {})
    result = make_result(tmp_path / "audio", with_notes=True)
    page = report_page.render([result], {})
    (part,) = re.findall('aria-label="Notes, .*?</table>', page)
    assert all(f">{METRICS[name].title} <" in part for name in of_table(METRICS, NOTES))
    reached = result.summary[SYSTEMS[0]]
    for name in ("target_notes_f", "target_onsets_f"):
        assert METRICS[name].format(reached[name].mean) in report_tables.notes_caption(result)
    assert "notes, relative to the target" in report.markdown([result])
    assert report_tables.notes_caption(result) in report.markdown([result])


def test_charts_show_texture_and_level_of_what_does_not_use_the_target(tmp_path):
    from PIL import Image

    page = report_page.render([make_result(tmp_path / "audio", with_notes=True)], {})
    charts = re.findall(r'<figure class="chart">.*?</figure>', page)
    assert page.index('class="chart"') < page.index("<table>")  # where people look first
    for chart, table in zip(charts, (TEXTURE, LEVEL), strict=True):
        pictures = re.findall(r'base64,([^"]*)"', chart)
        dark, light = (np.array(Image.open(io.BytesIO(base64.b64decode(url))).convert("L")) for url in pictures)
        assert dark[0, 0] < 60 and light[0, 0] > 230
        alternative = re.search('alt="([^"]*)"', chart)[1]
        names = of_table(METRICS, table)
        for number, system in enumerate(SYSTEMS, 1):
            first = METRICS[names[0]].format(number + 0.1 * piece_metrics(True).index(names[0]))
            assert (f"{system}: {first}" in alternative) == (not system.startswith(scoring.TRUTH))
    legend = re.findall(r'<li><span style="background: (#\w+)"></span>(.*?)</li>', page)
    assert [name for _, name in legend] == [system for system in SYSTEMS if not system.startswith(scoring.TRUTH)]
    assert len({color for color, _ in legend}) == len(legend)


def test_differences_say_what_is_decided(tmp_path):
    scores = [{system: {"mae": 0.1 * piece + column} for column, system in enumerate("ab")} for piece in range(6)]
    compared = differences.compare(scores, {}, "a", 0)
    summary = scoring.summarize(scores, 0)
    pieces = dict(zip("123456", scores, strict=True))
    result = scoring.Result("x", "y", pieces, summary, {}, "z", "a", compared)
    assert "| b | +1.0000 [+1.0000, +1.0000] worse |" in report.markdown([result])
    few = result._replace(scores={"1": scores[0]})
    assert "With fewer than 6 pieces, nothing is." in report_tables.differences_caption(few)
    assert "nothing is" not in report_tables.differences_caption(result)
    assert octaves.TEXTURE_AIM == 0.15 and octaves.LEVEL_AIM == 1.5  # what the page says of the aims


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
