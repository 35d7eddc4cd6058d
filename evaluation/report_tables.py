"""The tables and charts of the page of an evaluation, without what is to be listened to."""

import base64
import html
from collections.abc import Sequence

import matplotlib
import numpy as np

from common import plots
from evaluation import octaves
from evaluation.differences import FEWEST_PIECES, UNDECIDED
from evaluation.measures import LEVEL, MAIN, METRICS, NOTES, TEXTURE, TRUTH_NOTES, of_table
from evaluation.scoring import EQUALIZER, INPUT, TRUTH, Result, best_systems

TEXTURE_CAPTION = "Texture by octave: fast changes over time, over those of the target; 1 is right"
LEVEL_CAPTION = "Level by band: energy relative to the target's, in dB; 0 is right"
_HIGHEST_TEXTURE, _LARGEST_LEVEL = 2.0, 12.0  # of the charts; what is beyond is drawn at the edge
_BASELINE_COLORS = {INPUT: "#8c8c94", EQUALIZER: "#b8860b"}


def notes_caption(result: Result) -> str:
    """Say what the table of notes is about, and what the transcriber reaches with the true target."""
    reached = []
    for name in of_table(result.metrics, TRUTH_NOTES):
        values = next(iter(result.summary.values()))[name]
        reached.append(METRICS[name].format(values.mean))
    n_pieces = sum(np.isfinite(next(iter(scores.values()))["target_notes_f"]) for scores in result.scores.values())
    return (
        f"Notes that a transcriber hears, against the MIDI files of {n_pieces} pieces. In the true target, it has an "
        f"F-measure of {reached[0]} for notes and {reached[1]} for onsets"
    )


def difference_metrics(result: Result) -> list[str]:
    """List the metrics whose differences are shown; those by octave are in differences.csv alone."""
    return [*of_table(result.metrics, MAIN), *of_table(result.metrics, NOTES)]


def differences_caption(result: Result) -> str:
    """Say what the table of differences is about."""
    few = "" if len(result.scores) >= FEWEST_PIECES else f" With fewer than {FEWEST_PIECES} pieces, nothing is."
    return (
        f"Differences from “{result.reference}”, piece by piece: means and 95% intervals. What is better or worse is "
        f"decided where the interval excludes 0.{few}"
    )


def tables(result: Result, name: str) -> str:
    """Render charts and tables of a pair of instruments.

    Args:
        result: its result.
        name: the two instruments, for labels.
    """
    parts = [
        _charts(result),
        _summary_table(result, MAIN, f"Scores, {name}"),
        f"<h3>By octave</h3><p>{text(TEXTURE_CAPTION)}.</p>",
        _summary_table(result, TEXTURE, f"Texture, {name}"),
        f"<p>{text(LEVEL_CAPTION)}.</p>",
        _summary_table(result, LEVEL, f"Level, {name}"),
    ]
    if of_table(result.metrics, NOTES):
        parts += [
            f"<h3>Notes</h3><p>{text(notes_caption(result))}.</p>",
            _summary_table(result, NOTES, f"Notes, {name}"),
        ]
    if result.differences:
        parts += [
            f"<h3>Which is better</h3><p>{text(differences_caption(result))}</p>",
            _difference_table(result, f"Differences, {name}"),
        ]
    return "".join(parts)


def text(value: str) -> str:
    """Escape a text for HTML; what is not UTF-8 in the name of a file is shown by its bytes."""
    return html.escape(value.encode("utf-8", "backslashreplace").decode())


def breakable(value: str) -> str:
    """Escape a long name, and let it break at underscores."""
    return text(value).replace("_", "_<wbr>")


