#!/usr/bin/env python3
"""Trains Pix2Pix for one pair of instruments: a U-Net generator against a PatchGAN discriminator.

The run can be stopped at any moment; the same command goes on from where it was. The model's folder is
<models_path>/<origin>_2_<target>/: the weights of the best epoch (by validation error), those of the last one in last/,
config.json and history.csv. After each epoch, <output_path>/<model>/<epoch>/ shows a validation slice and plays 15 s.

example:
  python train.py --dataset_path features --origin keyboard_acoustic --target guitar_acoustic
"""

from pathlib import Path

import cli
from device import add_gpu_argument, start_tensorflow

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--dataset_path", nargs="+", required=True, help="folders that compute_features.py wrote")
    parser.add_argument("--origin", type=cli.instrument_name, required=True, help="instrument to convert from")
    parser.add_argument("--target", type=cli.instrument_name, required=True, help="instrument to convert to")
    add_gpu_argument(parser)
    parser.add_argument("--epochs", type=cli.positive_int, default=100, help="epochs in all")
    parser.add_argument("--epoch_offset", type=int, default=0, help="epochs before the first one, in history and names")
    parser.add_argument("--batch_size", type=int, default=8, help="slices a step; at least 2")
    parser.add_argument("--gen_lr", type=cli.positive_float, default=5e-5, help="generator's learning rate")
    parser.add_argument("--disc_lr", type=cli.positive_float, default=5e-6, help="discriminator's learning rate")
    parser.add_argument("--validation_split", type=cli.share, default=0.1, help="share of the pieces kept to validate")
    parser.add_argument("--base_filters", type=cli.positive_int, default=64, help="filters of the first layers")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="precision of the networks")
    parser.add_argument("--jit_compile", action="store_true", help="compile the steps with XLA")
    parser.add_argument("--steps_per_epoch", type=cli.positive_int, help="at most so many steps an epoch")
    parser.add_argument(
        "--checkpoint_minutes", type=cli.positive_float, default=10.0, help="minutes between checkpoints"
    )
    parser.add_argument("--models_path", default="models", help="folder of models")
    parser.add_argument("--output_path", default="output", help="folder of the samples of each epoch")
    parser.add_argument("--sample_audio", help="audio to play after each epoch (default: a validation piece)")
    parser.add_argument("--seed", type=int, default=0, help="decides split, order, first weights and dropout")
    parser.add_argument("--deterministic", action="store_true", help="the same numbers in every run; slower")
    parser.add_argument("--restart", action="store_true", help="remove what the model's folder holds and begin again")
    arguments = parser.parse_args()
    if arguments.batch_size < 2:
        parser.error(
            "argument --batch_size: must be at least 2: over a single slice, batch normalization at the generator's "
            "1 × 1 bottleneck gives the same output for every input"
        )
    if arguments.origin == arguments.target:
        parser.error(f"argument --target: must differ from --origin {arguments.origin}")
    if arguments.seed < 0 or arguments.epoch_offset < 0:
        parser.error("arguments --seed and --epoch_offset: must be 0 or above")
    if arguments.sample_audio and not Path(arguments.sample_audio).is_file():
        parser.error(f"argument --sample_audio: {arguments.sample_audio} is not a file")
    return arguments


def make_steps(generator, discriminator, generator_optimizer, discriminator_optimizer):
    """Makes the training step and the validation step of a pair of networks."""
    import tensorflow as tf

    from losses import discriminator_loss, generator_loss

    def train_step(source, target):
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = generator(source, training=True)
            real_logits = discriminator([source, target], training=True)
            fake_logits = discriminator([source, generated], training=True)
            gen_loss, gen_mae = generator_loss(fake_logits, target, generated)
            disc_loss = discriminator_loss(real_logits, fake_logits)
            # Scaled for float16, whose gradients would vanish otherwise; the optimizers undo it.
            gen_scaled = generator_optimizer.scale_loss(gen_loss)
            disc_scaled = discriminator_optimizer.scale_loss(disc_loss)
        gen_gradients = generator_tape.gradient(gen_scaled, generator.trainable_variables)
        disc_gradients = discriminator_tape.gradient(disc_scaled, discriminator.trainable_variables)
        generator_optimizer.apply(gen_gradients, generator.trainable_variables)
        discriminator_optimizer.apply(disc_gradients, discriminator.trainable_variables)
        return {"gen_mae": gen_mae, "gen_loss": gen_loss, "disc_loss": disc_loss}

    def validation_step(source, target):
        generated = generator(source, training=False)
        real_logits = discriminator([source, target], training=False)
        fake_logits = discriminator([source, generated], training=False)
        gen_loss, gen_mae = generator_loss(fake_logits, target, generated)
        return {"gen_mae": gen_mae, "gen_loss": gen_loss, "disc_loss": discriminator_loss(real_logits, fake_logits)}

    return train_step, validation_step


