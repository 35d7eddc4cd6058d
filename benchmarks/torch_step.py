#!/usr/bin/env python3
"""The training step in PyTorch: the same networks, losses, optimizer and batches as training/steps.py.

bench_training.py runs this file in a process of its own, with a Python that has torch and need have nothing else. A
line with a number on standard input runs so many steps; the answer is the images a second.
"""

import itertools

import step_server
import torch
from torch import nn
from torch.nn import functional

L1_WEIGHT = 100  # as losses.py


class Down(nn.Module):
    """Convolution 4 × 4 that halves both axes, normalization, LeakyReLU. Keras's "same" pads 1 on each side here."""

    def __init__(self, n_in, n_out, normalized=True):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=False)
        self.norm = make_norm(n_out) if normalized else nn.Identity()

    def forward(self, x):
        """Compute the output; see the class."""
        return functional.leaky_relu(self.norm(self.conv(x)), 0.3, inplace=True)


class Up(nn.Module):
    """Transposed convolution 4 × 4 that doubles both axes, normalization, dropout, ReLU."""

    def __init__(self, n_in, n_out, dropout):
        super().__init__()
        self.conv = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False)
        self.norm = make_norm(n_out)
        self.dropout = nn.Dropout(0.5) if dropout else nn.Identity()

    def forward(self, x):
        """Compute the output; see the class."""
        return functional.relu(self.dropout(self.norm(self.conv(x))), inplace=True)


class Generator(nn.Module):
    """The U-Net of model.py."""

    def __init__(self, base_filters):
        super().__init__()
        widths = [base_filters * factor for factor in (1, 2, 4, 8, 8, 8, 8, 8)]
        pairs = zip([1, *widths], widths, strict=False)
        self.down = nn.ModuleList(Down(n_in, n_out, index > 0) for index, (n_in, n_out) in enumerate(pairs))
        self.up, n_in = nn.ModuleList(), widths[-1]
        for index, n_out in enumerate(reversed(widths[:-1])):
            self.up.append(Up(n_in, n_out, dropout=index < 3))
            n_in = 2 * n_out
        self.last = nn.ConvTranspose2d(n_in, 1, 4, stride=2, padding=1)

    def forward(self, x):
        """Compute the output; see the class."""
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for layer, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = torch.cat([layer(x), skip], dim=1)
        return torch.tanh(self.last(x).float())


class Discriminator(nn.Module):
    """The PatchGAN of model.py."""

    def __init__(self, base_filters):
        super().__init__()
        widths = [2, *(base_filters * factor for factor in (1, 2, 4, 8))]
        pairs = enumerate(itertools.pairwise(widths))
        self.down = nn.Sequential(*(Down(n_in, n_out, index > 0) for index, (n_in, n_out) in pairs))
        self.last = nn.Conv2d(widths[-1], 1, 4)

    def forward(self, source, target):
        """Compute the output; see the class."""
        x = self.down(torch.cat([source, target], dim=1))
        return self.last(functional.pad(x, (1, 2, 1, 2))).float()  # Keras's "same": 1 before, 2 after


def make_norm(n_channels):
    return nn.BatchNorm2d(n_channels, eps=1e-3, momentum=0.01)  # PyTorch's momentum is 1 - Keras's


def initialize(module):
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def make_step(base_filters, batch_size, adversarial, bfloat16):
    """Make a function that trains on one batch in memory and returns the mean absolute error."""

    def make(network):
        network.apply(initialize)
        network = network.to(memory_format=torch.channels_last).train()
        parameters = list(network.parameters())
        return network, parameters, torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999), eps=1e-7, fused=True)

    generator, gen_parameters, gen_optimizer = make(Generator(base_filters))
    if adversarial:
        discriminator, disc_parameters, disc_optimizer = make(Discriminator(base_filters))
    source, target = (
        (torch.rand(batch_size, 1, 256, 256) * 2 - 1).to(memory_format=torch.channels_last) for _ in range(2)
    )
    cross_entropy = functional.binary_cross_entropy_with_logits

    def update(optimizer, parameters, loss, retain_graph=False):
        gradients = torch.autograd.grad(loss, parameters, retain_graph=retain_graph)  # of these parameters alone
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return optimizer.step

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            generated = generator(source)
            mae = (target - generated).abs().mean()
            if adversarial:
                real_logits = discriminator(source, target)
                fake_logits = discriminator(source, generated)
        if not adversarial:
            update(gen_optimizer, gen_parameters, mae)()
            return mae.detach()
        gen_loss = cross_entropy(fake_logits, torch.ones_like(fake_logits)) + L1_WEIGHT * mae
        disc_loss = cross_entropy(real_logits, torch.ones_like(real_logits))
        disc_loss = disc_loss + cross_entropy(fake_logits, torch.zeros_like(fake_logits))
        apply_gen = update(gen_optimizer, gen_parameters, gen_loss, retain_graph=True)
        apply_disc = update(disc_optimizer, disc_parameters, disc_loss)
        apply_gen()
        apply_disc()
        return mae.detach()

    return step


def main():
    parser = step_server.make_parser(__doc__)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    step = make_step(arguments.base_filters, arguments.batch_size, arguments.adversarial, arguments.bfloat16)
    step_server.serve(step, arguments.batch_size)


if __name__ == "__main__":
    main()
