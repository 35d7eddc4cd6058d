"""The picture of the finished audio: what predict.py makes of a generated picture, and anyone hears, in PyTorch.

A magnitude that no audio has is not heard as it is: with the source's phase, random changes of neighboring frames
cancel, and energy comes where there was none. This is `griffinlim_input` of inference/phase.py within a slice.
"""

import functools

import terms
import torch
from packed import PHASE_ITERATIONS

import data

_FIXED_BINS = 24  # those of inference/phase.py
_ACCELERATION = 0.99


def finish(images: torch.Tensor, phases: torch.Tensor, iterations: int = PHASE_ITERATIONS) -> torch.Tensor:
    """Give pictures a phase, and compute the pictures of the resulting audio.

    The phases are found without a gradient; the magnitudes have one.

    Args:
        images: generated pictures, float32 (batch, 1, 256, 256) in [-1, 1].
        phases: phases of the source in half turns, of the same shape.
        iterations: of fast Griffin-Lim.

    Returns:
        Pictures of the same shape. The first and the last frame lack a neighbor, and stay as they are.
    """
    magnitude = terms.expand(images[:, 0])
    with torch.no_grad():
        start = torch.polar(magnitude.detach(), phases[:, 0] * torch.pi)
        result = previous = start
        for _ in range(iterations):
            projected = _consistent(result)
            result = projected + _ACCELERATION * (projected - previous)
            result = magnitude.detach() * _direction(result)
            result[:, :_FIXED_BINS] = start[:, :_FIXED_BINS]
            previous = projected
        direction = _direction(result)
    heard = _consistent(magnitude * direction)
    power = heard.real.square() + heard.imag.square()
    return terms.compress(torch.sqrt(power + 1e-14)).unsqueeze(1)


def _direction(spectrum: torch.Tensor) -> torch.Tensor:
    return spectrum / spectrum.abs().clamp(min=1e-12)


def _consistent(spectrum: torch.Tensor) -> torch.Tensor:
    """Compute the STFT of the audio of a spectrum, complex64 (batch, 256, frames) both."""
    window, synthesis_window = _windows(spectrum.device)
    hop = data.HOP_LENGTH
    frames = torch.fft.irfft(spectrum.transpose(1, 2), data.N_FFT) * synthesis_window
    hops = frames[:, 1:, :hop] + frames[:, :-1, hop:]
    inner = torch.cat([hops[:, :-1], hops[:, 1:]], -1) * window
    inner = torch.fft.rfft(inner)[..., : data.N_BINS].transpose(1, 2)
    return torch.cat([spectrum[..., :1], inner, spectrum[..., -1:]], -1)


@functools.cache
def _windows(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the window of the STFT, and that of its inverse; a CUDA graph cannot copy them from the host."""
    window = torch.from_numpy(data.WINDOW).to(device)
    of_all = window.square().reshape(-1, data.HOP_LENGTH).sum(0)
    return window, window / of_all.repeat(data.N_FFT // data.HOP_LENGTH)
