#!/usr/bin/env python3
"""Compare the networks and losses in PyTorch with those of the project, on images of noise.

Run it twice: with the project's environment it writes what Keras computes, with PyTorch it compares.

Example:
  python docs/training/gpu/check.py --write expected.npz
  python docs/training/gpu/check.py --compare expected.npz  # where PyTorch is
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from packed import layer_weights

BATCH_SIZE, FILTERS = 2, 4
TOLERANCE = 1e-5  # relative to the largest value


def images():
    """Make sources, targets, styles and generated images, float32 (batch, 256, 256, 1) in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (4, BATCH_SIZE, 256, 256, 1)).astype(np.float32)


def write(path):
    """Store weights of networks in Keras, and what they and the losses make of the images."""
    import keras

    import losses
    import model
    from training import sound

    keras.utils.set_random_seed(0)
    source, target, style, other = images()
    results = {}
    networks = {
        "generator": model.Generator(FILTERS, 2, noise=True, dropout=0.0),
        "discriminator": model.with_features(model.Discriminator(FILTERS, with_style=True)),
    }
    for name, network in networks.items():
        rng = np.random.default_rng(1)
        for layer in network.layers:
            layer.set_weights([w + rng.uniform(-0.05, 0.05, w.shape).astype(np.float32) for w in layer.get_weights()])
        results |= {f"{name}|{key}": weight for key, weight in layer_weights(network).items()}
    results["generated"] = np.asarray(networks["generator"]([source, style], training=False))
    results["generated in training"] = np.asarray(networks["generator"]([source, style], training=True))
    real, fake = (networks["discriminator"]([source, image, style], training=True) for image in (target, other))
    for index, values in enumerate(real):
        results[f"judgment {index}"] = np.asarray(values)
    results["l1"] = losses.l1_loss(target, other)
    results["linear"] = losses.linear_loss(target, other)
    results["mean"] = losses.mean_loss(target, other)
    results["level"] = sound.level_loss(target, other)
    results["feature matching"] = losses.feature_matching_loss(real[1:], fake[1:])
    results["discriminator"] = losses.discriminator_loss(real[0], fake[0])
    totals = sound.sound_totals(target, other)
    results["totals"] = [[values[part] for values in totals.values()] for part in (0, 1)]
    results["names"] = list(totals)
    np.savez(path, **results)


def compare(path):
    """Compute the same in PyTorch; return dict of name to the relative difference."""
    import networks
    import terms
    import torch

    expected = dict(np.load(path))
    source, target, style, other = (torch.from_numpy(image.transpose(0, 3, 1, 2)) for image in images())
    results = {}
    made = {
        "generator": networks.Generator(FILTERS, 2, noise=True),
        "discriminator": networks.Discriminator(FILTERS, with_style=True),
    }
    for name, network in made.items():
        found = {key.partition("|")[2]: value for key, value in expected.items() if key.startswith(f"{name}|")}
        networks.from_keras(network, found, 10**9)  # the variances as they are
    with torch.no_grad():
        results["generated"] = made["generator"].eval()(source, style)
        results["generated in training"] = made["generator"].train()(source, style)
        judged = [made["discriminator"](source, image, style) for image in (target, other)]
        for index, values in enumerate((judged[0][0], *judged[0][1])):
            results[f"judgment {index}"] = values
    results["l1"] = terms.l1_errors(target, other).mean()
    results["linear"] = terms.linear_loss(target, other)
    results["mean"] = terms.mean_loss(target, other)
    results["level"] = terms.level_loss(target, other)
    results["feature matching"] = terms.feature_matching(judged[0][1], judged[1][1])
    results["discriminator"] = terms.cross_entropy(judged[0][0], True) + terms.cross_entropy(judged[1][0], False)
    order = [terms.sound_names().index(name) for name in expected["names"]]
    results["totals"] = torch.stack([terms.sound_totals(image)[order] for image in (other, target)])
    differences = {}
    for name, values in results.items():
        ours = values.numpy().transpose(0, 2, 3, 1) if values.ndim == 4 else values.numpy()
        differences[name] = float(np.abs(ours - expected[name]).max() / np.abs(expected[name]).max())
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", type=Path, metavar="FILE", help="write what Keras computes")
    group.add_argument("--compare", type=Path, metavar="FILE", help="compare PyTorch with it")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
        return 0
    if not arguments.compare.is_file():
        parser.error(f"argument --compare: {arguments.compare} must be a file that --write wrote")
    differences = compare(arguments.compare)
    for name, difference in differences.items():
        print(f"{difference:.1e}  {name}")
    return int(max(differences.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
