#!/usr/bin/env python3
"""Train a network of the phase: from the target's magnitude and the input to the derivatives of the target's phase.

The derivatives are the instantaneous frequency and the group delay; predict.py --phase network integrates them to a
phase. The slices must hold phases (compute_features.py --phase). --network compact is a small convolutional network,
unet is the U-Net of the other scripts. The model's folder is <models_path>/<origin>_2_<target>_phase/, with several
targets <origin>_2_any_phase/; all else is as in train.py. The previews are pictures of the derivatives.

Example:
  python train_phase.py --dataset_path phase_features --origin keyboard_acoustic --target guitar_acoustic
"""

import argparse

from common import cli
from common.device import network_options, start_tensorflow
from inference.settings import PHASE_NETWORKS
from training.arguments import add_arguments, check_arguments, check_phase_arguments, make_run_settings


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    add = parser.add_argument
    add("--origin", type=cli.instrument_name, required=True, help="instrument to convert from")
    add("--target", type=cli.instrument_name, required=True, nargs="+", help="instruments to convert to")
    add("--network", choices=PHASE_NETWORKS, default="compact", help="a small convolutional network, or the U-Net")
    add("--lr", type=cli.positive_float, default=2e-3, help="learning rate")
    add_arguments(parser)
    parser.set_defaults(base_filters=16)
    arguments = parser.parse_args()
    check_arguments(parser, arguments)
    check_phase_arguments(parser, arguments)
    return arguments


def main() -> int:
    arguments = parse_arguments()
    settings = make_run_settings(arguments)
    device_name = start_tensorflow(arguments.gpu, arguments.deterministic, settings.workload, arguments.devices)
    kind = network_options(settings.precision)

    import keras

    import phase_gradient
    from model import Generator, PhaseNetwork
    from training.phase_steps import METRICS, phase_steps
    from training.recipe import LearningRate, Recipe
    from training.run import run

    def make_networks() -> dict[str, keras.Model]:
        if arguments.network == "compact":
            return {"phase": PhaseNetwork(settings.base_filters, dtype=kind["dtype"])}
        n_channels = phase_gradient.N_INPUTS, phase_gradient.N_OUTPUTS
        return {"phase": Generator(settings.base_filters, dropout=settings.dropout, n_channels=n_channels, **kind)}

    target = arguments.target[0] if len(arguments.target) == 1 else "any"
    recipe = Recipe(
        name=f"{arguments.origin}_2_{target}_phase",
        instrument_pairs=[(arguments.origin, target) for target in arguments.target],
        learning_rates={"phase": LearningRate("lr", arguments.lr)},
        make_networks=make_networks,
        make_steps=phase_steps,
        metrics=METRICS,
        of_phase=True,
        network=arguments.network,
    )
    return run(recipe, settings, device_name)


if __name__ == "__main__":
    cli.run(main)
