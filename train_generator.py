#!/usr/bin/env python3
"""Train the generator of Pix2Pix alone, by its mean absolute error, for one pair of instruments.

Without a discriminator a step takes two thirds of the time, and the pictures are smoother. Everything else is as in
train.py; the model's folder is <models_path>/<origin>_2_<target>_generator/.

Example:
  python train_generator.py --dataset_path features --origin keyboard_acoustic --target guitar_acoustic
"""

import argparse
import functools

from common import cli
from common.device import network_options, start_tensorflow
from common.representations import n_channels
from training.arguments import make_run_settings, parse_pair_arguments


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--lr", type=cli.positive_float, default=5e-5, help="learning rate")
    return parse_pair_arguments(parser)


def main() -> int:
    arguments = parse_arguments()
    settings = make_run_settings(arguments)
    device_name = start_tensorflow(arguments.gpu, arguments.deterministic, settings.workload, arguments.devices)
    kind = {**network_options(settings.precision), "n_channels": n_channels(settings.phase)}

    from model import Generator
    from training import steps
    from training.phase_terms import metric_names
    from training.recipe import LearningRate, Recipe
    from training.run import run

    recipe = Recipe(
        name=f"{arguments.origin}_2_{arguments.target}_generator",
        instrument_pairs=[(arguments.origin, arguments.target)],
        learning_rates={"generator": LearningRate("lr", arguments.lr)},
        make_networks=lambda: {"generator": Generator(dropout=settings.dropout, **settings.width, **kind)},
        make_steps=functools.partial(steps.generator_steps, weights=settings.loss_weights),
        metrics=("gen_mae", *metric_names(settings.phase, settings.loss_weights)),
        phase=settings.phase,
    )
    return run(recipe, settings, device_name)


if __name__ == "__main__":
    cli.run(main)
