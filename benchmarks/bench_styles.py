#!/usr/bin/env python3
"""Whether the style decides what a multitarget model plays, how it is best chosen, and how many slices of it help.

The inputs are slices of the model's validation pieces. The style of each is taken from the next validation piece, as
predict_multitarget.py takes it: the fullest parts of the recording; and beside it, from a random part that sounds.

example:
  python benchmarks/bench_styles.py --model models/keyboard_acoustic_2_any --dataset_path features
"""

import argparse
from pathlib import Path

import material
import numpy as np

COUNTS = (1, 2, 4, 8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder that train_multitarget.py wrote")
    parser.add_argument("--dataset_path", nargs="+", required=True, help="what it was trained on")
    parser.add_argument("--slices_per_piece", type=int, default=6)
    arguments = parser.parse_args()

    from device import start_tensorflow

    running_on = start_tensorflow()
    import tensorflow as tf

    import data
    import dataset
    from model import load_generator
    from styles import MIN_SOUNDING, choose_slices

    generator, config = load_generator(arguments.model)
    origin, targets = config["origin"][0], [name for name in config["target"] if name != config["origin"][0]]
    tables, _ = dataset.find_pairs(arguments.dataset_path, [(origin, target) for target in targets])
    pieces = config["data"]["validation_pieces"]

    @tf.function(reduce_retracing=True)
    def infer(images, style):
        return generator([images, tf.broadcast_to(style, tf.shape(images))], training=False)

    def style_slices(target, piece):
        """Of a piece played by a target: the fullest slices, fullest first, and a random one."""
        paths = table_of[target].of({piece}).targets
        images = data.from_network(dataset.load_slices(paths))
        fullest, _ = choose_slices(np.concatenate(list(images[..., 0]), axis=1), max(COUNTS))
        sounding = [image for image in images if data.sounding(image[..., 0]).mean() >= MIN_SOUNDING]
        chance = rng.choice(len(sounding))
        return data.to_network(fullest), data.to_network(sounding[chance])

    table_of = dict(zip(targets, tables, strict=True))
    rng = np.random.default_rng(0)
    errors = {target: [] for target in targets}  # by style: rows of errors to each true target
    of_counts = {target: [] for target in targets}  # by style: rows of errors for each count, and with a random slice
    unchanged = []
    for number, piece in enumerate(pieces):
        rows = [table_of[target].of({piece}) for target in targets]
        by_name = [{Path(s).name: (s, t) for s, t in zip(row.sources, row.targets, strict=True)} for row in rows]
        shared = sorted(set.intersection(*map(set, by_name)))
        names = shared[:: max(1, len(shared) // arguments.slices_per_piece)][: arguments.slices_per_piece]
        source = dataset.load_slices([by_name[0][name][0] for name in names])
        true = [dataset.load_slices([paths[name][1] for name in names]) for paths in by_name]
        unchanged.append(np.stack([np.abs(source - image).mean(axis=(1, 2, 3)) for image in true], axis=1))
        for index, target in enumerate(targets):
            fullest, chance = style_slices(target, pieces[(number + 1) % len(pieces)])
            generated = [infer(source, style[np.newaxis]).numpy() for style in fullest]
            means = [np.mean(generated[:count], axis=0) for count in COUNTS]
            errors[target].append(np.stack([np.abs(means[0] - i).mean(axis=(1, 2, 3)) for i in true], axis=1))
            predictions = [*means, infer(source, chance[np.newaxis]).numpy()]
            own = [np.abs(prediction - true[index]).mean(axis=(1, 2, 3)) for prediction in predictions]
            of_counts[target].append(np.stack(own, axis=1))

    unchanged = np.concatenate(unchanged)
    errors = {target: np.concatenate(rows) for target, rows in errors.items()}
    rows = []
    for index, target in enumerate(targets):
        means = errors[target].mean(axis=0)
        nearest = float((errors[target].argmin(axis=1) == index).mean())
        cells = {f"to the true {name}": f"{mean:.4f}" for name, mean in zip(targets, means, strict=True)}
        rows.append({"style": target, **cells, "nearest to its own": f"{nearest:.0%}"})
    cells = {f"to the true {name}": f"{mean:.4f}" for name, mean in zip(targets, unchanged.mean(axis=0), strict=True)}
    rows.append({"style": "(input unchanged)", **cells, "nearest to its own": ""})
    material.table(f"MAE on [-1, 1] over {len(unchanged)} slices of {len(pieces)} pieces, on {running_on}", rows)

    rows = []
    for target in targets:
        means = np.concatenate(of_counts[target]).mean(axis=0)
        cells = {f"fullest {count}": f"{mean:.4f}" for count, mean in zip(COUNTS, means, strict=False)}
        rows.append({"style": target, **cells, "random 1": f"{means[-1]:.4f}"})
    material.table("MAE to the style's own target, by the slices that the style is taken from", rows)


if __name__ == "__main__":
    main()
