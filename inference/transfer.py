"""Audio through a network, in blocks: magnitude in overlapping slices that are cross-faded, a phase, audio again."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

import data
import source_noise
from common.cli import UserError
from inference import channels, streaming
from inference.phase import hop_length, with_phase
from inference.settings import MODEL_PHASE, PhaseSettings, TransferSettings

PredictFn = Callable[[np.ndarray], np.ndarray]

_DEFAULTS = TransferSettings()
_EDGE_BINS = 32  # just below 11 kHz; the band above follows their change of level
_MAX_HIGH_GAIN = 4.0  # 12 dB


def with_styles(infer: Callable[..., np.ndarray], styles: np.ndarray | None = None) -> PredictFn:
    """Make a function of images from a network.

    Args:
        infer: function of images, or of images and one style for all of them.
        styles: float32 array [shape=(n_styles, 256, 256, 1)] in [-1, 1], for a network that takes a style. With
            several, the result is the mean of the network's results with each. With a second channel, the phase, for a
            network that predicts one.

    Returns:
        Function from float32 array [shape=(n, 256, 256, 1)] to another, both in [-1, 1]. For a network that predicts a
        phase or draws from noise, it is a `channels.NetworkFn`.
    """
    if styles is None:
        return infer
    return channels.like(infer, lambda images: np.mean([infer(images, style) for style in styles], axis=0))


def mix(predict_fns: Sequence[PredictFn], weights: Sequence[float]) -> PredictFn:
    """Make a function whose results are the weighted mean of those of others, one of which is computed at a time.

    Args:
        predict_fns: what `with_styles` returns, for each style. The results are log-magnitudes, so that the mix is
            between them in decibels, not in magnitude.
        weights: one for each; they add up to 1.
    """
    (first_weight, first_fn), *others = zip(weights, predict_fns, strict=True)

    def predict(images: np.ndarray) -> np.ndarray:
        total = first_weight * first_fn(images)
        for weight, predict_fn in others:
            total += weight * predict_fn(images)
        return total

    return channels.like(first_fn, predict)


def transfer(
    blocks: Iterable[np.ndarray], sample_rate: int, predict_fn: PredictFn, settings: TransferSettings = _DEFAULTS
) -> Iterator[np.ndarray]:
    """Transfer the timbre of audio of any length, rate and number of channels, block by block.

    Args:
        blocks: float32 arrays [shape=(n_channels, n_samples)].
        sample_rate: Hz.
        predict_fn: what `with_styles` returns.
        settings: how the audio goes through the network. With a `high_band` of "input", what sounds above 11 kHz is the
            input's, at the level that the network gives the band just below.

    Yields:
        float32 arrays [shape=(n_channels, n_samples)] at the same rate. In all there are as many samples as in
        `blocks`, or a few more, which are to be cut off. They are not limited to [-1, 1].

    Raises:
        UserError: if the network's output is not finite.
    """
    hop, grids = hop_length(settings.phase), settings.phase.grids
    spectra = streaming.stft(streaming.resample(blocks, sample_rate, data.SAMPLE_RATE), hop)
    source = ((channels.network_rows(spectrum, predict_fn), spectrum) for spectrum in spectra)
    frames = _transfer_grids(source, predict_fn, grids, settings.overlap, settings.batch_size)
    generated = streaming.prefetch(frames)  # the network computes the next frames while the phase of these is found
    representation = channels.representation_of(predict_fn)
    audio = streaming.istft(_to_spectra(generated, representation, settings.phase, settings.high_band), hop)
    yield from streaming.resample(audio, data.SAMPLE_RATE, sample_rate)


def transfer_audio(
    audio: np.ndarray, sample_rate: int, predict_fn: PredictFn, settings: TransferSettings = _DEFAULTS
) -> np.ndarray:
    """Transfer the timbre of audio that is in memory; see `transfer`.

    Args:
        audio: float32 array [shape=(n_channels, n_samples)].
        sample_rate: Hz.
        predict_fn: what `with_styles` returns.
        settings: how the audio goes through the network.

    Returns:
        float32 array of the same shape.
    """
    _, n_samples = audio.shape
    return np.concatenate(list(transfer([audio], sample_rate, predict_fn, settings)), axis=1)[:, :n_samples]


def transfer_log_magnitude(
    log_magnitude: np.ndarray,
    predict_fn: PredictFn,
    overlap: int = _DEFAULTS.overlap,
    batch_size: int = _DEFAULTS.batch_size,
    grids: int = 1,
) -> np.ndarray:
    """Run a log-magnitude spectrogram of any length through the network.

    Slices start every 256 - `overlap` frames. Where two overlap, a linear cross-fade joins them.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1]; or the rows of `channels.network_rows`.
        predict_fn: what `with_styles` returns.
        overlap: frames that neighboring slices share, 0 to 128.
        batch_size: slices that the network gets at a time.
        grids: 2 if frames are interleaved, as `streaming.stft` yields them: the network sees every second one.

    Returns:
        float32 array of the same shape and range.
    """
    image = log_magnitude[np.newaxis]
    parts = [part[0] for part, _ in _transfer_grids([(image, image)], predict_fn, grids, overlap, batch_size)]
    return np.concatenate(parts, axis=1)


def transfer_spectrum(
    spectrum: np.ndarray,
    predict_fn: PredictFn,
    overlap: int = _DEFAULTS.overlap,
    batch_size: int = _DEFAULTS.batch_size,
    grids: int = 1,
) -> np.ndarray:
    """Run a spectrum through a network that may predict a phase; otherwise as `transfer_log_magnitude`.

    Args:
        spectrum: complex64 array [shape=(513, n_frames)].
        predict_fn: what `with_styles` returns.
        overlap: frames that neighboring slices share.
        batch_size: slices that the network gets at a time.
        grids: how many grids are interleaved.

    Returns:
        float32 array [shape=(n_rows, n_frames)]: log-magnitude in 256 rows; the channels of a phase follow, if the
        network predicts one (`channels`).
    """
    return transfer_log_magnitude(channels.network_rows(spectrum, predict_fn), predict_fn, overlap, batch_size, grids)


def analyze(audio: np.ndarray, phase: PhaseSettings = _DEFAULTS.phase) -> np.ndarray:
    """Compute the STFT of audio on the grid on which its phase is found, as `transfer` does.

    Args:
        audio: float32 array [shape=(n_samples,)].
        phase: the grid.

    Returns:
        complex64 array [shape=(513, n_frames)].
    """
    return np.concatenate(list(streaming.stft([audio[np.newaxis]], hop_length(phase))), axis=-1)[0]


def plain_frames(frames: np.ndarray, n_frames: int, phase: PhaseSettings) -> np.ndarray:
    """Take the frames of `data.stft` out of those of `analyze`: [shape=(n_bins, n_frames)] of both."""
    return frames[:, phase.grids - 1 :: phase.grids][:, :n_frames]


def resynthesize(
    rows: np.ndarray,
    spectrum: np.ndarray,
    n_samples: int,
    phase: PhaseSettings = _DEFAULTS.phase,
    representation: str | None = None,
) -> np.ndarray:
    """Convert a log-magnitude spectrogram to audio, as `transfer` does.

    Args:
        rows: log-magnitude, float32 array [shape=(256, n_frames)] in [0, 1]; or what `transfer_spectrum` returns.
        spectrum: STFT of the input, complex64 array [shape=(513, n_frames)], as `analyze` computes it.
        n_samples: length of the audio.
        phase: how the phase is found, and on which grid. "model" needs the rows of a network that predicts one.
        representation: how that network represents it.

    Returns:
        float32 array [shape=(n_samples,)].
    """
    spectra = _to_spectra([(rows[np.newaxis], spectrum[np.newaxis])], representation, phase, "none")
    return np.concatenate(list(streaming.istft(spectra, hop_length(phase))), axis=1)[0, :n_samples]


def _to_spectra(
    generated: Iterable[tuple[np.ndarray, np.ndarray]], representation: str | None, phase: PhaseSettings, high_band: str
) -> Iterator[np.ndarray]:
    """Convert what `_transfer_grids` yields to spectra: the magnitude, with a phase."""
    blocks = (
        (rows, _output_magnitude(rows[:, : data.N_BINS], spectrum, high_band), spectrum) for rows, spectrum in generated
    )
    if phase.name == MODEL_PHASE:
        if representation is None:
            raise UserError("--phase model needs a model that predicts a phase; this one predicts the magnitude alone")
        return with_phase(channels.with_predicted_phase(blocks, representation, phase.grids), phase)
    return with_phase(((magnitude, spectrum) for _, magnitude, spectrum in blocks), phase)


def _transfer_grids(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], predict_fn: PredictFn, grids: int, overlap: int, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Run log-magnitude whose frames are interleaved through the network: each grid by itself, as a channel would be.

    Noise is the same on all grids. Frames that are 256 samples apart share most of their samples, so that their other
    noise would cancel: less texture would be heard than the network draws.

    Args:
        blocks: as for `_transfer_frames`; the number of frames is a multiple of `grids`.
        predict_fn: what `with_styles` returns.
        grids: how many grids are interleaved.
        overlap: frames that neighboring slices share.
        batch_size: slices that the network gets at a time.

    Yields:
        What `_transfer_frames` yields, interleaved again.
    """
    separate = (tuple(streaming.separate(array, grids) for array in block) for block in blocks)
    if grids > 1 and channels.draws_noise(predict_fn):
        separate = ((_share_noise(image, grids), companion) for image, companion in separate)
    for block in _transfer_frames(separate, predict_fn, overlap, batch_size):
        yield tuple(streaming.interleave(array, grids) for array in block)


