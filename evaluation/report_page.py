"""The page of an evaluation: one HTML file with scores, sounds and pictures, which needs no other file."""

import base64
import io
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import soundfile
from PIL import Image

import data
from common import storage
from common.audio import load_audio
from common.cli import UserError
from evaluation import report_tables
from evaluation.measures import LEVEL, MAIN, METRICS, NOTES, TEXTURE, of_table
from evaluation.report_tables import breakable, png_url, text
from evaluation.scoring import EQUALIZER, TARGET, TRUTH, Result

NAME = "report.html"
DIFFERENCE_RANGE = 0.5  # of log-magnitude: 48 dB where it is loud
_TEMPLATE = Path(__file__).with_name("report_page.html")
_COLOR_MAP, _DIFFERENCE_COLOR_MAP = "magma", "RdBu_r"


class _Version(NamedTuple):
    """A version of a piece on the page: the true target, or the output of a system.

    Attributes:
        name: the name of the system.
        flac: the excerpt, a FLAC file.
        log_magnitude: of the excerpt, float32 array [shape=(256, n_frames)] in [0, 1].
        scores: dict of metric to value; empty for the target.
    """

    name: str
    flac: bytes
    log_magnitude: np.ndarray
    scores: Mapping[str, float]


def write_excerpts(folder: Path, target: np.ndarray, outputs: Sequence[np.ndarray], seconds: float) -> None:
    """Write the fullest part of a piece as 16-bit FLAC files: `00.flac` is the target, the outputs follow.

    If any of them would clip, all are turned down by the same gain.

    Args:
        folder: folder to write to.
        target: the true audio, float32 array [shape=(n_samples,)].
        outputs: the audio of each system, float32 arrays of the same shape.
        seconds: length of the part.
    """
    part = _fullest_part(target, seconds)
    excerpts = [audio[part] for audio in (target, *outputs)]
    peak = max(float(np.abs(excerpt).max(initial=0)) for excerpt in excerpts)
    for number, excerpt in enumerate(excerpts):
        flac = io.BytesIO()  # as libsndfile says nothing when a disk fills up while it closes a file
        soundfile.write(flac, excerpt / max(1.0, peak), data.SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        with storage.atomic_write(_excerpt_path(folder, number)) as partial:
            partial.write_bytes(flac.getvalue())


def has_excerpts(folder: Path, n_outputs: int) -> bool:
    """Tell whether a folder has the files that `write_excerpts` writes for so many outputs."""
    return all(_excerpt_path(folder, number).is_file() for number in range(n_outputs + 1))


def render(results: Sequence[Result], about: Mapping[str, str]) -> str:
    """Render the page.

    Args:
        results: the result for each pair of instruments.
        about: dict of what the page says about the evaluation.

    Returns:
        The HTML text.
    """
    return string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        about="".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>" for key, value in about.items()),
        results="\n".join(map(_section, results)),
        metrics="".join(map(_definition, results[0].metrics)),
        magma=_gradient(_COLOR_MAP),
        difference=_gradient(_DIFFERENCE_COLOR_MAP),
        range=f"{DIFFERENCE_RANGE:g}",
    )


def _definition(name: str) -> str:
    """Render what a metric is; one explanation serves all bands of a table."""
    metric = METRICS[name]
    title = f"{metric.table} by octave" if metric.table in (TEXTURE, LEVEL) else metric.title
    return f"<dt>{text(title)}</dt><dd>{text(metric.explanation)}.</dd>" if metric.explanation else ""


def _fullest_part(audio: np.ndarray, seconds: float) -> slice:
    """Find the samples of the part with the greatest mean log-magnitude."""
    loudness = data.log_magnitude(data.stft(audio)).mean(axis=0)
    width = max(1, round(min(len(loudness), seconds * data.SAMPLE_RATE / data.HOP_LENGTH)))
    sums = np.convolve(loudness, np.ones(width), mode="valid")
    first = int(np.argmax(sums)) * data.HOP_LENGTH
    return slice(first, first + width * data.HOP_LENGTH)


def _excerpt_path(folder: Path, number: int) -> Path:
    return folder / f"{number:02d}.flac"


def _section(result: Result) -> str:
    """Render a pair of instruments: the table, and the pieces to listen to."""
    name = f"{result.origin} → {result.target}"
    pieces = "".join(_piece(piece, _read_versions(result, piece)) for piece in result.excerpts)
    return (
        f"<section><h2>{text(name)}</h2>"
        f"<p>Means over {result.size}, with 95% bootstrap intervals over the pieces. Bold: the best of the systems "
        f"that do not use the true target. The fixed equalizer is made from {text(result.equalizer)}.</p>"
        f"{report_tables.tables(result, name)}{pieces}</section>"
    )


