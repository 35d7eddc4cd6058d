import tracemalloc

import numpy as np
import pytest
from sounds import RATE, blur, cut, music
from sounds import identity as unchecked_identity

import data
import source_noise
from common.cli import UserError
from common.weights import save_model
from inference import channels, runtimes
from inference.keras_network import make_predict_fn
from inference.settings import PhaseSettings, TransferSettings
from inference.transfer import mix, transfer, transfer_audio, transfer_log_magnitude
from model import Generator


def identity(images):
    assert images.dtype == np.float32
    assert images.shape[1:] == data.SLICE_SHAPE
    assert -1 <= images.min() <= images.max() <= 1
    return images


def tones(n_samples, rate=44_100, frequencies=(220, 554, 1661)):
    time = np.arange(n_samples) / rate
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)
    return (0.2 * fade * sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies)).astype(np.float32)


@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("n_samples", [1, 300, 131_072, 131_073, 400_001])
def test_a_network_that_changes_nothing_gives_the_input_back(n_samples, interleave):
    audio = tones(max(n_samples, 3))[:n_samples]
    settings = TransferSettings(PhaseSettings(interleave=interleave), batch_size=2)
    result = transfer_audio(audio[np.newaxis], 44_100, identity, settings)[0]
    assert result.shape == audio.shape
    np.testing.assert_allclose(result, audio, atol=1e-4)


@pytest.mark.parametrize("name", ["input", "griffinlim_input"])
def test_interleaving_equals_the_plain_path_where_the_network_changes_nothing(name):
    # The input has nothing above 11 kHz, and neither has its smooth window: what is above in a frame is rounding. The
    # log-magnitude is a float32 in [-1, 1], so that a magnitude is off by 2^-24 · log1p(2^16) = 7e-7 of itself, or of
    # 2^-16 where it is small. A frame is the sum of at most as many bins as it has: 256 · 7e-7 of the peak.
    audio = np.stack([tones(200_001), 0.5 * tones(200_001, frequencies=(330, 990))])
    results = [
        transfer_audio(audio, 44_100, identity, TransferSettings(PhaseSettings(name, interleave=interleave)))
        for interleave in (False, True)
    ]
    assert results[0].shape == results[1].shape == audio.shape
    np.testing.assert_allclose(results[1], results[0], atol=256 * 7e-7 * np.abs(audio).max())


def test_the_network_sees_the_recording_and_the_recording_shifted_by_256_samples():
    seen = []

    def network(images):
        seen.extend(images)
        return images

    audio = music(5)
    settings = TransferSettings(PhaseSettings("input", interleave=True), overlap=0)
    transfer_audio(audio, 44_100, network, settings)
    plain = data.to_network(data.log_magnitude(data.stft(audio[0])))[..., :256]
    shifted = data.to_network(data.log_magnitude(data.stft(np.pad(audio[0], (256, 0)))))[..., :256]
    np.testing.assert_allclose(seen[0][..., 0], shifted, atol=1e-5)
    np.testing.assert_allclose(seen[1][..., 0], plain, atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 255, 256, 257, 511, 512, 513, 1025, 44_101])
def test_an_interleaved_output_has_the_length_of_the_input(n_samples):
    for n_channels in (1, 2):
        audio = music(1.1, channels=n_channels)[:, :n_samples]
        settings = TransferSettings(PhaseSettings(interleave=True), high_band="input")
        result = transfer_audio(audio, 44_100, unchecked_identity, settings)
        assert result.shape == audio.shape
        np.testing.assert_allclose(result, audio, atol=5e-3)


@pytest.mark.parametrize("overlap", [0, 64, 128])
@pytest.mark.parametrize("n_frames", [1, 64, 255, 256, 257, 1000])
def test_any_number_of_frames_is_transferred(n_frames, overlap):
    image = np.random.default_rng(0).random((256, n_frames)).astype(np.float32)
    result = transfer_log_magnitude(image, identity, overlap, batch_size=3)
    np.testing.assert_allclose(result, image, atol=1e-6)


