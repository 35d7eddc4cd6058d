"""The history of a training run: `history.csv`, its plots, a line an epoch, and a bar on a terminal."""

import csv
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from common import plots, storage
from common.cli import UserError
from training import sound

FILE_NAME = "history.csv"
Row = dict[str, float]


class History:
    """The rows of `history.csv`, one an epoch.

    Attributes:
        rows: list of dict of column to number.
        selected: the column that decides which epoch is best (least).
    """

    def __init__(
        self,
        model_path: Path,
        metrics: Sequence[str],
        select: str | None,
        rows: list[Row],
        validated: Sequence[str] | None = None,
    ) -> None:
        """Begin with the rows of the epochs that are done.

        Args:
            model_path: the model's folder.
            metrics: names of the metrics of the training.
            select: the metric of validation that selects the best epoch; None if there is no validation, and the first
                metric of the training does.
            rows: rows of the complete epochs.
            validated: names of the metrics of the validation; None for those of the training.
        """
        self._model_path, self._metrics = model_path, metrics
        self._others = [name for name in validated or () if name not in metrics]
        self.selected = f"{select}_val" if select else metrics[0]
        self.rows = rows

    @property
    def best(self) -> Row:
        """The row of the best epoch."""
        return min(self.rows, key=lambda row: row.get(self.selected, math.inf))

    def write(self) -> None:
        """Write the table and the plots."""
        columns = ["epoch", *(column for name in self._metrics for column in (name, f"{name}_val"))]
        columns += [f"{name}_val" for name in self._others]
        columns += ["seconds", "images_per_second"]
        path = self._model_path / FILE_NAME
        with storage.atomic_write(path) as partial, open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        self.draw()

    def draw(self) -> None:
        """Draw each metric over the epochs, in `plots/`."""
        heard = any(f"{sound.SCORE}_val" in row for row in self.rows)  # runs of version 0.1.0 do not have it
        for name in (*self._metrics, *([sound.SCORE] if heard else [])):
            plots.save_history(self._model_path / "plots" / f"{name}_history.png", self.rows, name)


def read_history(model_path: Path, n_epochs: int) -> list[Row]:
    """Read the rows of a run's first epochs; empty cells are left out.

    Raises:
        UserError: if there are fewer rows, or the file is damaged.
    """
    path = model_path / FILE_NAME
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in itertools.islice(csv.DictReader(file), n_epochs):
                rows.append(
                    {key: int(value) if key == "epoch" else float(value) for key, value in row.items() if value}
                )
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or --restart to begin again") from None
    if len(rows) < n_epochs or any("epoch" not in row for row in rows):
        raise UserError(
            f"{path} lacks some of the {n_epochs} epochs that are done: restore it, or --restart to begin again"
        )
    return rows


def epoch_line(row: Row, metrics: Sequence[str], last_epoch: int, is_best: bool) -> str:
    """Return the line that reports an epoch; a metric of which it saw nothing (a target, for example) is left out."""
    losses = "  ".join(
        f"{name} {row[name]:.4f}" + (f" (val {row[f'{name}_val']:.4f})" if f"{name}_val" in row else "")
        for name in metrics
        if name in row
    )
    if f"{sound.SCORE}_val" in row:
        losses += f"  {sound.SCORE} (val {row[f'{sound.SCORE}_val']:.4f})"
    speed = f"{row['seconds']:.1f} s  {row['images_per_second']:.1f} images/s"
    return f"epoch {row['epoch']}/{last_epoch}  {losses}  {speed}" + ("  best" if is_best else "")


def update_bar(bar: tqdm, n_images: int, read_losses: Callable[[], dict[str, float]]) -> None:
    """Move an epoch's bar to `n_images` and show the running losses, which are read only if the bar is shown."""
    if not bar.disable:
        bar.set_postfix({name: f"{loss:.4f}" for name, loss in read_losses().items()}, refresh=False)
        bar.update(n_images - bar.n)


def epoch_bar(title: str, first_step: int, n_steps: int, batch_size: int) -> tqdm:
    """Make the bar of an epoch in images, with speed and remaining time; it shows only on a terminal."""
    return tqdm(
        total=n_steps * batch_size,
        initial=first_step * batch_size,
        desc=title,
        unit=" images",
        leave=False,
        disable=None,  # unless stderr is a terminal
        dynamic_ncols=True,
    )
