"""The networks of model.py in PyTorch, for GPUs on which TensorFlow is not installed. Layers have the same names.

Images are (batch, channels, bin, frame) here. Weights are exchanged as dict of `<layer>/<index>` to arrays in Keras's
layout and order (`Layer.get_weights`).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import source_noise

ENCODER = ((1, False), (2, True), (4, True), (8, True), (8, True), (8, True), (8, True), (8, True))
DECODER = (8, 8, 8, 8, 4, 2, 1)
NOISY = {5: 32, 6: 64, 7: 128}  # layers of the decoder that add noise, and their height
MOMENTUM, EPSILON = 0.01, 1e-3  # of normalization; PyTorch's momentum is 1 - Keras's
ALPHA = 0.3  # slope of LeakyReLU below 0
_HEIGHTS = {f"down{number}_norm": 256 >> number for number in range(2, 9)}  # of what each normalization sees
_HEIGHTS |= {f"up{number}_norm": 1 << number for number in range(1, 8)}


def _convolution(n_in: int, n_out: int, bias: bool = False, **options: int) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, 4, bias=bias, **options)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _transposed(n_in: int, n_out: int, bias: bool = False) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(n_in, n_out, 4, 2, 1, bias=bias)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _normalization(n: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n, eps=EPSILON, momentum=MOMENTUM)


def noise_image(source: torch.Tensor) -> torch.Tensor:
    """Compute `source_noise.of_images`: (batch, 1, 256, 256) in [-1, 1] to (batch, 1, 128, 128), exactly."""
    n, _, height, width = source.shape
    quarters = torch.floor(source * source_noise.ROUNDING + 0.5).reshape(n, 4, height // 4, width)
    mixed = torch.cat(
        [sum(quarters[:, i : i + 1] * float(source_noise.MATRIX[row, i]) for i in range(4)) for row in range(4)],
        dim=1,
    ).reshape(n, 1, height, width)
    return F.avg_pool2d(mixed - torch.floor(mixed + 0.5), 2) * float(source_noise.SCALE)


class Generator(nn.Module):
    """The U-Net of `model.Generator`."""

    def __init__(
        self, filters: int = 16, n_inputs: int = 1, noise: bool = False, max_filters: int | None = None
    ) -> None:
        """Draw the weights; for the arguments see `model.Generator`."""
        super().__init__()
        self.noise, limit = noise, max_filters or 8 * filters
        n_channels = [n_inputs, *(min(filters * factor, limit) for factor, _ in ENCODER)]
        for number, (_, normalized) in enumerate(ENCODER, 1):
            n_in, n_out = n_channels[number - 1 : number + 1]
            self.add_module(f"down{number}_conv", _convolution(n_in, n_out, stride=2, padding=1))
            if normalized:
                self.add_module(f"down{number}_norm", _normalization(n_out))
        n_in = n_channels[-1]
        for number, factor in enumerate(DECODER, 1):
            n_out = min(filters * factor, limit)
            self.add_module(f"up{number}_conv", _transposed(n_in, n_out))
            self.add_module(f"up{number}_norm", _normalization(n_out))
            if noise and number in NOISY:
                strength = nn.Parameter(torch.zeros(1, n_out, NOISY[number], 1))
                self.register_parameter(f"up{number}_noise", strength)
            n_in = n_out + n_channels[len(DECODER) + 1 - number]
        self.last = _transposed(n_in, 1, bias=True)

    def forward(self, source: torch.Tensor, style: torch.Tensor | None = None) -> torch.Tensor:
        """Generate images (batch, 1, 256, 256) in [-1, 1]."""
        x = source if style is None else torch.cat([source, style], 1)
        noises = {}
        if self.noise:
            image = noise_image(source)
            for height in reversed(NOISY.values()):
                noises[height] = image
                image = 2 * F.avg_pool2d(image, 2)
        skips = []
        for number, (_, normalized) in enumerate(ENCODER, 1):
            x = getattr(self, f"down{number}_conv")(x)
            if normalized:
                x = getattr(self, f"down{number}_norm")(x)
            x = F.leaky_relu(x, ALPHA)
            skips.append(x)
        for number, skip in enumerate(reversed(skips[:-1]), 1):
            x = getattr(self, f"up{number}_norm")(getattr(self, f"up{number}_conv")(x))
            if self.noise and number in NOISY:
                x = x + (noises[NOISY[number]] * (getattr(self, f"up{number}_noise") * source_noise.GAIN)).to(x.dtype)
            x = torch.cat([F.relu(x), skip], 1)
        with torch.autocast(x.device.type, enabled=False):
            return torch.tanh(self.last(x.float()))


class Discriminator(nn.Module):
    """The PatchGAN of `model.Discriminator`."""

    def __init__(self, filters: int = 16, with_style: bool = False) -> None:
        """Draw the weights."""
        super().__init__()
        n_in = 3 if with_style else 2
        for number, factor in enumerate((1, 2, 4, 8), 1):
            self.add_module(f"down{number}_conv", _convolution(n_in, filters * factor, stride=2, padding=1))
            if number > 1:
                self.add_module(f"down{number}_norm", _normalization(filters * factor))
            n_in = filters * factor
        self.last = _convolution(n_in, 1, bias=True, stride=1)

    def forward(self, *images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Judge source, target and, if it sees one, style: logits (batch, 1, 16, 16), and the normalized features."""
        x, features = torch.cat(images, 1), []
        for number in (1, 2, 3, 4):
            x = getattr(self, f"down{number}_conv")(x)
            if number > 1:
                x = getattr(self, f"down{number}_norm")(x)
            x = F.leaky_relu(x, ALPHA)
            if number > 1:
                features.append(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.last(F.pad(x.float(), (1, 2, 1, 2))), features


def to_keras(network: nn.Module, batch_size: int) -> dict[str, np.ndarray]:
    """Convert weights to Keras's layout.

    PyTorch divides the running variances by n - 1, Keras by n, the pixels of a batch: where a layer has few, that
    matters.

    Args:
        network: what was trained.
        batch_size: images a step.
    """
    weights = {}
    for name, layer in network.named_children():
        if isinstance(layer, nn.BatchNorm2d):
            n = batch_size * _HEIGHTS[name] ** 2
            values = [layer.weight, layer.bias, layer.running_mean, layer.running_var * ((n - 1) / n)]
        else:
            values = [layer.weight.permute(2, 3, 1, 0), *([layer.bias] if layer.bias is not None else [])]
        for index, value in enumerate(values):
            weights[f"{name}/{index}"] = value.detach().float().cpu().numpy()
    for name, strength in network.named_parameters(recurse=False):
        weights[f"{name}/0"] = strength.detach().float().cpu().numpy()[0].transpose(1, 2, 0)
    return weights


def from_keras(network: nn.Module, weights: dict[str, np.ndarray], batch_size: int) -> None:
    """Load weights in Keras's layout; noise that they lack keeps its strength. The inverse of `to_keras`."""
    with torch.no_grad():
        for name, layer in network.named_children():
            values = [
                torch.from_numpy(np.asarray(weights[f"{name}/{i}"], np.float32))
                for i in range(4)
                if f"{name}/{i}" in weights
            ]
            if isinstance(layer, nn.BatchNorm2d):
                n = batch_size * _HEIGHTS[name] ** 2
                values[3] = values[3] * (n / (n - 1))
                for tensor, value in zip(
                    (layer.weight, layer.bias, layer.running_mean, layer.running_var), values, strict=True
                ):
                    tensor.copy_(value)
                continue
            layer.weight.copy_(values[0].permute(3, 2, 0, 1))
            if layer.bias is not None:
                layer.bias.copy_(values[1])
        for name, strength in network.named_parameters(recurse=False):
            if f"{name}/0" in weights:
                value = torch.from_numpy(np.asarray(weights[f"{name}/0"], np.float32))
                strength.copy_(value.permute(2, 0, 1)[None])
