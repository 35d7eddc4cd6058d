"""What a training run tells: `history.csv`, a line an epoch, and a bar on a terminal."""

import csv
import sys

import files

FILE_NAME = "history.csv"


def read_history(model_path, epochs):
    """Reads the rows of a run's first epochs: list of dicts of column to number; empty cells are left out."""
    path = model_path / FILE_NAME
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))[:epochs]
    return [
        {key: int(value) if key == "epoch" else float(value) for key, value in row.items() if value} for row in rows
    ]


def write_history(model_path, metrics, rows):
    """Writes the rows: the epoch, each metric in training and validation, seconds, images a second."""
    columns = ["epoch", *(column for name in metrics for column in (name, f"{name}_val"))]
    columns += ["seconds", "images_per_second"]
    with files.replacing(model_path / FILE_NAME) as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def epoch_line(row, metrics, last, is_best):
    """One line that tells an epoch."""
    losses = "  ".join(
        f"{name} {row[name]:.4f}" + (f" (val {row[f'{name}_val']:.4f})" if f"{name}_val" in row else "")
        for name in metrics
    )
    speed = f"{row['seconds']:.1f} s  {row['images_per_second']:.1f} images/s"
    return f"epoch {row['epoch']}/{last}  {losses}  {speed}" + ("  best" if is_best else "")


class EpochBar:
    """The bar of an epoch, with the running losses, images/s and the time left; nothing where there is no terminal."""

    def __init__(self, title, first_step, steps, batch_size):
        self._bar = None
        self._batch_size = batch_size
        if sys.stderr.isatty():
            from tqdm import tqdm

            total, initial = steps * batch_size, first_step * batch_size
            self._bar = tqdm(total=total, initial=initial, desc=title, unit=" images", leave=False)

    def update(self, step, read_losses):
        """Moves on to a step; `read_losses` gives dict of metric to float, and is called only if it will be seen."""
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in read_losses().items()}, refresh=False)
            self._bar.update(step * self._batch_size - self._bar.n)

    def close(self):
        if self._bar is not None:
            self._bar.close()
