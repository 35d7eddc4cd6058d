"""What an evaluation is told in: CSV, Markdown, and one self-contained page to listen and look."""

import base64
import csv
import html
import io
import string
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image

import data
import files
from audio_files import load_audio
from evaluation import EQUALISER, METRICS, TRUTH

PAGE = Path(__file__).with_name("report_page.html")
DIFFERENCE_RANGE = 0.5  # of log-magnitude: 48 dB where it is loud
_COLOURS, _DIFFERENCE_COLOURS = "magma", "RdBu_r"
_EXPLANATIONS = {
    "mae": "mean absolute error of the spectrogram on the network's scale from −1 to 1, before a phase is found: the "
    "published figure",
    "mae_audio": "the same of the finished audio, analysed again",
    "log_spectral_distance": "root mean square difference of levels over the bins, averaged over frames",
    "spectral_convergence": "norm of the difference of magnitudes over the target's norm; loud bins decide",
    "multi_resolution_distance": "spectral convergence plus mean difference of log-magnitudes, over three windows",
    "mfcc_distance": "timbre: distance of mel-frequency cepstral coefficients 1 to 12, without the level",
    "pitch_f_measure": "how well the pitches found in the audio are those found in the target; 1 is all",
}


class Result(NamedTuple):
    """The evaluation of one pair of instruments.

    Attributes:
        origin, target: instruments.
        scores: dict of piece to dict of system to dict of metric to float.
        summary: what `evaluation.summarise` makes of it.
        excerpts: dict of piece to the folder of `<number>.flac`: the target, then the systems in the order of scores.
        equaliser: what the fixed equaliser was made from.
    """

    origin: str
    target: str
    scores: dict
    summary: dict
    excerpts: dict
    equaliser: str