def png_url(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _charts(result: Result) -> str:
    """Render texture and level by octave as charts, of the systems that do not use the true target."""
    systems = [system for system in result.summary if not system.startswith(TRUTH)]
    colors = _colors(systems)
    texture_labels, level_labels = (
        [f"{low}–\n{high}" if low else f"<{high}" for low, high in bands]
        for bands in (octaves.TEXTURE_BANDS, octaves.LEVEL_BANDS)
    )
    charts = (
        (TEXTURE, plots.BandChart("texture (1 is right)", texture_labels, 1, octaves.TEXTURE_AIM, 0, _HIGHEST_TEXTURE)),
        (
            LEVEL,
            plots.BandChart(
                "level (dB, 0 is right)", level_labels, 0, octaves.LEVEL_AIM, -_LARGEST_LEVEL, _LARGEST_LEVEL
            ),
        ),
    )
    figures = ""
    for table, chart in charts:
        names = of_table(result.metrics, table)
        lines = [[result.summary[system][name].mean for name in names] for system in systems]
        values = "; ".join(
            f"{system}: {', '.join(METRICS[name].format(value) for name, value in zip(names, line, strict=True))}"
            for system, line in zip(systems, lines, strict=True)
        )
        light, dark = (png_url(plots.draw_bands(chart, lines, colors, dark)) for dark in (False, True))
        figures += (
            f'<figure class="chart"><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img alt="{text(f"{chart.title} by band: {values}")}" src="{light}"></picture></figure>'
        )
    legend = "".join(
        f'<li><span style="background: {color}"></span>{breakable(system)}</li>'
        for system, color in zip(systems, colors, strict=True)
    )
    return (
        f'<ul class="legend">{legend}</ul><div class="charts">{figures}</div><p>Texture below 1 is a smoothed sound, '
        "which no mean error shows. The green areas are the aims: texture from "
        f"{1 - octaves.TEXTURE_AIM:g} to {1 + octaves.TEXTURE_AIM:g}, level within {octaves.LEVEL_AIM:g} dB.</p>"
    )


def _colors(systems: Sequence[str]) -> list[str]:
    """Choose a color for each system."""
    models = [system for system in systems if system not in _BASELINE_COLORS]
    palette = matplotlib.colormaps["tab10" if len(models) <= 10 else "tab20"].colors
    of_model = {system: palette[number % len(palette)] for number, system in enumerate(models)}
    return [_BASELINE_COLORS.get(system) or matplotlib.colors.to_hex(of_model[system]) for system in systems]


def _summary_table(result: Result, table: str, label: str) -> str:
    names, best = of_table(result.metrics, table), best_systems(result.summary)
    head = "".join(
        f'<th scope="col">{text(METRICS[name].title)} <span aria-label="{METRICS[name].goal}">{METRICS[name].sign}'
        "</span></th>"
        for name in names
    )
    rows = ""
    for system, intervals in result.summary.items():
        cells = ""
        for name in names:
            mean, low, high = map(METRICS[name].format, intervals[name])
            mean = f"<strong>{mean}</strong>" if system in best[name] else mean
            cells += f"<td>{mean}<small>{low} to {high}</small></td>"
        rows += f'<tr><th scope="row">{breakable(system)}</th>{cells}</tr>'
    return _table(head, rows, label)


def _difference_table(result: Result, label: str) -> str:
    names = difference_metrics(result)
    head = "".join(f'<th scope="col">{text(METRICS[name].title)}</th>' for name in names)
    rows = ""
    for system, of_metric in result.differences.items():
        cells = ""
        for name in names:
            difference = of_metric[name]
            mean, low, high = map(METRICS[name].format_difference, difference.interval)
            verdict = difference.verdict
            verdict = verdict if verdict == UNDECIDED else f"<strong>{verdict}</strong>"
            cells += f'<td class="{difference.verdict}">{mean}<small>{low} to {high}</small>{verdict}</td>'
        rows += f'<tr><th scope="row">{breakable(system)}</th>{cells}</tr>'
    return _table(head, rows, label)


def _table(head: str, rows: str, label: str) -> str:
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(label)}"><table>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
