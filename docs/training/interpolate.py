#!/usr/bin/env python3
"""Mix two models of the same start: each weight of the result lies between theirs (network interpolation).

A model that is trained by its error alone keeps the pitches and loses the texture; one that went on from it with a
discriminator brings the texture back, and noise with it. In between are models with a part of both (Wang et al. 2018,
arXiv:1809.00219, section 3.4). The strength of the second model's noise is not mixed; --noise multiplies it. The result
has the second model's configuration and history.

Example:
  python docs/training/interpolate.py --models work/models/keyboard_acoustic_2_guitar_acoustic_generator
      work/models/keyboard_acoustic_2_guitar_acoustic --weight 0.7 --output work/keyboard_acoustic_2_guitar_acoustic
"""

import argparse
import shutil
import sys
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common import storage
from common.cli import UserError
from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION, find_generator, read_convolutions
from common.weights_file import find_weights, open_weights

WEIGHTS = f"generator{WEIGHTS_EXTENSION}"
NOISE = "/layers/noise"  # how the names of its strengths begin


def mix(paths, weight, noise, output):
    """Write weights between those of two files of the same network, in the precision of the second."""
    shutil.copy(paths[1], output)
    with open_weights(paths[0]) as first, h5py.File(output, "r+") as file:
        others = {dataset.name: dataset[()].astype("float32") for dataset in find_weights(first)}
        for dataset in find_weights(file):
            values = dataset[()].astype("float32")
            if dataset.name.startswith(NOISE):
                dataset[...] = noise * values
            else:
                dataset[...] = (1 - weight) * others[dataset.name] + weight * values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, type=Path, nargs=2, help="folders of two trained models")
    parser.add_argument("--weight", required=True, type=float, help="part of the second model, from 0 to 1")
    parser.add_argument("--noise", type=float, default=1.0, help="factor of the noise of the second model")
    parser.add_argument("--output", required=True, type=Path, help="folder of the result; it must not exist")
    arguments = parser.parse_args()
    if not 0 <= arguments.weight <= 1:
        parser.error("argument --weight: must be from 0 to 1")
    if not 0 <= arguments.noise <= 2:
        parser.error("argument --noise: must be from 0 to 2")
    if arguments.output.exists():
        parser.error(f"argument --output: {arguments.output} exists; it must be a new folder")
    try:
        models = [find_generator(path) for path in arguments.models]
        if any(model.legacy for model in models) or models[0].size != models[1].size:
            parser.error("argument --models: must be two models of one size that the train scripts wrote")
        if models[0].noise and not models[1].noise:
            parser.error("argument --models: the second one must draw from noise if the first one does")
        for model in models:
            read_convolutions(model)  # all weights or an error
    except UserError as error:
        parser.error(str(error))
    config = dict(models[1].config)
    config["mixed"] = {"with": arguments.models[0].resolve().name, "weight": arguments.weight}
    if models[1].noise:
        config["mixed"]["noise"] = arguments.noise
    arguments.output.mkdir(parents=True)
    with storage.atomic_write(arguments.output / WEIGHTS) as partial:
        mix([model.path for model in models], arguments.weight, arguments.noise, partial)
    storage.write_json(arguments.output / CONFIG_NAME, config)
    shutil.copy(arguments.models[1] / "history.csv", arguments.output)
    shutil.copytree(arguments.models[1] / "plots", arguments.output / "plots")
    print(arguments.output)


if __name__ == "__main__":
    main()
