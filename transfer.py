"""Audio through a network: magnitude in overlapping slices, cross-faded at the joins, with the input's phase."""

import numpy as np
import tensorflow as tf

import data

OVERLAP_FRAMES = 32  # of the 256 of a slice; what it costs and gives is in docs/benchmarks.md


def make_generate(generator, styles=None):
    """Makes a function of NumPy images from a network.

    Args:
        generator: `keras.Model` that takes (batch, 256, 256, 1) in [-1, 1], or a list of two such: source and style.
        styles: float32 array [shape=(n_styles, 256, 256, 1)] in [-1, 1], for a network that takes a style. With
            several, the result is the mean of what the network makes with each.

    Returns:
        Function from float32 array [shape=(n, 256, 256, 1)] to another, both in [-1, 1], in inference mode.
    """

    @tf.function(input_signature=[tf.TensorSpec((None, *data.SLICE_SHAPE), tf.float32)])
    def infer(images):
        if styles is None:
            return generator(images, training=False)
        shape = tf.shape(images)
        generated = [generator([images, tf.broadcast_to(style, shape)], training=False) for style in styles]
        return tf.add_n(generated) / len(generated)

    return lambda images: infer(images).numpy()


def transfer_audio(audio, sample_rate, generate, overlap=OVERLAP_FRAMES, batch_size=8):
    """Transfers the timbre of audio of any rate and number of channels, each channel by itself.

    Args:
        audio: float32 array [shape=(n_channels, n_samples)].
        sample_rate: Hz.
        generate: what `make_generate` gives.
        overlap: frames that neighbouring slices share.
        batch_size: slices handed to the network at a time.

    Returns:
        float32 array [shape=(n_channels, n_samples)] at the same rate. It is not limited to [-1, 1].
    """
    n_channels, n_samples = audio.shape
    result = np.zeros_like(audio)
    for channel in range(n_channels):
        mono = data.resample(audio[channel], sample_rate, data.SAMPLE_RATE)
        mono = data.resample(transfer_mono(mono, generate, overlap, batch_size), data.SAMPLE_RATE, sample_rate)
        length = min(n_samples, len(mono))
        result[channel, :length] = mono[:length]
    return result


def transfer_mono(audio, generate, overlap=OVERLAP_FRAMES, batch_size=8):
    """Transfers the timbre of 44.1 kHz mono audio: float32 array [shape=(n_samples,)] to another of the same length."""
    magnitude, phase = data.magnitude_and_phase(data.stft(audio))
    log_magnitude = transfer_log_magnitude(data.amplitude_to_db(magnitude), generate, overlap, batch_size)
    spectrogram = data.from_magnitude_and_phase(data.db_to_amplitude(log_magnitude), phase)
    return data.istft(spectrogram, len(audio))


def transfer_log_magnitude(log_magnitude, generate, overlap=OVERLAP_FRAMES, batch_size=8):
    """Runs a log-magnitude spectrogram of any length through the network.

    Slices start every 256 - `overlap` frames; where two overlap, a linear cross-fade joins them.

    Args:
        log_magnitude: float32 array [shape=(256, n_frames)] in [0, 1].
        generate, overlap, batch_size: as for `transfer_audio`.

    Returns:
        float32 array of the same shape and range.
    """
    n_bins, n_frames = log_magnitude.shape
    hop = data.SLICE_FRAMES - overlap
    starts = range(0, max(1, n_frames - overlap), hop)
    rising = np.arange(1, data.SLICE_FRAMES + 1, dtype=np.float32) / (overlap + 1)
    weight = np.minimum(1, np.minimum(rising, rising[::-1]))  # (256 frames,)

    total = np.zeros((n_bins, starts[-1] + data.SLICE_FRAMES), dtype=np.float32)
    weights = np.zeros(total.shape[1], dtype=np.float32)
    padded = np.pad(log_magnitude, ((0, 0), (0, total.shape[1] - n_frames)))
    for first in range(0, len(starts), batch_size):
        chosen = starts[first : first + batch_size]
        images = np.stack([padded[:, start : start + data.SLICE_FRAMES, np.newaxis] for start in chosen])
        generated = data.from_network(generate(data.to_network(images)))
        for start, image in zip(chosen, generated, strict=True):
            total[:, start : start + data.SLICE_FRAMES] += image[..., 0] * weight
            weights[start : start + data.SLICE_FRAMES] += weight
    return np.clip(total / weights, 0, 1)[:, :n_frames]
