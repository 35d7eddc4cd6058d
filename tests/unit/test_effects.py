"""Effects in closed form: decays, slopes, hum, levels, and that none of them moves the sound in time."""

import numpy as np
import pytest
from conftest import ORIGIN, TARGET
from scipy import signal
from sounds import RATE, music

from synthesis import effect_filters
from synthesis.effect_filters import room_response, root_mean_square
from synthesis.effects import EQUALIZER_HZ, PARAMETERS, Effects, Range, draw
from synthesis.midi import NoteEvent
from synthesis.notes import NoteBank, NoteSynthesizer, detune

ALL = Effects(tuple((name, 1.0) for name in PARAMETERS), (ORIGIN,))
ON_AUDIO = [name for name in PARAMETERS if name != "detune"]


def impulse(n_samples=2 * RATE, place=RATE):
    audio = np.zeros(n_samples, dtype=np.float32)
    audio[place] = 0.5
    return audio


def gains_db(changed, audio, hertz):
    """Levels at some frequencies of what a filter made of an impulse."""
    spectrum = np.abs(np.fft.rfft(changed.astype(float)) / np.fft.rfft(audio.astype(float)))
    return 20 * np.log10(spectrum[np.rint(np.asarray(hertz) * len(audio) / RATE).astype(int)])


