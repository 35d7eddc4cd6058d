"""Styles: the slices of recordings that a network gets in addition to its input."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import data
from common import audio
from common.cli import UserError
from inference import streaming
from inference.settings import StyleSettings

_SECONDS_PER_FRAME = data.HOP_LENGTH / data.SAMPLE_RATE


class Style(NamedTuple):
    """Slices of a recording of the target instrument.

    Attributes:
        slices: float32 array [shape=(n_slices, 256, 256, 1)] in [-1, 1].
        notices: messages about which parts of the recording were taken.
        weight: its part in a mix of styles.
        phases: phase of the slices in half turns, of the same shape; None if it was not read.
    """

    slices: np.ndarray
    notices: list[str]
    weight: float = 1.0
    phases: np.ndarray | None = None

    def images(self, with_phase: bool) -> np.ndarray:
        """Return the slices, or the slices with their phases as a second channel, for a network that sees them."""
        return np.concatenate([self.slices, self.phases], axis=-1) if with_phase else self.slices


def read_styles(settings: Iterable[StyleSettings]) -> list[Style]:
    """Read the styles of a mix. Those with a weight of 0 are left out, and their files are not read; see `read_style`.

    Raises:
        UserError: if one of the others is not an audio file, or nothing sounds where it would be taken from.
    """
    return [read_style(*style) for style in settings if style.weight > 0]


def read_style(path: str, n_slices: int = 1, start: float | None = None, weight: float = 1.0) -> Style:
    """Read a style that `--style` names, in bounded memory; the arguments are those of `StyleSettings`.

    Raises:
        UserError: if it is not an audio file, or nothing sounds where the style would be taken from.
    """
    if not Path(path).is_file():
        raise UserError(f"--style {path} is not a file; it must be a recording of the target instrument")
    try:
        # It is read twice, as only a few numbers of each frame can be kept until it is known which parts are taken.
        with audio.Reader(path) as reader:
            spans = _choose_spans((data.log_magnitude(spectrum) for spectrum in _spectra(reader)), n_slices, start)
            if start is None and (fault := reader.cut_off()):
                raise audio.AudioError(fault)
        with audio.Reader(path) as reader:
            slices = _cut_slices(map(_with_phase, _spectra(reader)), spans, 2)
    except audio.AudioError as error:
        raise UserError(f"--style {path} {error}") from None
    starts = _start_seconds(spans)
    label = "style" if weight == 1 else f"style, {100 * weight:.3g}%"
    notices = [f"{label}: {path} from {', '.join(f'{seconds:.2f} s' for seconds in starts)}"]
    if len(starts) < n_slices:
        notices.append(f"it holds {len(starts)} slices that sound, not {n_slices}")
    return Style(data.to_network(slices[..., :1]), notices, weight, slices[..., 1:])


def slices_with_phase(spectrum: np.ndarray, count: int = 1) -> np.ndarray:
    """Choose slices as `choose_slices` does, and take their phases, too.

    Args:
        spectrum: complex64 array [shape=(513, n_frames)].
        count: slices to choose.

    Returns:
        float32 array [shape=(n_slices, 256, 256, 2)]: log-magnitude in [-1, 1], and phase in half turns.

    Raises:
        AudioError: if nothing sounds.
    """
    slices = _cut_slices([_with_phase(spectrum)], _choose_spans([data.log_magnitude(spectrum)], count, None), 2)
    return np.concatenate([data.to_network(slices[..., :1]), slices[..., 1:]], axis=-1)


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
        AudioError: if the recording ends before `start`, or nothing sounds.
    """
    spans = _choose_spans([log_magnitude], count, start)
    return _cut_slices([log_magnitude], spans), _start_seconds(spans)


def _spectra(reader: audio.Reader) -> Iterator[np.ndarray]:
    """Yield the spectrum of a recording, mixed to mono, in blocks [shape=(513, n_frames)]."""
    mono = (block.mean(axis=0, keepdims=True) for block in reader.blocks())
    for spectrum in streaming.stft(streaming.resample(mono, reader.sample_rate, data.SAMPLE_RATE)):
        yield spectrum[0]


