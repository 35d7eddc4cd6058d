"""What goes to a GPU and comes back: docs/training/gpu, of which PyTorch computes the part in between."""

import ast
import sys

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, note_messages, read_json, write_midi

import data
import losses
from common.weights import load_generator, save_model
from dataset import augment
from inference import phase
from inference.settings import PhaseSettings
from model import Generator
from synthesis.notes import note_name
from training import sound

sys.path.insert(0, str(REPOSITORY / "docs" / "training" / "gpu"))
import check
import growth
import pack
import packed
import unpack

GPU = REPOSITORY / "docs" / "training" / "gpu"
NAME = "keyboard_acoustic"


def constants(file):
    """Read the constants of a module without importing PyTorch: dict of name to value, those that are literals."""
    found = {}
    for node in ast.parse((GPU / file).read_text()).body:
        if isinstance(node, ast.Assign):
            names = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            values = value if len(names) > 1 else [value]
            found |= {name.id: value for name, value in zip(names, values, strict=True)}
    return found


@pytest.fixture
def generator():
    """A small generator with noise whose weights are all different, and the normalization's are as if trained."""
    network = Generator(4, noise=True, max_filters=20)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        layer.set_weights([w + 0.1 * rng.random(w.shape, dtype=np.float32) for w in layer.get_weights()])
    return network


def archive(generator, path, wrong=0.0):
    """Write what train_on_gpu.py writes of a generator."""
    weights = {f"{layer.name}/{i}": w for layer in generator.layers for i, w in enumerate(layer.get_weights())}
    source = np.random.default_rng(1).uniform(-1, 1, (256, 256)).astype(np.float32)
    generated = np.asarray(generator(source[None, ..., None], training=False))[0, ..., 0] + np.float32(wrong)
    columns = ["epoch", "gen_mae", "gen_loss", "disc_loss", "heard_mae", "gen_mae_val", "heard_mae_val", "sound_val"]
    columns += [*(f"{name}_val" for name in sound.names()), "steps"]
    history = np.arange(2 * len(columns), dtype=float).reshape(2, -1)
    settings = {"adversarial": 1.0, "rate": 2e-4, "l1": 150.0, "batch_size": 16, "steps": 100, "slices_rendered": 50}
    settings |= {"filters": 4, "max_filters": 20, "precision": "bf16"}
    arrays = {"/columns": columns, "/history": history, "/settings": str(settings), "/source": source}
    np.savez(path, **weights, **arrays, **{"/generated": generated})


@pytest.fixture
def like(tmp_path):
    """A model of the same form."""
    config = {"model": {"base_filters": 4, "n_inputs": 1}, "origin": NAME, "target": "string_acoustic"}
    config |= {"data": {"validation_pieces": ["muss_1"]}, "equalisers": {"a/b": [0.0]}}
    save_model(tmp_path / "like", {"generator": Generator(4, random_init=False)}, config)
    return tmp_path / "like"


