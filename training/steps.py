"""Training and validation steps: small functions of a batch, which the training loop and the range test compile.

A batch is the images that the generator takes (the source, and a style if it has two inputs), the target, and integers
that `measure` may need. For a generator that predicts a phase beside the magnitude, the images are slices that hold the
phase; `phase_terms` makes its channels of them, and all but its terms is about the first channel, the magnitude. A step
returns dict of metric to its mean over the batch, or to (sum, count) for a metric of a part of the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from losses import (
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    l1_errors,
    l1_loss,
    linear_loss,
    mean_loss,
    r1_penalty,
)
from model import with_features
from training import phase_terms
from training.loss_weights import PAPER, LossWeights
from training.sound import level_loss, sound_totals

Metrics = dict[str, tf.Tensor | tuple[tf.Tensor, tf.Tensor]]
Step = Callable[..., Metrics]
Measure = Callable[..., Metrics]
Networks = Mapping[str, keras.Model]
Optimizers = Mapping[str, keras.optimizers.Optimizer]


class Judgment(NamedTuple):
    """What a discriminator makes of pairs of images.

    Attributes:
        logits: (batch, 16, 16, 1).
        features: outputs of its normalized layers; none if they have no weight.
    """

    logits: tf.Tensor
    features: list[tf.Tensor]


def adversarial_steps(
    networks: Networks, optimizers: Optimizers, measure: Measure | None = None, weights: LossWeights = PAPER
) -> tuple[Step, Step]:
    """Make the steps of a generator and a discriminator that are trained together.

    Args:
        networks: dict with `generator` and `discriminator`.
        optimizers: dict with the same keys.
        measure: function of (target, generated, *integers) to further metrics.
        weights: what the losses weigh.

    Returns:
        Two functions of a batch: one that updates the networks, and one that does not and also returns `sound_totals`.
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    split, judge_both = _make_split(generator), _make_judge(discriminator, optimizers["discriminator"], weights)
    terms = phase_terms.make_terms(generator, weights)

    def losses(batch: tuple, training: bool) -> tuple[Metrics, tf.Tensor, tf.Tensor, tuple]:
        inputs, target, integers = split(batch)
        generated = generator(inputs, training=training)
        real, fake, disc_loss = judge_both(inputs, target, phase_terms.of_unit_length(generated), training)
        of_phase, phase_loss = terms(batch[0], target, generated)
        target, generated = phase_terms.magnitude(target), phase_terms.magnitude(generated)
        gen_loss, gen_mae = generator_loss(fake.logits, target, generated, weights.l1)
        if weights.feature_matching:
            gen_loss += weights.feature_matching * feature_matching_loss(real.features, fake.features)
        gen_loss += _further_terms(target, generated, weights)
        if of_phase:
            gen_loss += phase_loss
        metrics = {"gen_mae": gen_mae, "gen_loss": gen_loss, "disc_loss": disc_loss} | of_phase
        return metrics, target, generated, integers

    def train_step(*batch: tf.Tensor) -> Metrics:
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            metrics, target, generated, integers = losses(batch, training=True)
            gen_scaled = scale_loss(optimizers["generator"], metrics["gen_loss"])
            disc_scaled = scale_loss(optimizers["discriminator"], metrics["disc_loss"])
        update(generator, optimizers["generator"], generator_tape, gen_scaled)
        update(discriminator, optimizers["discriminator"], discriminator_tape, disc_scaled)
        return metrics | _measured(measure, target, generated, integers)

    def validation_step(*batch: tf.Tensor) -> Metrics:
        metrics, target, generated, integers = losses(batch, training=False)
        return metrics | sound_totals(target, generated) | _measured(measure, target, generated, integers)

    return train_step, validation_step


