#!/usr/bin/env python3
"""Store a trained model in a form small enough to ship: float16 weights of the generator, configuration and history.

The discriminator, the training state and paths are left out. predict.py loads the weights into the float32 network; the
model's card says what the rounding costs.

With --earlier, the run went on from another one: its flags and its history are stored, too (`earlier` in config.json,
earlier.csv). The fixed equalizers are those of the earlier run, so that the scores of an equalizer, with which those of
a target's models are compared, stay the same.

Example:
  python docs/training/ship_model.py --model work/models/keyboard_acoustic_2_guitar_acoustic --output pretrained
"""

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common import storage
from common.device import start_tensorflow

PATHS = ("dataset_path", "models_path", "output_path", "sample_audio", "init_from")
EARLIER = ("script", "arguments", "machine", "data", "training", "mixed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder of a trained model")
    parser.add_argument("--output", required=True, type=Path, help="folder of models; gets a folder of the model")
    parser.add_argument("--earlier", type=Path, help="folder of the run that it went on from")
    parser.add_argument("--name", help="name of the shipped model (default: that of the folder)")
    arguments = parser.parse_args()
    for flag, path in (("model", arguments.model), ("earlier", arguments.earlier)):
        if path and not (path / "history.csv").is_file():
            parser.error(f"argument --{flag}: {path} must be a folder that a train script wrote")
    start_tensorflow(-1)

    from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION
    from common.weights import halve_weights

    folder = arguments.output / (arguments.name or arguments.model.resolve().name)

    def read_config(path):
        config = storage.read_json(path / CONFIG_NAME)
        return {**config, "arguments": {key: value for key, value in config["arguments"].items() if key not in PATHS}}

    config = read_config(arguments.model)
    if arguments.earlier:
        earlier = read_config(arguments.earlier)
        config["earlier"] = {key: earlier[key] for key in EARLIER if key in earlier}
        config["equalisers"] = earlier["equalisers"]
    config["weights"] = "float16"
    weights = f"generator{WEIGHTS_EXTENSION}"
    with storage.atomic_write(folder / weights) as partial:
        halve_weights(arguments.model / weights, partial)
    storage.write_json(folder / CONFIG_NAME, config)
    shutil.copy(arguments.model / "history.csv", folder)
    if arguments.earlier:
        shutil.copy(arguments.earlier / "history.csv", folder / "earlier.csv")
    shutil.copytree(arguments.model / "plots", folder / "plots", dirs_exist_ok=True)
    print(f"{folder}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
