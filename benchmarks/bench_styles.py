#!/usr/bin/env python3
"""Measure whether the style decides what a multitarget model plays, how to choose it best, and how many slices help.

The inputs are slices of the model's validation pieces. The style of each is taken from the next validation piece, as
predict_multitarget.py takes it, from the fullest parts of the recording; and, to compare, from a random part that
sounds. With --singles, models of one target each convert the same slices: what a style could reach.

Example:
  python benchmarks/bench_styles.py --model keyboard_acoustic_2_any --dataset_path features
"""

import argparse
from pathlib import Path

import material
import numpy as np

COUNTS = (1, 2, 4, 8)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="name or folder of a model of train_multitarget.py")
    parser.add_argument("--dataset_path", nargs="+", required=True, help="what it was trained on")
    parser.add_argument("--singles", nargs="+", default=[], help="models of one target, to compare with")
    parser.add_argument("--slices_per_piece", type=int, default=6)
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common import pretrained
    from common.device import start_tensorflow

    model_path, *single_paths = (pretrained.find(name) for name in (arguments.model, *arguments.singles))
    device_name = start_tensorflow()
    from common.weights import load_generator
    from dataset.slice_pairs import find_pairs
    from inference.keras_network import make_predict_fn

    generator, config = load_generator(model_path)
    singles = [load_generator(path) for path in single_paths]
    origin, targets = config["origin"][0], [name for name in config["target"] if name != config["origin"][0]]
    tables, _ = find_pairs(arguments.dataset_path, [(origin, target) for target in targets])
    pieces = config["data"]["validation_pieces"]
    rng = np.random.default_rng(0)
    unchanged = []  # rows of errors of the input to each true target
    errors = {target: [] for target in targets}  # by style: rows of errors to each true target
    errors_of_singles = [[] for _ in singles]  # by model: rows of errors to each true target
    errors_by_count = {target: [] for target in targets}  # by style: rows of errors for each count and a random slice
    for number, piece in enumerate(pieces):
        source, true = read_slices([table.of({piece}) for table in tables], arguments.slices_per_piece)
        unchanged.append(np.stack([mean_error(source, image) for image in true], axis=1))
        for (single, _), rows in zip(singles, errors_of_singles, strict=True):
            generated = make_predict_fn(single)(source)
            rows.append(np.stack([mean_error(generated, image) for image in true], axis=1))
        for index, target in enumerate(targets):
            style_paths = tables[index].of({pieces[(number + 1) % len(pieces)]}).targets
            fullest, chance = choose_styles(style_paths, rng)
            generated = [make_predict_fn(generator, style[np.newaxis])(source) for style in fullest]
            means = [np.mean(generated[:count], axis=0) for count in COUNTS]
            errors[target].append(np.stack([mean_error(means[0], image) for image in true], axis=1))
            predictions = [*means, make_predict_fn(generator, chance[np.newaxis])(source)]
            by_count = [mean_error(prediction, true[index]) for prediction in predictions]
            errors_by_count[target].append(np.stack(by_count, axis=1))

    unchanged = np.concatenate(unchanged)
    rows = [make_row(target, np.concatenate(errors[target]), targets) for target in targets]
    for (_, of_single), of_pieces in zip(singles, errors_of_singles, strict=True):
        row = make_row(of_single["target"], np.concatenate(of_pieces), targets)
        rows.append({**row, "style": f"(none: the model of {of_single['target']} alone)"})
    rows.append({**make_row("(input unchanged)", unchanged, targets), "nearest to its own": ""})
    material.table(f"MAE on [-1, 1] over {len(unchanged)} slices of {len(pieces)} pieces, on {device_name}", rows)
    rows = []
    for target in targets:
        means = np.concatenate(errors_by_count[target]).mean(axis=0)
        cells = {f"fullest {count}": f"{mean:.4f}" for count, mean in zip(COUNTS, means, strict=False)}
        rows.append({"style": target, **cells, "random 1": f"{means[-1]:.4f}"})
    material.table("MAE to the style's own target, by the slices that the style is taken from", rows)


def read_slices(tables, count):
    """Read about `count` slices of a piece that all targets have: the source, and the true slices of each target."""
    from dataset.input_pipeline import load_slices

    by_name = [
        {Path(source).name: (source, target) for source, target in zip(table.sources, table.targets, strict=True)}
        for table in tables
    ]
    shared = sorted(set.intersection(*map(set, by_name)))
    names = shared[:: max(1, len(shared) // count)][:count]
    source = load_slices([by_name[0][name][0] for name in names])
    return source, [load_slices([paths[name][1] for name in names]) for paths in by_name]


def choose_styles(paths, rng):
    """Choose styles among the slices of a recording: the fullest ones in order, and a random one that sounds."""
    import data
    from dataset.input_pipeline import load_slices
    from dataset.style_pool import MIN_SOUNDING
    from inference.style import choose_slices

    images = data.from_network(load_slices(paths))
    fullest, _ = choose_slices(np.concatenate(list(images[..., 0]), axis=1), max(COUNTS))
    sounding = [image for image in images if data.sounding(image[..., 0]).mean() >= MIN_SOUNDING]
    return data.to_network(fullest), data.to_network(sounding[rng.choice(len(sounding))])


def mean_error(images, true):
    """Compute the mean absolute error of each image."""
    return np.abs(images - true).mean(axis=(1, 2, 3))


def make_row(style, errors, targets):
    """Make a row of the table of errors [shape=(n_slices, n_targets)] to each true target."""
    cells = {f"to the true {name}": f"{mean:.4f}" for name, mean in zip(targets, errors.mean(axis=0), strict=True)}
    if style in targets:
        cells["nearest to its own"] = f"{(errors.argmin(axis=1) == targets.index(style)).mean():.0%}"
    return {"style": style, **cells}


if __name__ == "__main__":
    main()
