"""The one training loop: what a run is, what it runs on, and what happens in an epoch."""

import math
import shlex
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

from common.weights import save_model
from dataset.paired_dataset import PairedDataset
from training.checkpoints import Checkpoints, Counters, Diverged, Interruption, metric_means, metric_totals
from training.ema import Averages
from training.history import History, Row, epoch_bar, epoch_line, update_bar
from training.steps import Step

_CHECK_SECONDS = 1.0  # how often the losses are fetched from the device, for the bar and to notice a NaN


class LearningRate(NamedTuple):
    """The learning rate of a network, and the flag that sets it."""

    flag: str
    value: float


@dataclass(frozen=True)
class Recipe:
    """What a run is: that in which the train scripts differ.

    Attributes:
        name: name of the model and of its folders.
        instrument_pairs: list of (origin, target).
        learning_rates: dict of network to its rate, for `generator` and, where there is one, `discriminator`.
        make_networks: function without arguments that makes the networks: dict of name to `keras.Model`.
        make_steps: function of (networks, optimizers) that makes a training and a validation step.
        metrics: names of what the steps measure; the first one selects the best epoch.
        n_inputs: images that the generator takes; the second one is a style.
    """

    name: str
    instrument_pairs: list[tuple[str, str]]
    learning_rates: dict[str, LearningRate]
    make_networks: Callable[[], dict[str, keras.Model]]
    make_steps: Callable[[dict, dict], tuple[Step, Step]]
    metrics: tuple[str, ...]
    n_inputs: int = 1


class LoopSettings(NamedTuple):
    """How long a run is, and how it is saved and compiled.

    Attributes:
        epochs: epochs of the run in all.
        epoch_offset: number of epochs before the first one, in the history and in names.
        batch_size: slices a step.
        checkpoint_minutes: time between checkpoints within an epoch.
        jit_compile: whether XLA compiles the steps.
        ema: decay of moving averages of the weights, which validate and are saved as the model; 0 for none.
    """

    epochs: int
    epoch_offset: int
    batch_size: int
    checkpoint_minutes: float
    jit_compile: bool
    ema: float


@dataclass(frozen=True)
class Learners:
    """What a run trains.

    Attributes:
        networks: dict of name to network; each is saved as `<name>.weights.h5`.
        optimizers: dict of name to optimizer, built.
        train_step: function of a batch that updates the networks and returns metrics.
        validation_step: the same without the update.
    """

    networks: Mapping[str, keras.Model]
    optimizers: Mapping[str, keras.optimizers.Optimizer]
    train_step: Step
    validation_step: Step


def train(
    recipe: Recipe,
    learners: Learners,
    dataset: PairedDataset,
    settings: LoopSettings,
    model_path: Path,
    config: Mapping[str, Any],
    after_epoch: Callable[[Row], None],
) -> int:
    """Train networks, from the beginning or from where the run in `model_path` was stopped.

    A checkpoint holds the networks, the optimizers, the epoch, the step and the losses so far, so that a run that was
    stopped or killed gives the numbers of an uninterrupted one. It is written every `checkpoint_minutes`, after each
    epoch, and on SIGINT and SIGTERM.

    Args:
        recipe: what the run is.
        learners: what it trains.
        dataset: what it learns from.
        settings: how long it is, and how it is saved.
        model_path: the model's folder, prepared by `model_folder.prepare`.
        config: the `config.json` to save with the weights (JSON values).
        after_epoch: called after each epoch with its row of the history, the averages in the networks.

    Returns:
        0 when all epochs are done; 1 if the run was interrupted or its losses became NaN or infinite.

    Raises:
        UserError: if the checkpoint cannot be restored.
    """
    counters, averages = Counters(recipe.metrics), Averages(learners.networks, settings.ema)
    checkpoints = Checkpoints(model_path / "checkpoints", counters, averages, learners.networks, learners.optimizers)
    if checkpoints.latest:
        _resume(checkpoints, counters, learners.optimizers, settings.epoch_offset)
    epochs_done = int(counters.epochs_done)
    history = History(model_path, recipe.metrics, bool(dataset.validation), epochs_done)
    if epochs_done >= settings.epochs:
        history.draw()
        print(f"all {settings.epochs} epochs are done already; a larger --epochs continues the run")
        return 0
    train_step, validation_step = _compile(learners, counters, averages, settings)
    last_epoch = settings.epoch_offset + settings.epochs

    with Interruption() as interruption:
        for epoch in range(epochs_done, settings.epochs):
            number, first_step, started = settings.epoch_offset + epoch + 1, int(counters.step), time.monotonic()
            batches = dataset.train_batches(epoch, first_step)
            try:
                with epoch_bar(f"epoch {number}/{last_epoch}", first_step, dataset.steps, settings.batch_size) as bar:
                    _train_epoch(train_step, batches, counters, checkpoints, settings, bar, interruption)
                step, seconds = int(counters.step), time.monotonic() - started
                with averages.in_place():
                    validation = _validate(validation_step, dataset, recipe.metrics, interruption)
            except Diverged as place:
                print(_diverged_message(number, place, checkpoints.latest), file=sys.stderr)
                return 1
            if step < dataset.steps or validation is None:  # interrupted
                checkpoints.save()
                print(f"stopped and saved at epoch {number}, step {step}; {_resume_hint()}", file=sys.stderr)
                return 1

            row = {"epoch": number, **counters.means(), **validation, "seconds": round(seconds, 2)}
            row["images_per_second"] = round((step - first_step) * settings.batch_size / seconds, 2)
            history.add(row)
            with averages.in_place():
                _save_models(model_path, learners.networks, config, history)
            counters.finish_epoch(epoch)
            checkpoints.save()
            print(epoch_line(row, recipe.metrics, last_epoch, history.best is row), flush=True)
            with averages.in_place():
                after_epoch(row)
            if interruption.requested and epoch + 1 < settings.epochs:
                print(f"stopped and saved after epoch {number}; {_resume_hint()}", file=sys.stderr)
                return 1
    best = history.best
    print(f"best epoch: {best['epoch']} ({history.selected} {best[history.selected]:.4f}); weights in {model_path}")
    return 0


