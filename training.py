"""The one training loop: epochs, validation, checkpoints, and going on where a run was stopped."""

import math
import shlex
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import plots
from averages import Averages
from cli import UserError
from history import EpochBar, epoch_line, read_history, write_history
from model import save_model

_LOOK_SECONDS = 1.0  # how often the losses are fetched from the device, for the bar and to notice a NaN


def make_optimizer(learning_rate, network, precision, decay_steps=None):
    """Makes Adam with the paper's momentum of 0.5 (section 3.3) for a network; in float16 with dynamic loss scaling.

    Args:
        learning_rate: the rate to begin with.
        network: `keras.Model` whose weights it shall move.
        precision: that of the networks.
        decay_steps: steps after which the rate is 0, by half a cosine (Loshchilov and Hutter 2017, eq. 5, without
            restarts); None for one that stays.
    """
    if decay_steps:
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps)
    optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)
    return optimizer


class _Counters:
    """Where the run stands, on the device: what a checkpoint must hold beside networks and optimizers."""

    def __init__(self, names):
        self.names = names
        self.epochs_done = tf.Variable(0, dtype=tf.int64)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.totals = tf.Variable(tf.zeros((len(names), 2), tf.float64))  # of each metric: sum, and over how many
        self.first_bad_step = tf.Variable(-1, dtype=tf.int64)

    @property
    def variables(self):
        return [self.epochs_done, self.step, self.totals, self.first_bad_step]

    def add(self, totals):
        """Adds what `_totals` made of one step; runs inside the step's graph."""
        finite = tf.reduce_all(tf.math.is_finite(totals))
        self.totals.assign_add(totals)
        self.step.assign_add(1)
        self.first_bad_step.assign(tf.where(finite | (self.first_bad_step >= 0), self.first_bad_step, self.step))

    def finish_epoch(self, epoch):
        self.epochs_done.assign(epoch + 1)
        self.step.assign(0)
        self.totals.assign(tf.zeros_like(self.totals))

    def means(self):
        return _means(self.names, self.totals.numpy())


def _totals(metrics, names, batch_size):
    """The sums and counts of a step's metrics: float64 tensor [shape=(len(names), 2)].

    A scalar is a mean over the batch; (sum, count) is what it says, for metrics of a part of the batch.
    """
    size, rows = tf.cast(batch_size, tf.float64), []
    for name in names:
        if isinstance(metrics[name], tuple):
            rows.append(tf.stack([tf.cast(part, tf.float64) for part in metrics[name]]))
        else:
            rows.append(tf.stack([tf.cast(metrics[name], tf.float64) * size, size]))
    return tf.stack(rows)


def _means(names, totals):
    """dict of metric to mean; those of which nothing was seen are left out."""
    return {name: float(total / count) for name, (total, count) in zip(names, totals, strict=True) if count}


class _Diverged(Exception):
    """A loss or a weight is NaN or infinite."""


