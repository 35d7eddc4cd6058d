#!/usr/bin/env python3
"""Store a trained model in a form small enough to ship: float16 weights of the generator, configuration and history.

The discriminator, the training state and paths are left out. predict.py loads the weights into the float32 network; the
model's card says what the rounding costs.

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder of a trained model")
    parser.add_argument("--output", required=True, type=Path, help="folder of models; gets a folder of the model")
    parser.add_argument("--name", help="name of the shipped model (default: that of the folder)")
    arguments = parser.parse_args()
    if not (arguments.model / "history.csv").is_file():
        parser.error(f"argument --model: {arguments.model} must be a folder that a train script wrote")
    start_tensorflow(-1)

    from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION
    from common.weights import halve_weights

    folder = arguments.output / (arguments.name or arguments.model.resolve().name)

    config = storage.read_json(arguments.model / CONFIG_NAME)
    config["arguments"] = {key: value for key, value in config["arguments"].items() if key not in PATHS}
    config["weights"] = "float16"
    weights = f"generator{WEIGHTS_EXTENSION}"
    with storage.atomic_write(folder / weights) as partial:
        halve_weights(arguments.model / weights, partial)
    storage.write_json(folder / CONFIG_NAME, config)
    shutil.copy(arguments.model / "history.csv", folder)
    shutil.copytree(arguments.model / "plots", folder / "plots", dirs_exist_ok=True)
    print(f"{folder}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
