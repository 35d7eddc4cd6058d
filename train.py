#!/usr/bin/env python3
"""Trains Pix2Pix for one pair of instruments: a U-Net generator against a PatchGAN discriminator.

The run can be stopped at any moment; the same command goes on from where it was. The model's folder is
<models_path>/<origin>_2_<target>/: the weights of the best epoch (by validation error), those of the last one in last/,
config.json, history.csv and plots/. After each epoch, <output_path>/<model>/<epoch>/ shows a validation slice and plays
15 s, and <output_path>/<model>/prediction.gif shows the epochs so far. --findlr suggests learning rates.

example:
  python train.py --dataset_path features --origin keyboard_acoustic --target guitar_acoustic
"""

import cli
import experiment
from device import start_tensorflow


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--gen_lr", type=cli.positive_float, default=5e-5, help="generator's learning rate")
    parser.add_argument("--disc_lr", type=cli.positive_float, default=5e-6, help="discriminator's learning rate")
    return experiment.parse_pair_arguments(parser)


def main():
    arguments = parse_arguments()
    running_on = start_tensorflow(arguments.gpu, arguments.deterministic)

    import steps
    from model import Discriminator, Generator

    def make_networks():
        return {
            "generator": Generator(arguments.base_filters, dtype=arguments.precision, dropout=arguments.dropout),
            "discriminator": Discriminator(arguments.base_filters, dtype=arguments.precision),
        }

    return experiment.run(
        arguments,
        running_on,
        name=f"{arguments.origin}_2_{arguments.target}",
        couples=[(arguments.origin, arguments.target)],
        rate_flags={"generator": "gen_lr", "discriminator": "disc_lr"},
        make_networks=make_networks,
        make_steps=steps.adversarial_steps,
        metrics=("gen_mae", "gen_loss", "disc_loss"),
    )


if __name__ == "__main__":
    cli.run(main)
