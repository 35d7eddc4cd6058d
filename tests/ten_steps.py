"""Ten training steps and a validation of small networks on the devices that the command line names.

python tests/ten_steps.py FOLDER_OF_SLICES OUTPUT.npz DEVICE …    (no device: one; TF_CONFIG: several processes)
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from conftest import ORIGIN, OTHER, TARGET  # noqa: E402

from common import device  # noqa: E402
from training.loss_weights import PAPER, LossWeights  # noqa: E402

N_STEPS, BATCH_SIZE = 10, 4
# name: adversarial, precision, targets, weights of the losses, sync_norm
CASES = {
    "generator alone": (False, "float32", [TARGET], PAPER, True),
    "several targets, float16": (True, "mixed_float16", [OTHER, TARGET], PAPER, True),
    "all terms": (True, "float32", [TARGET], LossWeights(50.0, 10.0, 1.0, 1.0), True),
    "each device for itself": (False, "float32", [TARGET], PAPER, False),
}


def main():
    dataset_path, output, *words = sys.argv[1:]
    device.start_tensorflow(None, deterministic=True, devices=words)

    from training.devices import connect

    devices = connect(words, BATCH_SIZE, sync_norm=True)
    results = {f"overflow/{key}": value for key, value in overflow(devices).items()}
    for name, case in CASES.items():
        results |= {f"{name}/{key}": value for key, value in run(dataset_path, devices, *case).items()}
    np.savez(output, **results)


def small_generator(n_inputs, precision):
    """Make a generator of the layers of the large one, but few: tracing takes most of the time."""
    import keras

    import data
    import model

    inputs = [keras.Input(data.SLICE_SHAPE) for _ in range(n_inputs)]
    x = keras.layers.Concatenate(dtype=precision)(inputs) if n_inputs > 1 else inputs[0]
    options = {"random_init": True, "dtype": precision, "by_matmul": False}
    x = model._downsample(x, "down1", 4, True, options)
    skip = model._downsample(x, "down2", 8, True, options)
    x = model._upsample(skip, "up1", 4, 0.5, options)
    x = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same", dtype=precision)(x)
    x = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(inputs if n_inputs > 1 else inputs[0], x, name="generator")


def run(dataset_path, devices, adversarial, precision, targets, weights, sync_norm):
    """Train and validate; return losses of each step, validation means, and what is in the variables at the end.

    Adam's steps do not depend on the scale of the gradients; its first moments do, and are returned as `gradients`.
    """
    import functools

    import keras

    from dataset.paired_dataset import DatasetSettings, PairedDataset
    from fast_layers import synchronize
    from model import Discriminator
    from training import loop, steps
    from training.checkpoints import Counters
    from training.ema import Averages
    from training.optimizers import make_optimizer
    from training.upsampling import balance

    several = len(targets) > 1
    pairs = [(ORIGIN, target) for target in targets]
    place = {"worker": devices.worker, "n_workers": devices.n_workers}
    augment = not adversarial
    settings = DatasetSettings([dataset_path], pairs, BATCH_SIZE, N_STEPS, 0.25, 0, several, augment, **place)
    dataset = PairedDataset(settings)
    keras.utils.set_random_seed(0)
    with devices.scope():
        networks = {"generator": small_generator(2 if several else 1, precision)}
        balance(networks["generator"])
        if adversarial:
            networks["discriminator"] = Discriminator(4, precision)
        if sync_norm:
            for network in networks.values():
                synchronize(network)
        optimizers = {name: make_optimizer(1e-4, network, precision, 100) for name, network in networks.items()}
        if precision == "mixed_float16":
            # At the initial scale, gradients that are just too large overflow on one device and not on the other.
            for optimizer in optimizers.values():
                optimizer.dynamic_scale.assign(2.0**8)
    make_steps, metrics = steps.generator_steps, ["gen_mae"]
    if adversarial:
        make_steps, metrics = steps.adversarial_steps, ["gen_mae", "gen_loss", "disc_loss"]
    make_steps = functools.partial(make_steps, weights=weights)
    if several:
        make_steps = functools.partial(make_steps, measure=steps.make_target_errors(targets))
        metrics += [f"gen_mae_{target}" for target in targets]
    learners = loop.Learners(networks, optimizers, *make_steps(networks, optimizers), devices)
    counters, averages = Counters(metrics), Averages(networks, 0.9, devices.local_copy)
    loop_settings = loop.LoopSettings(1, 0, BATCH_SIZE, 10, False, 0.9)
    train_step, validation_step = loop._compile(learners, counters, averages, loop_settings)
    totals = []
    for batch in dataset.train_batches(0, 0):
        train_step(*devices.split(batch))
        totals.append(counters.totals.numpy())
    validation = {}
    if not adversarial:  # compiling takes most of the time
        position = loop._Position(counters, averages, None, None, SimpleNamespace(requested=False), devices)
        with averages.in_place():
            validation = loop._validate(validation_step, dataset, position)
    floats = [v.value for network in networks.values() for v in network.variables if "float" in v.dtype]
    moments = [v for optimizer in optimizers.values() for v in optimizer.variables if "momentum" in v.path]
    strategy = devices.strategy
    copies = [[c.numpy() for c in strategy.experimental_local_results(v)] if strategy else [v.numpy()] for v in floats]
    assert all(np.array_equal(copy, first) for first, *others in copies for copy in others)
    return {
        "losses": np.diff(totals, axis=0, prepend=0),
        "validation": np.array(list(validation.values())),
        "variables": np.concatenate([np.ravel(first) for first, *_ in copies]),
        "gradients": np.concatenate([np.ravel(v.value) for v in moments]),
        "averages": np.concatenate([np.ravel(v) for v in averages.variables[1:]]),
    }


def overflow(devices):
    """Apply gradients that are infinite on the last device alone; return the weight and the scale afterwards."""
    import keras
    import tensorflow as tf

    from training.optimizers import make_optimizer

    with devices.scope():
        network = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
        )
        optimizer = make_optimizer(0.1, network, "mixed_float16")

    def step(gradient):
        context = tf.distribute.get_replica_context()
        is_last = context.replica_id_in_sync_group == context.num_replicas_in_sync - 1
        gradient = tf.where(is_last, gradient, 1.0)
        optimizer.apply([tf.reshape(gradient, (1, 1))], network.trainable_variables)
        return tf.zeros(())

    compiled = tf.function(lambda gradient: devices.total(step, (gradient,)))
    results = {}
    for name, gradient in (("infinite", np.inf), ("finite", 1.0)):
        compiled(tf.constant(gradient, tf.float32))
        results[f"{name} weight"] = network.get_weights()[0]
        results[f"{name} scale"] = optimizer.dynamic_scale.numpy()
    return results


if __name__ == "__main__":
    main()
