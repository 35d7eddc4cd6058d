"""The one training loop: epochs, validation, history, checkpoints, and going on where a run was stopped."""

import csv
import math
import shutil
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import files
from cli import UserError
from model import CONFIG_NAME, WEIGHTS_ENDING, save_model

# A run may go on with other values of these; any other change needs --restart or another folder.
CHANGEABLE = (
    "checkpoint_minutes",
    "dataset_path",
    "disc_lr",
    "epochs",
    "gen_lr",
    "gpu",
    "jit_compile",
    "lr",
    "models_path",
    "output_path",
    "sample_audio",
)
_LOOK_SECONDS = 1.0  # how often the losses are fetched from the device, for the bar and to notice a NaN


def prepare_folder(model_path, config, restart):
    """Makes a model's folder ready for a run that starts or goes on, and writes its `config.json`.

    Args:
        model_path: the folder.
        config: dict that is written; `arguments` and `data` must be those of the run that is continued.
        restart: whether what is there may be removed.

    Raises:
        UserError: if the folder holds a run with other arguments, or a model that no run can go on from.
    """
    config_path = model_path / CONFIG_NAME
    checkpoints = model_path / "checkpoints"
    weights = sorted(model_path.glob(f"*{WEIGHTS_ENDING}"))
    if restart:
        shutil.rmtree(checkpoints, ignore_errors=True)
        shutil.rmtree(model_path / "last", ignore_errors=True)
        for path in (*weights, model_path / "history.csv", config_path):
            path.unlink(missing_ok=True)
    elif tf.train.latest_checkpoint(checkpoints):
        if not config_path.is_file():
            raise UserError(
                f"{config_path} is missing, so the run cannot go on: restore it, or --restart to begin again"
            )
        _check_same_run(model_path, files.read_json(config_path), config)
        return
    elif weights:
        raise UserError(
            f"{model_path} holds a trained model and no checkpoint to go on from: "
            "choose another --models_path, or --restart to replace the model"
        )
    files.write_json(config_path, config)


def _check_same_run(model_path, old, new):
    changes = []
    for section in ("model", "data", "arguments"):
        before, now = old.get(section, {}), new[section]
        changes += [
            (key, before.get(key), now.get(key))
            for key in sorted({*before, *now})
            if before.get(key) != now.get(key) and not (section == "arguments" and key in CHANGEABLE)
        ]
    if changes:
        told = "; ".join(f"{key} was {before}, is {now}" for key, before, now in changes)
        raise UserError(
            f"{model_path} holds a run that cannot go on with these arguments ({told}): "
            "use the old ones, another --models_path, or --restart to begin again"
        )


class _Counters:
    """Where the run stands, on the device: what a checkpoint must hold beside networks and optimizers."""

    def __init__(self, names):
        self.names = names
        self.epochs_done = tf.Variable(0, dtype=tf.int64)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.totals = tf.Variable(tf.zeros(len(names), tf.float64))
        self.first_bad_step = tf.Variable(-1, dtype=tf.int64)

    @property
    def variables(self):
        return [self.epochs_done, self.step, self.totals, self.first_bad_step]

    def add(self, metrics):
        """Adds the metrics of one step; runs inside the step's graph."""
        values = tf.stack([tf.cast(metrics[name], tf.float64) for name in self.names])
        finite = tf.reduce_all(tf.math.is_finite(values))
        self.totals.assign_add(values)
        self.first_bad_step.assign(tf.where(finite | (self.first_bad_step >= 0), self.first_bad_step, self.step))
        self.step.assign_add(1)

    def start_epoch(self):
        self.step.assign(0)
        self.totals.assign(tf.zeros_like(self.totals))

    def means(self):
        return dict(zip(self.names, (self.totals / tf.cast(self.step, tf.float64)).numpy().tolist(), strict=True))


class _Interruption:
    """Turns SIGINT and SIGTERM into a flag while a run trains, so that it can save before it leaves."""

    def __enter__(self):
        self.requested = False
        self._previous = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_):
        self.requested = True