def _resume(
    checkpoints: Checkpoints,
    counters: Counters,
    optimizers: Mapping[str, keras.optimizers.Optimizer],
    epoch_offset: int,
) -> None:
    """Restore the latest checkpoint. Constant learning rates are those of this call; schedules continue."""
    constant = {
        name: optimizer
        for name, optimizer in optimizers.items()
        if any(variable.name == "learning_rate" for variable in optimizer.variables)
    }
    rates = {name: float(optimizer.learning_rate.numpy()) for name, optimizer in constant.items()}
    checkpoints.restore()
    for name, optimizer in constant.items():
        before = float(optimizer.learning_rate.numpy())
        if not math.isclose(before, rates[name], rel_tol=1e-6):
            print(f"the {name}'s learning rate was {before:g} and is {rates[name]:g} from here")
            optimizer.learning_rate = rates[name]
    print(f"resuming after epoch {epoch_offset + int(counters.epochs_done)}, step {int(counters.step)}")


def _compile(
    learners: Learners, counters: Counters, averages: Averages, settings: LoopSettings
) -> tuple[Callable[..., None], Callable[..., tf.Tensor]]:
    """Compile a training step that counts, and a validation step that returns the `metric_totals` of a batch."""

    @tf.function(jit_compile=settings.jit_compile)
    def train_step(*batch: tf.Tensor) -> None:
        counters.add(metric_totals(learners.train_step(*batch), counters.names, settings.batch_size))
        averages.add()

    @tf.function(jit_compile=settings.jit_compile, reduce_retracing=True)
    def validation_step(*batch: tf.Tensor) -> tf.Tensor:
        return metric_totals(learners.validation_step(*batch), counters.names, tf.shape(batch[0])[0])

    return train_step, validation_step


def _train_epoch(
    train_step: Callable[..., None],
    batches: Iterable[tuple[tf.Tensor, ...]],
    counters: Counters,
    checkpoints: Checkpoints,
    settings: LoopSettings,
    bar: tqdm,
    interruption: Interruption,
) -> None:
    """Train on batches until they end or an interruption is requested, and save checkpoints on the way."""
    checked = saved = time.monotonic()
    for step, batch in enumerate(batches, int(counters.step) + 1):
        train_step(*batch)
        now = time.monotonic()
        if now - checked >= _CHECK_SECONDS:
            checked = now
            update_bar(bar, step * settings.batch_size, counters.means)
            if counters.first_bad_step >= 0:
                break
        if now - saved >= settings.checkpoint_minutes * 60:
            checkpoints.save()
            saved = now
        if interruption.requested:
            break
    checkpoints.check_finite()


def _validate(
    validation_step: Callable[..., tf.Tensor],
    dataset: PairedDataset,
    metrics: tuple[str, ...],
    interruption: Interruption,
) -> dict[str, float] | None:
    """Compute the means over all validation slices, by column of the history; None if interrupted."""
    if not dataset.validation:
        return {}
    totals = np.zeros((len(metrics), 2))
    for batch in dataset.validation_batches():
        if interruption.requested:
            return None
        totals = totals + validation_step(*batch)  # stays on the device until the end
    means = {f"{name}_val": mean for name, mean in metric_means(metrics, np.asarray(totals)).items()}
    if not all(map(math.isfinite, means.values())):
        raise Diverged("validation")
    return means


def _save_models(
    model_path: Path, networks: Mapping[str, keras.Model], config: Mapping[str, Any], history: History
) -> None:
    """Save the model of the last epoch and, if that is the best one, the model itself."""
    row, best = history.rows[-1], history.best
    progress = {"epoch": row["epoch"], "best_epoch": best["epoch"], history.selected: best[history.selected]}
    config = {**config, "training": progress}
    save_model(model_path / "last", networks, config)
    if best is row:
        save_model(model_path, networks, config)


def _diverged_message(number: int, place: Diverged, latest: str | None) -> str:
    kept = "the last good checkpoint is kept" if latest else "no checkpoint was written yet"
    return (
        f"stopped: a loss or a weight became NaN or infinite at epoch {number}, {place}; {kept}, "
        "and the same command with lower learning rates resumes from there"
    )


def _resume_hint() -> str:
    return f"to resume: {shlex.join(['python', *sys.argv])}"