def write(folder, results, told):
    """Writes scores.csv, summary.csv, summary.md and report.html.

    Args:
        folder: where to.
        results: list of `Result`.
        told: dict of what the page says about the run.
    """
    rows = [
        {"origin": result.origin, "target": result.target, "piece": piece, "system": system, **scores}
        for result in results
        for piece, of_piece in result.scores.items()
        for system, scores in of_piece.items()
    ]
    _write_csv(folder / "scores.csv", rows)
    rows = [
        {"origin": result.origin, "target": result.target, "pieces": len(result.scores), "system": system}
        | {
            f"{name}{ending}": value
            for name, values in summary.items()
            for ending, value in zip(("", "_low", "_high"), values, strict=True)
        }
        for result in results
        for system, summary in result.summary.items()
    ]
    _write_csv(folder / "summary.csv", rows)
    with files.replacing(folder / "summary.md") as partial:
        partial.write_text(markdown(results) + "\n", encoding="utf-8")
    page = string.Template(PAGE.read_text(encoding="utf-8")).substitute(
        told="".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in told.items()),
        results="\n".join(map(_section, results)),
        metrics="".join(
            f"<dt>{_text(METRICS[name].title)}</dt><dd>{_text(explanation)}.</dd>"
            for name, explanation in _EXPLANATIONS.items()
        ),
        magma=_gradient(_COLOURS),
        difference=_gradient(_DIFFERENCE_COLOURS),
        range=f"{DIFFERENCE_RANGE:g}",
    )
    with files.replacing(folder / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")


def markdown(results):
    """The summaries as Markdown tables: means over pieces, and 95% intervals in brackets."""
    lines = []
    for result in results:
        lines += [
            f"{result.origin} to {result.target}, {_pieces(result)}; the fixed equaliser is of {result.equaliser}:",
            "",
        ]
        lines.append("| | " + " | ".join(metric.title for metric in METRICS.values()) + " |")
        lines.append("|---" * (len(METRICS) + 1) + "|")
        best = _best(result.summary)
        for system, summary in result.summary.items():
            cells = []
            for name, (mean, low, high) in summary.items():
                mean, low, high = (_number(name, value) for value in (mean, low, high))
                cells.append(f"**{mean}** [{low}, {high}]" if system in best[name] else f"{mean} [{low}, {high}]")
            lines.append(f"| {system} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _write_csv(path, rows):
    with files.replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _pieces(result):
    return f"{len(result.scores)} piece{'s' * (len(result.scores) != 1)}"


def _best(summary):
    """The best systems by each metric, of those that do not know the true target: dict of metric to their names."""
    best = {}
    for name, metric in METRICS.items():
        values = {
            system: scores[name][0]
            for system, scores in summary.items()
            if not system.startswith(TRUTH) and np.isfinite(scores[name][0])
        }
        least = (max if metric.more_is_better else min)(values.values(), default=None)
        best[name] = {system for system, value in values.items() if value == least}
    return best


def _number(name, value):
    return f"{value:.{METRICS[name].digits}f}" if np.isfinite(value) else "–"


def _text(value):
    return html.escape(str(value))


def _name(value):
    """Text of long names, which may be broken at underscores."""
    return _text(value).replace("_", "_<wbr>")


def _section(result):
    name = f"{result.origin} → {result.target}"
    players = "".join(_piece(result, piece, folder) for piece, folder in result.excerpts.items())
    return (
        f"<section><h2>{_text(name)}</h2>"
        f"<p>Means over {_pieces(result)}, with 95% bootstrap intervals over the pieces. Bold: the best of what does "
        f"not know the true target. The fixed equaliser is made from {_text(result.equaliser)}.</p>"
        f"{_summary_table(result, name)}{players}</section>"
    )


def _summary_table(result, name):
    best = _best(result.summary)
    head = "".join(
        f'<th scope="col">{_text(metric.title)} <span aria-label="{"more" if metric.more_is_better else "less"} is '
        f'better">{"↑" if metric.more_is_better else "↓"}</span></th>'
        for metric in METRICS.values()
    )
    body = ""
    for system, summary in result.summary.items():
        cells = ""
        for metric, (mean, low, high) in summary.items():
            mean, low, high = (_number(metric, value) for value in (mean, low, high))
            mean = f"<strong>{mean}</strong>" if system in best[metric] else mean
            cells += f"<td>{mean}<small>{low} to {high}</small></td>"
        body += f'<tr><th scope="row">{_name(system)}</th>{cells}</tr>'
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Scores, {_text(name)}"><table>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _piece(result, piece, folder):
    """Players and pictures of one piece: input, target, then the models and the other baselines."""
    scores = result.scores[piece]
    names = ["true target", *scores]
    sounds = {name: folder / f"{number:02d}.flac" for number, name in enumerate(names)}
    images = {name: data.log_magnitude(data.stft(load_audio(path))) for name, path in sounds.items()}
    baselines = [name for name in names[2:] if name == EQUALISER or name.startswith(TRUTH)]
    order = [names[1], names[0], *(name for name in names[2:] if name not in baselines), *baselines]
    n_frames = images[names[0]].shape[1]
    seconds = (n_frames - 1) * data.HOP_LENGTH / data.SAMPLE_RATE
    buttons, cards = "", ""
    for number, name in enumerate(order, 1):
        key = f"<kbd>{number}</kbd> " if number < 10 else ""
        buttons += f'<button type="button" aria-pressed="false" data-version="{number}">{key}{_name(name)}</button>'
        image, label = images[name], _text(f"{name}, {piece}")
        pictures = _figure(f"Spectrogram of {label}", _picture(image, _COLOURS, 0, 1), "spectrogram")
        told = ""
        if name != names[0]:
            difference = image - images[names[0]]
            pictures += _figure(
                f"Difference from the target: {label}",
                _picture(difference, _DIFFERENCE_COLOURS, -DIFFERENCE_RANGE, DIFFERENCE_RANGE),
                "difference from the target",
            )
            told = "".join(
                f"<div><dt>{_text(METRICS[metric].title)}</dt><dd>{_number(metric, value)}</dd></div>"
                for metric, value in scores[name].items()
            )
        audio = base64.b64encode(sounds[name].read_bytes()).decode()
        cards += (
            f'<article data-version="{number}"><h4>{_name(name)}</h4>'
            f'<audio controls preload="metadata" aria-label="{label}" src="data:audio/flac;base64,{audio}"></audio>'
            f'{pictures}<dl class="scores">{told}</dl></article>'
        )
    return (
        f'<section class="piece"><h3>{_text(piece)}</h3>'
        f"<p>{seconds:.1f} s of it; up: 0 to 11 kHz. The scores are of all that was measured of the piece.</p>"
        f'<div class="versions" role="group" aria-label="Listen to {_text(piece)} as">{buttons}</div>'
        f'<div class="cards">{cards}</div></section>'
    )


def _figure(alternative, source, caption):
    return f'<figure><img alt="{alternative}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _picture(image, colours, low, high):
    """A PNG as a data URL, a pixel a bin and frame, low frequencies at the bottom."""
    shades = np.round(np.clip((image[::-1] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    palette = matplotlib.colormaps[colours](np.linspace(0, 1, 256), bytes=True)[:, :3]
    picture.putpalette(palette.ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _gradient(colours):
    stops = matplotlib.colormaps[colours](np.linspace(0, 1, 9), bytes=True)[:, :3]
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in stops)
