"""The style of a recording: the slices of it that a network gets in addition to its input."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import data
from common import audio
from common.cli import UserError

_SECONDS_PER_FRAME = data.HOP_LENGTH / data.SAMPLE_RATE


class Style(NamedTuple):
    """Slices of a recording of the target instrument.

    Attributes:
        slices: float32 array [shape=(n_slices, 256, 256, 1)] in [-1, 1].
        notices: messages about which parts of the recording were taken.
    """

    slices: np.ndarray
    notices: list[str]


def read_style(path: str, n_slices: int = 1, start: float | None = None) -> Style:
    """Read the style that `--style` names.

    Args:
        path: a recording of the target instrument.
        n_slices: slices to take from it; fewer if it does not hold so many.
        start: seconds at which the first one begins; None for the fullest parts of the recording.

    Raises:
        UserError: if it is not an audio file, or nothing sounds where the style would be taken from.
    """
    if not Path(path).is_file():
        raise UserError(f"--style {path} is not a file; it must be a recording of the target instrument")
    try:
        log_magnitude = data.log_magnitude(data.stft(audio.load_audio(path)))
        slices, starts = choose_slices(log_magnitude, n_slices, start)
    except ValueError as error:
        raise UserError(f"--style {path} {error}") from None
    notices = [f"style: {path} from {', '.join(f'{seconds:.2f} s' for seconds in starts)}"]
    if len(starts) < n_slices:
        notices.append(f"it holds {len(starts)} slices that sound, not {n_slices}")
    return Style(data.to_network(slices), notices)


def choose_slices(
    log_magnitude: np.ndarray, count: int = 1, start: float | None = None
) -> tuple[np.ndarray, list[float]]:
    """Choose the slices of a recording that show its style.

    Without `start`, silence at both ends is cut off, and the slices are those with the greatest mean log-magnitude that
    do not overlap: the fullest parts of the music. With `start`, they follow each other from there. A part that is
    shorter than a slice is repeated until it fills one.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1].
        count: slices to choose; fewer if the recording does not hold so many.
        start: seconds.

    Returns:
        float32 array [shape=(n_slices, 256, 256, 1)] in [0, 1], and the seconds at which each begins.

    Raises:
        ValueError: if the recording ends before `start`, or nothing sounds.
    """
    part, first = _trim(log_magnitude, count, start)
    width = data.SLICE_FRAMES
    _, n_frames = part.shape
    if n_frames < width:
        part = np.tile(part, (1, -(-width // n_frames)))[:, :width]
        return part[np.newaxis, ..., np.newaxis], [first * _SECONDS_PER_FRAME]
    starts = _fullest_starts(part, count) if start is None else range(0, n_frames - width + 1, width)
    slices = np.stack([part[:, begin : begin + width, np.newaxis] for begin in starts])
    kept = [index for index, image in enumerate(slices) if data.sounding(image[..., 0]).any()]
    return slices[kept], [(first + starts[index]) * _SECONDS_PER_FRAME for index in kept]


def _trim(log_magnitude: np.ndarray, count: int, start: float | None) -> tuple[np.ndarray, int]:
    """Cut a recording to where its style is taken from; return that part and its first frame."""
    _, n_frames = log_magnitude.shape
    first = 0 if start is None else round(start / _SECONDS_PER_FRAME)
    if first >= n_frames:
        raise ValueError(f"ends after {(n_frames - 1) * _SECONDS_PER_FRAME:.2f} s, before its style would begin")
    last = n_frames if start is None else first + count * data.SLICE_FRAMES
    part = log_magnitude[:, first:last]
    sounding = np.flatnonzero(data.sounding(part))
    if len(sounding) == 0:
        raise ValueError("is silent (nothing above -60 dB of full scale) where its style would be taken from")
    if start is None:
        first, part = int(sounding[0]), part[:, sounding[0] : sounding[-1] + 1]
    return part, first


def _fullest_starts(log_magnitude: np.ndarray, count: int) -> list[int]:
    """Find the first frames of the slices with the greatest mean that do not overlap, the fullest first."""
    width = data.SLICE_FRAMES
    cumulative = np.concatenate([[0], np.cumsum(log_magnitude.mean(axis=0, dtype=np.float64))])
    sums = cumulative[width:] - cumulative[:-width]  # of the slice that begins at each frame
    starts = []
    while len(starts) < count and np.isfinite(sums).any():
        starts.append(int(np.argmax(sums)))
        sums[max(0, starts[-1] - width + 1) : starts[-1] + width] = -np.inf
    return starts
