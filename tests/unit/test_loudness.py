import numpy as np
import pytest
from sounds import RATE, cut

from inference.loudness import Meter


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
def test_loudness_is_that_of_bs_1770(rate):
    # A sine of 997 Hz at full scale in one channel is -3.01 LUFS (ITU-R BS.1770-4, annex 1).
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate)[np.newaxis]
    meter = Meter(rate, 1)
    for block in cut(sine, 12_345):
        meter.add(block)
    assert meter.loudness() == pytest.approx(-3.01, abs=0.05)
    assert meter.peak == pytest.approx(1, abs=1e-3)
    half = Meter(rate, 2)
    half.add(np.concatenate([0.5 * sine, 0.5 * sine]))
    assert half.loudness() == pytest.approx(-3.01 - 6.02 + 3.01, abs=0.05)
    gated = Meter(rate, 1)  # rests do not count
    gated.add(np.concatenate([sine, np.zeros((1, 20 * rate))], axis=1))
    assert gated.loudness() == pytest.approx(-3.01, abs=0.3)


def test_quiet_parts_count_unless_they_are_far_below_the_mean():
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)[np.newaxis]
    for decibels, expected in ((-25, -3.01), (-6, -3.01 + 10 * np.log10((1 + 0.25 * 4) / 5))):
        meter = Meter(RATE, 1)
        meter.add(np.concatenate([sine, np.tile(10 ** (decibels / 20) * sine, 4)], axis=1))
        assert meter.loudness() == pytest.approx(expected, abs=0.3)
    for decibels, is_silent in ((-65, False), (-69, True)):
        meter = Meter(RATE, 1)
        meter.add(10 ** (decibels / 20) * sine)
        assert (meter.loudness() is None) == is_silent


def test_loudness_of_little_or_nothing():
    silent, short, none = Meter(RATE, 1), Meter(RATE, 1), Meter(RATE, 1)
    silent.add(np.zeros((1, RATE)))
    short.add(0.5 * np.ones((1, 100)))
    assert silent.loudness() is None
    assert none.loudness() is None
    assert short.loudness() is not None
