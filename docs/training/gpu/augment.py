"""The random changes of the source of dataset/augment.py, in PyTorch."""

import functools
import math

import numpy as np
import terms
import torch

import data

LEVEL_DB, EQUALIZER_DB, NOISE_DB = 4.0, 4.0, (-80.0, -45.0)  # those of dataset/augment.py, which imports TensorFlow
POINTS_HZ = (60, 170, 480, 1350, 3800, 10_700)
_NOISE_IN_A_BIN = 2 * float(np.sqrt(np.square(data.WINDOW).sum())) / float(data.WINDOW.sum())


def augment(sources: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Change level and spectrum of each source and, in half of the cases, add a noise floor.

    Args:
        sources: float32 (batch, 1, 256, 256) in [-1, 1].
        generator: of the random numbers; None for PyTorch's own.

    Returns:
        Images of the same shape and range.
    """
    n, options = len(sources), {"device": sources.device, "generator": generator}
    level = (2 * torch.rand(n, 1, **options) - 1) * LEVEL_DB
    points = EQUALIZER_DB * torch.randn(n, len(POINTS_HZ), **options)
    gain = 10 ** ((level + points @ curves(sources.device)) / 20)
    noise = 10 ** ((NOISE_DB[0] + (NOISE_DB[1] - NOISE_DB[0]) * torch.rand(n, 1, 1, 1, **options)) / 20)
    noise = noise * (torch.rand(n, 1, 1, 1, **options) < 0.5)
    power = -torch.log(torch.rand(sources.shape, **options).clamp(min=1e-7))
    magnitude = terms.expand(sources) * gain[:, None, :, None]
    return terms.compress(torch.sqrt(magnitude.square() + power * (noise * _NOISE_IN_A_BIN).square()))


@functools.cache
def curves(device: torch.device) -> torch.Tensor:
    """Compute the weights of the points in each bin: float32 (6, 256)."""
    hertz = np.maximum(np.arange(data.N_BINS) * data.SAMPLE_RATE / data.N_FFT, 1.0)
    places = np.interp(np.log(hertz), np.log(POINTS_HZ), np.arange(len(POINTS_HZ)))
    distances = np.abs(places - np.arange(len(POINTS_HZ))[:, np.newaxis])
    curve = 0.5 + 0.5 * np.cos(math.pi * np.minimum(distances, 1))
    return torch.tensor(curve, dtype=torch.float32, device=device)
