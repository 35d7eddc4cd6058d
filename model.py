"""The networks of Pix2Pix for spectrograms, and their weights with the configuration that they need."""

import contextlib
import platform
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

import data
import files
from cli import UserError

CONFIG_NAME = "config.json"
WEIGHTS_ENDING = ".weights.h5"


def Generator(base_filters=64, n_inputs=1, dtype="float32", fresh=True, dropout=0.5):
    """The U-Net (Isola et al. 2017, appendix 6.1.1): 256 × 256 down to 1 × 1 and up again, with skips.

    Args:
        base_filters: filters of the first layer; the others scale with it. 64 is the paper's, 54.4 M parameters.
        n_inputs: images that it takes: 1 (source), or 2 (source, style).
        dtype: a Keras precision such as "mixed_float16". The output is float32 whatever it is.
        fresh: whether weights are drawn; otherwise they are 0, in less time, for who loads them.
        dropout: share that each of the decoder's first three layers drops in training; 0.5 is the paper's.

    Returns:
        `keras.Model`: images (batch, 256, 256, 1) in [-1, 1], one or a list of `n_inputs`, to one such image.
    """
    inputs = [keras.Input(data.SLICE_SHAPE, name=name) for name in ("source", "style")[:n_inputs]]
    x = layers.Concatenate(dtype=dtype)(inputs) if n_inputs > 1 else inputs[0]

    encoder = [  # filters in units of base_filters, whether normalised; the shape after it with 64
        (1, False),  # (batch, 128, 128, 64)
        (2, True),  # (batch, 64, 64, 128)
        (4, True),  # (batch, 32, 32, 256)
        (8, True),  # (batch, 16, 16, 512)
        (8, True),  # (batch, 8, 8, 512)
        (8, True),  # (batch, 4, 4, 512)
        (8, True),  # (batch, 2, 2, 512)
        (8, True),  # (batch, 1, 1, 512)
    ]
    skips = []
    for number, (factor, normalised) in enumerate(encoder, 1):
        x = _downsample(x, f"down{number}", base_filters * factor, normalised, dtype, fresh)
        skips.append(x)

    decoder = [  # filters, whether with dropout; the shape after the skip is joined to it
        (8, True),  # (batch, 2, 2, 1024)
        (8, True),  # (batch, 4, 4, 1024)
        (8, True),  # (batch, 8, 8, 1024)
        (8, False),  # (batch, 16, 16, 1024)
        (4, False),  # (batch, 32, 32, 512)
        (2, False),  # (batch, 64, 64, 256)
        (1, False),  # (batch, 128, 128, 128)
    ]
    for number, ((factor, drops), skip) in enumerate(zip(decoder, reversed(skips[:-1]), strict=True), 1):
        x = _upsample(x, f"up{number}", base_filters * factor, dropout if drops else None, dtype, fresh)
        x = layers.Concatenate(name=f"up{number}_skip", dtype=dtype)([x, skip])

    x = layers.Conv2DTranspose(
        1, 4, strides=2, padding="same", kernel_initializer=_initializer(fresh), name="last", dtype=dtype
    )(x)  # (batch, 256, 256, 1)
    x = layers.Activation("tanh", name="generated", dtype="float32")(x)
    return keras.Model(inputs if n_inputs > 1 else inputs[0], x, name="generator")


def Discriminator(base_filters=64, dtype="float32"):
    """The PatchGAN (Isola et al. 2017, appendix 6.1.2), which judges patches of (source, target).

    Args:
        base_filters: filters of the first layer; 64 is the paper's, 2.77 M parameters.
        dtype: a Keras precision; the logits are float32 whatever it is.

    Returns:
        `keras.Model`: [source, target], both (batch, 256, 256, 1), to logits (batch, 16, 16, 1).
    """
    source = keras.Input(data.SLICE_SHAPE, name="source")
    target = keras.Input(data.SLICE_SHAPE, name="target")
    x = layers.Concatenate(dtype=dtype)([source, target])  # (batch, 256, 256, 2)
    x = _downsample(x, "down1", base_filters, False, dtype)  # (batch, 128, 128, 64)
    x = _downsample(x, "down2", base_filters * 2, True, dtype)  # (batch, 64, 64, 128)
    x = _downsample(x, "down3", base_filters * 4, True, dtype)  # (batch, 32, 32, 256)
    x = _downsample(x, "down4", base_filters * 8, True, dtype)  # (batch, 16, 16, 512)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=_initializer(), name="last", dtype=dtype)(x)
    x = layers.Activation("linear", name="logits", dtype="float32")(x)  # (batch, 16, 16, 1)
    return keras.Model([source, target], x, name="discriminator")


def _initializer(fresh=True):
    return keras.initializers.RandomNormal(0.0, 0.02) if fresh else "zeros"


def _convolution(kind, name, filters, dtype, fresh):
    """A layer that halves (Conv2D) or doubles (Conv2DTranspose) both axes; no bias, as a normalization follows."""
    return kind(
        filters,
        4,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(fresh),
        name=f"{name}_conv",
        dtype=dtype,
    )


def _downsample(x, name, filters, normalised, dtype, fresh=True):
    x = _convolution(layers.Conv2D, name, filters, dtype, fresh)(x)
    if normalised:
        x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype)(x)
    return layers.LeakyReLU(negative_slope=0.3, name=name, dtype=dtype)(x)


