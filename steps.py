"""Training and validation steps: small functions of a batch that the training loop and the finder compile.

A batch is the images that the generator sees (the source, and a style where it takes two), the target, and numbers that
a `measure` may want. Each step returns dict of metric to scalar, or to (sum, count) where a metric is not about all of
the batch.
"""

import tensorflow as tf

from losses import discriminator_loss, generator_loss, l1_loss


def adversarial_steps(networks, optimizers, measure=None):
    """Makes the steps of a generator and a discriminator that learn together.

    Args:
        networks, optimizers: dicts with `generator` and `discriminator`.
        measure: function of (target, generated, *numbers) to dict of further metrics.

    Returns:
        Two functions of a batch: one that updates the networks, one that does not.
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    split = _make_split(generator)

    def losses(inputs, target, training):
        generated = generator(inputs, training=training)
        source = inputs[0] if isinstance(inputs, list) else inputs  # the discriminator never sees the style
        real_logits = discriminator([source, target], training=training)
        fake_logits = discriminator([source, generated], training=training)
        gen_loss, gen_mae = generator_loss(fake_logits, target, generated)
        metrics = {"gen_mae": gen_mae, "gen_loss": gen_loss, "disc_loss": discriminator_loss(real_logits, fake_logits)}
        return metrics, generated

    def train_step(*batch):
        inputs, target, numbers = split(batch)
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            metrics, generated = losses(inputs, target, training=True)
            gen_scaled = optimizers["generator"].scale_loss(metrics["gen_loss"])
            disc_scaled = optimizers["discriminator"].scale_loss(metrics["disc_loss"])
        _update(generator, optimizers["generator"], generator_tape, gen_scaled)
        _update(discriminator, optimizers["discriminator"], discriminator_tape, disc_scaled)
        return metrics | (measure(target, generated, *numbers) if measure else {})

    def validation_step(*batch):
        inputs, target, numbers = split(batch)
        metrics, generated = losses(inputs, target, training=False)
        return metrics | (measure(target, generated, *numbers) if measure else {})

    return train_step, validation_step


def generator_steps(networks, optimizers, measure=None):
    """Makes the steps of a generator that learns alone, by its mean absolute error. See `adversarial_steps`."""
    generator = networks["generator"]
    split = _make_split(generator)

    def train_step(*batch):
        inputs, target, numbers = split(batch)
        with tf.GradientTape() as tape:
            generated = generator(inputs, training=True)
            gen_mae = l1_loss(target, generated)
            scaled = optimizers["generator"].scale_loss(gen_mae)
        _update(generator, optimizers["generator"], tape, scaled)
        return {"gen_mae": gen_mae} | (measure(target, generated, *numbers) if measure else {})

    def validation_step(*batch):
        inputs, target, numbers = split(batch)
        generated = generator(inputs, training=False)
        return {"gen_mae": l1_loss(target, generated)} | (measure(target, generated, *numbers) if measure else {})

    return train_step, validation_step


def discriminator_step(networks, optimizers):
    """Makes the training step of a discriminator against a generator that stays as it is."""
    generator, discriminator = networks["generator"], networks["discriminator"]
    split = _make_split(generator)

    def train_step(*batch):
        inputs, target, _ = split(batch)
        generated = generator(inputs, training=True)  # normalised over the batch, as in the joint training
        with tf.GradientTape() as tape:
            real_logits = discriminator([batch[0], target], training=True)
            disc_loss = discriminator_loss(real_logits, discriminator([batch[0], generated], training=True))
            scaled = optimizers["discriminator"].scale_loss(disc_loss)
        _update(discriminator, optimizers["discriminator"], tape, scaled)
        return {"disc_loss": disc_loss}

    return train_step


def _make_split(generator):
    """Makes a function of a batch to what the generator takes, the target, and the numbers."""
    n_inputs = len(generator.inputs)

    def split(batch):
        return batch[0] if n_inputs == 1 else list(batch[:n_inputs]), batch[n_inputs], batch[n_inputs + 1 :]

    return split


def _update(network, optimizer, tape, scaled_loss):
    # The loss is scaled for float16, whose gradients would vanish otherwise; the optimizer undoes it.
    optimizer.apply(tape.gradient(scaled_loss, network.trainable_variables), network.trainable_variables)
