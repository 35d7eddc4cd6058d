import math

import numpy as np
import pytest
import tensorflow as tf

import data
from losses import (
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    l1_loss,
    linear_loss,
    mean_loss,
    r1_penalty,
)
from training.sound import level_loss


def test_losses_have_their_values():
    target, generated = np.full((2, 256, 256, 1), 0.5, np.float32), np.full((2, 256, 256, 1), 0.25, np.float32)
    zeros, large = np.zeros((2, 16, 16, 1), np.float32), np.full((2, 16, 16, 1), 30, np.float32)
    assert float(l1_loss(target, generated)) == pytest.approx(0.25)
    loss, mae = generator_loss(zeros, target, generated, 100.0)
    assert float(mae) == pytest.approx(0.25)
    assert float(loss) == pytest.approx(np.log(2) + 25)
    assert float(generator_loss(zeros, target, generated, 0.0)[0]) == pytest.approx(np.log(2), rel=1e-6)
    assert float(discriminator_loss(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(discriminator_loss(large, -large)) == pytest.approx(0, abs=1e-6)
    assert float(discriminator_loss(-large, large)) == pytest.approx(60, rel=1e-6)


def test_feature_matching_is_the_mean_over_layers_and_moves_generated_features_alone():
    real = [tf.fill((2, 4, 4, 8), 3.0), tf.fill((2, 2, 2, 16), tf.cast(1.0, tf.float16))]
    fake = [tf.fill((2, 4, 4, 8), 1.0), tf.fill((2, 2, 2, 16), tf.cast(5.0, tf.float16))]
    with tf.GradientTape() as tape:
        tape.watch(real + fake)
        loss = feature_matching_loss(real, fake)
    assert float(loss) == 3  # (2 + 4) / 2, though the first layer has twice as many features
    gradients = tape.gradient(loss, real + fake)
    assert gradients[:2] == [None, None]
    assert float(tf.reduce_sum(gradients[2])) == pytest.approx(-0.5)
    assert float(feature_matching_loss(real, real)) == 0


def test_the_linear_error_is_that_of_magnitudes():
    magnitude = np.zeros((2, 256, 256, 1), np.float32)
    magnitude[:, 8] = 0.25  # one bin of 256, so that the mean is 0.25 / 256
    images = [data.to_network(data.compress_magnitude(factor * magnitude)) for factor in (1, 0.5, 0, 2)]
    values = [float(linear_loss(images[0], image)) for image in images]
    silence = 0.25 / 256 / 0.001
    assert values == pytest.approx([0, silence / 2, silence, silence], rel=1e-4, abs=1e-6)


def test_the_error_of_levels_is_that_of_energies():
    rng = np.random.default_rng(0)
    magnitude = rng.uniform(0.01, 0.02, (2, 256, 256, 1))

    def value(changed):
        target, generated = (data.to_network(data.compress_magnitude(m)) for m in (magnitude, changed))
        return float(level_loss(target, generated))

    assert value(magnitude) == 0
    small = 10**0.01  # 0.2 dB
    assert value(magnitude * small) == pytest.approx(0.02**2, rel=0.03)
    bels = math.log(10) ** 2 / 2
    assert value(magnitude * 10**0.5) == pytest.approx((0.1 + math.log(10) - 1) / bels, rel=1e-3)  # 10 dB too loud
    too_quiet = (10 - math.log(10) - 1) / bels
    assert value(magnitude * 10**-0.5) == pytest.approx(too_quiet, rel=1e-3)
    assert value(magnitude / 10) == pytest.approx(too_quiet + 9 * math.log(10) / bels, rel=1e-3)  # 20 dB
    # The order within an octave and 32 frames does not count, only the energy there.
    shuffled = magnitude.copy()
    shuffled[:, 112:223, 32:64] = np.flip(magnitude[:, 112:223, 32:64], (1, 2))
    assert value(shuffled) == pytest.approx(0, abs=1e-9)
    quieter = magnitude.copy()
    quieter[0, 112:223, 32:64] *= 10**-0.5
    assert value(quieter) == pytest.approx(too_quiet / (2 * 6 * 8), rel=1e-3)
    below = magnitude.copy()
    below[:, :3] = 0
    assert value(below) == 0
    # A smooth image with the right mean of log-magnitudes has too little energy.
    beating = 10 ** rng.uniform(-3, -1, magnitude.shape)
    smooth = np.full_like(beating, 10 ** np.log10(beating).mean())
    images = [data.to_network(data.compress_magnitude(m)) for m in (beating, smooth)]
    assert float(level_loss(*images)) > 0.3
    silent = data.to_network(np.zeros((1, 256, 256, 1), np.float32))
    assert float(level_loss(silent, silent)) == 0


def test_the_level_of_least_loss_is_that_of_the_mean_energy():
    # What the target's level is from period to period does not follow from the source: one level must do for all.
    decibels = np.random.default_rng(0).normal(-40, 4, (64, 1, 8, 1))
    target = np.broadcast_to(10 ** (decibels / 20), (64, 256, 8, 32)).reshape(64, 256, 256, 1)
    offsets = np.arange(-2, 4.1, 0.25)
    losses = []
    for offset in offsets:
        images = [
            data.to_network(data.compress_magnitude(m)) for m in (target, np.full_like(target, 10 ** (offset / 20 - 2)))
        ]
        losses.append(float(level_loss(*images)))
    mean_energy = 10 * np.log10(np.mean(10 ** (decibels / 10))) + 40
    assert mean_energy > 1.5
    assert offsets[np.argmin(losses)] == pytest.approx(mean_energy, abs=0.25)


def test_the_mean_error_is_what_all_images_share():
    rng = np.random.default_rng(0)
    target = rng.uniform(-0.5, 0.5, (2, 256, 256, 1)).astype(np.float32)
    pattern = rng.uniform(-0.2, 0.2, (256, 32))
    everywhere = np.tile(pattern, (1, 8))[np.newaxis, :, :, np.newaxis]
    opposite, in_turn = np.reshape([1, -1], (2, 1, 1, 1)), np.where(np.arange(256) // 32 % 2, 1, -1).reshape(256, 1)

    def value(error):
        return float(mean_loss(target, (target + error).astype(np.float32)))

    assert value(0.25) == pytest.approx(0.25**2, rel=1e-4)
    assert value(everywhere) == pytest.approx(np.square(pattern).mean(), rel=1e-4)
    assert value(everywhere * opposite) == pytest.approx(0, abs=1e-9)
    assert value(everywhere * in_turn) == pytest.approx(0, abs=1e-9)
    assert value(everywhere * (1 + 3 * opposite)) == pytest.approx(np.square(pattern).mean(), rel=1e-4)
    noise = rng.normal(0, 0.1, target.shape)
    assert value(noise) == pytest.approx(0.1**2 / 16, rel=0.1)  # of 2 slices times 8 periods


def test_r1_is_half_the_square_norm_over_the_logits():
    gradient = tf.fill((2, 256, 256, 1), 0.5)
    assert float(r1_penalty(gradient, tf.constant(512))) == 2 * 256 * 256 * 0.25 / 512 / 2