def test_joins_are_cross_faded():
    # A network whose level depends on the slice alone: hard cuts would jump from one slice to the next.
    levels = iter([0.2, 0.8, 0.2, 0.8, 0.2, 0.8])

    def uneven(images):
        return np.stack([np.full(data.SLICE_SHAPE, data.to_network(next(levels)), np.float32) for _ in images])

    result = transfer_log_magnitude(np.zeros((256, 1000), np.float32), uneven)
    steps = np.abs(np.diff(result[0]))
    assert result.max() == pytest.approx(0.8)
    assert result.min() == pytest.approx(0.2)
    assert steps.max() <= 0.6 / (TransferSettings().overlap + 1) + 1e-6


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_channels_rate_and_length_stay(rate):
    left, right = tones(rate + 7, rate), tones(rate + 7, rate, frequencies=(330, 990))
    result = transfer_audio(np.stack([left, right]), rate, identity)
    assert result.shape == (2, rate + 7)
    for channel, expected in zip(result, (left, right), strict=True):
        error = np.sqrt(np.mean((channel - expected) ** 2)) / np.sqrt(np.mean(expected**2))
        assert error < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_an_error(value):
    def broken(images):
        result = images.copy()
        result[-1, 3, 5] = value
        return result

    with pytest.raises(UserError, match="output is not finite"):
        transfer_audio(tones(44_100)[np.newaxis], 44_100, broken)


def add_style(inputs, training):
    """A network that takes a style, and whose result is known."""
    assert training is False
    source, style = inputs
    return source / 2 + style


add_style.inputs = add_style.outputs = [np.empty((1, *data.SLICE_SHAPE), np.float32)]  # as those of a Keras model
add_style.layers = []


def styles_of(*values):
    return np.stack([np.full(data.SLICE_SHAPE, value, np.float32) for value in values])


def random_images(count):
    return np.random.default_rng(0).uniform(-1, 1, (count, *data.SLICE_SHAPE)).astype(np.float32)


def test_a_network_gets_every_style_and_the_results_are_averaged():
    values = (-0.9, 0.3, 0.9)
    images = random_images(2)
    for n_styles in (1, 2, 3):
        result = make_predict_fn(add_style, styles_of(*values[:n_styles]))(images)
        np.testing.assert_allclose(result, images / 2 + np.mean(values[:n_styles]), atol=1e-6)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([[0.2], [-0.4]], (0.5, 0.5), -0.1),
        ([[0.2], [-0.4]], (0.75, 0.25), 0.05),
        ([[0.2], [-0.4], [0.6]], (0.5, 0.3, 0.2), 0.1),
        ([[0.1, 0.3], [-0.4]], (0.5, 0.5), -0.1),  # however many slices a style has, its weight is the same
    ],
)
def test_the_results_with_several_styles_are_mixed_by_their_weights(values, weights, expected):
    images = random_images(2)
    predict_fns = [make_predict_fn(add_style, styles_of(*slices)) for slices in values]
    result = mix(predict_fns, weights)(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, images / 2 + expected, atol=1e-6)
    np.testing.assert_allclose(mix(predict_fns[::-1], weights[::-1])(images), result, atol=1e-6)


def test_a_style_alone_is_not_changed_by_mixing_to_the_bit():
    images = random_images(3)
    images[0, 0] = -0.0
    first, second = (make_predict_fn(add_style, styles_of(*values)) for values in ((0.1, 0.3, 0.33), (-0.4,)))
    expected = first(images).tobytes()
    assert mix([first], [1.0])(images).tobytes() == expected
    assert mix([first, second], [1.0, 0.0])(images).tobytes() == expected
    assert mix([identity], [1.0])(images).tobytes() == images.tobytes()


def test_mixing_holds_no_more_results_however_many_styles_there_are():
    images = random_images(2)
    predict = mix([np.copy] * 20, [0.05] * 20)
    tracemalloc.start()
    result = predict(images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(result, images, atol=1e-6)
    assert peak < 3.5 * images.nbytes


@pytest.mark.slow
@pytest.mark.parametrize(("n_channels", "expected"), [(1, 6), (2, 6), (3, 6), (8, 8)])
def test_slices_of_all_channels_make_a_batch(n_channels, expected):
    sizes = []

    def network(images):
        sizes.append(len(images))
        return images

    transfer_audio(
        np.tile(tones(60 * 44_100), (n_channels, 1)),
        44_100,
        network,
        TransferSettings(PhaseSettings("input"), batch_size=6),
    )
    assert max(sizes) == expected
    assert sizes[:-1] == [expected] * (len(sizes) - 1)


def test_the_high_band_follows_the_highest_32_bins_alone():
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)

    def softer_above(images):
        magnitude = data.expand_magnitude(data.from_network(images))
        magnitude[:, -32:] *= 0.5
        magnitude[:, :-32] *= 0.1
        return data.to_network(data.compress_magnitude(magnitude))

    result = transfer_audio(noise, RATE, softer_above, TransferSettings(PhaseSettings("input"), high_band="input"))[0]
    assert band_level(result, 12_000, 20_000) / band_level(noise[0], 12_000, 20_000) == pytest.approx(0.5, abs=0.02)


