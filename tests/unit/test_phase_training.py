"""Slices that hold phases, and the network that learns from them."""

import pickle
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from conftest import ORIGIN, TARGET, history, losses, one_line, read_json, train_arguments
from sounds import RATE, music

import compute_features
import data
import phase_gradient
import predict
import train_generator
import train_phase
from dataset import phase_slices, slicing
from dataset.input_pipeline import SliceError
from dataset.slice_format import WITH_PHASE
from inference import phase_network
from model import PhaseNetwork
from training.optimizers import make_optimizer
from training.phase_steps import channels, phase_steps

pytestmark = pytest.mark.usefixtures("shallow_networks")
NAME = f"{ORIGIN}_2_{TARGET}_phase"


@pytest.fixture(scope="module")
def audios(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audios")
    for number, piece in enumerate("abcd"):
        for instrument, level in ((ORIGIN, 0.2), (TARGET, 0.4)):
            (folder / instrument).mkdir(exist_ok=True)
            soundfile.write(folder / instrument / f"{piece}.wav", level * music(7, seed=number)[0], RATE)
    return folder


@pytest.fixture
def dataset_path(audios, tmp_path, call_script):
    folder = tmp_path / "features"
    status, _, stderr = call_script(compute_features, "--audios", audios, "--features", folder, "--phase")
    assert status == 0, stderr
    return folder


def train_words(dataset_path, folder, **changes):
    size = {"base_filters": 2, "batch_size": 2, "epochs": 2, "steps_per_epoch": 2, "gen_lr": None, "disc_lr": None}
    return train_arguments(dataset_path, folder, **{**size, **changes})


def test_slices_hold_the_phase_in_half_turns(dataset_path, audios, call_script):
    audio, _ = soundfile.read(audios / TARGET / "b.wav", dtype="float32")
    spectrum = data.stft(audio)[:256, 256:512]
    path = dataset_path / TARGET / "b_001.npy"
    values = np.load(path)
    assert values.dtype == np.float16
    assert values.shape == data.PHASE_SLICE_SHAPE
    np.testing.assert_allclose(values[..., 0], data.log_magnitude(spectrum), atol=5e-4)
    turns = (values[..., 1] - np.angle(spectrum) / np.pi + 1) % 2 - 1
    assert np.abs(turns).max() < 1e-3
    assert read_json(dataset_path / "features.json")["settings"]["shape"] == [256, 256, 2]
    # Neither kind is added to a folder of the other, or read as the other.
    status, _, stderr = call_script(compute_features, "--audios", audios, "--features", dataset_path)
    assert status == 2
    assert "shape" in one_line(stderr)


def test_a_worker_elsewhere_makes_slices_with_phases(audios, tmp_path):
    kind = pickle.loads(pickle.dumps(WITH_PHASE))  # as a task of a cluster gets it
    assert len(slicing.compute_slices("a", audios / TARGET / "a.wav", tmp_path, kind)) == 3
    assert np.load(tmp_path / "a_000.npy").shape == data.PHASE_SLICE_SHAPE


def test_other_scripts_refuse_slices_with_phases_and_train_phase_those_without(
    dataset_path, audios, tmp_path, call_script
):
    common = ["--origin", ORIGIN, "--target", TARGET, "--models_path", tmp_path / "models"]
    status, _, stderr = call_script(train_generator, "--dataset_path", dataset_path, *common)
    assert status == 2
    assert "(256, 256, 1)" in one_line(stderr)
    plain = tmp_path / "plain"
    call_script(compute_features, "--audios", audios, "--features", plain)
    status, _, stderr = call_script(train_phase, "--dataset_path", plain, *common)
    assert status == 2
    assert "(256, 256, 2)" in one_line(stderr)
    assert "compute_features.py --phase" in stderr


def test_a_damaged_slice_is_named(dataset_path):
    path = dataset_path / ORIGIN / "a_000.npy"
    slices = phase_slices.load_slices([path])
    (batch,) = next(iter(phase_slices.batches([[str(path)]], 1)))
    np.testing.assert_array_equal(batch, slices)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(SliceError, match=r"a_000\.npy"):
        phase_slices.load_slices([path])


def test_a_run_is_resumed_and_its_network_gives_phases(dataset_path, tmp_path, call_script):
    for folder, epochs in (("one", 1), ("one", 2), ("whole", 2)):
        words = train_words(dataset_path, tmp_path / folder, epochs=epochs)
        assert call_script(train_phase, *words, "--deterministic")[0] == 0
    assert losses(tmp_path / "one", NAME) == losses(tmp_path / "whole", NAME)
    rows = history(tmp_path / "one", NAME)
    assert len(rows) == 2
    parts = float(rows[0]["frequency_error"]) + float(rows[0]["delay_error"])
    assert float(rows[0]["phase_error"]) == pytest.approx(parts, abs=1e-5)
    assert "sound_val" not in rows[0]
    assert (tmp_path / "one" / "output" / NAME / "002" / "derivatives.png").stat().st_size > 10_000
    check_stored(tmp_path / "one" / "models" / NAME, "compact")


def test_the_u_net_learns_phases_too(dataset_path, tmp_path, call_script):
    assert call_script(train_phase, *train_words(dataset_path, tmp_path, epochs=1, network="unet"))[0] == 0
    check_stored(tmp_path / "models" / NAME, "unet")


def check_stored(folder, network):
    assert read_json(folder / "config.json")["model"] == {"network": network, "base_filters": 2}
    infer = phase_network.load(folder, "tensorflow")
    assert infer(np.zeros((1, 256, 256, 6), np.float32)).shape == (1, 256, 256, 4)


def test_prediction_takes_the_network_beside_the_model_or_the_one_that_is_named(
    dataset_path, audios, tmp_path, call_script
):
    from common.weights import save_model
    from model import Generator

    assert call_script(train_phase, *train_words(dataset_path, tmp_path, epochs=1))[0] == 0
    model = tmp_path / "model"
    save_model(model, {"generator": Generator(2)}, {"model": {"base_filters": 2, "n_inputs": 1}})
    words = ["--model", model, "--input", audios / ORIGIN / "a.wav", "--phase", "network", "--overwrite"]
    words += ["--runtime", "tensorflow"]
    status, _, stderr = call_script(predict, *words, "--output", tmp_path / "out.wav")
    assert status == 2
    assert "--phase network" in one_line(stderr)
    named = ["--phase_network", tmp_path / "models" / NAME]
    assert call_script(predict, *words, *named, "--output", tmp_path / "named.wav")[0] == 0
    shutil.copytree(tmp_path / "models" / NAME, model / "phase")
    assert call_script(predict, *words, "--output", tmp_path / "beside.wav")[0] == 0
    assert (tmp_path / "named.wav").read_bytes() == (tmp_path / "beside.wav").read_bytes()
    call_script(predict, *words[:4], *words[6:], "--output", tmp_path / "default.wav")
    assert (tmp_path / "named.wav").read_bytes() != (tmp_path / "default.wav").read_bytes()


def test_a_run_begins_with_another_network_of_the_same_kind(dataset_path, tmp_path, call_script):
    first, second = tmp_path / "first" / "models" / NAME, tmp_path / "second" / "models" / NAME
    assert call_script(train_phase, *train_words(dataset_path, tmp_path / "first", epochs=1))[0] == 0
    words = [*train_words(dataset_path, tmp_path / "second", epochs=1), "--lr", "1e-9"]
    assert call_script(train_phase, *words, "--init_from", first)[0] == 0
    image = np.random.default_rng(0).uniform(-1, 1, (1, 256, 256, 6)).astype(np.float32)
    outputs = [phase_network.load(folder, "tensorflow")(image) for folder in (first, second)]
    np.testing.assert_allclose(*outputs, atol=1e-4)
    for other, told in ((["--network", "unet"], "phase.weights.h5"), (["--base_filters", "3"], "phase.weights.h5")):
        status, _, stderr = call_script(train_phase, *words, "--restart", "--init_from", first, *other)
        assert status == 2
        assert told in one_line(stderr)
    status, _, stderr = call_script(train_phase, *words, "--restart", "--init_from", dataset_path)
    assert status == 2
    assert "must hold phase.weights.h5" in one_line(stderr)


def test_rates_are_searched_for_the_network_of_the_phase(dataset_path, tmp_path, call_script):
    words = [*train_words(dataset_path, tmp_path), "--findlr", "--findlr_steps", "10", "--findlr_start", "1e-4"]
    _, stdout, stderr = call_script(train_phase, *words, "--findlr_end", "1e-1")
    assert "network of the phase: phase_error" in stdout + stderr
    table = (tmp_path / "models" / NAME / "lr_finder" / "phase_error.csv").read_text().splitlines()
    assert len(table) == 11
    assert not (tmp_path / "models" / NAME / "phase.weights.h5").exists()


def test_the_input_is_augmented_for_the_network_that_sees_it(dataset_path, tmp_path, call_script):
    errors = {}
    for flags in ((), ("--augment",)):
        words = train_words(dataset_path, tmp_path / f"run{len(flags)}", epochs=1, network="unet")
        assert call_script(train_phase, *words, "--deterministic", *flags)[0] == 0
        errors[flags] = history(tmp_path / f"run{len(flags)}", NAME)[0]["phase_error"]
    assert len(set(errors.values())) == 2


@pytest.mark.parametrize(
    "flag",
    [
        "--linear_weight=1",
        "--mean_weight=1",
        "--level_weight=1",
        "--select=sound",
        "--sample_audio=x.wav",
        "--balanced_upsampling",
    ],
)
def test_flags_that_mean_nothing_here_are_refused(flag, tmp_path, call_script):
    status, _, stderr = call_script(train_phase, *train_words(Path("features"), tmp_path), flag)
    assert status == 2
    assert flag.partition("=")[0] in one_line(stderr)


def test_derivatives_are_the_same_in_tensorflow():
    slices = np.random.default_rng(0).uniform(-1, 1, (2, 256, 32, 2)).astype(np.float32)
    expected = phase_gradient.as_channels(*phase_gradient.padded_derivatives(slices[..., 1] * np.float32(np.pi)))
    np.testing.assert_allclose(tf.function(channels)(tf.constant(slices)), expected, atol=1e-5)


def test_the_network_overfits_one_slice():
    keras.utils.set_random_seed(0)
    slices = []
    for seed in (1, 2):
        (values, *_) = data.slices(music(4, seed=seed)[0], with_phase=True)
        slices.append(tf.constant(np.stack([data.to_network(values[:, :48, 0]), values[:, :48, 1]], axis=-1)[None]))
    network = {"phase": PhaseNetwork(16)}
    optimizer = {"phase": make_optimizer(3e-3, network["phase"], "float32")}
    train_step, validation_step = phase_steps(network, optimizer)
    step = tf.function(train_step)
    before = float(validation_step(*slices)["phase_error"])
    for _ in range(150):
        step(*slices)
    assert float(validation_step(*slices)["phase_error"]) < 0.6 * before