def _share_noise(image: np.ndarray, grids: int) -> np.ndarray:
    """Give the grids of each channel the noise of the last one, whose frames are those of the plain grid.

    Args:
        image: what `streaming.separate` returns of log-magnitude in [0, 1], or of more rows.
        grids: how many there are of each channel.
    """
    image = image.copy()
    for grid in range(grids - 1):
        seen = image[grid::grids, : data.N_BINS]
        image[grid::grids, : data.N_BINS] = source_noise.with_noise_of(image[grids - 1 :: grids, : data.N_BINS], seen)
    return image


def _transfer_frames(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], predict_fn: PredictFn, overlap: int, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Run log-magnitude through the network, and the phase below it, if the network sees one (`channels`).

    Args:
        blocks: tuples of log-magnitude [shape=(n_channels, 256, n_frames)], or more rows, and a companion with as many
            frames, which is not changed.
        predict_fn: what `with_styles` returns.
        overlap: frames that neighboring slices share.
        batch_size: slices that the network gets at a time.

    Yields:
        Tuples of the network's log-magnitude, or more rows, and the companion of the same frames.
    """
    hop = data.SLICE_FRAMES - overlap
    tail = None  # weighted sum and weights of the frames that the next chunk covers too
    for (image, companion), is_last in _batch_frames(blocks, hop, overlap, batch_size):
        n_frames = image.shape[-1]
        n_slices = max(1, -(-(n_frames - overlap) // hop))
        image = np.pad(image, ((0, 0), (0, 0), (0, n_slices * hop + overlap - n_frames)))
        total, weights = _predict_overlapping(image, predict_fn, overlap)
        if tail is not None:
            total[..., :overlap] += tail[0]
            weights[:overlap] += tail[1]
        tail = total[..., n_slices * hop :].copy(), weights[n_slices * hop :].copy()
        end = n_frames if is_last else n_slices * hop
        yield channels.limit(total[..., :end] / weights[:end]), companion[..., :end]


def _predict_overlapping(image: np.ndarray, predict_fn: PredictFn, overlap: int) -> tuple[np.ndarray, np.ndarray]:
    """Run overlapping slices through the network, and sum the results with weights that rise and fall linearly.

    Args:
        image: log-magnitude [shape=(n_channels, 256, n_frames)], or more rows, that slices cover exactly.
        predict_fn: what `with_styles` returns.
        overlap: frames that neighboring slices share.

    Returns:
        The weighted sum [shape=(n_channels, n_rows, n_frames)] and the sum of the weights [shape=(n_frames,)].
    """
    width = data.SLICE_FRAMES
    rising = np.arange(1, width + 1, dtype=np.float32) / (overlap + 1)
    weight = np.minimum(1, np.minimum(rising, rising[::-1]))  # (256 frames,)
    starts = range(0, image.shape[-1] - overlap, width - overlap)
    slices = np.concatenate([image[..., start : start + width] for start in starts])
    generated = channels.predict_rows(slices, predict_fn)
    if not np.isfinite(generated).all():
        raise UserError("the model's output is not finite: its weights are damaged; train it again or restore them")
    n_rows = generated.shape[1]
    total = np.zeros((len(image), n_rows, image.shape[-1]), image.dtype)
    weights = np.zeros(image.shape[-1], dtype=np.float32)
    for start, part in zip(starts, generated.reshape(-1, len(image), n_rows, width), strict=True):
        total[..., start : start + width] += part * weight
        weights[start : start + width] += weight
    return total, weights


def _batch_frames(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], hop: int, overlap: int, batch_size: int
) -> Iterator[tuple[tuple[np.ndarray, ...], bool]]:
    """Cut blocks into chunks of about as many frames as make a batch of slices of all channels."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    image, _ = first
    slices_per_channel = max(1, batch_size // len(image))
    yield from streaming.rechunk(itertools.chain([first], blocks), slices_per_channel * hop, overlap)


def _output_magnitude(log_magnitude: np.ndarray, spectrum: np.ndarray, high_band: str) -> np.ndarray:
    """Compute the magnitude of the output, on the scale of the STFT: of 256 bins, or of all 513 with a high band."""
    magnitude = data.stft_magnitude(log_magnitude)
    if high_band == "none":
        return magnitude
    n_bins = magnitude.shape[1]
    edge = slice(n_bins - _EDGE_BINS, n_bins)
    before = np.sqrt(np.mean(np.abs(spectrum[:, edge]) ** 2, axis=1, keepdims=True))
    after = np.sqrt(np.mean(magnitude[:, edge] ** 2, axis=1, keepdims=True))
    gain = np.minimum(after / np.maximum(before, 1e-9), _MAX_HIGH_GAIN)
    return np.concatenate([magnitude, np.abs(spectrum[:, n_bins:]) * gain], axis=1)
