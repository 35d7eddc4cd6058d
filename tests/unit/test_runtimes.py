"""Which runtime a prediction gets, and that both give the same audio."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, one_line, run_script
from sounds import RATE, music

from common.cli import UserError
from common.weights import save_model
from inference import runtimes
from inference.settings import ConvertSettings, PhaseSettings, TransferSettings
from model import Generator

BOTH, NEITHER = ("onnx", "tensorflow"), ()


@pytest.fixture
def install(monkeypatch):
    """Let only some of the runtimes be installed."""

    def only(names):
        lacking = [name for runtime in BOTH if runtime not in names for name in runtimes._PACKAGES[runtime]]
        monkeypatch.setattr(runtimes, "_missing", lambda *packages: [name for name in packages if name in lacking])

    return only


@pytest.mark.parametrize(
    ("installed", "runtime", "gpu", "seconds", "chosen"),
    [
        (BOTH, "auto", None, 10, "onnx"),
        (BOTH, "auto", -1, 10, "onnx"),
        (BOTH, "auto", 0, 10, "tensorflow"),
        (BOTH, "auto", None, 7200, "tensorflow"),
        (BOTH, "onnx", None, 7200, "onnx"),
        (BOTH, "tensorflow", None, 10, "tensorflow"),
        (("onnx",), "auto", None, 7200, "onnx"),
        (("tensorflow",), "auto", None, 10, "tensorflow"),
    ],
)
def test_the_runtime_depends_on_what_is_there_and_on_the_length(install, installed, runtime, gpu, seconds, chosen):
    install(installed)
    assert runtimes.choose(runtime, gpu, seconds) == chosen


@pytest.mark.parametrize(
    ("installed", "runtime", "gpu", "told"),
    [
        (
            ("tensorflow",),
            "onnx",
            None,
            "--runtime onnx needs onnxruntime and onnx: pip install -r requirements-predict.txt",
        ),
        (("onnx",), "tensorflow", None, "needs tensorflow and keras: pip install -r requirements.txt"),
        (("onnx",), "auto", 0, "--gpu 0 needs tensorflow"),
        (BOTH, "onnx", 1, "--gpu 1: --runtime onnx computes on the CPU"),
        (NEITHER, "auto", None, "--runtime onnx needs onnxruntime and onnx"),
    ],
)
def test_what_is_not_there_is_one_line(install, installed, runtime, gpu, told):
    install(installed)
    with pytest.raises(UserError) as error:
        runtimes.choose(runtime, gpu, 10)
    assert told in one_line(str(error.value))


@pytest.mark.slow
def test_a_recording_sounds_the_same_with_both(tmp_path):
    model = {"base_filters": 4, "n_inputs": 1}
    save_model(tmp_path / "model", {"generator": Generator(4)}, {"model": model})
    soundfile.write(tmp_path / "in.wav", music(4, channels=2).T, RATE, subtype="FLOAT")
    words = ("predict.py", "--model", tmp_path / "model", "--input", tmp_path / "in.wav", "--subtype", "FLOAT")
    audio = {}
    for runtime in ("onnx", "tensorflow"):
        output = tmp_path / f"{runtime}.wav"
        result = run_script(*words, "--output", output, "--runtime", runtime, check=0)
        assert ("onnxruntime" in result.stdout) == (runtime == "onnx")
        audio[runtime], _ = soundfile.read(output)
    peak = np.abs(audio["tensorflow"]).max()
    assert peak > 0
    np.testing.assert_allclose(audio["onnx"], audio["tensorflow"], atol=1e-3 * peak)


def test_prediction_with_onnx_imports_no_tensorflow(tmp_path):
    pytest.importorskip("onnx")
    soundfile.write(tmp_path / "in.wav", music(0.2)[0], RATE)
    code = (
        "import runpy, sys\n"
        "sys.modules |= dict.fromkeys(('tensorflow', 'keras', 'librosa', 'matplotlib', 'av'))  # as if not installed\n"
        "runpy.run_path('predict.py', run_name='__main__')\n"
    )
    words = ["--model", "keyboard_acoustic_2_guitar_acoustic", "--input", tmp_path / "in.wav"]
    command = [sys.executable, "-c", code, *map(str, words), "--output", str(tmp_path / "out.wav")]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out.wav").is_file()


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize(
    ("arguments", "adversarial"),
    [
        ({"disc_lr": 1e-4}, True),
        ({"disc_lr": 1e-4, "generator_alone": False}, True),
        ({"disc_lr": 1e-4, "generator_alone": True}, False),
        ({"lr": 1e-4}, False),
    ],
)
def test_a_model_with_a_discriminator_has_the_finer_grid_by_default(tmp_path, runtime, arguments, adversarial):
    config = {"model": {"base_filters": 1, "n_inputs": 1}, "arguments": arguments}
    save_model(tmp_path, {"generator": Generator(1)}, config)
    network = runtimes.load(tmp_path, runtime, -1)
    for asked, chosen in ((None, adversarial), (True, True), (False, False)):
        settings = ConvertSettings(transfer=TransferSettings(PhaseSettings(interleave=asked)))
        assert runtimes.complete_phase(settings, tmp_path, network).transfer.phase.interleave is chosen
