import numpy as np
import pytest
from sounds import RATE, music

import data
import phase_gradient


def sines():
    time = np.arange(2 * RATE) / RATE
    return sum(0.1 * np.sin(2 * np.pi * frequency * time) for frequency in (220, 233.1, 1000, 5003)).astype(np.float32)


def chirp():
    time = np.arange(2 * RATE) / RATE
    return (0.3 * np.sin(2 * np.pi * (300 * time + 1500 * time**2))).astype(np.float32)


def clicks():
    audio = np.zeros(2 * RATE, np.float32)
    audio[::4410] = 0.8
    return audio


SOUNDS = {"sines": sines, "chirp": chirp, "clicks": clicks, "music": lambda: music(2)[0]}
GRIDS = pytest.mark.parametrize("hop_length", [512, 256])
every_sound = pytest.mark.parametrize("sound", SOUNDS)


def analyze(audio, hop_length):
    return data.frame_spectra(np.pad(audio, data.N_FFT), hop_length)[: data.N_BINS]


def derivatives(spectrum, hop_length):
    phase = np.angle(spectrum)
    frequency, delay = np.zeros((2, *phase.shape), np.float32)
    frequency[:, 1:] = phase_gradient.instantaneous_frequency(phase, hop_length)
    delay[1:] = phase_gradient.group_delay(phase)
    return frequency, delay


def distance(spectrum, unit):
    """Distance of a spectrum from one with another phase, relative to it; one phase for all is free."""
    other = np.abs(spectrum) * unit
    turn = np.vdot(other, spectrum)
    return np.linalg.norm(spectrum - other * turn / np.abs(turn)) / np.linalg.norm(spectrum)


@GRIDS
@every_sound
def test_the_integration_recovers_a_phase_from_its_derivatives(sound, hop_length):
    spectrum = analyze(SOUNDS[sound](), hop_length)
    unit = phase_gradient.integrate(np.abs(spectrum), *derivatives(spectrum, hop_length), hop_length)
    np.testing.assert_allclose(np.abs(unit), 1, atol=1e-6)
    # Derivatives in float32 are off by 2e-7 at most, and errors add up over 350 frames and 256 bins.
    assert distance(spectrum, unit) < 600 * 2e-7 * 10


@GRIDS
def test_blocks_do_not_change_the_phase(hop_length):
    spectrum = analyze(music(2)[0], hop_length)
    frequency, delay = derivatives(spectrum, hop_length)
    magnitude = np.abs(spectrum)
    whole = phase_gradient.integrate(magnitude, frequency, delay, hop_length)
    parts, previous = [], None
    for part in (slice(0, 1), slice(1, 60), slice(60, None)):
        arrays = (array[:, part] for array in (magnitude, frequency, delay))
        parts.append(phase_gradient.integrate(*arrays, hop_length, previous))
        previous = phase_gradient.Frame(magnitude[:, part][:, -1], parts[-1][:, -1])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-4)


@pytest.mark.parametrize("sound", ["sines", "chirp", "music"])
def test_errors_of_weak_bins_do_not_spread(sound):
    spectrum = analyze(SOUNDS[sound](), 512)
    frequency, delay = derivatives(spectrum, 512)
    magnitude = np.abs(spectrum)
    weak = magnitude < 0.01 * magnitude.max(axis=0)
    noise = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, *weak.shape))
    unit = phase_gradient.integrate(magnitude, *np.where(weak, noise, [frequency, delay]))
    assert 0.02 < np.mean(weak) < 0.98
    # Partials and clicks that only weak bins connect get phases of their own. What counts is that each is whole.
    magnitudes = [
        np.abs(analyze(data.overlap_add(magnitude * phases), 512)) for phases in (unit, np.exp(1j * noise[0]))
    ]
    errors = [np.linalg.norm(each[:, 2:-2] - magnitude) / np.linalg.norm(magnitude) for each in magnitudes]
    assert errors[0] < 0.1 < errors[1]


def test_an_anchor_gives_the_phase():
    spectrum = analyze(music(1)[0], 512)
    anchor = np.zeros_like(spectrum)
    anchor[:24] = 100 * np.exp(1j * np.angle(spectrum[:24]))
    unit = phase_gradient.integrate(np.abs(spectrum), *derivatives(spectrum, 512), anchor=anchor)
    np.testing.assert_allclose(unit[:24], np.exp(1j * np.angle(spectrum[:24])), atol=1e-3)
    assert np.linalg.norm(np.abs(spectrum) * unit - spectrum) < 0.01 * np.linalg.norm(spectrum)


def test_silence_has_some_phase():
    silence = np.zeros((256, 5), np.float32)
    unit = phase_gradient.integrate(silence, silence, silence)
    np.testing.assert_allclose(np.abs(unit), 1, atol=1e-6)


@GRIDS
def test_a_sine_has_its_frequency_and_a_click_its_delay(hop_length):
    frequency = 1000.0
    tone = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE).astype(np.float32)
    phase = np.angle(analyze(tone, hop_length))
    strongest = round(frequency * data.N_FFT / RATE)
    found = phase_gradient.instantaneous_frequency(phase, hop_length)[strongest, 20]
    assert strongest * RATE / data.N_FFT + found * RATE / (2 * np.pi * hop_length) == pytest.approx(frequency, abs=0.5)
    click = np.zeros(8192, np.float32)
    click[10 * hop_length + data.N_FFT // 2 + 37] = 1  # 37 samples after the middle of frame 10
    phase = np.angle(data.frame_spectra(click, hop_length))
    np.testing.assert_allclose(phase_gradient.group_delay(phase)[:, 10], 2 * np.pi * 37 / data.N_FFT, atol=1e-3)


def test_angles_are_wrapped():
    angles = np.array([0, 3, 3.5, -3.5, 100], np.float32)
    wrapped = phase_gradient.wrap(angles)
    assert np.abs(wrapped).max() <= np.pi
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angles), atol=1e-5)