def main():
    arguments = parse_arguments()
    running_on = start_tensorflow(arguments.gpu, arguments.deterministic)

    import keras

    import dataset
    import training
    from model import Discriminator, Generator, versions
    from samples import make_sampler

    name = f"{arguments.origin}_2_{arguments.target}"
    model_path = Path(arguments.models_path) / name
    pairs, notices = dataset.find_pairs(arguments.dataset_path, arguments.origin, arguments.target)
    for notice in notices:
        print(notice)
    train_pieces, validation_pieces = dataset.split_pieces(pairs.pieces, arguments.validation_split, arguments.seed)
    train_pairs, validation_pairs = pairs.of(train_pieces), pairs.of(validation_pieces)
    steps = dataset.count_steps(len(train_pairs), arguments.batch_size, arguments.steps_per_epoch)

    def train_batches(epoch, first_step):
        order = dataset.epoch_order(len(train_pairs), epoch, arguments.seed)[: steps * arguments.batch_size]
        columns = (train_pairs.sources, train_pairs.targets)
        return dataset.batches(columns, arguments.batch_size, order[first_step * arguments.batch_size :], True)

    def validation_batches():
        return dataset.batches((validation_pairs.sources, validation_pairs.targets), arguments.batch_size)

    config = {
        "model": {"base_filters": arguments.base_filters, "n_inputs": 1},
        "origin": arguments.origin,
        "target": arguments.target,
        "data": {
            "slices": len(train_pairs),
            "fingerprint": dataset.fingerprint(train_pairs.sources, train_pairs.targets),
            "validation_slices": len(validation_pairs),
            "validation_pieces": sorted(validation_pieces),
        },
        "arguments": {key: value for key, value in vars(arguments).items() if key != "restart"},
        "versions": versions(),
    }
    training.prepare_folder(model_path, config, arguments.restart)

    print(f"{name}: {len(train_pairs)} training slices of {len(train_pieces)} pieces, on {running_on}")
    if validation_pairs:
        unchanged = dataset.unchanged_mae(validation_batches())
        config["unchanged_mae_val"] = unchanged
        print(
            f"{len(validation_pairs)} validation slices of {len(validation_pieces)} pieces; "
            f"the unchanged input has a gen_mae_val of {unchanged:.4f}"
        )
    else:
        print("no piece is left to validate with; the training error decides which epoch is best")

    keras.utils.set_random_seed(arguments.seed)
    networks = {
        "generator": Generator(arguments.base_filters, dtype=arguments.precision),
        "discriminator": Discriminator(arguments.base_filters, dtype=arguments.precision),
    }
    rates = {"generator": arguments.gen_lr, "discriminator": arguments.disc_lr}
    optimizers = {
        key: training.make_optimizer(rates[key], network, arguments.precision) for key, network in networks.items()
    }
    sample, notice = make_sampler(
        Path(arguments.output_path) / name,
        networks["generator"],
        validation_pairs or train_pairs,
        arguments.origin,
        arguments.target,
        arguments.sample_audio,
    )
    if notice:
        print(notice)
    train_step, validation_step = make_steps(*networks.values(), *optimizers.values())
    return training.train(
        model_path,
        config,
        networks,
        optimizers,
        train_step,
        validation_step,
        metrics=("gen_mae", "gen_loss", "disc_loss"),
        train_batches=train_batches,
        validation_batches=validation_batches if validation_pairs else None,
        steps_per_epoch=steps,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        epoch_offset=arguments.epoch_offset,
        checkpoint_minutes=arguments.checkpoint_minutes,
        jit_compile=arguments.jit_compile,
        after_epoch=sample,
    )


if __name__ == "__main__":
    cli.run(main)