def test_a_high_band_is_raised_by_12_db_at_most():
    noise = (0.01 * np.random.default_rng(0).standard_normal((1, 2 * RATE))).astype(np.float32)

    def louder(images):
        return data.to_network(data.compress_magnitude(20 * data.expand_magnitude(data.from_network(images))))

    result = transfer_audio(noise, RATE, louder, TransferSettings(PhaseSettings("input"), high_band="input"))[0]
    assert band_level(result, 12_000, 20_000) / band_level(noise[0], 12_000, 20_000) == pytest.approx(4, abs=0.05)


def test_input_louder_than_full_scale_is_clipped_to_the_networks_range():
    transfer_audio(30 * tones(44_100)[np.newaxis], 44_100, identity)


@pytest.mark.slow
@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("phase", ["input", "griffinlim", "griffinlim_input"])
def test_blocks_do_not_change_the_result(phase, interleave):
    audio = music(16, 48_000, channels=2)
    settings = TransferSettings(PhaseSettings(phase, 3, 0, interleave), high_band="input", batch_size=4)
    whole = transfer_audio(audio, 48_000, blur, settings)
    assert np.abs(whole).max() > 0.05
    for size in (1000, 77_777):
        parts = np.concatenate(list(transfer(cut(audio, size), 48_000, blur, settings)), axis=1)
        np.testing.assert_allclose(parts[:, : whole.shape[1]], whole[:, : parts.shape[1]], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("interleave", [False, True])
def test_memory_does_not_grow_with_the_length(interleave):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield music(1)

    settings = TransferSettings(PhaseSettings("griffinlim_input", 1, 0, interleave))
    stream = transfer(endless(), RATE, unchecked_identity, settings)
    done = 0
    for _ in range(6):
        done += next(stream).shape[1]
        assert len(taken) - done / RATE < 60  # seconds that went in and have not come out


def band_level(audio, low, high):
    spectrum = np.abs(np.fft.rfft(audio))
    frequencies = np.fft.rfftfreq(len(audio), 1 / RATE)
    return np.sqrt(np.mean(spectrum[(frequencies > low) & (frequencies < high)] ** 2))


def test_high_band_follows_the_band_below():
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)

    def softer(images):
        return data.to_network(data.compress_magnitude(0.5 * data.expand_magnitude(data.from_network(images))))

    levels = {}
    for network in (identity, softer):
        for high_band in ("none", "input"):
            result = transfer_audio(noise, RATE, network, TransferSettings(high_band=high_band))[0]
            levels[network, high_band] = band_level(result, 12_000, 20_000) / band_level(noise[0], 12_000, 20_000)
    assert levels[identity, "none"] < 0.01
    assert levels[identity, "input"] == pytest.approx(1, abs=0.02)
    assert levels[softer, "input"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("noise", [True, False])
def test_a_network_that_draws_from_noise_has_the_same_on_both_grids(noise):
    seen = []

    def watched(images):
        seen.append(images)
        return images

    rows = np.random.default_rng(0).uniform(0.1, 0.9, (256, 512)).astype(np.float32)
    transfer_log_magnitude(rows, channels.of_slices(watched, None, noise), grids=2)
    [(shifted, plain)] = seen
    np.testing.assert_allclose(data.from_network(plain[..., 0]), rows[:, 1::2], atol=1e-6)
    difference = np.abs(data.from_network(shifted[..., 0]) - rows[:, ::2])
    of_each = source_noise.of_images(shifted[np.newaxis]), source_noise.of_images(plain[np.newaxis])
    if noise:
        assert 0.005 < difference.mean() < difference.max() < 1 / 64 + 1e-6
        np.testing.assert_allclose(*of_each, atol=0.01)
    else:
        assert difference.max() < 1e-6
        assert np.abs(of_each[0] - of_each[1]).mean() > 0.5


@pytest.mark.parametrize(("noise", "runtime"), [(True, "tensorflow"), (True, "onnx"), (False, "onnx")])
def test_a_runtime_tells_whether_a_network_draws_from_noise(tmp_path, noise, runtime):
    generator = Generator(2, noise=noise)
    save_model(tmp_path, {"generator": generator}, {"model": {"base_filters": 2, "n_inputs": 1, "noise": noise}})
    infer = runtimes.load(tmp_path, runtime, -1).infer
    assert channels.draws_noise(infer) == noise == channels.draws_noise(channels.like(infer, np.copy))
    assert channels.draws_noise(make_predict_fn(generator)) == noise