class _Checkpoints:
    """The run's state on disk: all variables of networks and optimizers, and the counters."""

    def __init__(self, folder, counters, averages, networks, optimizers):
        self._counters = counters
        # Named lists of plain TensorFlow variables, so that a restore can be strict.
        self._state = {name: [v.value for v in network.variables] for name, network in networks.items()}
        self._state |= {f"{name}_optimizer": [v.value for v in opt.variables] for name, opt in optimizers.items()}
        averaged = {"averages": averages.variables} if averages.variables else {}
        self._checkpoint = tf.train.Checkpoint(counters=counters.variables, **averaged, **self._state)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=1)

    @property
    def latest(self):
        return self._manager.latest_checkpoint

    def restore(self):
        try:
            self._checkpoint.restore(self.latest).assert_consumed()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{self.latest} is damaged ({reason}): restore it, or --restart to begin again") from None

    def check_finite(self):
        """Raises `_Diverged` with the step if a loss was not finite, or if a weight is not."""
        if self._counters.first_bad_step >= 0:
            raise _Diverged(f"step {int(self._counters.first_bad_step)}")
        floats = [v for variables in self._state.values() for v in variables if v.dtype.is_floating]
        if not tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floats]):
            raise _Diverged(f"step {int(self._counters.step)}")

    def save(self):
        """Saves what is finite; the last good checkpoint stays otherwise."""
        self.check_finite()
        self._manager.save()


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
    ema=0.0,
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
        train_step: function of one batch's tensors that updates the networks; dict of metric to its mean over the
            batch, or to (sum, count) where it is about a part of the batch.
        validation_step: the same without updating.
        metrics: the metrics' names; the first one, on validation, tells which epoch is best (least).
        train_batches: function of (epoch, first step) to the batches of the epoch from that step on.
        validation_batches: function without arguments to the validation batches, or None.
        steps_per_epoch: batches that an epoch takes.
        batch_size: for images/s.
        epochs: how many epochs the run has in all.
        epoch_offset: number of epochs before the first, in the history and in names.
        checkpoint_minutes: time between checkpoints within an epoch.
        jit_compile: whether XLA compiles the steps.
        ema: decay of moving averages of the weights, over steps, which validate and are saved as the model; 0 for none.
        after_epoch: function that is called after each epoch with its row of the history.

    Returns:
        0 when all epochs are done, 1 if the run was interrupted or its losses became NaN or infinite.

    Raises:
        UserError: if the checkpoint cannot be restored.
    """
    counters, averages = _Counters(metrics), Averages(networks, ema)
    checkpoints = _Checkpoints(model_path / "checkpoints", counters, averages, networks, optimizers)
    if checkpoints.latest:
        _go_on(checkpoints, counters, optimizers, epoch_offset)
    start = int(counters.epochs_done)
    # Rows of epochs that the checkpoint does not know of will be made again.
    rows = read_history(model_path, start)
    if start >= epochs:
        _draw(model_path, metrics, rows)
        print(f"all {epochs} epochs are done already; more --epochs go on from there")
        return 0
    selected = f"{metrics[0]}_val" if validation_batches else metrics[0]

    @tf.function(jit_compile=jit_compile)
    def counted_step(*batch):
        counters.add(_totals(train_step(*batch), metrics, batch_size))
        averages.add()

    @tf.function(jit_compile=jit_compile, reduce_retracing=True)
    def validate(*batch):
        return _totals(validation_step(*batch), metrics, tf.shape(batch[0])[0])

    with _Interruption() as interruption:
        for epoch in range(start, epochs):
            number, first_step = epoch_offset + epoch + 1, int(counters.step)
            started = time.monotonic()
            try:
                bar = EpochBar(f"epoch {number}/{epoch_offset + epochs}", first_step, steps_per_epoch, batch_size)
                batches = train_batches(epoch, first_step)
                _train_epoch(counted_step, batches, counters, checkpoints, checkpoint_minutes, bar, interruption)
                step = int(counters.step)
                seconds = time.monotonic() - started
                with averages.in_place():
                    validation = _validation_means(validate, validation_batches, metrics, interruption)
            except _Diverged as place:
                print(_diverged_line(number, place, checkpoints.latest), file=sys.stderr)
                return 1
            if step < steps_per_epoch or validation is None:  # interrupted
                checkpoints.save()
                print(f"stopped and saved at epoch {number}, step {step}; {_how_to_go_on()}", file=sys.stderr)
                return 1

            row = {"epoch": number, **counters.means(), **validation, "seconds": round(seconds, 2)}
            row["images_per_second"] = round((step - first_step) * batch_size / seconds, 2)
            rows.append(row)
            write_history(model_path, metrics, rows)
            _draw(model_path, metrics, rows)
            best = min(rows, key=lambda candidate: candidate.get(selected, math.inf))
            config = {**config, "training": {"epoch": number, "best_epoch": best["epoch"], selected: best[selected]}}
            with averages.in_place():
                save_model(model_path / "last", networks, config)
                if best is row:
                    save_model(model_path, networks, config)
            counters.finish_epoch(epoch)
            checkpoints.save()
            print(epoch_line(row, metrics, epoch_offset + epochs, best is row), flush=True)
            if after_epoch:
                with averages.in_place():
                    after_epoch(row)
            if interruption.requested and epoch + 1 < epochs:
                print(f"stopped and saved after epoch {number}; {_how_to_go_on()}", file=sys.stderr)
                return 1
    print(f"best epoch: {best['epoch']} ({selected} {best[selected]:.4f}); weights in {model_path}")
    return 0


def _go_on(checkpoints, counters, optimizers, epoch_offset):
    """Restores the latest checkpoint; learning rates stay those of this call, and schedules are at their place."""
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
    print(f"going on after epoch {epoch_offset + int(counters.epochs_done)}, step {int(counters.step)}")


def _train_epoch(counted_step, batches, counters, checkpoints, checkpoint_minutes, bar, interruption):
    """Trains on batches until they end or an interruption is requested, saving now and then."""
    looked = saved = time.monotonic()
    for step, batch in enumerate(batches, int(counters.step) + 1):
        counted_step(*batch)
        now = time.monotonic()
        if now - looked >= _LOOK_SECONDS:
            looked = now
            bar.update(step, counters.means)
            if counters.first_bad_step >= 0:
                break
        if now - saved >= checkpoint_minutes * 60:
            checkpoints.save()
            saved = now
        if interruption.requested:
            break
    bar.close()
    checkpoints.check_finite()


def _validation_means(validate, validation_batches, metrics, interruption):
    """Means over all validation slices, by column; None if interrupted. A batch counts for the slices that it holds."""
    if validation_batches is None:
        return {}
    totals = np.zeros((len(metrics), 2))
    for batch in validation_batches():
        if interruption.requested:
            return None
        totals = totals + validate(*batch)  # stays on the device until the end
    means = {f"{name}_val": mean for name, mean in _means(metrics, np.asarray(totals)).items()}
    if not all(map(math.isfinite, means.values())):
        raise _Diverged("validation")
    return means


def _draw(model_path, metrics, rows):
    for name in metrics:
        plots.save_history(model_path / "plots" / f"{name}_history.png", rows, name)


def _diverged_line(number, place, latest):
    kept = "the last good checkpoint is kept" if latest else "no checkpoint was written yet"
    return (
        f"stopped: a loss or a weight became NaN or infinite at epoch {number}, {place}; {kept}, "
        "and the same command with lower learning rates goes on from there"
    )


def _how_to_go_on():
    return f"to go on: {shlex.join(['python', *sys.argv])}"