def generator_steps(
    networks: Networks, optimizers: Optimizers, measure: Measure | None = None, weights: LossWeights = PAPER
) -> tuple[Step, Step]:
    """Make the steps of a generator that is trained alone, by its mean absolute error and what further weights add.

    The error has weight 1 here, a hundredth of the paper's. So that both training schemes agree on how much another
    weight is, it is divided by as much.

    Args:
        networks: dict with `generator`.
        optimizers: dict with the same key.
        measure: function of (target, generated, *integers) to further metrics.
        weights: what the losses weigh.

    Returns:
        Two functions of a batch: one that updates the network, and one that does not and also returns `sound_totals`.
    """
    generator = networks["generator"]
    split, terms = _make_split(generator), phase_terms.make_terms(generator, weights)

    def train_step(*batch: tf.Tensor) -> Metrics:
        inputs, target, integers = split(batch)
        with tf.GradientTape() as tape:
            generated = generator(inputs, training=True)
            of_phase, phase_loss = terms(batch[0], target, generated)
            target, generated = phase_terms.magnitude(target), phase_terms.magnitude(generated)
            gen_mae = l1_loss(target, generated)
            loss = gen_mae + _further_terms(target, generated, weights) / PAPER.l1
            if of_phase:
                loss += phase_loss / PAPER.l1
            scaled = scale_loss(optimizers["generator"], loss)
        update(generator, optimizers["generator"], tape, scaled)
        return {"gen_mae": gen_mae} | of_phase | _measured(measure, target, generated, integers)

    def validation_step(*batch: tf.Tensor) -> Metrics:
        inputs, target, integers = split(batch)
        generated = generator(inputs, training=False)
        of_phase, _ = terms(batch[0], target, generated)
        target, generated = phase_terms.magnitude(target), phase_terms.magnitude(generated)
        metrics = {"gen_mae": l1_loss(target, generated)} | of_phase | sound_totals(target, generated)
        return metrics | _measured(measure, target, generated, integers)

    return train_step, validation_step


def discriminator_step(networks: Networks, optimizers: Optimizers, weights: LossWeights = PAPER) -> Step:
    """Make the training step of a discriminator against a generator that does not change.

    Args:
        networks: dict with `generator` and `discriminator`.
        optimizers: dict with `discriminator`.
        weights: what the losses weigh.
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    split, judge_both = _make_split(generator), _make_judge(discriminator, optimizers["discriminator"], weights)

    def train_step(*batch: tf.Tensor) -> Metrics:
        inputs, target, _ = split(batch)
        generated = generator(inputs, training=True)  # normalized over the batch, as in the joint training
        with tf.GradientTape() as tape:
            *_, disc_loss = judge_both(inputs, target, phase_terms.of_unit_length(generated), True)
            scaled = scale_loss(optimizers["discriminator"], disc_loss)
        update(discriminator, optimizers["discriminator"], tape, scaled)
        return {"disc_loss": disc_loss}

    return train_step


def make_target_errors(targets: Sequence[str]) -> Measure:
    """Make the `measure` of the error of each target instrument; a batch holds several.

    Args:
        targets: names of the instruments.

    Returns:
        Function of (target, generated, target_indices) to dict of `gen_mae_<target>` to (sum, count).
    """

    def measure(target: tf.Tensor, generated: tf.Tensor, target_indices: tf.Tensor) -> Metrics:
        errors = l1_errors(target, generated)
        totals = tf.math.unsorted_segment_sum(errors, target_indices, len(targets))
        counts = tf.math.unsorted_segment_sum(tf.ones_like(errors), target_indices, len(targets))
        return {f"gen_mae_{name}": (totals[index], counts[index]) for index, name in enumerate(targets)}

    return measure


def _further_terms(target: tf.Tensor, generated: tf.Tensor, weights: LossWeights) -> tf.Tensor | float:
    """Sum the weighted terms that a generator's loss may have with and without a discriminator; 0 if it has none."""
    terms = {linear_loss: weights.linear, mean_loss: weights.mean, level_loss: weights.level}
    return sum((weight * loss(target, generated) for loss, weight in terms.items() if weight), 0.0)


