#!/usr/bin/env python3
"""Train Pix2Pix for one pair of instruments: a U-Net generator against a PatchGAN discriminator.

The run can be stopped at any moment; the same command resumes it. The model's folder,
<models_path>/<origin>_2_<target>/, gets the weights of the best epoch (by validation error), those of the last one in
last/, config.json, history.csv and plots/. After each epoch, <output_path>/<model>/<epoch>/ gets a picture of a
validation slice and 15 s of converted audio, and <output_path>/<model>/prediction.gif shows the epochs so far. --findlr
suggests learning rates.

Example:
  python train.py --dataset_path features --origin keyboard_acoustic --target guitar_acoustic
"""

import argparse
import functools

from common import cli
from common.device import network_options, start_tensorflow
from common.representations import n_channels
from training.arguments import add_adversarial_arguments, make_run_settings, parse_pair_arguments


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--gen_lr", type=cli.positive_float, default=5e-5, help="generator's learning rate")
    parser.add_argument("--disc_lr", type=cli.positive_float, default=5e-6, help="discriminator's learning rate")
    add_adversarial_arguments(parser)
    return parse_pair_arguments(parser)


def main() -> int:
    arguments = parse_arguments()
    settings = make_run_settings(arguments)
    device_name = start_tensorflow(arguments.gpu, arguments.deterministic, settings.workload, arguments.devices)
    kind = {**network_options(settings.precision), "n_channels": n_channels(settings.phase)}

    import keras

    from model import Discriminator, Generator
    from training import steps
    from training.phase_terms import metric_names
    from training.recipe import LearningRate, Recipe
    from training.run import run

    def make_networks() -> dict[str, keras.Model]:
        return {
            "generator": Generator(dropout=settings.dropout, noise=arguments.noise, **settings.width, **kind),
            "discriminator": Discriminator(settings.disc_filters, whole_band=arguments.disc_band, **kind),
        }

    recipe = Recipe(
        name=f"{arguments.origin}_2_{arguments.target}",
        instrument_pairs=[(arguments.origin, arguments.target)],
        learning_rates={
            "generator": LearningRate("gen_lr", arguments.gen_lr),
            "discriminator": LearningRate("disc_lr", arguments.disc_lr),
        },
        make_networks=make_networks,
        make_steps=functools.partial(steps.adversarial_steps, weights=settings.loss_weights),
        metrics=("gen_mae", "gen_loss", "disc_loss", *metric_names(settings.phase, settings.loss_weights)),
        phase=settings.phase,
        noise=arguments.noise,
    )
    return run(recipe, settings, device_name)


if __name__ == "__main__":
    cli.run(main)
