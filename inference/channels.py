"""Networks that predict a phase beside the magnitude: their images, and spectra with the phase that they predict.

In rows of a spectrogram, the channels follow each other: the first 256 rows are the log-magnitude in [0, 1]; of the
input, 256 rows of phase in half turns follow; of the output, 256 rows for each cosine and sine.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

import data
import phase_gradient
from common import phase_channels
from inference import integration, streaming
from inference.phase import FIXED_BINS, Blocks, apply_phase, make_rotate

Predict = Callable[..., np.ndarray]


@dataclass(frozen=True)
class NetworkFn:
    """A function of slices to what a network generates, and what is special in the network.

    Attributes:
        predict: function of slices, or of slices and one style for all of them: float32 arrays
            [shape=(n, 256, 256, 1)] and [shape=(256, 256, 1)] in [-1, 1]. For a network that predicts a phase,
            [shape=(n, 256, 256, 2)] and [shape=(256, 256, 2)], log-magnitude and phase in half turns, to the channels
            that it generates.
        representation: of the phase that it predicts, one of `representations.PHASES_AS_CHANNELS`; None without one.
        noise: whether it draws from `source_noise`.
    """

    predict: Predict
    representation: str | None = None
    noise: bool = False

    def __call__(self, *slices: np.ndarray) -> np.ndarray:
        """Call `predict`."""
        return self.predict(*slices)


def representation_of(predict_fn: Predict) -> str | None:
    """Return the representation of the phase that a function predicts; None if it predicts the magnitude alone."""
    return predict_fn.representation if isinstance(predict_fn, NetworkFn) else None


def draws_noise(predict_fn: Predict) -> bool:
    """Tell whether a function draws from the noise in its source."""
    return isinstance(predict_fn, NetworkFn) and predict_fn.noise


def like(predict_fn: Predict, predict: Predict) -> Predict:
    """Return `predict`, as a function that predicts what `predict_fn` does."""
    return replace(predict_fn, predict=predict) if isinstance(predict_fn, NetworkFn) else predict


def of_slices(infer: Predict, representation: str | None, noise: bool = False) -> Predict:
    """Make a function of slices from a network.

    Args:
        infer: takes the channels of a representation, or with None the slices.
        representation: of the phase that the network predicts, or None.
        noise: whether it draws from `source_noise`.
    """
    if representation is None:
        return NetworkFn(infer, noise=True) if noise else infer

    def predict(*slices: np.ndarray) -> np.ndarray:
        return infer(*(phase_channels.input_channels(representation, images) for images in slices))

    return NetworkFn(predict, representation, noise)


def network_rows(spectrum: np.ndarray, predict_fn: Predict) -> np.ndarray:
    """Compute what a network is to see of a spectrum.

    Args:
        spectrum: complex64 array [shape=(..., 513, n_frames)].
        predict_fn: the network.

    Returns:
        float32 array [shape=(..., 256, n_frames)]: log-magnitude; [shape=(..., 512, n_frames)] with the phase below it
        if the network predicts one.
    """
    log_magnitude = data.log_magnitude(spectrum)
    if representation_of(predict_fn) is None:
        return log_magnitude
    half_turns = np.angle(spectrum[..., : data.N_BINS, :]) * np.float32(1 / np.pi)
    return np.concatenate([log_magnitude, half_turns], axis=-2)


def predict_rows(rows: np.ndarray, predict_fn: Predict) -> np.ndarray:
    """Run slices in rows through a network.

    Args:
        rows: float32 array [shape=(n, 256 or 512, 256)].
        predict_fn: the network.

    Returns:
        float32 array [shape=(n, n_rows, 256)], not limited to [0, 1].
    """
    if representation_of(predict_fn) is None:
        return data.from_network(predict_fn(data.to_network(rows.reshape(-1, *data.SLICE_SHAPE)))).reshape(rows.shape)
    log_magnitude, half_turns = rows[:, : data.N_BINS], rows[:, data.N_BINS :]
    generated = predict_fn(np.stack([data.to_network(log_magnitude), half_turns], axis=-1))
    magnitude = data.from_network(generated[..., 0])
    return np.concatenate([magnitude, *np.moveaxis(generated[..., 1:], -1, 0)], axis=1)


def limit(rows: np.ndarray) -> np.ndarray:
    """Limit the log-magnitude to [0, 1], in place."""
    np.clip(rows[..., : data.N_BINS, :], 0, 1, out=rows[..., : data.N_BINS, :])
    return rows


def with_predicted_phase(
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], representation: str, grids: int
) -> Blocks:
    """Give magnitudes the phase that a network predicted; the input's in the lowest bins and above 11 kHz.

    In the lowest bins, partials of neighboring pitches share a bin: with a predicted phase there, fewer pitches were
    kept (docs/phases.md). All channels of a recording are rotated by the same angle, so that the differences of phase
    between them stay. Derivatives are integrated, anchored to the lowest bins.

    Args:
        blocks: tuples of the network's rows [shape=(n_channels, n_rows, n_frames)], the magnitude of the output
            [shape=(n_channels, n_bins, n_frames)] on the scale of the STFT, and the input's spectrum, complex64
            [shape=(n_channels, 513, n_frames)].
        representation: one of `representations.PHASES_AS_CHANNELS`.
        grids: how many grids are interleaved.

    Yields:
        Tuples of magnitude, and of the spectrum with the new phase, complex64 of the same shape.
    """
    previous: list[phase_gradient.Frame | None] = [None] * grids
    for rows, magnitude, spectrum in blocks:
        n_channels, _, n_frames = rows.shape
        vectors = rows[:, data.N_BINS :].reshape(n_channels, -1, data.N_BINS, n_frames)
        start = apply_phase(magnitude, spectrum[:, : magnitude.shape[1]])
        if representation == "derivatives":
            yield magnitude, _integrate(start, vectors, previous, grids)
            continue
        direction = vectors[:, 0] + np.complex64(1j) * vectors[:, 1]
        if representation == "rotation":
            direction *= apply_phase(np.ones_like(direction.real), start[:, : data.N_BINS])
        changed, predicted = slice(FIXED_BINS, data.N_BINS), start.copy()
        predicted[:, changed] = apply_phase(magnitude[:, changed], direction[:, changed])
        yield magnitude, make_rotate(start)(predicted)


def _integrate(
    start: np.ndarray, vectors: np.ndarray, previous: list[phase_gradient.Frame | None], grids: int
) -> np.ndarray:
    """Rotate spectra to the phase that fits the predicted derivatives best; `previous` becomes the last frames."""
    weighted = vectors * np.abs(start[:, np.newaxis, : data.N_BINS])
    weighted = weighted.sum(axis=0)  # over the channels of the recording: (4, 256, n_frames)
    parts = streaming.separate(weighted, grids).reshape(4, grids, data.N_BINS, -1)
    frequency, delay = (np.arctan2(parts[first + 1], parts[first]) for first in (0, 2))
    separate = streaming.separate(start, grids)
    mixed = integration.mix(separate, grids)
    rotation = integration.integrate_grids(mixed, frequency, delay, previous, FIXED_BINS)
    return streaming.interleave(separate * np.tile(rotation, (len(start), 1, 1)), grids)
