"""Noise for a generator to draw from: the low digits of the source, which are as good as random where it sounds.

A U-Net has the same answer to the same image, so that without noise it can only draw what is the same in all images, or
nothing, where the target is random. These digits are white in time and frequency. They belong to the audio, not to its
place in a slice: slices that overlap have the same noise, recordings that are equal have equal results, and nothing has
to be stored or handed over. Silence has none.
"""

import numpy as np

STEP = 1 / 16  # of an image in [-1, 1], 3 dB where it is loud: what is below is the noise
ROUNDING = 2.0**16  # steps of 1: sums of so many digits are exact in float32, in any order, and equal in all programs
MULTIPLIERS = (1, 2, 3, 5)  # of the four quarters of the band, so that a silent quarter has the digits of the others
MATRIX = np.array([np.roll(MULTIPLIERS, shift) for shift in range(4)], np.float32) / np.float32(STEP * ROUNDING)
SCALE = 4 * np.sqrt(3.0)  # of the mean of four digits, each of variance 1 / 12
GAIN = 10.0  # of the layers' weights, which Adam moves by about the learning rate: noise has to grow from 0


def of_images(source: np.ndarray) -> np.ndarray:
    """Compute the noise of images, in a quarter of their pixels.

    Args:
        source: float32 array [shape=(batch, 256, 256, channels)] in [-1, 1]; the first channel counts.

    Returns:
        float32 array [shape=(batch, 128, 128, 1)] of mean 0 and variance 1, nearly normal; 0 where all bins of a frame
        are silent.
    """
    n, height, width, _ = source.shape
    rounded = np.floor(source[..., 0] * np.float32(ROUNDING) + np.float32(0.5))
    mixed = (MATRIX @ rounded.reshape(n, 4, -1)).reshape(n, height, width, 1)
    return halve(mixed - np.floor(mixed + np.float32(0.5))) * np.float32(SCALE / 2)


def with_noise_of(other: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Change an image by up to half a step, so that the noise in it is that of another image. Silence stays silent.

    Args:
        other: log-magnitude, float32 array in [0, 1].
        image: log-magnitude, float32 array of the same shape in [0, 1].

    Returns:
        float32 array of the same shape in [0, 1].
    """
    step = np.float32(STEP / 2)  # of an image in [0, 1]
    digits = other - np.floor(other / step) * step
    whole = np.floor((image - digits) / step + np.float32(0.5))
    whole -= digits + whole * step > 1
    return np.where(image > 0, digits + np.maximum(whole, 0) * step, 0).astype(np.float32)


def halve(image: np.ndarray) -> np.ndarray:
    """Halve both axes of noise, and keep its variance: twice the mean of four pixels.

    Args:
        image: float array [shape=(batch, height, width, 1)].
    """
    n, height, width, _ = image.shape
    return 2 * image.reshape(n, height // 2, 2, width // 2, 2, 1).mean(axis=(2, 4))
