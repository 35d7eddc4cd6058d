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
def generated(request):
    """The graph of a shipped model, inputs, and what it generates of them."""
    model = onnx_network.build(find_generator(pretrained.PRETRAINED / request.param))
    network = session(model)
    feeds = {value.name: example_image(number) for number, value in enumerate(network.get_inputs())}
    return model, feeds, network.run(None, feeds)[0]


@pytest.mark.slow
def test_weights_of_16_bit_halve_the_file_and_change_little(generated):
    model, feeds, expected = generated
    half = onnx_variants.store_half(model)
    assert len(half) < 0.51 * len(model)
    difference = np.abs(session(half).run(None, feeds)[0] - expected).max()
    assert 0 < difference < 2e-3  # images of noise


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
