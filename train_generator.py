#!/usr/bin/env python3
"""Trains the generator of Pix2Pix alone, by its mean absolute error, for one pair of instruments.

Without a discriminator a step takes two thirds of the time, and the pictures come out smoother. All else is as in
train.py; the model's folder is <models_path>/<origin>_2_<target>_generator/.

example:
  python train_generator.py --dataset_path features --origin keyboard_acoustic --target guitar_acoustic
"""

import cli
import experiment
from device import start_tensorflow


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--lr", type=cli.positive_float, default=5e-5, help="learning rate")
    return experiment.parse_pair_arguments(parser)


def main():
    arguments = parse_arguments()
    running_on = start_tensorflow(arguments.gpu, arguments.deterministic)

    import steps
    from model import Generator

    return experiment.run(
        arguments,
        running_on,
        name=f"{arguments.origin}_2_{arguments.target}_generator",
        couples=[(arguments.origin, arguments.target)],
        rate_flags={"generator": "lr"},
        make_networks=lambda: {
            "generator": Generator(arguments.base_filters, dtype=arguments.precision, dropout=arguments.dropout)
        },
        make_steps=steps.generator_steps,
        metrics=("gen_mae",),
    )


if __name__ == "__main__":
    cli.run(main)
