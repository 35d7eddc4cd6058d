"""Pictures: spectrograms side by side, their change over the epochs, histories, learning-rate range tests."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image, ImageDraw

import data
from common import storage

LABELS = {
    "gen_mae": "generator MAE",
    "gen_loss": "joint loss (generator)",
    "disc_loss": "discriminator loss",
    "phase_error": "error of both derivatives",
    "frequency_error": "error of the instantaneous frequency",
    "delay_error": "error of the group delay",
    "sound": "sound score",
}
_COLOR_MAP = "magma"
_SMALL_FONT = 18  # points on 5 inches: still readable in a picture that is shown 250 pixels wide


def save_spectrograms(path: Path, rows: Sequence[Mapping[str, np.ndarray]], title: str | None = None) -> None:
    """Draw log-magnitude spectrograms side by side, on one color scale from silence to full scale.

    Args:
        path: the PNG file.
        rows: list of dicts of title to float array [shape=(256, n_frames)] in [0, 1], all of the same length.
        title: a line above all of them.
    """
    scale = {"cmap": _COLOR_MAP, "vmin": 0, "vmax": 1}
    _save(_draw_grid(rows, title, (4.0, 3.7), "log-magnitude", scale), path, dpi=100)


def save_derivatives(path: Path, rows: Sequence[Mapping[str, np.ndarray]], title: str | None = None) -> None:
    """Draw derivatives of phases side by side, on a cyclic color scale: -π and π have the same color.

    Args:
        path: the PNG file.
        rows: list of dicts of title to float array [shape=(n_bins, n_frames)] in [-π, π], all of the same length.
        title: a line above all of them.
    """
    scale = {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi}
    _save(_draw_grid(rows, title, (2.6, 2.4), "radians", scale), path, dpi=100)


def _draw_grid(
    rows: Sequence[Mapping[str, np.ndarray]],
    title: str | None,
    size: tuple[float, float],
    label: str,
    scale: Mapping[str, Any],
) -> Figure:
    """Draw images in rows, each `size` inches wide and high, with a color bar and a line above all of them."""
    # Margins are fixed, as a layout engine would take as long as all the rest.
    n_rows, n_columns = len(rows), len(rows[0])
    width, height = size[0] * n_columns + 0.8, size[1] * n_rows + 0.3
    top = 0.75 if title else 0.4
    grid = {"left": 0.65 / width, "right": 1 - 1 / width, "bottom": 0.55 / height, "top": 1 - top / height}
    figure = Figure(figsize=(width, height))
    spaces = {"wspace": 0.24 / size[0], "hspace": 0.52 / size[1]}
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False, gridspec_kw={**grid, **spaces})
    picture = _draw_images(axes, rows, **scale)
    bar = figure.add_axes((1 - 0.85 / width, grid["bottom"], 0.17 / width, grid["top"] - grid["bottom"]))
    figure.colorbar(picture, cax=bar, label=label)
    if title:
        figure.suptitle(_printable(title), y=1 - 0.15 / height, va="top", parse_math=False)
    return figure


def _draw_images(axes: np.ndarray, rows: Sequence[Mapping[str, np.ndarray]], **scale: Any) -> AxesImage:
    """Draw images of bins and frames with their titles and axes; return one of them, for the color bar."""
    for row, row_axes in zip(rows, axes, strict=True):
        for axis, (name, image) in zip(row_axes, row.items(), strict=True):
            n_bins, n_frames = image.shape
            seconds = n_frames * data.HOP_LENGTH / data.SAMPLE_RATE
            kilohertz = n_bins * data.SAMPLE_RATE / data.N_FFT / 1000
            extent = (0, seconds, 0, kilohertz)
            picture = axis.imshow(image, origin="lower", aspect="auto", extent=extent, **scale)
            axis.set_title(_printable(name), parse_math=False)
        row_axes[0].set_ylabel("frequency (kHz)")
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
    return picture


def save_animation(path: Path, frames: Sequence[Sequence[Mapping[str, np.ndarray]]], milliseconds: int = 250) -> None:
    """Write an animated GIF of spectrograms, one pixel for each bin and frame.

    All frames have the same palette, from silence to full scale, so that a color means the same value in each.

    Args:
        path: the GIF file.
        frames: list of lists of dicts of title to float array [shape=(256, n_frames)] in [0, 1]: for each frame of the
            animation rows of spectrograms, as for `save_spectrograms`.
        milliseconds: how long a frame is shown; the last one four times as long.
    """
    shades = 254  # two of 256 colors are left for black and white
    colors = matplotlib.colormaps[_COLOR_MAP](np.linspace(0, 1, shades), bytes=True)[:, :3]
    palette = [*colors.ravel().tolist(), 0, 0, 0, 255, 255, 255]
    pictures = []
    for rows in frames:
        gap, caption = 4, 14
        images = [list(row.values()) for row in rows]
        n_bins, n_frames = images[0][0].shape
        width, height = n_frames + gap, n_bins + gap + caption
        picture = Image.new("P", (len(images[0]) * width - gap, len(images) * height - gap), shades + 1)
        picture.putpalette(palette)
        draw = ImageDraw.Draw(picture)
        for y, row in enumerate(rows):
            for x, (name, image) in enumerate(row.items()):
                indices = np.round(np.clip(image[::-1], 0, 1) * (shades - 1)).astype(np.uint8)
                draw.text((x * width + 2, y * height), _printable(name), fill=shades)
                picture.paste(Image.fromarray(indices), (x * width, y * height + caption))
        pictures.append(picture)
    durations = [milliseconds] * (len(pictures) - 1) + [4 * milliseconds]
    with storage.atomic_write(path) as partial:
        pictures[0].save(partial, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False)


def save_history(path: Path, rows: Sequence[Mapping[str, Any]], metric: str) -> None:
    """Draw a metric over the epochs, in training and validation, with the best epoch of each marked.

    Args:
        path: the PNG file.
        rows: an epoch each, with `epoch` and the metrics, as in history.csv.
        metric: the column of training; that of validation ends in `_val`.
    """
    figure, axis = _small_figure(_label(metric))
    for column, label in ((metric, "training"), (f"{metric}_val", "validation")):
        measured = [row for row in rows if column in row]
        if measured:
            epochs, values = [row["epoch"] for row in measured], [row[column] for row in measured]
            (line,) = axis.plot(epochs, values, marker="." if len(measured) < 30 else None, linewidth=2)
            best = int(np.argmin(values))
            axis.plot(epochs[best], values[best], "o", markersize=11, fillstyle="none", color=line.get_color())
            line.set_label(f"{label}, best\n{values[best]:.4f} (epoch {epochs[best]})")
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    axis.legend(fontsize=_SMALL_FONT - 4)
    _save(figure, path, dpi=100)


def save_range_test(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
    metric: str,
) -> None:
    """Draw the losses of a learning-rate range test over a logarithmic axis, with the suggestion marked.

    Args:
        path: the PNG file.
        rates: learning rate of each step.
        losses: loss of each step.
        smoothed: smoothed loss of each step.
        suggestion: the suggested learning rate, or None.
        metric: the name of the loss.
    """
    result = f"steepest at {suggestion:.1e}" if suggestion else "never falls"
    figure, axis = _small_figure(f"{_label(metric)}\n{result}")
    axis.semilogx(rates, losses, color="0.75", linewidth=1)
    axis.semilogx(rates, smoothed, linewidth=3)
    if suggestion:
        loss = np.interp(np.log(suggestion), np.log(rates), smoothed)
        axis.axvline(suggestion, color="C3", linestyle="--", linewidth=2)
        axis.plot(suggestion, loss, "o", color="C3", markersize=12)
    axis.set_xlabel("learning rate")
    axis.xaxis.get_major_locator().set_params(numticks=5)
    # The losses after the minimum may be so large that the others would look flat.
    low, high = min(losses), max(losses[: int(np.argmin(losses)) + 1])
    axis.set_ylim(low - 0.05 * (high - low), high + 0.2 * (high - low) + 1e-9)
    _save(figure, path, dpi=100)


class BandChart(NamedTuple):
    """What a chart over frequency bands shows besides its lines.

    Attributes:
        title: a line above it.
        labels: the names of the bands.
        ideal: the value that is right, drawn as a line.
        margin: how far from it is near enough, drawn as an area.
        low: the lowest value; lower ones are drawn there.
        high: the highest value.
    """

    title: str
    labels: Sequence[str]
    ideal: float
    margin: float
    low: float
    high: float


def draw_bands(chart: BandChart, lines: Sequence[Sequence[float]], colors: Sequence[str], dark: bool) -> bytes:
    """Draw values by frequency band as lines, without a legend.

    Args:
        chart: what else is drawn.
        lines: values of each line, one a band; NaN leaves a gap.
        colors: color of each line.
        dark: whether the ground is dark.

    Returns:
        A PNG.
    """
    ground, text = ("#1f1f24", "#e7e7ea") if dark else ("#f4f4f6", "#1b1b1f")
    parts = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings = {**dict.fromkeys(parts, text), "figure.facecolor": ground, "axes.facecolor": ground, "font.size": 12}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(6.4, 4))
        axis = figure.add_axes((0.09, 0.21, 0.88, 0.7))  # all charts alike; a layout engine takes half of the time
        axis.axhspan(chart.ideal - chart.margin, chart.ideal + chart.margin, color="#2e9e5b", alpha=0.25, linewidth=0)
        axis.axhline(chart.ideal, color="#2e9e5b", linewidth=1)
        for values, color in zip(lines, colors, strict=True):
            axis.plot(np.clip(values, chart.low, chart.high), color=color, marker="o", linewidth=2, clip_on=False)
        space = 0.03 * (chart.high - chart.low)
        axis.set_ylim(chart.low - space, chart.high + space)
        axis.set_xticks(range(len(chart.labels)), chart.labels)
        axis.set_xlabel("band (Hz)")
        axis.set_title(chart.title)
        axis.grid(axis="y", alpha=0.3)
        figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _label(metric: str) -> str:
    """Return the title of a metric; that of a single target has the target's name."""
    for name, label in LABELS.items():
        if metric.startswith(name):
            target = metric[len(name) :].strip("_")
            return f"{label}\n{target}" if target else label
    return metric


def _printable(name: str) -> str:
    """Replace what is not UTF-8 in the name of a file, which no font can draw."""
    return name.encode("utf-8", "replace").decode()


def _small_figure(title: str) -> tuple[Figure, Axes]:
    """Make a figure of 5 × 5 inches whose margins are fixed, with room for the lines of its title."""
    figure = Figure(figsize=(5, 5))
    axis = figure.add_axes((0.21, 0.17, 0.75, 0.81 - 0.065 * len(title.split("\n"))))
    axis.set_title(title, fontsize=_SMALL_FONT)
    axis.tick_params(labelsize=_SMALL_FONT - 3)
    axis.xaxis.label.set_size(_SMALL_FONT)
    axis.grid(alpha=0.3)
    return figure, axis


def _save(figure: Figure, path: Path, dpi: int) -> None:
    with storage.atomic_write(path) as partial:
        figure.savefig(partial, dpi=dpi)
