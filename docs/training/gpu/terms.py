"""The losses of losses.py and training/sound.py in PyTorch, and what a validation measures.

Images are (batch, 1, 256, 256).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

import data
from common import bands

LINEAR_UNIT, MEAN_FRAMES = 1e-3, 32  # those of losses.py, which imports TensorFlow
_SCALE = math.log1p(1 / data.AMIN)
_LEVEL_FRAMES = 32
_FAR = math.log(10)


def expand(images: torch.Tensor) -> torch.Tensor:
    """Convert images in [-1, 1] to linear magnitudes (`data.expand_magnitude`)."""
    return torch.expm1((images + 1) * (0.5 * _SCALE)) * data.AMIN


def compress(magnitude: torch.Tensor) -> torch.Tensor:
    """Convert linear magnitudes to images in [-1, 1] (`data.compress_magnitude`)."""
    return (torch.log(1 + magnitude * (1 / data.AMIN)) * (1 / _SCALE)).clamp(max=1) * 2 - 1


def l1_errors(target: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Compute `losses.l1_errors`."""
    return (target - generated).abs().mean((1, 2, 3))


def cross_entropy(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """Compute the cross-entropy of logits that should all say the same."""
    return F.softplus(-logits if real else logits).mean()


def feature_matching(real: list[torch.Tensor], fake: list[torch.Tensor]) -> torch.Tensor:
    """Compute `losses.feature_matching_loss`."""
    means = ((one.detach() - other).abs().mean(dtype=torch.float32) for one, other in zip(real, fake, strict=True))
    return sum(means) / len(real)


def linear_loss(target: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Compute `losses.linear_loss`."""
    return (expand(target) - expand(generated)).abs().mean() / LINEAR_UNIT


def mean_loss(target: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Compute `losses.mean_loss`."""
    error = (generated - target).reshape(-1, data.N_BINS, data.SLICE_FRAMES // MEAN_FRAMES, MEAN_FRAMES)
    return error.mean((0, 2)).square().mean()


def level_loss(target: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Compute `training.sound.level_loss`."""
    log_ratio = _levels(target) - _levels(generated)
    near = log_ratio.clamp(max=_FAR)
    divergence = torch.exp(near) - near - 1 + (log_ratio - near) * (math.exp(_FAR) - 1)
    return 2 / math.log(10) ** 2 * divergence.mean()


def _levels(images: torch.Tensor) -> torch.Tensor:
    energy = expand(images)[:, 0].square()
    energy = energy.reshape(-1, data.N_BINS, data.SLICE_FRAMES // _LEVEL_FRAMES, _LEVEL_FRAMES).mean(3)
    octaves = [energy[:, bands.bins(*band)].mean(1) for band in bands.OCTAVES]
    return torch.log(torch.stack(octaves, 1) + data.AMIN**2)


def further_terms(target: torch.Tensor, generated: torch.Tensor, weights: dict[str, float]) -> torch.Tensor | float:
    """Sum the weighted terms that a generator's loss has with and without a discriminator."""
    losses = {"linear": linear_loss, "mean": mean_loss, "level": level_loss}
    return sum((weights[name] * loss(target, generated) for name, loss in losses.items() if weights.get(name)), 0.0)


def sound_names() -> list[str]:
    """Return what `sound_totals` sums, in its order."""
    return [f"{kind}_{low}" for kind in ("texture", "level") for low, _ in bands.OCTAVES]


def sound_totals(images: torch.Tensor) -> torch.Tensor:
    """Sum what `training.sound.sound_totals` takes ratios of, over a batch: (12,)."""
    log_magnitude = (images[:, 0] + 1) / 2
    ones = torch.ones_like(log_magnitude[:1])
    slow, part = (F.avg_pool1d(x, bands.TEXTURE_FRAMES, 1, bands.TEXTURE_FRAMES // 2) for x in (log_magnitude, ones))
    changes = log_magnitude - slow / part  # at the edges, of fewer frames
    periods = changes.reshape(len(changes), data.N_BINS, data.SLICE_FRAMES // MEAN_FRAMES, MEAN_FRAMES)
    n = periods.shape[0] * periods.shape[2]
    random = (periods - periods.mean((0, 2), keepdim=True)).square().sum((0, 2, 3)) * (n / (n - 1))
    energy = expand(images)[:, 0].square().sum((0, 2))
    return torch.stack([sums[bands.bins(*octave)].sum() for sums in (random, energy) for octave in bands.OCTAVES])


def summarize(mae: float, ours: list[float], true: list[float]) -> dict[str, float]:
    """Compute texture, level in dB and the score `sound` of sums, as `training.sound.summarize` does."""
    result, wrong = {}, {"texture": [], "level": []}
    for name, one, other in zip(sound_names(), ours, true, strict=True):
        kind, decibels = name.partition("_")[0], 10 * math.log10(max(one / max(other, 1e-30), 1e-12))
        wrong[kind].append(abs(decibels))
        result[name] = 10 ** (decibels / 20) if kind == "texture" else decibels
    return {"sound": mae * (1 + sum(float(np.mean(values)) for values in wrong.values()) / 6), **result}
