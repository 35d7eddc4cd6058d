"""Prediction with networks that predict a phase beside the magnitude, by functions that stand for them."""

import numpy as np
import pytest
from sounds import RATE, cut, music

import data
from common import phase_channels, representations
from common.cli import UserError
from evaluation import scoring
from inference import channels, style, transfer
from inference.phase import FIXED_BINS, apply_phase
from inference.settings import PhaseSettings, TransferSettings

REPRESENTATIONS = representations.PHASES_AS_CHANNELS
MODEL = PhaseSettings("model", 0)


def of_input(representation):
    """A network that changes nothing."""

    def predict(slices):
        assert slices.dtype == np.float32
        assert slices.shape[1:] == data.PHASE_SLICE_SHAPE
        return phase_channels.target_channels(representation, slices, slices)

    return channels.NetworkFn(predict, representation)


def strange(representation):
    """A network whose output differs from its input and depends on the neighborhood."""

    def predict(slices):
        images = np.tanh(slices + 0.3 * np.roll(slices, 3, axis=1) + 0.2 * np.roll(slices, 2, axis=2))
        true = phase_channels.input_channels(representation, slices)
        n_out = representations.n_channels(representation)[1]
        vectors = 0.7 * np.roll(true, 2, axis=1)[..., 1:n_out] + 0.2 * images[..., :1]
        return np.concatenate([images[..., :1], vectors], axis=-1).astype(np.float32)

    return channels.NetworkFn(predict, representation)


@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("n_samples", [1, 300, 44_101, 300_000])
def test_the_inputs_channels_give_the_input_back(representation, n_samples, interleave):
    audio = music(7)[:, :n_samples]
    settings = TransferSettings(MODEL._replace(interleave=interleave), high_band="input")
    result = transfer.transfer_audio(audio, RATE, of_input(representation), settings)
    assert result.shape == audio.shape
    np.testing.assert_allclose(result, audio, atol=5e-3 if representation == "derivatives" else 1e-4)


@pytest.mark.parametrize("overlap", [0, 32])
@pytest.mark.parametrize("representation", ["angle", "rotation"])
def test_the_targets_channels_give_the_target_with_the_inputs_phase_in_the_lowest_bins(representation, overlap):
    source, target = music(8, seed=1), music(8, seed=2)
    before, expected = (data.stft(audio[0])[:256] for audio in (source, target))
    rows = channels.network_rows(data.stft(target[0]), of_input("angle"))
    rows = np.pad(rows, ((0, 0), (0, 256)))
    starts = iter(range(0, 2000, 256 - overlap))

    def predict(slices):
        true = np.stack([rows[:, start : start + 256] for start, _ in zip(starts, slices, strict=False)])
        true = np.stack([data.to_network(true[:, :256]), true[:, 256:]], axis=-1)
        return phase_channels.target_channels(representation, true, slices)

    settings = TransferSettings(MODEL, overlap)
    result = transfer.transfer_audio(source, RATE, channels.NetworkFn(predict, representation), settings)
    expected[:FIXED_BINS] = apply_phase(np.abs(expected[:FIXED_BINS]), before[:FIXED_BINS])
    np.testing.assert_allclose(result[0], data.istft(expected, target.shape[1]), atol=1e-3)
    assert np.abs(data.istft(before - expected, target.shape[1])).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_blocks_do_not_change_the_result(representation):
    audio = music(7, channels=2)
    settings = TransferSettings(MODEL._replace(interleave=True), high_band="input", batch_size=4)
    whole = transfer.transfer_audio(audio, RATE, strange(representation), settings)
    parts = list(transfer.transfer(cut(audio, 77_777), RATE, strange(representation), settings))
    np.testing.assert_allclose(np.concatenate(parts, axis=1)[:, : whole.shape[1]], whole, atol=1e-3)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_stereo_keeps_the_differences_of_phase(representation):
    spectrum = np.stack([data.stft(channel) for channel in music(4, channels=2)])
    spectrum[1] *= np.exp(1j * np.linspace(0, 3, 513))[:, np.newaxis]
    rows = np.concatenate([transfer.transfer_spectrum(one, strange(representation))[np.newaxis] for one in spectrum])
    magnitude = data.stft_magnitude(rows[:, :256])
    ((_, result),) = channels.with_predicted_phase([(rows, magnitude, spectrum)], representation, 1)
    np.testing.assert_allclose(np.abs(result), magnitude, rtol=1e-4, atol=1e-6)
    before, after = (array[0, :256] * array[1, :256].conj() for array in (spectrum, result))
    sounding = np.abs(before) > 1e-3 * np.abs(before).max()
    assert np.abs(np.angle(after * before.conj()))[sounding].max() < 1e-2
    assert np.abs(np.angle(result[0] * spectrum[0, :256].conj()))[sounding].max() > 1


