"""Audio through a network, in blocks: magnitude in overlapping slices that are cross-faded, a phase, audio again."""

import functools
import itertools

import numpy as np
import tensorflow as tf

import data
import phases
import streaming

OVERLAP_FRAMES = 32  # of the 256 of a slice; what it costs and gives is in docs/benchmarks.md
BATCH_SIZE = 8
_EDGE_BINS = 32  # below 11 kHz, whose change of level the band above follows
_MAX_HIGH_GAIN = 4.0  # 12 dB


def make_generate(generator, styles=None):
    """Makes a function of NumPy images from a network.

    Args:
        generator: `keras.Model` that takes (batch, 256, 256, 1) in [-1, 1], or a list of two such: source and style.
        styles: float32 array [shape=(n_styles, 256, 256, 1)] in [-1, 1], for a network that takes a style. With
            several, the result is the mean of what the network makes with each.

    Returns:
        Function from float32 array [shape=(n, 256, 256, 1)] to another, both in [-1, 1], in inference mode.
    """

    infer = _inference(generator, styles is not None)
    if styles is None:
        return lambda images: infer(images).numpy()
    return lambda images: np.mean([infer(images, style).numpy() for style in styles], axis=0)


@functools.lru_cache(maxsize=4)  # a graph a network, not one a style
def _inference(generator, with_style):
    """The network as a graph: of images, or of images and one style for all of them."""
    image = tf.TensorSpec(data.SLICE_SHAPE, tf.float32)
    images = tf.TensorSpec((None, *data.SLICE_SHAPE), tf.float32)
    if not with_style:
        return tf.function(lambda source: generator(source, training=False), input_signature=[images])

    def styled(source, style):
        return generator([source, tf.broadcast_to(style, tf.shape(source))], training=False)

    return tf.function(styled, input_signature=[images, image])


def transfer(
    blocks,
    sample_rate,
    generate,
    overlap=OVERLAP_FRAMES,
    batch_size=BATCH_SIZE,
    phase="griffinlim_input",
    phase_iterations=None,
    high_band="none",
    seed=0,
):
    """Transfers the timbre of audio of any length, rate and number of channels, block by block.

    Args:
        blocks: iterable of float32 arrays [shape=(n_channels, n_samples)].
        sample_rate: Hz.
        generate: what `make_generate` gives.
        overlap: frames that neighbouring slices share.
        batch_size: slices handed to the network at a time.
        phase, phase_iterations, seed: see `phases.with_phase`.
        high_band: what sounds above 11 kHz: "none", or "input" for the input's, at the level that the network gives the
            band just below.

    Yields:
        float32 arrays [shape=(n_channels, n_samples)] at the same rate: as many samples as went in, or some more, which
        are to be cut off. They are not limited to [-1, 1].
    """
    spectra = streaming.stft(streaming.resample(blocks, sample_rate, data.SAMPLE_RATE))
    spectra = ((data.log_magnitude(spectrum), spectrum) for spectrum in spectra)
    # The phase of a group is found while the network makes the next one.
    transferred = streaming.look_ahead(_transferred(spectra, generate, overlap, batch_size))
    magnitudes = ((_magnitude(image, spectrum, high_band), spectrum) for image, spectrum in transferred)
    audio = streaming.istft(phases.with_phase(magnitudes, phase, phase_iterations, seed))
    yield from streaming.resample(audio, data.SAMPLE_RATE, sample_rate)


def transfer_audio(audio, sample_rate, generate, **settings):
    """`transfer` of an array [shape=(n_channels, n_samples)], of any samples, to another of the same shape."""
    _, n_samples = audio.shape
    result = np.concatenate(list(transfer([audio], sample_rate, generate, **settings)), axis=1)[:, :n_samples]
    return np.pad(result, ((0, 0), (0, n_samples - result.shape[1])))


