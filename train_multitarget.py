#!/usr/bin/env python3
"""Trains one Pix2Pix for several target instruments: the generator is told the target by a slice of other music.

The generator sees the source and a style: a slice of another piece, played by the target instrument. The discriminator
sees source and target, as in train.py. Each epoch goes through all pairs of an origin and a target in equal shares. The
model's folder is <models_path>/<origin>_2_any/, or any_2_any/ with several origins, and ends in _generator where no
discriminator takes part (--generator_alone).

example:
  python train_multitarget.py --dataset_path features --origin keyboard_acoustic
      --target guitar_acoustic string_acoustic synth_lead_synthetic
"""

import functools

import cli
import experiment
from device import start_tensorflow

GEN_LR, DISC_LR = 1e-5, 5e-6


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    instruments = {"type": cli.words(cli.instrument_name), "nargs": "+", "required": True}
    parser.add_argument("--origin", **instruments, help="instruments to convert from")
    parser.add_argument("--target", **instruments, help="instruments to convert to")
    parser.add_argument("--same", action="store_true", help="also pairs of an instrument with itself")
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
    experiment.add_arguments(parser)
    arguments = parser.parse_args()
    experiment.check_arguments(parser, arguments)
    # Sorted, as another order of the same instruments is the same model.
    arguments.origin, arguments.target = (sorted(cli.flatten(lists)) for lists in (arguments.origin, arguments.target))
    if not make_couples(arguments):
        parser.error(
            f"argument --target: must name another instrument than --origin {arguments.origin[0]}, or add --same"
        )
    if arguments.generator_alone and arguments.disc_lr:
        parser.error("argument --disc_lr: there is no discriminator with --generator_alone")
    arguments.gen_lr = arguments.gen_lr or arguments.lr or GEN_LR
    arguments.disc_lr = arguments.disc_lr or arguments.lr or DISC_LR
    return arguments


def make_couples(arguments):
    return [(o, t) for o in arguments.origin for t in arguments.target if o != t or arguments.same]


def make_measure(targets):
    """Makes the function that measures the error of each target by itself; a batch holds several."""
    import tensorflow as tf

    from losses import l1_errors

    def measure(target, generated, target_indices):
        errors = l1_errors(target, generated)
        totals = tf.math.unsorted_segment_sum(errors, target_indices, len(targets))
        counts = tf.math.unsorted_segment_sum(tf.ones_like(errors), target_indices, len(targets))
        return {f"gen_mae_{name}": (totals[index], counts[index]) for index, name in enumerate(targets)}

    return measure


def main():
    arguments = parse_arguments()
    running_on = start_tensorflow(arguments.gpu, arguments.deterministic)

    import steps
    from model import Discriminator, Generator

    alone = arguments.generator_alone

    def make_networks():
        size = {"base_filters": arguments.base_filters, "dtype": arguments.precision}
        networks = {"generator": Generator(n_inputs=2, dropout=arguments.dropout, **size)}
        return networks if alone else networks | {"discriminator": Discriminator(**size)}

    couples = make_couples(arguments)
    targets = list(dict.fromkeys(target for _, target in couples))
    return experiment.run(
        arguments,
        running_on,
        name=f"{arguments.origin[0] if len(arguments.origin) == 1 else 'any'}_2_any{'_generator' if alone else ''}",
        couples=couples,
        rate_flags={"generator": "gen_lr"} | ({} if alone else {"discriminator": "disc_lr"}),
        make_networks=make_networks,
        make_steps=functools.partial(
            steps.generator_steps if alone else steps.adversarial_steps, measure=make_measure(targets)
        ),
        metrics=("gen_mae", *(() if alone else ("gen_loss", "disc_loss")), *(f"gen_mae_{name}" for name in targets)),
        n_inputs=2,
    )


if __name__ == "__main__":
    cli.run(main)
