"""The one training loop: what a run is, what it runs on, and what happens in an epoch."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common import failures
from dataset.paired_dataset import PairedDataset
from training import model_folder, sound
from training.checkpoints import Checkpoints, Counters, Diverged, Interruption, metric_means, metric_totals, resume
from training.devices import Devices
from training.ema import Averages
from training.history import History, Row, epoch_bar, epoch_line, read_history, update_bar
from training.messages import diverged_message, resume_hint
from training.recipe import Recipe
from training.steps import Step
from training.watch import Watch


class LoopSettings(NamedTuple):
    """How long a run is, and how it is saved and compiled.

    Attributes:
        epochs: epochs of the run in all.
        epoch_offset: number of epochs before the first one, in the history and in names.
        batch_size: slices a step.
        checkpoint_minutes: time between checkpoints within an epoch.
        jit_compile: whether XLA compiles the steps.
        ema: decay of moving averages of the weights, which validate and are saved as the model; 0 for none.
        select: the metric of validation that decides which epoch is best (least).
    """

    epochs: int
    epoch_offset: int
    batch_size: int
    checkpoint_minutes: float
    jit_compile: bool
    ema: float
    select: str = "gen_mae"


@dataclass(frozen=True)
class Learners:
    """What a run trains.

    Attributes:
        networks: dict of name to network; each is saved as `<name>.weights.h5`.
        optimizers: dict of name to optimizer, built.
        train_step: function of a batch that updates the networks and returns metrics.
        validation_step: the same without the update.
        devices: what networks and optimizers are spread over.
    """

    networks: Mapping[str, keras.Model]
    optimizers: Mapping[str, keras.optimizers.Optimizer]
    train_step: Step
    validation_step: Step
    devices: Devices


@dataclass(frozen=True)
class _Position:
    """Where a run stands.

    Attributes:
        counters: epochs, steps and losses, on the device.
        averages: moving averages of the weights.
        checkpoints: the state on disk.
        history: the epochs that are done.
        interruption: whether the run is to stop.
        devices: what the run is spread over.
    """

    counters: Counters
    averages: Averages
    checkpoints: Checkpoints
    history: History
    interruption: Interruption
    devices: Devices


def train(
    recipe: Recipe,
    learners: Learners,
    dataset: PairedDataset,
    settings: LoopSettings,
    model_path: Path,
    config: Mapping[str, Any],
    after_epoch: Callable[[Row], None] | None,
) -> int:
    """Train networks, from the beginning or from where the run in `model_path` was stopped.

    A checkpoint holds the networks, the optimizers, the epoch, the step, the losses so far and the history, so that a
    run that was stopped or killed gives the numbers of an uninterrupted one. It is written every `checkpoint_minutes`,
    after each epoch, and on SIGINT and SIGTERM. What an epoch shows (table, plots, model, previews) is written after
    its checkpoint; a run that was killed in between makes up for it when it is resumed.

    Args:
        recipe: what the run is.
        learners: what it trains.
        dataset: what it learns from.
        settings: how long it is, and how it is saved.
        model_path: the model's folder, prepared by `model_folder.prepare`.
        config: the `config.json` to save with the weights (JSON values).
        after_epoch: called after each epoch with its row of the history, the averages in the networks; by the chief.

    Returns:
        0 when all epochs are done; 1 if the run was interrupted, a disk or device failed, or the losses became NaN or
        infinite.

    Raises:
        UserError: if the checkpoint or the history is damaged.
    """
    devices, counters = learners.devices, Counters(recipe.metrics, recipe.validated)
    averages = Averages(learners.networks, settings.ema, devices.local_copy)
    state = counters, averages, learners.networks, learners.optimizers
    checkpoints = Checkpoints(model_path / "checkpoints", *state, writes=devices.is_chief)
    if checkpoints.latest:
        resume(checkpoints, counters, learners.optimizers, settings.epoch_offset)
    devices.agree([int(counters.epochs_done), int(counters.step)], f"{checkpoints.folder} must be a shared folder")
    epochs_done = int(counters.epochs_done)
    rows = checkpoints.record.get("history")  # runs of version 0.1.0 have it in the table alone
    rows = read_history(model_path, epochs_done) if rows is None else rows
    selected = settings.select if dataset.validation else None
    history = History(model_path, recipe.metrics, selected, rows, recipe.columns)
    position = _Position(counters, averages, checkpoints, history, Interruption(), devices)
    outputs_of = checkpoints.record.get("outputs_of", epochs_done)
    if epochs_done and devices.is_chief:
        history.write()
    if outputs_of != epochs_done and not int(counters.step):
        _write_outputs(position, learners, model_path, config, after_epoch)
    if epochs_done >= settings.epochs:
        devices.total_of_workers([0])  # nobody leaves before the chief has written
        print(f"all {settings.epochs} epochs are done already; a larger --epochs continues the run")
        return 0

    train_step, validation_step = _compile(learners, counters, averages, settings)
    last_epoch = settings.epoch_offset + settings.epochs
    with position.interruption as interruption:
        for epoch in range(epochs_done, settings.epochs):
            number = settings.epoch_offset + epoch + 1
            try:
                if not _run_epoch(epoch, train_step, validation_step, dataset, settings, position):
                    step = int(counters.step)
                    print(f"stopped and saved at epoch {number}, step {step}; {resume_hint()}", file=sys.stderr)
                    return 1
                row = history.rows[-1]
                print(epoch_line(row, recipe.metrics, last_epoch, history.best is row), flush=True)
                _write_outputs(position, learners, model_path, config, after_epoch)
            except Diverged as place:
                print(diverged_message(number, place, checkpoints.latest), file=sys.stderr)
                return 1
            except failures.expected() as error:
                print(_failure_message(number, error, position), file=sys.stderr)
                return 1
            if devices.total_of_workers([interruption.requested])[0] and epoch + 1 < settings.epochs:
                print(f"stopped and saved after epoch {number}; {resume_hint()}", file=sys.stderr)
                return 1
    best = history.best
    print(f"best epoch: {best['epoch']} ({history.selected} {best[history.selected]:.4f}); weights in {model_path}")
    return 0


def _run_epoch(
    epoch: int,
    train_step: Callable[..., None],
    validation_step: Callable[..., tf.Tensor],
    dataset: PairedDataset,
    settings: LoopSettings,
    position: _Position,
) -> bool:
    """Train and validate for an epoch, from its first step or from where it was stopped, and save a checkpoint.

    Returns:
        Whether the epoch is done; False if the run was interrupted.
    """
    counters, checkpoints, history = position.counters, position.checkpoints, position.history
    number, first_step = settings.epoch_offset + epoch + 1, int(counters.step)
    seconds_before = checkpoints.record.get("epoch_seconds")
    started = time.monotonic() - (seconds_before or 0.0)

    def save() -> None:
        checkpoints.save(history=history.rows, outputs_of=epoch, epoch_seconds=time.monotonic() - started)

    title = f"epoch {number}/{settings.epoch_offset + settings.epochs}"
    with epoch_bar(title, first_step, dataset.steps, settings.batch_size) as bar:
        _train_epoch(train_step, dataset.train_batches(epoch, first_step), position, settings, bar, save)
    step, seconds = int(counters.step), time.monotonic() - started
    validation = None
    if step == dataset.steps:
        with position.averages.in_place():
            validation = _validate(validation_step, dataset, position)
    if validation is None:  # interrupted
        save()
        return False
    row = {"epoch": number, **counters.means(), **validation, "seconds": round(seconds, 2)}
    n_steps = step if seconds_before is not None else step - first_step  # `seconds` are of so many
    row["images_per_second"] = round(n_steps * settings.batch_size / seconds, 2)
    history.rows.append(row)
    counters.finish_epoch(epoch)
    checkpoints.save(history=history.rows, outputs_of=epoch, epoch_seconds=0.0)
    return True


def _write_outputs(
    position: _Position,
    learners: Learners,
    model_path: Path,
    config: Mapping[str, Any],
    after_epoch: Callable[[Row], None],
) -> None:
    """Write what the last epoch shows: table and plots, the model, and previews. Of several workers, the chief does."""
    if not position.devices.is_chief:
        return
    history = position.history
    history.write()
    with position.averages.in_place():
        model_folder.save_models(model_path, learners.networks, config, history)
        after_epoch(history.rows[-1])
    position.checkpoints.save_record(outputs_of=int(position.counters.epochs_done))


def _compile(
    learners: Learners, counters: Counters, averages: Averages, settings: LoopSettings
) -> tuple[Callable[..., None], Callable[..., tf.Tensor]]:
    """Compile a training step that counts, and a validation step that returns the `metric_totals` of a batch."""
    devices = learners.devices
    networks = learners.networks.values()
    statistics = [v.value for network in networks for v in network.non_trainable_variables if "float" in v.dtype]

    def learn(*part: tf.Tensor) -> tf.Tensor:
        metrics = learners.train_step(*part)
        devices.average(statistics)
        return metric_totals(metrics, counters.names, settings.batch_size // devices.count)

    def measure(*part: tf.Tensor) -> tf.Tensor:
        return metric_totals(learners.validation_step(*part), counters.validated, tf.shape(part[0])[0])

    # No step branches on a tensor: converting its Python code to graph operations would only delay the first one.
    @tf.function(jit_compile=settings.jit_compile, autograph=False)
    def train_step(*batch: tf.Tensor) -> None:
        counters.add(devices.total(learn, batch))
        averages.add()

    split_validation = tf.function(lambda *batch: devices.local_total(measure, batch), autograph=False)
    whole_validation = tf.function(measure, jit_compile=settings.jit_compile, reduce_retracing=True, autograph=False)

    def validation_step(*batch: tf.Tensor) -> tf.Tensor:
        # A last batch that the devices do not divide is measured by the first one, so that each slice counts once.
        return split_validation(*devices.split(batch)) if devices.splits(batch) else whole_validation(*batch)

    return train_step, validation_step


def _train_epoch(
    train_step: Callable[..., None],
    batches: Iterable[tuple[tf.Tensor, ...]],
    position: _Position,
    settings: LoopSettings,
    bar: tqdm,
    save: Callable[[], None],
) -> None:
    """Train on batches until they end or an interruption is requested, and save checkpoints on the way."""
    counters, devices = position.counters, position.devices
    watch = Watch(devices, position.interruption, settings.checkpoint_minutes * 60)
    for step, batch in enumerate(batches, int(counters.step) + 1):
        train_step(*devices.split(batch))
        due = watch.after_step()
        if due.check:
            update_bar(bar, step * settings.batch_size, counters.means)
            if counters.first_bad_step >= 0:
                break
        if due.save:
            save()
        if due.stop:
            break
    position.checkpoints.check_finite()


def _validate(
    validation_step: Callable[..., tf.Tensor], dataset: PairedDataset, position: _Position
) -> dict[str, float] | None:
    """Compute the means over all validation slices, by column of the history; None if interrupted."""
    if not dataset.validation:
        return {}
    names, interruption, devices = position.counters.validated, position.interruption, position.devices
    totals = np.zeros((len(names), 2))
    for batch in dataset.validation_batches():
        if interruption.requested:
            break
        totals = totals + validation_step(*batch)  # stays on the device until the end
    if devices.total_of_workers([interruption.requested])[0]:
        return None
    totals = devices.total_of_workers(np.asarray(totals))
    means = metric_means(names, totals)
    if not all(map(math.isfinite, means.values())):
        raise Diverged("validation")
    return {f"{name}_val": value for name, value in sound.summarize(means).items()}


def _failure_message(number: int, error: BaseException, position: _Position) -> str:
    """Save what can be saved after a failure of a disk or device; say what happened and what is saved."""
    checkpoints = position.checkpoints
    try:
        if int(position.counters.step):
            checkpoints.save(history=position.history.rows)
        saved = f"saved at epoch {number}, step {int(position.counters.step)}"
        kept = saved if position.devices.is_chief else "the last checkpoint is kept"
    except (Diverged, *failures.expected()):
        kept = "the last checkpoint is kept" if checkpoints.latest else "no checkpoint could be written"
    return f"stopped in epoch {number}: {failures.describe(error, checkpoints.folder)}; {kept}; {resume_hint()}"