def _upsample(x, name, filters, dropout, dtype, fresh):
    x = _convolution(layers.Conv2DTranspose, name, filters, dtype, fresh)(x)
    x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype)(x)
    if dropout is not None:
        x = layers.Dropout(dropout, name=f"{name}_dropout", dtype=dtype)(x)
    return layers.ReLU(name=name, dtype=dtype)(x)


def versions():
    """What a model was made with, for its configuration."""
    return {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}


def save_model(folder, networks, config):
    """Writes the weights of networks as `<name>.weights.h5`, and `config.json` beside them: all of them or none.

    All are written in full before the first takes its place.

    Args:
        folder: the model's folder.
        networks: dict of name to `keras.Model`.
        config: dict, with `model` (the arguments of `Generator`) at least.
    """
    with contextlib.ExitStack() as places:
        for name, network in networks.items():
            network.save_weights(places.enter_context(files.replacing(Path(folder) / f"{name}{WEIGHTS_ENDING}")))
        files.dump_json(places.enter_context(files.replacing(Path(folder) / CONFIG_NAME)), config)


def load_generator(path):
    """Loads a trained generator, with all its weights or not at all.

    Args:
        path: a model's folder; a `.weights.h5` file with its `config.json` beside it; or a `.h5` file that TensorFlow
            2.0 wrote with `model.save_weights`, which tells its own size.

    Returns:
        `keras.Model` in float32, and the configuration: `model` says `base_filters` and `n_inputs`.

    Raises:
        UserError: if there is no such file, or the weights are not exactly those of the network.
    """
    path = Path(path)
    if path.is_dir():
        path /= f"generator{WEIGHTS_ENDING}"
    if not path.is_file():
        raise UserError(f"--model {path} does not exist; it must be a model's folder or a file of weights (.h5)")
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _load_legacy(path, group)
    except OSError:
        raise UserError(f"--model {path} is not an HDF5 file; it must hold a generator's weights") from None
    config_path = path.parent / CONFIG_NAME
    if not config_path.is_file():
        raise UserError(f"--model {path} has no {CONFIG_NAME} beside it; the two belong together")
    config = files.read_json(config_path)
    try:
        size = {key: int(config["model"][key]) for key in ("base_filters", "n_inputs")}
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{config_path} does not say model.base_filters and model.n_inputs; restore it") from None
    generator = Generator(**size, fresh=False)
    load_weights(generator, path)
    return generator, config


def load_weights(network, path):
    """Loads a `.weights.h5` file into a network; a `UserError` unless it holds exactly the network's weights."""
    expected = sorted(tuple(variable.shape) for variable in network.weights)
    shapes = []
    try:
        with h5py.File(path, "r") as file:
            # Keras keeps weights in groups named vars. Those of seed generators (dropout) are state, not weights.
            file.visititems(
                lambda name, item: (
                    shapes.append(item.shape)
                    if isinstance(item, h5py.Dataset) and "seed_generator" not in name
                    else None
                )
            )
        if sorted(shapes) != expected:
            raise ValueError(f"it holds {len(shapes)} weights, not the {len(expected)} of this {network.name}'s shapes")
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} does not fit its configuration or is damaged: {reason}") from None


def load_weights_but_style(generator, path):
    """Loads the weights of a generator of the source alone into one that also sees a style.

    What the first layer makes of the style stays as it is. A `UserError` if the file does not fit.
    """
    narrow = Generator(generator.get_layer("down1_conv").filters, fresh=False)
    load_weights(narrow, path)
    for ours, theirs in zip(generator.weights, narrow.weights, strict=True):
        ours.assign(theirs if ours.shape == theirs.shape else tf.concat([theirs, ours[:, :, 1:]], axis=2))


def halve_weights(source, destination):
    """Copies a `.weights.h5` file with its weights rounded to float16, half as large; it loads like the other.

    Raises:
        UserError: if a weight is beyond what float16 holds.
    """
    with h5py.File(source, "r") as old, h5py.File(destination, "w") as new:

        def copy(name, item):
            if not isinstance(item, h5py.Dataset):
                group = new.require_group(name)
                group.attrs.update(item.attrs)
                return
            values = item[()]
            if values.dtype == np.float32:
                if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
                    raise UserError(f"{source} holds weights in {name} that float16 cannot")
                values = values.astype(np.float16)
            new.create_dataset(name, data=values).attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)


def _load_legacy(path, group):
    """Weights by position: for each layer (a nested Sequential) its trainable weights, then the others."""
    arrays = []
    for layer_name in group.attrs["layer_names"]:
        layer = group[layer_name]
        arrays += [layer[weight_name][()] for weight_name in layer.attrs["weight_names"]]
    kernel = arrays[0].shape if arrays else ()
    if len(kernel) != 4 or kernel[2] not in (1, 2):
        raise UserError(f"--model {path} holds no weights of a generator of this kind (first kernel: {kernel})")
    size = {"base_filters": int(kernel[3]), "n_inputs": int(kernel[2])}
    generator = Generator(**size, fresh=False)
    expected = [tuple(variable.shape) for variable in generator.weights]
    found = [array.shape for array in arrays]
    if found != expected:
        differing = next(
            (number for number, shapes in enumerate(zip(found, expected, strict=False)) if shapes[0] != shapes[1]),
            min(len(found), len(expected)),
        )
        raise UserError(
            f"--model {path} does not hold this generator's weights: {len(found)} arrays, {len(expected)} wanted, "
            f"and number {differing} differs"
        )
    generator.set_weights(arrays)
    return generator, {"model": size, "legacy": True}
