"""Pictures of spectrograms."""

from matplotlib.figure import Figure

import data
import files


def save_spectrograms(path, images, title=None):
    """Draws log-magnitude spectrograms side by side, on one colour scale from silence to full scale.

    Args:
        path: the PNG file.
        images: dict of title to float array [shape=(256, n_frames)] in [0, 1].
        title: a line above all.
    """
    figure = Figure(figsize=(4 * len(images) + 0.8, 4), layout="constrained")
    axes = figure.subplots(1, len(images), sharey=True, squeeze=False)[0]
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        n_bins, n_frames = image.shape
        seconds = n_frames * data.HOP_LENGTH / data.SAMPLE_RATE
        kilohertz = n_bins * data.SAMPLE_RATE / data.N_FFT / 1000
        drawn = axis.imshow(
            image, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1, extent=(0, seconds, 0, kilohertz)
        )
        axis.set_title(name)
        axis.set_xlabel("time (s)")
    axes[0].set_ylabel("frequency (kHz)")
    figure.colorbar(drawn, ax=axes, label="log-magnitude")
    if title:
        figure.suptitle(title)
    with files.replacing(path) as partial:
        figure.savefig(partial, dpi=100)