def _read_versions(result: Result, piece: str) -> list[_Version]:
    """Read the excerpts of a piece, in the order of the page: input, target, models, and the other baselines.

    Raises:
        UserError: if one is damaged.
    """
    folder, scores = result.excerpts[piece], result.scores[piece]
    versions = []
    for number, name in enumerate((TARGET, *scores)):
        path = _excerpt_path(folder, number)
        try:
            image = data.log_magnitude(data.stft(load_audio(path)))
        except ValueError as error:
            raise UserError(f"{path} {error}; remove it, and the same command makes it again") from None
        versions.append(_Version(name, path.read_bytes(), image, scores.get(name, {})))
    target, unchanged, *others = versions
    others.sort(key=lambda version: version.name == EQUALIZER or version.name.startswith(TRUTH))  # models come first
    return [unchanged, target, *others]


def _piece(piece: str, versions: Sequence[_Version]) -> str:
    """Render the buttons and cards of a piece."""
    target = next(version for version in versions if version.name == TARGET)
    seconds = (target.log_magnitude.shape[1] - 1) * data.HOP_LENGTH / data.SAMPLE_RATE
    buttons, cards = "", ""
    for number, version in enumerate(versions, 1):
        key = f"<kbd>{number}</kbd> " if number < 10 else ""
        name = breakable(version.name)
        buttons += f'<button type="button" aria-pressed="false" data-version="{number}">{key}{name}</button>'
        cards += _card(number, piece, version, target)
    return (
        f'<section class="piece"><h3>{text(piece)}</h3>'
        f"<p>An excerpt of {seconds:.1f} s, from 0 to 11 kHz. The scores cover all that was measured of the piece.</p>"
        f'<div class="versions" role="group" aria-label="Listen to {text(piece)} as">{buttons}</div>'
        f'<div class="cards">{cards}</div></section>'
    )


def _card(number: int, piece: str, version: _Version, target: _Version) -> str:
    """Render one version of a piece: player, pictures and scores."""
    label = text(f"{version.name}, {piece}")
    pictures = _figure(f"Spectrogram of {label}", _picture(version.log_magnitude, _COLOR_MAP, 0, 1), "spectrogram")
    if version is not target:
        difference = version.log_magnitude - target.log_magnitude
        pictures += _figure(
            f"Difference from the target: {label}",
            _picture(difference, _DIFFERENCE_COLOR_MAP, -DIFFERENCE_RANGE, DIFFERENCE_RANGE),
            "difference from the target",
        )
    shown = [(METRICS[name].title, METRICS[name].format(version.scores[name])) for name in _of_piece(version)]
    for table in (TEXTURE, LEVEL) if version.scores else ():
        names = of_table(version.scores, table)
        shown.append((f"{table} by octave", " ".join(METRICS[name].format(version.scores[name]) for name in names)))
    scores = "".join(f"<div><dt>{text(title)}</dt><dd>{value}</dd></div>" for title, value in shown)
    audio = base64.b64encode(version.flac).decode()
    return (
        f'<article data-version="{number}"><h4>{breakable(version.name)}</h4>'
        f'<audio controls preload="metadata" aria-label="{label}" src="data:audio/flac;base64,{audio}"></audio>'
        f'{pictures}<dl class="scores">{scores}</dl></article>'
    )


def _of_piece(version: _Version) -> list[str]:
    """List the metrics that a card shows, besides those by octave."""
    return [*of_table(version.scores, MAIN), *of_table(version.scores, NOTES)]


def _figure(alternative: str, source: str, caption: str) -> str:
    return f'<figure><img alt="{alternative}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _picture(values: np.ndarray, color_map: str, low: float, high: float) -> str:
    """Draw a PNG as a data URL, a pixel for each bin and frame, low frequencies at the bottom.

    Args:
        values: float array [shape=(256, n_frames)].
        color_map: name of a color map of matplotlib.
        low: the value of its first color.
        high: the value of its last color.
    """
    shades = np.round(np.clip((values[::-1] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    palette = matplotlib.colormaps[color_map](np.linspace(0, 1, 256), bytes=True)[:, :3]
    picture.putpalette(palette.ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return png_url(buffer.getvalue())


def _gradient(color_map: str) -> str:
    """List nine colors of a color map for a CSS gradient."""
    stops = matplotlib.colormaps[color_map](np.linspace(0, 1, 9), bytes=True)[:, :3]
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in stops)