@pytest.mark.parametrize("grids", [1, 2])
def test_the_integration_goes_on_from_block_to_block(grids):
    spectrum = data.stft(music(4)[0])[np.newaxis, :, :320]
    rows = transfer.transfer_spectrum(spectrum[0], strange("derivatives"), grids=grids)[np.newaxis]
    whole = rows, data.stft_magnitude(rows[:, :256]), spectrum
    blocks = [tuple(array[..., part] for array in whole) for part in (slice(0, 100), slice(100, 320))]
    results = [
        np.concatenate([result for _, result in channels.with_predicted_phase(parts, "derivatives", grids)], axis=-1)
        for parts in ([whole], blocks)
    ]
    np.testing.assert_allclose(*results, atol=1e-3 * np.abs(spectrum).max())


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_other_phases_take_the_magnitude_alone(representation):
    audio = music(4)

    def magnitude_alone(images):
        return np.tanh(images + 0.3 * np.roll(images, 3, axis=1) + 0.2 * np.roll(images, 2, axis=2))

    for phase in (PhaseSettings("input"), PhaseSettings("griffinlim_input")):
        results = [
            transfer.transfer_audio(audio, RATE, predict_fn, TransferSettings(phase))
            for predict_fn in (strange(representation), magnitude_alone)
        ]
        np.testing.assert_allclose(*results, atol=1e-6)


def test_iterations_change_the_models_phase_and_a_model_without_one_is_refused():
    audio = music(3)
    results = [
        transfer.transfer_audio(audio, RATE, strange("angle"), TransferSettings(PhaseSettings("model", iterations)))
        for iterations in (0, 3)
    ]
    assert np.abs(results[0] - results[1]).max() > 1e-3
    with pytest.raises(UserError, match="--phase model"):
        transfer.transfer_audio(audio, RATE, lambda images: images, TransferSettings(MODEL))


def test_styles_and_mixes_keep_the_channels(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "style.wav", music(4)[0], RATE, "FLOAT")
    read = style.read_style(str(tmp_path / "style.wav"), 2)
    images = read.images(with_phase=True)
    np.testing.assert_array_equal(read.images(with_phase=False), read.slices)
    assert images.shape == (1, *data.PHASE_SLICE_SHAPE)
    np.testing.assert_array_equal(images[..., :1], read.slices)
    np.testing.assert_allclose(style.slices_with_phase(data.stft(music(4)[0])), images, atol=1e-4)

    def infer(source, shown):
        assert source.shape[-1] == shown.shape[-1] == 3
        return source + shown

    wrapped = channels.of_slices(infer, "angle")
    predict_fn = transfer.mix([transfer.with_styles(wrapped, images)] * 2, [0.5, 0.5])
    assert channels.representation_of(predict_fn) == "angle"
    expected = [phase_channels.input_channels("angle", array) for array in (images, images[0])]
    np.testing.assert_allclose(predict_fn(images), expected[0] + expected[1], atol=1e-5)
    assert channels.representation_of(transfer.with_styles(lambda *shown: shown[0], images[..., :1])) is None


@pytest.mark.parametrize("n_inputs", [1, 2])
@pytest.mark.parametrize("representation", [None, *REPRESENTATIONS])
def test_channels_tell_the_representation(representation, n_inputs):
    n_in, n_out = representations.n_channels(representation)
    assert representations.of_channels(n_in, n_out) == representation
    assert representations.of_kernels(n_inputs * n_in, n_out) == (n_inputs, representation)
    assert representations.of_kernels(6, 4) == (0, None)
    with pytest.raises(ValueError, match="6 channels in and 4 out"):
        representations.of_channels(6, 4)


def test_an_evaluation_has_the_models_phase_beside_others():
    source, target = music(3, seed=1)[0], music(3, seed=2)[0]
    phases = [MODEL, PhaseSettings("input")]
    predict_fns = {"a": strange("rotation"), "b": strange("angle")}
    outputs = list(scoring.run_systems(source, target, np.zeros(256, np.float32), predict_fns, phases, 32))
    assert [output.system for output in outputs] == scoring.system_names(predict_fns, phases)
    by_name = {output.system: output for output in outputs}
    assert f"{scoring.TRUTH}, model" not in by_name
    np.testing.assert_array_equal(by_name["a, model"].log_magnitude, by_name["a, input"].log_magnitude)
    assert by_name["a, model"].log_magnitude.shape == (256, data.count_frames(len(source)))
    assert np.abs(by_name["a, model"].audio - by_name["a, input"].audio).max() > 1e-2