def _measured(measure: Measure | None, target: tf.Tensor, generated: tf.Tensor, integers: tuple) -> Metrics:
    return measure(target, generated, *integers) if measure else {}


def _make_split(generator: keras.Model) -> Callable[[tuple], tuple]:
    """Make a function that splits a batch into the generator's inputs, the target, and integers."""
    n_inputs, to_channels = len(generator.inputs), phase_terms.make_to_channels(generator)

    def split(batch: tuple) -> tuple:
        batch = to_channels(batch)
        return batch[0] if n_inputs == 1 else list(batch[:n_inputs]), batch[n_inputs], batch[n_inputs + 1 :]

    return split


def _make_judge(
    discriminator: keras.Model, optimizer: keras.optimizers.Optimizer, weights: LossWeights
) -> Callable[[tf.Tensor | list[tf.Tensor], tf.Tensor, tf.Tensor, bool], tuple[Judgment, Judgment, tf.Tensor]]:
    """Make a function that runs a discriminator on real and on generated images, and computes its loss.

    It takes the generator's inputs: the source, or a list of the source and a style, which is for a discriminator that
    sees it.
    """
    network = with_features(discriminator) if weights.feature_matching else discriminator
    n_inputs = len(discriminator.inputs)

    def judge(inputs: tf.Tensor | list[tf.Tensor], image: tf.Tensor, training: bool) -> Judgment:
        source, *style = inputs if isinstance(inputs, list) else [inputs]
        outputs = network([source, image, *style][:n_inputs], training=training)
        return Judgment(outputs[0], outputs[1:]) if weights.feature_matching else Judgment(outputs, [])

    def judge_both(
        inputs: tf.Tensor | list[tf.Tensor], target: tf.Tensor, generated: tf.Tensor, training: bool
    ) -> tuple[Judgment, Judgment, tf.Tensor]:
        if not weights.r1:
            real, fake = judge(inputs, target, training), judge(inputs, generated, training)
            return real, fake, discriminator_loss(real.logits, fake.logits)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(target)
            real = judge(inputs, target, training)
            signed = tf.reduce_sum(real.logits * _random_signs(real.logits, optimizer.iterations))
        penalty = r1_penalty(tape.gradient(signed, target), tf.size(real.logits))
        fake = judge(inputs, generated, training)
        return real, fake, discriminator_loss(real.logits, fake.logits) + weights.r1 * penalty

    return judge_both


def _random_signs(logits: tf.Tensor, step: keras.Variable) -> tf.Tensor:
    """Draw -1 or 1 for each logit, anew in each step; each device takes its rows of those of the whole batch."""
    context, n_rows = tf.distribute.get_replica_context(), tf.shape(logits)[0]
    n_devices, device = (context.num_replicas_in_sync, context.replica_id_in_sync_group) if context else (1, 0)
    seed = tf.stack([tf.cast(tf.convert_to_tensor(step), tf.int32), 0])
    shape = [n_rows * n_devices, *logits.shape[1:]]
    bits = tf.random.stateless_uniform(shape, seed, maxval=2, dtype=tf.int32)[n_rows * device :][:n_rows]
    return tf.cast(2 * bits - 1, tf.float32)


def scale_loss(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """Scale a loss for the gradients; runs inside the tape.

    In float16, gradients would vanish otherwise; the optimizer divides by the scale. And it sums the gradients of
    several devices: each adds its fraction of the mean over the whole batch.
    """
    n_devices = tf.distribute.get_strategy().num_replicas_in_sync
    return optimizer.scale_loss(loss if n_devices == 1 else loss / n_devices)


def update(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, scaled_loss: tf.Tensor
) -> None:
    """Update a network by the gradient of what `scale_loss` returned."""
    optimizer.apply(tape.gradient(scaled_loss, network.trainable_variables), network.trainable_variables)
