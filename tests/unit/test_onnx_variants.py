"""Variants of a generator's ONNX graph generate what the graph does."""

import numpy as np
import onnxruntime
import pytest
from test_onnx_network import save_trained

from common import pretrained
from common.stored_generator import find_generator
from inference import onnx_network, onnx_variants
from inference.export import example_image


def session(model):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=pretrained.shipped())
def stored(request):
    return find_generator(pretrained.PRETRAINED / request.param)


@pytest.fixture(scope="module")
def generated(stored):
    """The graph of a shipped model, inputs, and what it generates of them."""
    model = onnx_network.build(stored)
    network = session(model)
    feeds = {value.name: example_image(number) for number, value in enumerate(network.get_inputs())}
    return model, feeds, network.run(None, feeds)[0]


@pytest.mark.slow
def test_weights_of_16_bit_halve_the_file_and_change_nothing_but_rounding(stored, generated):
    model, feeds, expected = generated
    half = onnx_network.build(stored, half=True)
    assert len(half) < 0.51 * len(model)
    assert np.abs(session(half).run(None, feeds)[0] - expected).max() < 2e-5  # images of noise


def test_weights_of_32_bit_are_rounded_once(tmp_path):
    save_trained(tmp_path, 1, noise=True)
    found = find_generator(tmp_path)
    feeds = {onnx_network.SOURCE: example_image(0)}
    whole, half = (session(onnx_network.build(found, half)).run(None, feeds)[0] for half in (False, True))
    assert 0 < np.abs(half - whole).max() < 2e-3


def test_the_last_frames_have_the_noise_of_the_whole_image(tmp_path):
    save_trained(tmp_path, 1, noise=True)
    model = onnx_network.build(find_generator(tmp_path))
    feeds = {onnx_network.SOURCE: example_image(0)}
    check_last_frames(model, feeds, session(model).run(None, feeds)[0])


@pytest.mark.slow
def test_the_last_frames_are_those_of_the_whole_image(generated):
    check_last_frames(*generated)


def check_last_frames(model, feeds, expected):
    limited = session(onnx_variants.limit_decoder(model))
    for n_frames in (1, 2, 3, 12, 31, 128, 255, 256):
        last = limited.run(None, {**feeds, onnx_variants.FRAMES: np.array([n_frames])})[0]
        assert last.shape == (1, 256, n_frames, 1)
        np.testing.assert_allclose(last, expected[:, :, -n_frames:], atol=1e-6)
