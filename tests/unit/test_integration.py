import numpy as np
import pytest
from sounds import RATE, blur, cut, identity, music

import data
import phase_gradient
from common.cli import UserError
from inference import integration, phase_network, transfer
from inference.settings import PhaseSettings, TransferSettings


def of_input(inputs):
    """A network that gives the input's derivatives back."""
    assert inputs.dtype == np.float32
    assert inputs.shape[1:] == (256, 256, phase_gradient.N_INPUTS)
    return inputs[..., 2:]


def way(network=of_input, interleave=False, iterations=2):
    return PhaseSettings("network", iterations, interleave=interleave, network=network)


def make_network(folder, width=3):
    """A random compact network, as train_phase.py stores it, and the network."""
    from common.weights import save_model
    from model import PhaseNetwork

    network = PhaseNetwork(width)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.2, weight.shape) for weight in network.get_weights()])
    save_model(folder, {"phase": network}, {"model": {"network": "compact", "base_filters": width}})
    return network


@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("n_samples", [1, 300, 44_101, pytest.param(900_001, marks=pytest.mark.slow)])
def test_the_inputs_derivatives_give_the_input_back(n_samples, interleave):
    audio = music(21)[:, :n_samples]
    settings = TransferSettings(way(interleave=interleave), high_band="input")
    result = transfer.transfer_audio(audio, RATE, identity, settings)
    assert result.shape == audio.shape
    np.testing.assert_allclose(result, audio, atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("interleave", [False, True])
def test_blocks_do_not_change_the_phase(interleave):
    audio = music(12, channels=2)

    def network(inputs):
        return np.roll(inputs[..., 2:], 1, axis=1) + 0.3 * inputs[..., :1]

    settings = TransferSettings(way(network, interleave), high_band="input")
    whole = transfer.transfer_audio(audio, RATE, blur, settings)
    for size in (1000, 77_777):
        parts = np.concatenate(list(transfer.transfer(cut(audio, size), RATE, blur, settings)), axis=1)
        np.testing.assert_allclose(parts[:, : whole.shape[1]], whole, atol=1e-3)


def test_true_derivatives_give_the_targets_phase():
    source, target = music(6, seed=1)[0], music(6, seed=2)[0]
    true = data.stft(target)[:256]
    channels = phase_gradient.as_channels(*phase_gradient.padded_derivatives(np.angle(true)))
    padded = np.pad(channels, ((0, 0), (32, 400), (0, 0)))

    def network(inputs):
        return np.stack([padded[:, 192 * index : 192 * index + 256] for index in range(len(inputs))])

    start = np.abs(true) * np.exp(1j * np.angle(data.stft(source)[:256])).astype(np.complex64)
    blocks = [(start[np.newaxis], data.stft(source)[np.newaxis, :256])]
    parts = [part for part, _ in integration.integrate_blocks(blocks, network, 1, 0)]
    result = np.concatenate(parts, axis=-1)[0]
    assert result.shape == true.shape
    turn = np.vdot(result, true)
    distance = np.linalg.norm(true - result * turn / np.abs(turn)) / np.linalg.norm(true)
    assert distance < 0.01


def test_a_stored_network_gives_the_same_with_both_runtimes(tmp_path):
    network = make_network(tmp_path)
    inputs = np.random.default_rng(1).uniform(-1, 1, (2, 256, 256, 6)).astype(np.float32)
    expected = np.asarray(network(inputs))
    assert phase_network.find(str(tmp_path), tmp_path / "elsewhere") == tmp_path
    for runtime in ("onnx", "tensorflow"):
        np.testing.assert_allclose(phase_network.load(tmp_path, runtime)(inputs), expected, atol=1e-4)


def test_a_network_that_is_not_one_of_the_phase_is_refused(tmp_path):
    from common.weights import save_model
    from model import Generator

    with pytest.raises(UserError, match=r"--phase network: .* holds no phase.weights.h5"):
        phase_network.find(None, tmp_path)
    with pytest.raises(UserError, match=r"--phase_network .* holds no phase.weights.h5"):
        phase_network.find(str(tmp_path), tmp_path)
    generator = Generator(2)
    save_model(tmp_path / "wrong", {"phase": generator}, {"model": {"base_filters": 2, "n_inputs": 1}})
    make_network(tmp_path / "right")
    for runtime in ("onnx", "tensorflow"):
        with pytest.raises(UserError, match=r"config.json is not of a network of the phase"):
            phase_network.load(tmp_path / "wrong", runtime)
    (tmp_path / "wrong" / "config.json").write_text((tmp_path / "right" / "config.json").read_text())
    for runtime in ("onnx", "tensorflow"):
        with pytest.raises(UserError, match=r"phase.weights.h5"):
            phase_network.load(tmp_path / "wrong", runtime)
    (tmp_path / "right" / "config.json").write_text('{"model": {"network": "unet", "base_filters": 3}}')
    with pytest.raises(UserError, match="--runtime tensorflow"):
        phase_network.load(tmp_path / "right", "onnx")
    with pytest.raises(UserError, match="arrays"):
        phase_network.load(tmp_path / "right", "tensorflow")
