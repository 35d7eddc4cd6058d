#!/usr/bin/env python3
"""The training step of this project, or with --keras that of Keras's own layers and Adam, for bench_training.py.

A line with a number on standard input runs so many steps; the answer is the images a second, or for "matmul" the
GFLOP/s of a matrix product.
"""

import os
import time

import material  # noqa: F401  (puts the repository on the path)
import step_server

MATRIX = 1536


def make_step(arguments):
    """Make a function that trains on one batch in memory and returns the mean absolute error."""
    import keras
    import tensorflow as tf

    import model
    from common.device import network_options
    from training import optimizers, steps

    precision = "mixed_bfloat16" if arguments.bfloat16 else "float32"
    if arguments.keras:
        model.BatchNormalization, optimizers.Adam = keras.layers.BatchNormalization, keras.optimizers.Adam
        kind = {"dtype": precision}
    else:
        kind = network_options(precision)
    keras.utils.set_random_seed(0)
    networks = {"generator": model.Generator(arguments.base_filters, **kind)}
    if arguments.adversarial:
        networks["discriminator"] = model.Discriminator(arguments.base_filters, **kind)
    adam = {name: optimizers.make_optimizer(1e-4, network, kind["dtype"]) for name, network in networks.items()}
    make_steps = steps.adversarial_steps if arguments.adversarial else steps.generator_steps
    step = tf.function(make_steps(networks, adam)[0])
    shape = (arguments.batch_size, 256, 256, 1)
    batch = [tf.random.stateless_uniform(shape, (seed, 0), -1, 1) for seed in range(2)]
    return lambda: step(*batch)["gen_mae"]


def matrix_speed():
    """Measure the GFLOP/s of a float32 matrix product."""
    import tensorflow as tf

    matrix = tf.random.stateless_uniform((MATRIX, MATRIX), (0, 0))
    tf.matmul(matrix, matrix).numpy()
    started = time.perf_counter()
    for _ in range(3):
        product = tf.matmul(matrix, matrix)
    product.numpy()
    return 3 * 2 * MATRIX**3 / (time.perf_counter() - started) / 1e9


def main():
    parser = step_server.make_parser(__doc__)
    parser.add_argument("--threads", type=int, nargs=2, help="within and between operations (default: the program's)")
    parser.add_argument("--keras", action="store_true", help="Keras's own layers and Adam, TensorFlow's own settings")
    arguments = parser.parse_args()
    if arguments.keras:
        os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    else:
        from common.device import start_tensorflow
        from common.processor import Workload

        precision = "mixed_bfloat16" if arguments.bfloat16 else "float32"
        threads = tuple(arguments.threads) if arguments.threads else None
        print(start_tensorflow(-1, workload=Workload(arguments.base_filters, precision, threads)), flush=True)
    step_server.serve(make_step(arguments), arguments.batch_size, matrix_speed)


if __name__ == "__main__":
    main()
