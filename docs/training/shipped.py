"""What the scripts of docs/ read of shipped models: summaries of evaluations, and the lengths of trainings."""

import csv

TEST_SETS = {  # of make_data.sh, the unseen keyboard first
    "11": "TimGM6mb Piano 1 (unseen)",
    "11_effects": "the same with effects",
    "3": "FluidR3 Yamaha Grand (seen)",
    "8": "MuseScore General Grand (seen)",
}
INTERLEAVED = ", interleaved"


def read_rows(path):
    """Read a summary.csv of evaluate.py: list of dicts.

    Models have the grid that predict.py takes by default: the finer one, unless their names end in `_generator`, as far
    as both were measured; their phase is left out of the names, and the true magnitude of the rows.
    """
    chosen = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            label = row["system"].removesuffix(INTERLEAVED)
            name = label.removesuffix(", griffinlim_input")
            key, is_default = (row["target"], name), (label == row["system"]) == name.endswith("_generator")
            if not name.startswith("true magnitude") and (key not in chosen or is_default):
                chosen[key] = {**row, "system": name}
    return list(chosen.values())


def number(row, column, digits):
    """Format a value of a summary; a dash where it is undefined."""
    text = row.get(column, "")
    return f"{float(text):.{digits}f}".replace("-", "−") if text not in ("", "nan") else "–"


def lower_limits(row, kind):
    """List the lower limits of the bands of texture or level, in Hz, as the columns of a summary have them."""
    return [low for name in row if (low := name.removeprefix(f"{kind}_")) != name and low.isdigit()]


def slices_of_an_epoch(config):
    """Return how many slices an epoch of a training had."""
    if "slices" in config["training"]:  # of a run on a GPU, which is as long as its time
        return config["training"]["slices"] // config["training"]["epoch"]
    arguments, n_slices = config["arguments"], config["data"]["slices"]
    steps = arguments["steps_per_epoch"]
    return min(n_slices, steps * arguments["batch_size"]) if steps else n_slices
