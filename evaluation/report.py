"""Results of an evaluation as CSV, Markdown and HTML."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import storage
from evaluation import report_page
from evaluation.scoring import METRICS, Result, best_systems


def write(folder: Path, results: Sequence[Result], about: Mapping[str, str]) -> None:
    """Write scores.csv, summary.csv, summary.md and report.html.

    Args:
        folder: folder to write to.
        results: the result for each pair of instruments.
        about: dict of what the page says about the evaluation.
    """
    _write_csv(folder / "scores.csv", _score_rows(results))
    _write_csv(folder / "summary.csv", _summary_rows(results))
    _write_text(folder / "summary.md", markdown(results) + "\n")
    _write_text(folder / report_page.NAME, report_page.render(results, about))


def markdown(results: Sequence[Result]) -> str:
    """Format the summaries as Markdown tables: means over pieces, and 95% intervals in brackets."""
    lines = []
    for result in results:
        lines += [
            f"{result.origin} to {result.target}, {result.size}; the fixed equalizer is that of {result.equalizer}:",
            "",
            "| | " + " | ".join(metric.title for metric in METRICS.values()) + " |",
            "|---" * (len(METRICS) + 1) + "|",
        ]
        best = best_systems(result.summary)
        for system, intervals in result.summary.items():
            cells = []
            for name, interval in intervals.items():
                mean, low, high = map(METRICS[name].format, interval)
                cells.append(f"{f'**{mean}**' if system in best[name] else mean} [{low}, {high}]")
            lines.append(f"| {system} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


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


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with (
        storage.atomic_write(path) as partial,
        open(partial, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_text(path: Path, text: str) -> None:
    with storage.atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
