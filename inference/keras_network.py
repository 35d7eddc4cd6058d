"""A generator that TensorFlow runs, as a function of NumPy arrays."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import model
from common import representations
from inference.channels import of_slices
from inference.transfer import PredictFn, with_styles


def make_predict_fn(generator: keras.Model, styles: np.ndarray | None = None) -> PredictFn:
    """Make a function of images from a network; see `transfer.with_styles`.

    Args:
        generator: takes images [shape=(batch, 256, 256, 1)] in [-1, 1], or a list of two such: source and style.
        styles: float32 array [shape=(n_styles, 256, 256, 1)] in [-1, 1], for a network that takes a style; with the
            phase as a second channel for one that predicts a phase.

    Returns:
        Function from float32 array [shape=(n, 256, 256, 1)] to another, both in [-1, 1], in inference mode. For a
        network that predicts a phase or draws from noise, what `channels.of_slices` returns.
    """
    return with_styles(make_network_fn(generator, styles is not None), styles)


def make_network_fn(generator: keras.Model, takes_style: bool) -> PredictFn:
    """Make what `channels.of_slices` returns, of a generator that may take a style."""
    return of_slices(make_infer(generator, takes_style), representation_of(generator), model.draws_noise(generator))


def representation_of(generator: keras.Model) -> str | None:
    """Return the representation of the phase that a generator predicts; None if it predicts none."""
    return representations.of_channels(generator.inputs[0].shape[-1], generator.outputs[0].shape[-1])


def make_infer(generator: keras.Model, takes_style: bool) -> Callable[..., np.ndarray]:
    """Make a function of images, or of images and one style for all of them, float32 arrays in [-1, 1]."""
    infer = _compile(generator, takes_style)
    return lambda *images: infer(*images).numpy()


@functools.lru_cache(maxsize=4)  # one graph for a network, whatever the style
def _compile(generator: keras.Model, takes_style: bool) -> Callable[..., tf.Tensor]:
    """Compile a network to a graph, a function of images or of images and one style for all of them."""
    shape = generator.inputs[0].shape[1:]
    image, images = tf.TensorSpec(shape, tf.float32), tf.TensorSpec((None, *shape), tf.float32)
    if not takes_style:
        return tf.function(lambda source: generator(source, training=False), input_signature=[images], autograph=False)

    def infer(source: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
        return generator([source, tf.broadcast_to(style, tf.shape(source))], training=False)

    return tf.function(infer, input_signature=[images, image], autograph=False)
