#!/usr/bin/env python3
"""Train one Pix2Pix for several target instruments: a slice of other music, the style, selects the target.

The generator sees the source and a style: a slice of another piece, played by the target instrument. The discriminator
sees source and target, as in train.py, and with --disc_style also the style. Each epoch has equally many slices of all
pairs of an origin and a target. The model's folder is <models_path>/<origin>_2_any/, or any_2_any/ with several
origins; its name ends in _generator without a discriminator (--generator_alone).

Example:
  python train_multitarget.py --dataset_path features --origin keyboard_acoustic
      --target guitar_acoustic string_acoustic synth_lead_synthetic
"""

import argparse
import functools

from common import cli
from common.device import network_options, start_tensorflow
from common.representations import n_channels
from training.arguments import (
    ADVERSARIAL_FLAGS,
    add_adversarial_arguments,
    add_arguments,
    add_phase_arguments,
    check_arguments,
    check_channels,
    make_run_settings,
)

GEN_LR, DISC_LR = 1e-5, 5e-6


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    instruments = {"type": cli.comma_list(cli.instrument_name), "nargs": "+", "required": True}
    parser.add_argument("--origin", **instruments, help="instruments to convert from")
    parser.add_argument("--target", **instruments, help="instruments to convert to")
    parser.add_argument("--same", action="store_true", help="also train pairs of an instrument with itself")
    parser.add_argument("--lr", type=cli.positive_float, help="learning rate of both networks")
    parser.add_argument(
        "--gen_lr", type=cli.positive_float, help=f"generator's learning rate (default: --lr, or {GEN_LR:g})"
    )
    parser.add_argument(
        "--disc_lr", type=cli.positive_float, help=f"discriminator's learning rate (default: --lr, or {DISC_LR:g})"
    )
    parser.add_argument(
        "--generator_alone", action="store_true", help="no discriminator: train by the mean absolute error alone"
    )
    add_adversarial_arguments(parser)
    parser.add_argument("--disc_style", action="store_true", help="show the style to the discriminator, too")
    add_arguments(parser)
    add_phase_arguments(parser)
    arguments = parser.parse_args()
    check_arguments(parser, arguments)
    check_channels(parser, arguments)
    # Sorted, as the same instruments in another order are the same model.
    arguments.origin, arguments.target = (sorted(cli.flatten(lists)) for lists in (arguments.origin, arguments.target))
    if not make_instrument_pairs(arguments.origin, arguments.target, arguments.same):
        parser.error(
            f"argument --target: must name another instrument than --origin {arguments.origin[0]}, or add --same"
        )
    for flag in (*ADVERSARIAL_FLAGS, "disc_style") if arguments.generator_alone else ():
        if getattr(arguments, flag) != arguments.defaults[flag]:
            parser.error(f"argument --{flag}: there is no discriminator with --generator_alone")
    arguments.gen_lr = arguments.gen_lr or arguments.lr or GEN_LR
    arguments.disc_lr = arguments.disc_lr or arguments.lr or DISC_LR
    return arguments


def make_instrument_pairs(origins: list[str], targets: list[str], same: bool) -> list[tuple[str, str]]:
    """Pair each origin with each target; `same` keeps pairs of an instrument with itself."""
    return [(origin, target) for origin in origins for target in targets if origin != target or same]


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

    adversarial = not arguments.generator_alone
    instrument_pairs = make_instrument_pairs(arguments.origin, arguments.target, arguments.same)
    targets = list(dict.fromkeys(target for _, target in instrument_pairs))
    learning_rates = {"generator": LearningRate("gen_lr", arguments.gen_lr)}
    losses: tuple[str, ...] = ()
    if adversarial:
        learning_rates["discriminator"] = LearningRate("disc_lr", arguments.disc_lr)
        losses = ("gen_loss", "disc_loss")

    losses += metric_names(settings.phase, settings.loss_weights)

    def make_networks() -> dict[str, keras.Model]:
        size = {"n_inputs": 2, "dropout": settings.dropout, "noise": arguments.noise}
        networks = {"generator": Generator(**size, **settings.width, **kind)}
        if adversarial:
            networks["discriminator"] = Discriminator(
                settings.disc_filters, with_style=arguments.disc_style, whole_band=arguments.disc_band, **kind
            )
        return networks

    origin = arguments.origin[0] if len(arguments.origin) == 1 else "any"
    recipe = Recipe(
        name=f"{origin}_2_any" + ("" if adversarial else "_generator"),
        instrument_pairs=instrument_pairs,
        learning_rates=learning_rates,
        make_networks=make_networks,
        make_steps=functools.partial(
            steps.adversarial_steps if adversarial else steps.generator_steps,
            measure=steps.make_target_errors(targets),
            weights=settings.loss_weights,
        ),
        metrics=("gen_mae", *losses, *(f"gen_mae_{name}" for name in targets)),
        n_inputs=2,
        phase=settings.phase,
        noise=arguments.noise,
    )
    return run(recipe, settings, device_name)


if __name__ == "__main__":
    cli.run(main)