def train(
    model_path,
    config,
    networks,
    optimizers,
    train_step,
    validation_step,
    metrics,
    train_batches,
    validation_batches,
    steps_per_epoch,
    batch_size,
    epochs,
    epoch_offset=0,
    checkpoint_minutes=10.0,
    jit_compile=False,
    after_epoch=None,
):
    """Trains networks, from the beginning or from where the run in `model_path` was stopped.

    A checkpoint holds the networks, the optimizers, the epoch, the step in it and the losses so far, so that a run
    that was stopped or killed gives the numbers of one that was not. It is written every `checkpoint_minutes`, after
    each epoch, and on SIGINT and SIGTERM.

    Args:
        model_path: folder, made ready by `prepare_folder`.
        config: dict for the `config.json` beside the weights.
        networks: dict of name to `keras.Model`; each is saved as `<name>.weights.h5`.
        optimizers: dict of name to Keras optimizer, built.
        train_step: function of one batch's tensors that updates the networks; dict of metric to scalar.
        validation_step: the same without updating; its scalars are means over the batch.
        metrics: the metrics' names; the first one, on validation, tells which epoch is best (least).
        train_batches: function of (epoch, first step) to the batches of the epoch from that step on.
        validation_batches: function without arguments to the validation batches, or None.
        steps_per_epoch: batches that an epoch takes.
        batch_size: for images/s.
        epochs: how many epochs the run has in all.
        epoch_offset: number of epochs before the first, in the history and in names.
        checkpoint_minutes: time between checkpoints within an epoch.
        jit_compile: whether XLA compiles the steps.
        after_epoch: function of the epoch's number that is called after each.

    Returns:
        0 when all epochs are done, 1 if the run was interrupted or its losses became NaN or infinite.
    """
    counters = _Counters(metrics)
    state = {name: [variable.value for variable in network.variables] for name, network in networks.items()}
    state |= {f"{name}_optimizer": [v.value for v in optimizer.variables] for name, optimizer in optimizers.items()}
    checkpoint = tf.train.Checkpoint(counters=counters.variables, **state)
    manager = tf.train.CheckpointManager(checkpoint, str(model_path / "checkpoints"), max_to_keep=1)
    rates = {name: float(optimizer.learning_rate.numpy()) for name, optimizer in optimizers.items()}
    if manager.latest_checkpoint:
        try:
            checkpoint.restore(manager.latest_checkpoint).assert_consumed()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{manager.latest_checkpoint} is damaged ({reason}): restore it, or --restart to begin again"
            ) from None
        for name, optimizer in optimizers.items():
            before = float(optimizer.learning_rate.numpy())
            if not math.isclose(before, rates[name], rel_tol=1e-6):
                print(f"the {name}'s learning rate was {before:g} and is {rates[name]:g} from here")
                optimizer.learning_rate = rates[name]
        print(f"going on after epoch {epoch_offset + int(counters.epochs_done)}, step {int(counters.step)}")
    history = _read_history(model_path, int(counters.epochs_done))
    selected = f"{metrics[0]}_val" if validation_batches else metrics[0]
    start = int(counters.epochs_done)
    if start >= epochs:
        print(f"all {epochs} epochs are done already; more --epochs go on from there")
        return 0

    # Each run gets its own graphs, and the loop only hands over batches.
    @tf.function(jit_compile=jit_compile)
    def counted_step(*batch):
        counters.add(train_step(*batch))

    validate = tf.function(validation_step, jit_compile=jit_compile, reduce_retracing=True)
    command = f"python {' '.join(sys.argv)}"
    with _Interruption() as interruption:
        for epoch in range(start, epochs):
            number, first_step = epoch_offset + epoch + 1, int(counters.step)
            bar = _Bar(number, epoch_offset + epochs, first_step, steps_per_epoch, batch_size)
            started = saved = looked = time.monotonic()
            step = first_step
            for step, batch in enumerate(train_batches(epoch, first_step), first_step + 1):
                counted_step(*batch)
                now = time.monotonic()
                if now - looked >= _LOOK_SECONDS:
                    looked = now
                    if counters.first_bad_step >= 0:
                        break
                    bar.update(step, counters)
                if interruption.requested or now - saved >= checkpoint_minutes * 60:
                    if not _save_checkpoint(manager, counters, state):
                        break
                    saved = time.monotonic()
                if interruption.requested or step >= steps_per_epoch:
                    break
            bar.close()
            if counters.first_bad_step >= 0 or not _all_finite(state):
                bad = int(counters.first_bad_step) + 1 if counters.first_bad_step >= 0 else step
                kept = Path(manager.latest_checkpoint).name if manager.latest_checkpoint else "none was written yet"
                print(
                    f"stopped: a loss or a weight became NaN or infinite at epoch {number}, step {bad}; the last good "
                    f"checkpoint is kept ({kept}), and the same command with lower learning rates goes on from there",
                    file=sys.stderr,
                )
                return 1
            if interruption.requested and step < steps_per_epoch:
                print(f"stopped and saved at epoch {number}, step {step}; to go on: {command}", file=sys.stderr)
                return 1

            seconds = time.monotonic() - started
            row = {"epoch": number, **counters.means()}
            for name, value in _validation_means(validate, validation_batches, metrics).items():
                row[f"{name}_val"] = value
            row["seconds"] = round(seconds, 2)
            row["images_per_second"] = round((step - first_step) * batch_size / max(seconds, 1e-9), 2)
            history.append(row)
            _write_history(model_path, metrics, history)
            best = min(history, key=lambda entry: entry.get(selected, math.inf))
            outcome = {"epoch": number, "best_epoch": best["epoch"], selected: best[selected]}
            save_model(model_path / "last", networks, {**config, "training": outcome})
            if best is row:
                save_model(model_path, networks, {**config, "training": outcome})
            counters.epochs_done.assign(epoch + 1)
            counters.start_epoch()
            _save_checkpoint(manager, counters, state)
            print(_epoch_line(row, metrics, epoch_offset + epochs, best is row), flush=True)
            if after_epoch:
                after_epoch(number)
            if interruption.requested and epoch + 1 < epochs:
                print(f"stopped and saved after epoch {number}; to go on: {command}", file=sys.stderr)
                return 1
    print(f"best epoch: {best['epoch']} ({selected} {best[selected]:.4f}); weights in {model_path}")
    return 0