def reverberation_time(tail):
    """RT60 by Schroeder's backward integration, from the decay between -5 and -35 dB."""
    decay = np.cumsum(tail[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(decay / decay[0])
    part = (level < -5) & (level > -35)
    slope = np.polyfit(np.flatnonzero(part) / RATE, level[part], 1)[0]
    return -60 / slope


def in_band(audio, low, high):
    return signal.sosfilt(signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos"), audio)


@pytest.mark.parametrize("rt60", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("direct_db", [-3, 12])
def test_a_room_has_its_reverberation_time_and_the_direct_sound_at_lag_0(rt60, direct_db):
    gap = 0.01
    response = room_response(rt60, direct_db, gap, damping=1, seed=3)
    assert response[0] == 1 and np.abs(response[1:]).max() < 0.5
    assert not response[1 : round(gap * RATE)].any() and response[round(gap * RATE) :].any()
    tail = response[round(gap * RATE) :]
    assert -10 * np.log10(np.sum(tail.astype(float) ** 2)) == pytest.approx(direct_db, abs=0.01)
    assert reverberation_time(tail) == pytest.approx(rt60, rel=0.1)


def test_high_frequencies_of_a_room_decay_faster():
    response = room_response(rt60=1.2, direct_db=0, gap=0.005, damping=0.4, seed=5)[round(0.005 * RATE) :]
    assert reverberation_time(in_band(response, 100, 1_000)) == pytest.approx(1.2, rel=0.1)
    assert reverberation_time(in_band(response, 8_000, 20_000)) == pytest.approx(0.4 * 1.2, rel=0.1)


def test_a_room_answers_an_impulse_with_its_response():
    changed = effect_filters.add_room(impulse(), 0.5, 6, 0.01, 0.5, seed=1)
    assert len(changed) == 2 * RATE
    assert np.abs(changed[:RATE]).max() < 1e-6
    response = room_response(0.5, 6, 0.01, 0.5, seed=1)
    np.testing.assert_allclose(changed[RATE : RATE + len(response)], 0.5 * response, atol=1e-6)


@pytest.mark.parametrize("db_per_octave", [-2, 1.5])
def test_a_tilt_is_a_slope_in_decibels_an_octave(db_per_octave):
    audio = impulse()
    changed = effect_filters.tilt(audio, db_per_octave)
    octaves = np.arange(-3, 4)
    np.testing.assert_allclose(gains_db(changed, audio, 1_000 * 2.0**octaves), db_per_octave * octaves, atol=0.1)
    np.testing.assert_allclose(changed[RATE - 4_000 : RATE], changed[RATE + 4_000 : RATE : -1], atol=1e-6)  # zero phase


def test_an_equalizer_has_its_levels_at_its_points():
    levels = dict(zip(EQUALIZER_HZ, [3, -5, 2, 6, -6, 1, 4, -3, 0], strict=True))
    audio = impulse()
    changed = effect_filters.equalize(audio, **{f"db_{hertz}": level for hertz, level in levels.items()})
    np.testing.assert_allclose(gains_db(changed, audio, list(levels)), list(levels.values()), atol=0.4)
    between = gains_db(changed, audio, [np.sqrt(500 * 1_000)])
    assert between == pytest.approx(0, abs=0.2)  # halfway from 6 to -6
    np.testing.assert_allclose(changed[RATE - 4_000 : RATE], changed[RATE + 4_000 : RATE : -1], atol=1e-6)


@pytest.mark.parametrize("hertz", [50, 60])
def test_hum_has_the_harmonics_of_the_mains_and_its_level(hertz):
    audio = music(4)[0]
    hum = effect_filters.add_hum(audio, hertz, -40, 1.0, seed=2).astype(float) - audio
    power = np.abs(np.fft.rfft(hum)) ** 2
    numbers = np.arange(1, 9)
    harmonics = power[4 * hertz * numbers]
    assert harmonics.sum() > 0.999 * power.sum()
    np.testing.assert_allclose(harmonics / harmonics[0], 1.0 / numbers**2, rtol=0.01)
    assert 20 * np.log10(root_mean_square(hum) / root_mean_square(audio)) == pytest.approx(-40, abs=0.01)


@pytest.mark.parametrize("db_per_octave", [0, -3, -6])
def test_noise_has_its_level_and_slope(db_per_octave):
    audio = music(8)[0]
    noise = effect_filters.add_noise(audio, -30, db_per_octave, seed=4).astype(float) - audio
    assert 20 * np.log10(root_mean_square(noise) / root_mean_square(audio)) == pytest.approx(-30, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2
    edges = 8 * 125 * 2 ** np.arange(8)  # octaves from 125 Hz to 16 kHz
    density = [10 * np.log10(power[low : 2 * low].mean()) for low in edges[:-1]]
    np.testing.assert_allclose(np.diff(density), db_per_octave, atol=0.5)


def test_echoes_come_at_equal_distances_and_fade():
    changed = effect_filters.add_delay(impulse(), 0.25, -12, 0.5)
    places = np.flatnonzero(changed)
    assert places[0] == RATE and set(np.diff(places)) == {RATE // 4}
    np.testing.assert_allclose(changed[places], [0.5, *(0.5 * 10 ** (-12 / 20) * 0.5 ** np.arange(len(places) - 1))])
    assert len(places) == 4  # what fits into the second that is left


def test_compression_has_its_ratio_above_its_threshold():
    time = np.arange(4 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)
    changed = effect_filters.compress(tone, threshold_db=-6, ratio=3, seconds=0.02)[RATE:]
    assert 20 * np.log10(root_mean_square(changed) / root_mean_square(tone)) == pytest.approx(-4, abs=0.05)
    np.testing.assert_allclose(effect_filters.compress(tone, 3, 3, 0.02), tone, rtol=1e-5)  # below the threshold


def test_clipping_bends_the_peaks_alone():
    audio = np.linspace(-1, 1, 2_001).astype(np.float32)
    changed = effect_filters.clip(audio, over_db=6)
    ceiling = 10 ** (-6 / 20)
    assert 0.95 * ceiling < changed.max() <= ceiling
    quiet = np.abs(audio) < 0.5 * ceiling
    np.testing.assert_allclose(changed[quiet], audio[quiet], rtol=1e-3)


def test_a_band_ends_at_its_limits_without_shifting_phase():
    audio = impulse()
    changed = effect_filters.limit_band(audio, 100, 6_000)
    found = gains_db(changed, audio, [25, 100, 1_000, 6_000])
    np.testing.assert_allclose(found[1:], [-6.02, 0, -6.02], atol=0.1)
    assert found[0] < -45
    np.testing.assert_allclose(changed[RATE - 4_000 : RATE], changed[RATE + 4_000 : RATE : -1], atol=1e-5)


@pytest.mark.parametrize("name", ON_AUDIO)
def test_no_effect_moves_the_sound_or_changes_its_length_or_level(name):
    audio = music(3)[0]
    drawn = {name: draw(ALL, ORIGIN, "piece")[name]}
    changed = effect_filters.change(audio, drawn)
    assert changed.dtype == np.float32 and changed.shape == audio.shape
    assert np.abs(changed - audio).max() > 1e-4
    assert root_mean_square(changed) == pytest.approx(root_mean_square(audio), rel=1e-5)
    np.testing.assert_array_equal(effect_filters.change(audio, drawn), changed)
    # Both sounds match best without a lag.
    spectra = np.fft.rfft(audio, 2 * len(audio)), np.fft.rfft(changed, 2 * len(audio))
    assert np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1])) == 0


def test_silence_stays_silent():
    assert not effect_filters.change(np.zeros(RATE, dtype=np.float32), draw(ALL, ORIGIN, "piece")).any()


@pytest.mark.parametrize("cents", [-8, 5])
def test_a_detuned_note_has_its_pitch_and_its_start(cents):
    time = np.arange(4 * RATE) / RATE
    # The attack is a jump at 0.1 s: what is played faster gets there sooner by the same ratio.
    note = np.where(time > 0.1, 9_000 * np.sin(2 * np.pi * 1_000 * time), 0).astype(np.int16)
    changed = detune(note, cents)
    ratio = 2 ** (cents / 1200)
    assert len(changed) == pytest.approx(4 * RATE / ratio, abs=1)
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed)), 16 * len(changed)))
    assert np.argmax(spectrum) * RATE / (16 * len(changed)) == pytest.approx(1_000 * ratio, abs=0.05)
    assert np.argmax(np.abs(changed) > 2_000) / RATE == pytest.approx(0.1 / ratio, abs=0.0005)


