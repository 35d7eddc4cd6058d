#!/usr/bin/env python3
"""Measure a discriminator on slices that it was trained with and on others: does it remember, or does it see?

Its loss is computed as in training, where batch normalization takes the statistics of the batch, and as in validation,
where it takes moving averages. The former decides what the generator learns. 1.39 is chance.

Example:
  python benchmarks/bench_discriminator.py --models models/keyboard_acoustic_2_guitar_acoustic --dataset_path features
"""

import argparse

import material
import numpy as np

BATCH_SIZE = 4


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="models of one target each, with a discriminator")
    parser.add_argument("--dataset_path", nargs="+", required=True, help="what they were trained on")
    parser.add_argument("--slices", type=int, default=96, help="slices of each kind, chosen at random")
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common import pretrained
    from common.device import start_tensorflow

    paths = [pretrained.find(model) for model in arguments.models]
    device_name = start_tensorflow()
    from common.weights import load_generator
    from dataset.slice_pairs import find_pairs

    rows = []
    for path in paths:
        generator, config = load_generator(path)
        discriminator = load_discriminator(path, config)
        (table,), _ = find_pairs(arguments.dataset_path, [(config["origin"], config["target"])])
        validation = set(config["data"]["validation_pieces"])
        for kind, pieces in (("validation", validation), ("training", set(table.pieces) - validation)):
            losses_of = measure(generator, discriminator, table.of(pieces), arguments.slices)
            rows.append({"model": str(path), "slices": kind, **losses_of})
    material.table(f"disc_loss on {arguments.slices} slices, batches of {BATCH_SIZE}, on {device_name}", rows)


def load_discriminator(path, config):
    """Load the discriminator beside a generator."""
    import model
    from common.stored_generator import WEIGHTS_EXTENSION
    from common.weights import load_weights

    arguments = config["arguments"]
    discriminator = model.Discriminator(arguments["disc_filters"], whole_band=arguments.get("disc_band", False))
    load_weights(discriminator, path / f"discriminator{WEIGHTS_EXTENSION}")
    return discriminator


def measure(generator, discriminator, table, n_slices):
    """Compute the means of the loss in both ways, and of the generator's error: dict of title to text."""
    import losses
    from dataset.input_pipeline import load_slices
    from inference.keras_network import make_predict_fn

    n_slices = min(n_slices, len(table)) // BATCH_SIZE * BATCH_SIZE
    chosen = np.random.default_rng(0).choice(len(table), n_slices, replace=False)
    source, true = (load_slices([paths[index] for index in chosen]) for paths in (table.sources, table.targets))
    generated = make_predict_fn(generator)(source)
    found = {True: [], False: []}
    for start in range(0, n_slices, BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        for training, values in found.items():
            real, fake = (
                discriminator([source[batch], images[batch]], training=training) for images in (true, generated)
            )
            values.append(float(losses.discriminator_loss(real, fake)))
    return {
        "with the batch's statistics": f"{np.mean(found[True]):.3f}",
        "with moving averages": f"{np.mean(found[False]):.3f}",
        "MAE": f"{np.abs(generated - true).mean():.4f}",
    }


if __name__ == "__main__":
    main()
