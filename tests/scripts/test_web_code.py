"""The page's code without a browser: the signal path gives the samples of `inference`, and modules are small."""

import json
import subprocess

import built_page
import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY

import data
from inference.settings import PhaseSettings, TransferSettings
from inference.transfer import transfer_audio

MELODY = REPOSITORY / "docs" / "examples" / "keyboard_acoustic" / "melody.wav"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return built_page.build(tmp_path_factory)


@pytest.mark.slow
def test_the_signal_code_keeps_its_invariants(page):
    tests = [str(path) for path in sorted((page.sources / "tests").glob("*.test.js"))]
    assert len(tests) == 3
    result = subprocess.run(["node", "--test", *tests], cwd=page.sources, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("interleave", [False, True])
def test_with_the_same_network_samples_are_those_of_predict(page, interleave, n_channels):
    def lower(images):  # what web/tests/convert_samples.js has
        bins, frames = np.arange(256)[:, np.newaxis], np.arange(256)
        steps = 0.1 * (bins // 8 % 3) + 0.1 * (frames // 5 % 2)
        return np.maximum(images - steps[..., np.newaxis], -1).astype(np.float32)

    mono, _ = soundfile.read(MELODY, frames=8 * 44_100 + 1, dtype="float32")
    channels = np.stack([mono, np.roll(mono, 20) - np.roll(mono, 100)])[:n_channels]
    settings = PhaseSettings(interleave=interleave)
    expected = transfer_audio(channels, data.SAMPLE_RATE, lower, TransferSettings(settings))
    hop_length = data.HOP_LENGTH // settings.grids
    command = ["node", page.sources / "tests" / "convert_samples.js", str(hop_length), str(n_channels)]
    output = subprocess.run(command, input=channels.tobytes(), stdout=subprocess.PIPE, check=True).stdout
    samples = np.frombuffer(output, np.float32).reshape(n_channels, -1)
    assert samples.shape == expected.shape
    assert np.abs(samples - expected).max() < 1e-4 < np.abs(channels - expected).max()


def test_the_lock_file_names_no_host_but_the_public_registry():
    packages = json.loads((built_page.WEB / "package-lock.json").read_text())["packages"]
    assert {"node_modules/esbuild", "node_modules/onnxruntime-web"} <= set(packages)
    hosts = {package.get("resolved", "https://registry.npmjs.org/") for package in packages.values()}
    assert all(host.startswith("https://registry.npmjs.org/") for host in hosts)
    assert all(package.get("integrity", "").startswith("sha512-") for name, package in packages.items() if name)


def test_the_javascript_is_in_small_modules_that_say_what_they_hold():
    paths = [path for folder in ("src", "tests") for path in (built_page.WEB / folder).rglob("*.js")]
    for path in [*paths, built_page.WEB / "build.js"]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[1].startswith(" * @file "), path
        assert len(lines) <= 350, path
        assert max(map(len, lines)) <= 120, path
