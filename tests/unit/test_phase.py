import numpy as np
import pytest
from sounds import RATE, blur, identity, music

import data
from evaluation import metrics
from inference import phase, transfer
from inference.settings import MODEL_PHASE, PHASES, PhaseSettings, TransferSettings


def inconsistency(spectrum, lowest_bin=0):
    """Distance of the bins from `lowest_bin` on from the STFT of the array's own audio, in dB."""
    inside = (slice(None), slice(lowest_bin, None), slice(4, -4))
    error = spectrum - phase.consistent(spectrum)
    return 20 * np.log10(np.linalg.norm(error[inside]) / np.linalg.norm(spectrum[inside]))


def test_spectra_of_audio_are_consistent():
    assert inconsistency(data.stft(music(3)[0])[np.newaxis]) < -100


def test_griffin_lim_makes_frames_consistent_and_keeps_what_is_fixed():
    source = data.stft(music(3, seed=1)[0])[np.newaxis]
    target = np.abs(data.stft(music(3, seed=2)[0]))[np.newaxis]
    start = phase.apply_phase(target, source)
    result = phase.fast_griffin_lim(start, 20, 5)
    np.testing.assert_array_equal(result[..., :5], start[..., :5])
    np.testing.assert_array_equal(result[:, : phase.FIXED_BINS], start[:, : phase.FIXED_BINS])
    np.testing.assert_allclose(np.abs(result), target, rtol=1e-3, atol=1e-5)
    free = phase.FIXED_BINS + 2  # next to the fixed bins, the frames cannot be consistent
    assert inconsistency(result, free) < inconsistency(start, free) - 6


def test_griffin_lim_from_the_inputs_phase_keeps_the_pitch_of_low_notes():
    # Two notes a semitone apart, less than two bins: magnitudes alone hardly tell them from any others.
    time = np.arange(6 * RATE) / RATE
    low = sum(0.1 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in (45, 46, 57, 60))
    spectrum = data.stft(low.astype(np.float32))
    # Errors of the size of a network's.
    errors = np.random.default_rng(0).normal(1, 0.05, (data.N_BINS, spectrum.shape[1])).astype(np.float32)
    image = np.clip(data.log_magnitude(spectrum) * errors, 0, 1)
    expected = metrics.pitches(low.astype(np.float32))
    result = transfer.resynthesize(image, spectrum, len(low), PhaseSettings("griffinlim_input"))
    assert metrics.pitch_f_measure(metrics.pitches(result), expected) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("name", [name for name in PHASES if name not in ("network", MODEL_PHASE)])
def test_channels_keep_their_differences_of_phase(name, interleave):
    # Two players, each nearer to one side: louder there, and a little earlier.
    one, other = music(8, seed=1)[0], music(8, seed=2)[0]
    audio = np.stack([one + 0.5 * np.roll(other, 15), 0.5 * np.roll(one, 15) + other])
    result = transfer.transfer_audio(audio, RATE, blur, TransferSettings(PhaseSettings(name, 8, 0, interleave)))
    before, after = (data.stft(signal[0])[:256] * data.stft(signal[1])[:256].conj() for signal in (audio, result))
    weights = np.sqrt(np.abs(before) * np.abs(after))
    kept = np.sum(weights * np.cos(np.angle(after) - np.angle(before))) / weights.sum()
    assert kept > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("interleave", [False, True])
def test_segments_join_without_a_seam(interleave):
    # A network that changes nothing leaves the input, which is consistent: any seam would be an error.
    audio = music(20)
    settings = TransferSettings(PhaseSettings("griffinlim_input", 4, 0, interleave), high_band="input")
    result = transfer.transfer_audio(audio, RATE, identity, settings)
    assert np.abs(result - audio).max() < 5e-3


@pytest.mark.parametrize(
    ("name", "interleave", "iterations"),
    [("griffinlim", False, 32), ("griffinlim_input", False, 8), ("griffinlim_input", True, 16)],
)
def test_the_number_of_iterations_has_a_default(name, interleave, iterations):
    ways = {n: PhaseSettings(name, n, interleave=interleave) for n in (None, iterations, iterations + 1)}
    spectrum = transfer.analyze(music(1)[0], ways[None])[np.newaxis]
    magnitude = np.abs(transfer.analyze(music(1, seed=2)[0], ways[None]))[np.newaxis]
    results = {
        n: np.concatenate(list(phase.with_phase([(magnitude, spectrum)], way)), axis=-1) for n, way in ways.items()
    }
    np.testing.assert_array_equal(results[None], results[iterations])
    assert np.abs(results[None] - results[iterations + 1]).max() > 1e-3


def test_random_phases_are_those_of_the_seed():
    spectrum = data.stft(music(1)[0])[np.newaxis]
    blocks = [(np.abs(spectrum), spectrum)]
    results = [next(phase.with_phase(blocks, PhaseSettings("griffinlim", 2, seed))) for seed in (0, 0, 1, 2**32 - 1)]
    np.testing.assert_array_equal(results[0], results[1])
    for other in results[2:]:
        assert np.abs(results[0] - other).max() > 1e-3


def test_segments_with_random_phases_are_cross_faded_and_keep_all_frames(monkeypatch):
    # A stand-in that leaves the phase, 0 everywhere, as it is: what is left is how segments join.
    monkeypatch.setattr(phase, "_random_griffin_lim", lambda magnitude, *_: magnitude)
    n_frames = 2 * phase.SEGMENT_FRAMES + 300  # the last segment has more frames than bins
    magnitude = np.random.default_rng(0).uniform(0.1, 1, (2, 256, n_frames)).astype(np.float32)
    blocks = [(magnitude, magnitude.astype(np.complex64))]
    result = np.concatenate(list(phase.with_phase(blocks, PhaseSettings("griffinlim", 1))), axis=-1)
    angles = np.pi / 2 * (np.arange(phase.LOOKAHEAD_FRAMES) + 0.5) / phase.LOOKAHEAD_FRAMES
    weights = np.ones(n_frames)
    for start in (phase.SEGMENT_FRAMES, 2 * phase.SEGMENT_FRAMES):
        weights[start : start + phase.LOOKAHEAD_FRAMES] = np.sin(angles) + np.cos(angles)
    np.testing.assert_allclose(result, magnitude * weights, rtol=1e-4)