def _with_phase(spectrum: np.ndarray) -> np.ndarray:
    """Stack log-magnitude and phase in half turns: float32 array [shape=(512, n_frames)]."""
    half_turns = np.angle(spectrum[: data.N_BINS]) * np.float32(1 / np.pi)
    return np.concatenate([data.log_magnitude(spectrum), half_turns])


def _choose_spans(blocks: Iterable[np.ndarray], count: int, start: float | None) -> list[range]:
    """Choose the frames of the slices of `choose_slices`: ranges of 256 frames, or a single one of fewer.

    Args:
        blocks: log-magnitude in blocks [shape=(256, n_frames)]. No more than needed is read.
        count: slices to choose.
        start: seconds at which the first one begins; None for the fullest parts.
    """
    width = data.SLICE_FRAMES
    first = 0 if start is None else round(start / _SECONDS_PER_FRAME)
    last = None if start is None else first + count * width
    means, sounding = _measure_frames(blocks, last)
    n_frames = len(means)
    if first >= n_frames:
        if n_frames == 0:
            raise audio.AudioError("holds no samples")
        raise audio.AudioError(f"ends after {(n_frames - 1) * _SECONDS_PER_FRAME:.2f} s, before its style would begin")
    sounding_frames = first + np.flatnonzero(sounding[first:])
    if len(sounding_frames) == 0:
        raise audio.AudioError("is silent (nothing above -60 dB of full scale) where its style would be taken from")
    if start is None:
        first, last = int(sounding_frames[0]), int(sounding_frames[-1]) + 1
    else:
        last = n_frames
    if last - first < width:
        return [range(first, last)]
    starts = _fullest_starts(means[first:last], count) if start is None else range(0, last - first - width + 1, width)
    spans = [range(first + begin, first + begin + width) for begin in starts]
    return [span for span in spans if sounding[span.start : span.stop].any()]


def _measure_frames(blocks: Iterable[np.ndarray], last: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean of each frame before `last`, and whether it sounds; of blocks [shape=(256, n_frames)]."""
    means, sounding, n_frames = [np.zeros(0)], [np.zeros(0, bool)], 0
    for block in blocks:
        means.append(block.mean(axis=0, dtype=np.float64))
        sounding.append(data.sounding(block))
        n_frames += block.shape[1]
        if last is not None and n_frames >= last:
            break
    return np.concatenate(means)[:last], np.concatenate(sounding)[:last]


def _cut_slices(blocks: Iterable[np.ndarray], spans: Sequence[range], n_channels: int = 1) -> np.ndarray:
    """Cut the frames of spans out of blocks [shape=(n_channels * 256, n_frames)]; a span that is too short is repeated.

    Returns:
        float32 array [shape=(n_slices, 256, 256, n_channels)].
    """
    n_bins, width, _ = data.SLICE_SHAPE
    slices = [np.zeros((n_channels * n_bins, len(span)), np.float32) for span in spans]
    end, n_frames = max(span.stop for span in spans), 0
    for block in blocks:
        for image, span in zip(slices, spans, strict=True):
            begin, stop = max(span.start, n_frames), min(span.stop, n_frames + block.shape[1])
            if begin < stop:
                image[:, begin - span.start : stop - span.start] = block[:, begin - n_frames : stop - n_frames]
        n_frames += block.shape[1]
        if n_frames >= end:
            break
    tiled = [np.tile(image, (1, -(-width // image.shape[1])))[:, :width] for image in slices]
    return np.moveaxis(np.stack(tiled).reshape(len(tiled), n_channels, n_bins, width), 1, -1)


def _start_seconds(spans: Iterable[range]) -> list[float]:
    return [span.start * _SECONDS_PER_FRAME for span in spans]


def _fullest_starts(means: np.ndarray, count: int) -> list[int]:
    """Find the first frames of the slices with the greatest mean that do not overlap, the fullest first.

    Args:
        means: mean log-magnitude of each frame [shape=(n_frames,)].
        count: slices to find.
    """
    width = data.SLICE_FRAMES
    cumulative = np.concatenate([[0], np.cumsum(means)])
    sums = cumulative[width:] - cumulative[:-width]  # of the slice that begins at each frame
    starts = []
    while len(starts) < count and np.isfinite(sums).any():
        starts.append(int(np.argmax(sums)))
        sums[max(0, starts[-1] - width + 1) : starts[-1] + width] = -np.inf
    return starts
