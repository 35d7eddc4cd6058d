"""The scripts with --phase: training of models that also predict a phase, and prediction with them."""

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, OTHER, TARGET, history, losses, one_line, read_json, train_arguments
from sounds import RATE, music

import compute_features
import data
import predict
import predict_multitarget
import train
import train_generator
import train_multitarget
from common import representations
from common.weights import save_model
from model import Generator

pytestmark = pytest.mark.usefixtures("shallow_networks")
REPRESENTATIONS = representations.PHASES_AS_CHANNELS


@pytest.fixture(scope="module")
def audios(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audios")
    for number, piece in enumerate("abcd"):
        for instrument, level in ((ORIGIN, 0.2), (TARGET, 0.4), (OTHER, 0.3)):
            (folder / instrument).mkdir(exist_ok=True)
            soundfile.write(folder / instrument / f"{piece}.wav", level * music(6, seed=number)[0], RATE)
    return folder


@pytest.fixture(scope="module")
def dataset_path(audios, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["", "--audios", str(audios), "--features", str(folder), "--phase"])
        assert compute_features.main() == 0
    return folder


def words(dataset_path, folder, **changes):
    size = {"base_filters": 2, "batch_size": 2, "epochs": 1, "steps_per_epoch": 2, "gen_lr": None, "disc_lr": None}
    return train_arguments(dataset_path, folder, **{**size, **changes})


@pytest.mark.slow
def test_a_run_is_resumed_but_not_with_another_representation(dataset_path, tmp_path, call_script):
    name = f"{ORIGIN}_2_{TARGET}_generator"
    for folder, epochs in (("one", 1), ("one", 2), ("whole", 2)):
        run = words(dataset_path, tmp_path / folder, epochs=epochs, phase="rotation", augment=True)
        status, _, stderr = call_script(train_generator, *run, "--deterministic")
        assert status == 0, stderr
    assert losses(tmp_path / "one", name) == losses(tmp_path / "whole", name)
    run = words(dataset_path, tmp_path / "one", epochs=3, phase="angle", augment=True)
    status, _, stderr = call_script(train_generator, *run, "--deterministic")
    assert status == 2
    assert "phase was rotation, is angle" in one_line(stderr)


@pytest.mark.slow
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_trained_model_converts(representation, dataset_path, audios, tmp_path, call_script):
    name = f"{ORIGIN}_2_{TARGET}_generator"
    status, _, stderr = call_script(train_generator, *words(dataset_path, tmp_path, phase=representation))
    assert status == 0, stderr
    row = history(tmp_path, name)[-1]
    for column in ("phase_error", "phase_error_val", "gen_mae", "gen_mae_val"):
        assert 0 < float(row[column]) < 2
    model = tmp_path / "models" / name
    config = read_json(model / "config.json")
    expected = {"phase": representation, "n_channels": list(representations.n_channels(representation))}
    assert config["model"] == {"base_filters": 2, "n_inputs": 1, **expected}
    assert config["unchanged"]["gen_mae_val"] > 0
    assert len(config["equalisers"][f"{ORIGIN}/{TARGET}"]) == 256
    assert (tmp_path / "output" / name / "001" / "prediction.wav").stat().st_size > 44_100
    recording = audios / ORIGIN / "a.wav"
    outputs = {}
    for phase in ("auto", "model", "input"):
        out = tmp_path / f"{phase}.wav"
        status, _, stderr = call_script(
            predict, "--model", model, "--input", recording, "--output", out, "--phase", phase, "--runtime", "onnx"
        )
        assert status == 0, stderr
        outputs[phase] = out.read_bytes()
    assert soundfile.info(tmp_path / "auto.wav").frames == soundfile.info(recording).frames
    assert outputs["auto"] == outputs["model"] != outputs["input"]


@pytest.mark.slow
def test_a_run_with_a_discriminator_and_one_for_several_targets_convert(dataset_path, audios, tmp_path, call_script):
    run = words(dataset_path, tmp_path, phase="rotation", consistency_weight=1, r1=1, feature_matching=1)
    status, _, stderr = call_script(train, *run)
    assert status == 0, stderr
    row = history(tmp_path, f"{ORIGIN}_2_{TARGET}")[-1]
    assert 0 < float(row["inconsistency_val"]) < 1
    assert 0 < float(row["phase_error_val"]) < 2

    run = words(dataset_path, tmp_path, phase="angle", target=[TARGET, OTHER], validation_split=0.5)
    status, _, stderr = call_script(train_multitarget, *run)
    assert status == 0, stderr
    model = tmp_path / "models" / f"{ORIGIN}_2_any"
    assert read_json(model / "config.json")["model"]["n_inputs"] == 2
    common = ["--model", model, "--input", audios / ORIGIN / "a.wav", "--style", audios / OTHER / "b.wav"]
    for runtime in ("onnx", "tensorflow"):
        out = ["--output", tmp_path / f"{runtime}.wav", "--runtime", runtime]
        status, _, stderr = call_script(predict_multitarget, *common, *out)
        assert status == 0, stderr
    results = [soundfile.read(tmp_path / f"{runtime}.wav")[0] for runtime in ("onnx", "tensorflow")]
    np.testing.assert_allclose(*results, atol=1e-3)


@pytest.mark.parametrize("script", [train, train_generator, train_multitarget])
def test_wrong_flags_and_slices_are_refused_in_one_line(script, dataset_path, tmp_path, call_script):
    def refused(*flags, path=dataset_path):
        status, _, stderr = call_script(script, *words(path, tmp_path), *flags)
        assert status == 2
        assert not (tmp_path / "models").exists()
        return one_line(stderr)

    assert "--phase_weight: needs --phase" in refused("--phase_weight", 1)
    assert "--consistency_weight" in refused("--phase", "derivatives", "--consistency_weight", 1)
    assert "(256, 256, 1)" in refused()
    generator = Generator(2, n_channels=representations.n_channels("angle"))
    config = {"model": {"base_filters": 2, "n_inputs": 1, "phase": "angle"}}
    save_model(tmp_path / "angle", {"generator": generator}, config)
    line = refused("--phase", "rotation", "--init_from", tmp_path / "angle")
    assert "is a model of --phase angle, not of rotation" in line
    plain = tmp_path / "plain"
    for instrument in (ORIGIN, TARGET):
        (plain / instrument).mkdir(parents=True)
        np.save(plain / instrument / "a_000.npy", np.zeros(data.SLICE_SHAPE, np.float16))
    assert "compute_features.py --phase" in refused("--phase", "angle", path=plain)