def test_a_detuned_piece_does_not_drift():
    rng = np.random.default_rng(0)
    click = np.zeros(RATE, dtype=np.int16)
    click[:400] = rng.integers(-9_000, 9_000, 400) * np.exp(-np.arange(400) / 60)
    synthesizer = NoteSynthesizer(NoteBank({(ORIGIN, 60, 100): click}, RATE), {ORIGIN: 1.0})
    events = [NoteEvent(60, 100, start, start + 0.5) for start in (0.0, 59.0)]
    cents = effect_filters.detunings(8, 2, seed=1)
    plain, detuned = synthesizer.render(events, ORIGIN), synthesizer.render(events, ORIGIN, cents)
    assert len(plain) == len(detuned) and not np.array_equal(plain, detuned)
    for start in (0, 59 * RATE):
        parts = [np.fft.rfft(audio[start : start + 2_000], 4_096) for audio in (plain, detuned)]
        assert np.argmax(np.fft.irfft(parts[0].conj() * parts[1])) in (0, 1, 4_095)


def test_detunings_are_small_and_differ_between_pitches():
    cents = effect_filters.detunings(3, 1.5, seed=1)
    assert cents.shape == (128,) and len(set(cents)) > 100
    assert np.abs(cents - 3).max() <= 3
    np.testing.assert_array_equal(cents, effect_filters.detunings(3, 1.5, seed=1))


def test_draws_depend_on_seed_piece_instrument_and_effect_alone():
    first = draw(ALL, ORIGIN, "first")
    assert list(first) == list(PARAMETERS)
    assert draw(ALL, ORIGIN, "first") == first
    assert draw(ALL, TARGET, "first") == {}
    others = [draw(ALL, ORIGIN, "second"), draw(ALL._replace(seed=1), ORIGIN, "first")]
    others += [draw(ALL._replace(instruments=(TARGET,)), TARGET, "first"), draw(ALL, ORIGIN, "caf\udce9")]
    for name in PARAMETERS:
        assert len({tuple(drawn[name].values()) for drawn in (first, *others)}) == len(others) + 1, name
    alone = draw(ALL._replace(probabilities=(("noise", 0.99), ("delay", 1.0))), ORIGIN, "first")
    assert alone == {name: first[name] for name in ("delay", "noise")}


def test_draws_fill_their_ranges_and_come_as_often_as_they_should():
    half = ALL._replace(probabilities=tuple((name, 0.5) for name in PARAMETERS))
    drawn = [draw(half, ORIGIN, str(piece)) for piece in range(400)]
    # Which pieces have an effect says nothing about the other effects.
    assert len({tuple(name in effects for effects in drawn) for name in PARAMETERS}) == len(PARAMETERS)
    for name, parameters in PARAMETERS.items():
        having = [effects[name] for effects in drawn if name in effects]
        assert 150 < len(having) < 250, name
        for parameter, values in parameters.items():
            found = [effect[parameter] for effect in having]
            if isinstance(values, Range):
                assert values.low <= min(found) and max(found) <= values.high
                middle = np.sqrt(values.low * values.high) if values.logarithmic else (values.low + values.high) / 2
                assert 0.35 < np.mean(np.array(found) < middle) < 0.65, (name, parameter)
            else:
                assert set(found) == set(values)
