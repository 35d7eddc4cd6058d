"""Results of an evaluation as CSV, Markdown and HTML."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import storage
from evaluation import octaves, report_page
from evaluation.measures import LEVEL, MAIN, METRICS, NOTES, TEXTURE, of_table
from evaluation.report_tables import (
    LEVEL_CAPTION,
    TEXTURE_CAPTION,
    difference_metrics,
    differences_caption,
    notes_caption,
)
from evaluation.scoring import Result, best_systems

_DIFFERENCE_COLUMNS = (
    "origin",
    "target",
    "system",
    "reference",
    "metric",
    "pieces",
    "difference",
    "difference_low",
    "difference_high",
    "verdict",
)


def write(folder: Path, results: Sequence[Result], about: Mapping[str, str]) -> None:
    """Write scores.csv, summary.csv, differences.csv, summary.md and report.html.

    Args:
        folder: folder to write to.
        results: the result for each pair of instruments.
        about: dict of what the page says about the evaluation.
    """
    _write_csv(folder / "scores.csv", _score_rows(results))
    _write_csv(folder / "summary.csv", _summary_rows(results))
    _write_csv(folder / "differences.csv", _difference_rows(results), _DIFFERENCE_COLUMNS)
    _write_text(folder / "summary.md", markdown(results) + "\n")
    _write_text(folder / report_page.NAME, report_page.render(results, about))


def markdown(results: Sequence[Result]) -> str:
    """Format the summaries as Markdown tables: means over pieces, and 95% intervals in brackets."""
    lines = []
    for result in results:
        lines += [
            f"{result.origin} to {result.target}, {result.size}; the fixed equalizer is that of {result.equalizer}:",
            "",
            *_summary_lines(result, MAIN),
            "",
            f"{TEXTURE_CAPTION}; within {octaves.TEXTURE_AIM:g} of it is the aim:",
            "",
            *_summary_lines(result, TEXTURE, with_intervals=False),
            "",
            f"{LEVEL_CAPTION}; within {octaves.LEVEL_AIM:g} dB of it is the aim:",
            "",
            *_summary_lines(result, LEVEL, with_intervals=False),
            "",
        ]
        if of_table(result.metrics, NOTES):
            lines += [f"{notes_caption(result)}:", "", *_summary_lines(result, NOTES), ""]
        lines += _difference_lines(result)
    return "\n".join(lines).rstrip()


def _summary_lines(result: Result, table: str, with_intervals: bool = True) -> list[str]:
    """Format one of the tables of a summary."""
    names, best = of_table(result.metrics, table), best_systems(result.summary)
    lines = _heading(METRICS[name].title for name in names)
    for system, intervals in result.summary.items():
        cells = []
        for name in names:
            mean, low, high = map(METRICS[name].format, intervals[name])
            interval = f" [{low}, {high}]" if with_intervals else ""
            cells.append((f"**{mean}**" if system in best[name] else mean) + interval)
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return lines


def _difference_lines(result: Result) -> list[str]:
    """Format the differences from the reference, with their intervals and what they decide."""
    if not result.differences:
        return []
    names = difference_metrics(result)
    lines = [differences_caption(result), "", *_heading(METRICS[name].title for name in names)]
    for system, of_metric in result.differences.items():
        cells = []
        for name in names:
            difference = of_metric[name]
            mean, low, high = map(METRICS[name].format_difference, difference.interval)
            cells.append(f"{mean} [{low}, {high}] {difference.verdict}")
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _heading(titles: Iterable[str]) -> list[str]:
    titles = list(titles)
    return ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]


def _score_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """List the scores, a row for each piece and system."""
    return [
        {"origin": result.origin, "target": result.target, "piece": piece, "system": system, **values}
        for result in results
        for piece, scores in result.scores.items()
        for system, values in scores.items()
    ]


def _summary_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """List the means and intervals, a row for each system."""
    rows = []
    for result in results:
        for system, intervals in result.summary.items():
            row = {"origin": result.origin, "target": result.target, "pieces": len(result.scores), "system": system}
            for name, interval in intervals.items():
                row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
            rows.append(row)
    return rows


def _difference_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """List the differences, a row for each system and metric."""
    rows = []
    for result in results:
        for system, of_metric in result.differences.items():
            for name, (interval, n_pieces, verdict) in of_metric.items():
                values = (result.origin, result.target, system, result.reference, name, n_pieces, *interval, verdict)
                rows.append(dict(zip(_DIFFERENCE_COLUMNS, values, strict=True)))
    return rows


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write rows as CSV; the columns are those of the first row, if they are not given."""
    with (
        storage.atomic_write(path) as partial,
        open(partial, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_text(path: Path, text: str) -> None:
    with storage.atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
