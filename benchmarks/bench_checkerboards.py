#!/usr/bin/env python3
"""Measure the checkerboards that generators draw: what repeats every 32 frames, in pictures of validation slices.

For each octave, the share of the fast changes over time that is the same in all periods of all slices; and, as texture
counts a pattern as texture, the texture with and without it. The MAE is on [-1, 1].

Example:
  python benchmarks/bench_checkerboards.py --models models/keyboard_acoustic_2_guitar_acoustic --dataset_path features
"""

import argparse

import material
import numpy as np


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models",
        nargs="+",
        required=True,
        help="models of one target; the first one gives the validation pieces",
    )
    parser.add_argument("--dataset_path", nargs="+", required=True, help="what they were trained on")
    parser.add_argument("--every", type=int, default=2, help="take every n-th validation slice")
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common import pretrained
    from common.device import start_tensorflow

    paths = [pretrained.find(model) for model in arguments.models]
    device_name = start_tensorflow()
    import data
    from common.weights import load_generator
    from dataset.input_pipeline import load_slices
    from dataset.slice_pairs import find_pairs
    from inference.keras_network import make_predict_fn

    generators, configs = zip(*map(load_generator, paths), strict=True)
    (table,), _ = find_pairs(arguments.dataset_path, [(configs[0]["origin"], configs[0]["target"])])
    table = table.of(set(configs[0]["data"]["validation_pieces"]))
    source, true = (load_slices(list(paths)[:: arguments.every]) for paths in (table.sources, table.targets))
    true_image = data.from_network(true)[..., 0]
    rows = [{"model": "(true target)", "MAE": "", **make_cells(true_image, true_image)}]
    for path, generator in zip(paths, generators, strict=True):
        generated = make_predict_fn(generator)(source)
        cells = make_cells(data.from_network(generated)[..., 0], true_image)
        rows.append({"model": str(path), "MAE": f"{np.abs(generated - true).mean():.4f}", **cells})
    material.table(f"{len(source)} validation slices, octaves from 150 Hz, on {device_name}", rows)


def make_cells(images, true):
    """Make the cells of a row from log-magnitudes [shape=(n, 256, 256)] in [0, 1]."""
    from common import bands
    from evaluation import octaves

    # [shape=(n_bins, n · 7, 32)]: periods of all slices
    periods, true_periods = (
        np.concatenate([octaves.in_periods(octaves.fast_changes(image)) for image in of], axis=1)
        for of in (images, true)
    )
    shares, textures, without = [], [], []
    for band in octaves.TEXTURE_BANDS:
        of_octave = bands.bins(*band)
        share = octaves.repeating_share(periods[of_octave])
        texture = periods[of_octave].std() / true_periods[of_octave].std()
        shares.append(f"{100 * share:.1f}")
        textures.append(f"{texture:.2f}")
        without.append(f"{texture * np.sqrt(1 - max(share, 0)):.2f}")
    names = "share of the pattern (%)", "texture", "without the pattern"
    return dict(zip(names, map(" ".join, (shares, textures, without)), strict=True))


if __name__ == "__main__":
    main()