def test_weights_come_back_as_a_model(generator, like, tmp_path, call_script):
    archive(generator, tmp_path / "a.npz")
    words = "--weights", tmp_path / "a.npz", "--like", like, "--output", tmp_path / "models"
    status, _, stderr = call_script(unpack, *words)
    assert status == 0, stderr
    loaded, config = load_generator(tmp_path / "models" / "like")
    for ours, theirs in zip(loaded.weights, generator.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert config["model"] == {"base_filters": 4, "max_filters": 20, "n_inputs": 1, "noise": True}
    assert config["machine"] == {"precision": "bf16"}
    assert (config["arguments"]["l1_weight"], config["training"]["slices"]) == (150.0, 1600)
    lines = (tmp_path / "models" / "like" / "history.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch,gen_mae,gen_mae_val,gen_loss")
    status, _, stderr = call_script(unpack, *words)
    assert (status, "exists" in stderr) == (2, True)


def test_a_network_with_another_result_is_refused(generator, like, tmp_path, call_script):
    archive(generator, tmp_path / "a.npz", wrong=2e-4)
    words = "--weights", tmp_path / "a.npz", "--like", like, "--output", tmp_path / "models"
    status, _, stderr = call_script(unpack, *words)
    assert (status, "wrong by 0.0002" in stderr) == (2, True)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("damage", ["absent", "no archive", "another form"])
def test_what_is_no_result_is_refused(generator, like, tmp_path, call_script, damage):
    if damage == "no archive":
        (tmp_path / "a.npz").write_bytes(b"nothing")
    elif damage == "another form":
        archive(Generator(8, random_init=False), tmp_path / "a.npz")
    words = "--weights", tmp_path / "a.npz", "--like", like, "--output", tmp_path / "models"
    status, _, stderr = call_script(unpack, *words)
    assert (status, "argument --weights: " in stderr.splitlines()[-1]) == (2, True)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_a_wider_network_begins_as_the_narrower_one(n_inputs):
    narrow, wide = Generator(4, n_inputs), Generator(6, n_inputs, noise=True, max_filters=33)
    rng = np.random.default_rng(0)
    narrow.set_weights([w * rng.uniform(2, 6, w.shape) for w in narrow.get_weights()])
    drawn = packed.layer_weights(wide)
    grown = growth.grow(packed.layer_weights(narrow), drawn)
    for layer in wide.layers:
        layer.set_weights([grown[f"{layer.name}/{i}"] for i in range(len(layer.get_weights()))])
    images = [rng.uniform(-1, 1, (1, 256, 256, 1)).astype(np.float32) for _ in range(n_inputs)]
    given = images if n_inputs > 1 else images[0]
    generated = narrow(given, training=False)
    assert np.std(generated) > 0.01
    np.testing.assert_allclose(wide(given, training=False), generated, atol=1e-4)
    np.testing.assert_array_equal(grown["down2_conv/0"][..., 8:], drawn["down2_conv/0"][..., 8:])  # as they were drawn


def test_pieces_that_are_not_there_cannot_be_held_back(tmp_path, call_script):
    write_midi(tmp_path / "midi" / "piece.mid", [note_messages(0, 480, 60)])
    words = "--notes", tmp_path, "--midi", tmp_path / "midi", "--output", tmp_path / "packed"
    status, _, stderr = call_script(pack, *words, "--held_back", "other")
    assert (status, "--midi" in stderr.splitlines()[-1]) == (2, True)
    assert call_script(pack, *words, "--held_back", "piece")[0] == 0
    with np.load(tmp_path / "packed" / "midi.npz") as packed_midi:
        assert packed_midi["held_back"].tolist() == [True]
        assert packed_midi["pedal_notes"].tolist() == [[60, 100]]
        np.testing.assert_allclose(packed_midi["plain_times"], [[0, 0.5]])


@pytest.mark.parametrize("scaled", [True, False])
def test_notes_are_packed(monkeypatch, tmp_path, call_script, scaled):
    monkeypatch.setattr(pack, "PITCHES", range(60, 62))
    time = np.arange(4 * data.SAMPLE_RATE) / data.SAMPLE_RATE
    rng = np.random.default_rng(0)
    (tmp_path / "notes").mkdir()
    for pitch in (60, 61):
        for velocity in packed.VELOCITIES:
            partials = [1, 0.3] if scaled else [1, velocity / 75]
            tones = [
                level * np.sin(2 * np.pi * number * 440 * 2 ** ((pitch - 69) / 12) * time)
                for number, level in enumerate(partials, 1)
            ]
            note = velocity / 150 * sum(tones) * np.exp(-time) / 1.5 + 1e-4 * rng.standard_normal(len(time))
            soundfile.write(tmp_path / "notes" / note_name(NAME, 3, pitch, velocity), note, data.SAMPLE_RATE)
    words = "--notes", tmp_path / "notes", "--keyboards", 3, "--output", tmp_path / "packed"
    status, _, stderr = call_script(pack, *words)
    assert status == 0, stderr
    entry = read_json(tmp_path / "packed" / f"{NAME}_003.json")
    assert entry["layers"] == ([75] if scaled else [25, 50, 75])
    if scaled:
        np.testing.assert_allclose(entry["factors"], [[1 / 3] * 2, [2 / 3] * 2, [1] * 2], atol=2e-3)
    samples, rate = soundfile.read(tmp_path / "packed" / f"{NAME}_003_075.flac")
    assert (len(samples), rate) == (2 * round(3.2 * 25_200), 25_200)
    start = samples[: rate // 2] * np.hanning(rate // 2)
    assert np.argmax(np.abs(np.fft.rfft(start))) * 2 == pytest.approx(261.6, abs=2)


def test_constants_are_those_of_the_project():
    assert constants("terms.py")["LINEAR_UNIT"] == losses.LINEAR_UNIT
    assert constants("terms.py")["MEAN_FRAMES"] == losses.MEAN_FRAMES
    assert constants("terms.py")["_LEVEL_FRAMES"] == sound._LEVEL_FRAMES
    of_augment = constants("augment.py")
    assert (of_augment["LEVEL_DB"], of_augment["EQUALIZER_DB"]) == (augment.LEVEL_DB, augment.EQUALIZER_DB)
    assert (of_augment["NOISE_DB"], of_augment["POINTS_HZ"]) == (augment.NOISE_DB, augment._POINTS_HZ)
    of_finish = constants("finish.py")
    assert (of_finish["_FIXED_BINS"], of_finish["_ACCELERATION"]) == (phase.FIXED_BINS, phase._ACCELERATION)
    assert PhaseSettings().n_iterations == packed.PHASE_ITERATIONS


@pytest.mark.slow
def test_what_pytorch_is_compared_with_is_of_the_project(tmp_path, call_script):
    assert call_script(check, "--write", tmp_path / "expected.npz")[0] == 0
    expected = dict(np.load(tmp_path / "expected.npz"))
    source, target, style, other = check.images()
    assert expected["linear"] == pytest.approx(float(losses.linear_loss(target, other)))
    network = Generator(check.FILTERS, 2, noise=True)
    for layer in network.layers:
        layer.set_weights([expected[f"generator|{layer.name}/{i}"] for i in range(len(layer.get_weights()))])
    np.testing.assert_allclose(expected["generated"], network([source, style], training=False), atol=1e-6)
    assert expected["generated"].std() > 0.01  # not what any network would generate
    status, _, stderr = call_script(check, "--compare", tmp_path / "none.npz")
    assert (status, "--write" in stderr.splitlines()[-1]) == (2, True)


def test_layers_are_those_of_the_network(generator):
    of_networks = constants("networks.py")
    named = {layer.name for layer in generator.layers if layer.get_weights()}
    numbers = range(1, 1 + len(of_networks["ENCODER"])), range(1, 1 + len(of_networks["DECODER"]))
    expected = {f"down{n}_conv" for n in numbers[0]} | {f"up{n}_conv" for n in numbers[1]} | {"last"}
    expected |= {f"down{n}_norm" for n in numbers[0] if of_networks["ENCODER"][n - 1][1]}
    expected |= {f"up{n}_norm" for n in numbers[1]} | {f"up{n}_noise" for n in of_networks["NOISY"]}
    assert named == expected
    for number, height in of_networks["NOISY"].items():
        assert generator.get_layer(f"up{number}_noise").get_weights()[0].shape[0] == height