def _all_finite(state):
    floats = [variable for variables in state.values() for variable in variables if variable.dtype.is_floating]
    return bool(tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floats]))


def _save_checkpoint(manager, counters, state):
    """Saves if everything is finite; whether it did."""
    if counters.first_bad_step >= 0 or not _all_finite(state):
        return False
    manager.save()
    return True


def _validation_means(validate, validation_batches, metrics):
    """Means over all validation slices: a batch that is not full counts for what it holds."""
    if validation_batches is None:
        return {}
    totals, count = dict.fromkeys(metrics, 0.0), 0
    for batch in validation_batches():
        size = int(batch[0].shape[0])
        for name, value in validate(*batch).items():
            totals[name] += value * size  # stays on the device until the end
        count += size
    return {name: float(total) / count for name, total in totals.items()}


def _columns(metrics):
    return [
        "epoch",
        *(column for name in metrics for column in (name, f"{name}_val")),
        "seconds",
        "images_per_second",
    ]


def _read_history(model_path, epochs_done):
    """The rows of the epochs that the checkpoint knows of; later ones will be made again."""
    path = model_path / "history.csv"
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))[:epochs_done]
    return [
        {key: int(value) if key == "epoch" else float(value) for key, value in row.items() if value} for row in rows
    ]


def _write_history(model_path, metrics, history):
    with files.replacing(model_path / "history.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, _columns(metrics), restval="")
        writer.writeheader()
        writer.writerows(history)


def _epoch_line(row, metrics, last, is_best):
    losses = "  ".join(
        f"{name} {row[name]:.4f}" + (f" (val {row[f'{name}_val']:.4f})" if f"{name}_val" in row else "")
        for name in metrics
    )
    return f"epoch {row['epoch']}/{last}  {losses}  {row['seconds']:.1f} s  {row['images_per_second']:.1f} images/s" + (
        "  best" if is_best else ""
    )


class _Bar:
    """The bar of an epoch: on a terminal only, where it shows the running losses, images/s and the time left."""

    def __init__(self, number, last, first_step, steps, batch_size):
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=steps * batch_size,
                initial=first_step * batch_size,
                desc=f"epoch {number}/{last}",
                unit=" images",
                leave=False,
            )
            self._batch_size = batch_size

    def update(self, step, counters):
        if self._bar is not None:
            means = counters.means()
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in means.items()}, refresh=False)
            self._bar.update(step * self._batch_size - self._bar.n)

    def close(self):
        if self._bar is not None:
            self._bar.close()


def make_optimizer(learning_rate, network, precision):
    """Makes Adam with the paper's momentum of 0.5 (section 3.3) for a network; in float16 with dynamic loss scaling."""
    optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)
    return optimizer


def count_steps(n_pairs, batch_size, steps_per_epoch):
    """The batches that an epoch takes; a `UserError` if there is not one full batch."""
    steps = n_pairs // batch_size
    if steps == 0:
        raise UserError(
            f"the data set has {n_pairs} training slices, fewer than --batch_size {batch_size}: "
            "add pieces, or take a smaller batch"
        )
    return min(steps, steps_per_epoch or steps)


def unchanged_mae(batches):
    """The mean absolute error of handing the source on unchanged, which a network must beat; on [-1, 1]."""
    total, count = 0.0, 0
    for source, target in batches.as_numpy_iterator():
        total += float(np.mean(np.abs(target - source))) * len(source)
        count += len(source)
    return total / count
