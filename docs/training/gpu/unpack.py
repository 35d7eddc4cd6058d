#!/usr/bin/env python3
"""Turn what train_on_gpu.py stored into folders of models, as the train scripts write them.

The network is computed once: its result must be that of PyTorch, which is stored with the weights.

Example:
  python docs/training/gpu/unpack.py --weights results/string_acoustic.npz --output work/models
      --like pretrained/keyboard_acoustic_2_string_acoustic
"""

import argparse
import ast
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from packed import EMA

from common import storage
from common.cli import UserError
from common.device import start_tensorflow
from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION, read_config
from training.history import History

TOLERANCE = 1e-4  # of images in [-1, 1]
MACHINE = "gpu", "torch", "precision", "models_at_once"
KEPT = "origin", "target", "equalisers"  # of the configuration of the model of the same instruments
FLAGS = {
    "rate": "gen_lr",
    "disc_rate": "disc_lr",
    "disc_filters": "disc_filters",
    "warm_steps": "warm_steps",
    "feature_matching": "feature_matching",
    "linear": "linear_weight",
    "mean": "mean_weight",
    "level": "level_weight",
    "l1": "l1_weight",
}


def read_history(archive):
    """Return the rows of the history: list of dict of column to number."""
    columns = [str(column) for column in archive["/columns"]]
    return [dict(zip(columns, map(float, values), strict=True)) for values in archive["/history"]]


def make_config(like, settings, rows):
    """Make a configuration: what the model is, and how it was trained."""
    adversarial = bool(settings.get("adversarial"))
    arguments = {flag: settings[name] for name, flag in FLAGS.items() if name in settings}
    if not adversarial:  # the error has weight 1 there, and 100 in the scripts' terms
        arguments = {"lr": settings["rate"], **{f"{name}_weight": 100 * settings[name] for name in ("linear", "mean")}}
    heard = settings.get("heard", 0.0)
    size = {"base_filters": settings["filters"]}
    if settings.get("max_filters"):
        size["max_filters"] = settings["max_filters"]
    arguments |= {**size, "batch_size": settings["batch_size"], "heard": heard}
    arguments |= {"schedule": "cosine", "ema": EMA, "dropout": 0.0, "augment": True, "noise": adversarial}
    if isinstance(like["target"], list):
        arguments |= {"disc_style": True} if adversarial else {"generator_alone": True}
    last = rows[-1]
    return {
        **{key: like[key] for key in KEPT if key in like},
        "model": {
            **size,
            "n_inputs": like["model"]["n_inputs"],
            **({"noise": True} if adversarial else {}),
        },
        "arguments": arguments,
        "script": "docs/training/gpu/train_on_gpu.py",
        "machine": {name: settings[name] for name in MACHINE if name in settings},
        "data": {
            "slices": settings["slices_rendered"],
            "validation_pieces": like["data"]["validation_pieces"],
        },
        "training": {
            "epoch": len(rows),
            "best_epoch": len(rows),
            "slices": settings["steps"] * settings["batch_size"],
            **{name: last[name] for name in ("gen_mae_val", "heard_mae_val", "sound_val")},
        },
    }


def load(network, archive):
    """Give a network the weights of its layers."""
    for layer in network.layers:
        weights = [archive[f"{layer.name}/{index}"] for index in range(len(layer.get_weights()))]
        layer.set_weights([weight.astype(np.float32) for weight in weights])


def difference(network, archive):
    """Return how far the network's result is from PyTorch's, at most."""
    images = [archive[name].astype(np.float32) for name in ("/source", "/style") if name in archive]
    inputs = [image[np.newaxis, ..., np.newaxis] for image in images]
    generated = np.asarray(network(inputs if len(inputs) > 1 else inputs[0], training=False))
    return float(np.abs(generated[0, ..., 0] - archive["/generated"]).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, type=Path, help="file that train_on_gpu.py wrote")
    parser.add_argument("--like", required=True, type=Path, help="folder of a model of the same instruments")
    parser.add_argument("--name", help="name of the model (default: that of the folder of --like)")
    parser.add_argument("--output", required=True, type=Path, help="folder of models; gets a folder of the model")
    arguments = parser.parse_args()
    folder = arguments.output / (arguments.name or arguments.like.resolve().name)
    if folder.exists():
        parser.error(f"argument --output: {folder} exists; it must be a new folder")
    start_tensorflow(-1)

    from model import Generator

    try:
        archive = dict(np.load(arguments.weights))
        settings, rows = ast.literal_eval(str(archive["/settings"])), read_history(archive)
        config = make_config(read_config(arguments.like / CONFIG_NAME), settings, rows)
        network = Generator(**config["model"], random_init=False)
        load(network, archive)
    except UserError as error:
        parser.error(str(error))
    except (OSError, KeyError, ValueError) as error:
        parser.error(f"argument --weights: {arguments.weights} is no result for such a model: {error}")
    if "/generated" in archive and (wrong := difference(network, archive)) > TOLERANCE:
        parser.error(f"argument --weights: {arguments.weights} gives images that are wrong by {wrong:.2g}")
    folder.mkdir(parents=True)
    network.save_weights(folder / f"generator{WEIGHTS_EXTENSION}")
    storage.write_json(folder / CONFIG_NAME, config)
    metrics = ("gen_mae", "gen_loss", "disc_loss") if settings.get("adversarial") else ("gen_mae",)
    names = [column.removesuffix("_val") for column in rows[0] if column.endswith("_val")]
    rows = [{**row, "epoch": number} for number, row in enumerate(rows, 1)]
    for row in rows:
        del row["steps"], row["heard_mae"]
    History(folder, metrics, "sound", rows, names).write()
    print(folder)


if __name__ == "__main__":
    main()
