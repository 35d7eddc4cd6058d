#!/usr/bin/env python3
"""Draw the published training histories and those of the shipped models side by side.

The published ones are in published/. They have training losses only: with dropout, on NSynth notes and one keyboard, so
that the levels are not comparable with ours. What can be compared is how the two losses move against each other.

Example:
  python docs/training/compare_histories.py --output docs/training/histories.png
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from matplotlib.figure import Figure
from shipped import slices_of_an_epoch

from common import storage

HERE = Path(__file__).resolve().parent
PRETRAINED = HERE.parents[1] / "pretrained"
PUBLISHED_SLICES = 22_875  # of a pair of instruments in an epoch; the model of several targets has three pairs
METRICS = ("gen_mae", "gen_loss", "disc_loss")
PUBLISHED, BEFORE, SHIPPED = "published (NSynth, one keyboard, 64 filters)", "the run before", "shipped"
COLORS = {PUBLISHED: "C0", BEFORE: "C1", SHIPPED: "C2"}
CHANCE = 1.386  # 2 ln 2: the loss of a discriminator that tells nothing


def read_columns(path):
    """Read a history: dict of column to list of floats, without empty cells."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row[name]] for name in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    arguments = parser.parse_args()
    paths = sorted((HERE / "published").glob("*.csv"))
    figure = Figure(figsize=(3.6 * len(METRICS), 2.4 * len(paths)), layout="constrained")
    all_axes = figure.subplots(len(paths), len(METRICS), sharex=True, squeeze=False)
    for axes, path in zip(all_axes, paths, strict=True):
        of_an_epoch = PUBLISHED_SLICES * (3 if path.stem.endswith("_any") else 1)
        # label, history, slices of an epoch, slices before it
        runs = [(PUBLISHED, read_columns(path), of_an_epoch, 0)]
        folder, before = PRETRAINED / path.stem, 0
        if (folder / "history.csv").is_file():
            config = storage.read_json(folder / "config.json")
            if "earlier" in config:
                columns, n_slices = read_columns(folder / "earlier.csv"), slices_of_an_epoch(config["earlier"])
                runs.append((BEFORE, columns, n_slices, 0))
                before = n_slices * len(columns["epoch"])
            runs.append((SHIPPED, read_columns(folder / "history.csv"), slices_of_an_epoch(config), before))
        for axis, metric in zip(axes, METRICS, strict=True):
            for label, columns, n_slices, before in runs:
                values = columns.get(metric, [])
                slices = [before + n_slices * (epoch + 1) for epoch in range(len(values))]
                axis.plot(slices, values, label=label, color=COLORS[label], marker=".", ms=3)
            if metric == "disc_loss":
                axis.axhline(CHANCE, color="gray", lw=0.8, ls=":")
            axis.set_xscale("log")
            axis.set_title(f"{path.stem.removeprefix('keyboard_acoustic_2_')}: {metric}", fontsize=9)
            axis.tick_params(labelsize=8)
    for axis in all_axes[-1]:
        axis.set_xlabel("slices", fontsize=8)
    lines = {line.get_label(): line for axes in all_axes for line in axes[0].get_lines()}
    all_axes[0, 0].legend(handles=[lines[label] for label in COLORS if label in lines], fontsize=7)
    with storage.atomic_write(arguments.output) as partial:
        figure.savefig(partial, format="png", dpi=90)
    print(arguments.output)


if __name__ == "__main__":
    main()