def transfer_log_magnitude(log_magnitude, generate, overlap=OVERLAP_FRAMES, batch_size=BATCH_SIZE):
    """Runs a log-magnitude spectrogram of any length through the network.

    Slices start every 256 - `overlap` frames; where two overlap, a linear cross-fade joins them.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1].
        generate, overlap, batch_size: as for `transfer`.

    Returns:
        float32 array of the same shape and range.
    """
    image = log_magnitude[np.newaxis]
    return np.concatenate(
        [part[0] for part, _ in _transferred([(image, image)], generate, overlap, batch_size)], axis=1
    )


def resynthesize(log_magnitude, spectrum, n_samples, phase="griffinlim_input", phase_iterations=None, seed=0):
    """Audio of a log-magnitude spectrogram, as `transfer` makes it.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1].
        spectrum: STFT of the input, complex64 array [shape=(513, n_frames)].
        n_samples: length of the audio.
        phase, phase_iterations, seed: see `phases.with_phase`.

    Returns:
        float32 array [shape=(n_samples,)].
    """
    magnitude = data.stft_magnitude(log_magnitude)[np.newaxis]
    blocks = phases.with_phase([(magnitude, spectrum[np.newaxis])], phase, phase_iterations, seed)
    return np.concatenate(list(streaming.istft(blocks)), axis=1)[0, :n_samples]


def _transferred(blocks, generate, overlap, batch_size):
    """Yields log-magnitude as the network makes it, and what stood beside it.

    Args:
        blocks: iterable of log-magnitude [shape=(n_channels, 256, n_frames)] and another array of as many frames.
    """
    width, hop, tail = data.SLICE_FRAMES, data.SLICE_FRAMES - overlap, None
    rising = np.arange(1, width + 1, dtype=np.float32) / (overlap + 1)
    weight = np.minimum(1, np.minimum(rising, rising[::-1]))  # (256 frames,)
    for (image, beside), last in _groups(blocks, hop, overlap, batch_size):
        n_frames = image.shape[-1]
        count = max(1, -(-(n_frames - overlap) // hop))
        image = np.pad(image, ((0, 0), (0, 0), (0, count * hop + overlap - n_frames)))
        slices = np.stack([image[..., start : start + width] for start in range(0, count * hop, hop)])
        generated = data.from_network(generate(data.to_network(slices.reshape(-1, *data.SLICE_SHAPE))))
        total = np.zeros_like(image)
        weights = np.zeros(image.shape[-1], dtype=np.float32)
        for start, part in zip(range(0, count * hop, hop), generated.reshape(slices.shape), strict=True):
            total[..., start : start + width] += part * weight
            weights[start : start + width] += weight
        if tail is not None:
            total[..., :overlap] += tail[0]
            weights[:overlap] += tail[1]
        tail = total[..., count * hop :].copy(), weights[count * hop :].copy()
        end = n_frames if last else count * hop
        yield np.clip(total[..., :end] / weights[:end], 0, 1), beside[..., :end]


def _groups(blocks, hop, overlap, batch_size):
    """As many frames at a time as make about a batch of all channels' slices."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    count = max(1, batch_size // len(first[0]))
    yield from streaming.regroup(itertools.chain([first], blocks), count * hop, overlap)


def _magnitude(log_magnitude, spectrum, high_band):
    """The magnitude of what shall sound, on the scale of the spectrum: of 256 bins, or of all 513 with a high band."""
    magnitude = data.stft_magnitude(log_magnitude)
    if high_band == "none":
        return magnitude
    n_bins = magnitude.shape[1]
    edge = slice(n_bins - _EDGE_BINS, n_bins)
    before = np.sqrt(np.mean(np.abs(spectrum[:, edge]) ** 2, axis=1, keepdims=True))
    after = np.sqrt(np.mean(magnitude[:, edge] ** 2, axis=1, keepdims=True))
    gain = np.minimum(after / np.maximum(before, 1e-9), _MAX_HIGH_GAIN)
    return np.concatenate([magnitude, np.abs(spectrum[:, n_bins:]) * gain], axis=1)
