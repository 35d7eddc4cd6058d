"""Pictures: spectrograms side by side, their change over the epochs, histories, learning-rate searches."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import data
import files

LABELS = {"gen_mae": "generator MAE", "gen_loss": "joint loss (generator)", "disc_loss": "discriminator loss"}
_COLOURS = "magma"
_SMALL_FONT = 18  # points on 5 inches: still readable in a picture that is shown 250 pixels wide


def save_spectrograms(path, rows, title=None):
    """Draws log-magnitude spectrograms side by side, on one colour scale from silence to full scale.

    Args:
        path: the PNG file.
        rows: list of dicts of title to float array [shape=(256, n_frames)] in [0, 1], all of the same length.
        title: a line above all.
    """
    n_columns = len(rows[0])
    figure = Figure(figsize=(4 * n_columns + 0.8, 3.7 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), n_columns, sharex=True, sharey=True, squeeze=False)
    for row, row_axes in zip(rows, axes, strict=True):
        for axis, (name, image) in zip(row_axes, row.items(), strict=True):
            n_bins, n_frames = image.shape
            seconds = n_frames * data.HOP_LENGTH / data.SAMPLE_RATE
            kilohertz = n_bins * data.SAMPLE_RATE / data.N_FFT / 1000
            drawn = axis.imshow(
                image, origin="lower", aspect="auto", cmap=_COLOURS, vmin=0, vmax=1, extent=(0, seconds, 0, kilohertz)
            )
            axis.set_title(name)
        row_axes[0].set_ylabel("frequency (kHz)")
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
    figure.colorbar(drawn, ax=axes, label="log-magnitude")
    if title:
        figure.suptitle(title)
    _save(figure, path, dpi=100)


def save_animation(path, frames, milliseconds=250):
    """Writes an animated GIF of spectrograms, a pixel a bin and frame, on one colour scale from silence to full scale.

    All frames have the same palette, so that a colour means the same value in each.

    Args:
        path: the GIF file.
        frames: list of lists of dicts of title to float array [shape=(256, n_frames)] in [0, 1]: for each frame of the
            animation rows of spectrograms, as for `save_spectrograms`.
        milliseconds: how long a frame is shown; the last one four times as long.
    """
    shades = 254  # and black, and white
    colours = matplotlib.colormaps[_COLOURS](np.linspace(0, 1, shades), bytes=True)[:, :3]
    palette = [*colours.ravel().tolist(), 0, 0, 0, 255, 255, 255]
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
                draw.text((x * width + 2, y * height), name, fill=shades)
                picture.paste(Image.fromarray(indices), (x * width, y * height + caption))
        pictures.append(picture)
    durations = [milliseconds] * (len(pictures) - 1) + [4 * milliseconds]
    with files.replacing(path) as partial:
        pictures[0].save(partial, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False)


def save_history(path, rows, metric):
    """Draws a metric over the epochs, in training and validation, its best epoch marked.

    Args:
        path: the PNG file.
        rows: what `history.read_history` gives.
        metric: the column; with `_val` it is that of the validation.
    """
    figure, axis = _small_figure()
    for column, label in ((metric, "training"), (f"{metric}_val", "validation")):
        seen = [row for row in rows if column in row]
        if seen:
            epochs, values = [row["epoch"] for row in seen], [row[column] for row in seen]
            (line,) = axis.plot(epochs, values, marker="." if len(seen) < 30 else None, linewidth=2)
            best = int(np.argmin(values))
            axis.plot(epochs[best], values[best], "o", markersize=11, fillstyle="none", color=line.get_color())
            line.set_label(f"{label}, best\n{values[best]:.4f} (epoch {epochs[best]})")
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    axis.set_title(_label(metric), fontsize=_SMALL_FONT)
    axis.legend(fontsize=_SMALL_FONT - 4)
    _save(figure, path, dpi=100)


def save_range_test(path, rates, losses, smoothed, suggestion, metric):
    """Draws the losses of a learning-rate range test over a logarithmic axis, the suggestion marked.

    Args:
        path: the PNG file.
        rates, losses, smoothed: of each step.
        suggestion: a rate, or None.
        metric: the name of the loss.
    """
    figure, axis = _small_figure()
    axis.semilogx(rates, losses, color="0.75", linewidth=1)
    axis.semilogx(rates, smoothed, linewidth=3)
    if suggestion:
        at = np.interp(np.log(suggestion), np.log(rates), smoothed)
        axis.axvline(suggestion, color="C3", linestyle="--", linewidth=2)
        axis.plot(suggestion, at, "o", color="C3", markersize=12)
    axis.set_xlabel("learning rate")
    axis.xaxis.get_major_locator().set_params(numticks=5)
    found = f"steepest at {suggestion:.1e}" if suggestion else "never falls"
    axis.set_title(f"{_label(metric)}\n{found}", fontsize=_SMALL_FONT)
    # A loss that has blown up must not flatten what went before.
    low, high = min(losses), max(losses[: int(np.argmin(losses)) + 1])
    axis.set_ylim(low - 0.05 * (high - low), high + 0.2 * (high - low) + 1e-9)
    _save(figure, path, dpi=100)


def _label(metric):
    """What a metric is called in a title; one of a single target has its name."""
    for name, label in LABELS.items():
        if metric.startswith(name):
            target = metric[len(name) :].strip("_")
            return f"{label}\n{target}" if target else label
    return metric


def _small_figure():
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.tick_params(labelsize=_SMALL_FONT - 3)
    axis.xaxis.label.set_size(_SMALL_FONT)
    axis.grid(alpha=0.3)
    return figure, axis


def _save(figure, path, dpi):
    with files.replacing(path) as partial:
        figure.savefig(partial, dpi=dpi)
