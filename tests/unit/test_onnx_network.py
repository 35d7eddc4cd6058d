"""Generators as ONNX graphs: the same numbers as Keras's, from the same files, and the same refusals."""

import h5py
import keras
import numpy as np
import pytest
from conftest import REPOSITORY, one_line
from test_weights import write_legacy

import model
from common import pretrained
from common.cli import UserError
from common.stored_generator import LEVELS, NOISY, find_generator, read_convolutions
from common.weights import load_generator, save_model
from inference import onnx_network

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def trained_generator(n_inputs, noise, **limit):
    """A generator whose every weight matters: nothing is 0 or 1 as in a new one."""
    keras.utils.set_random_seed(n_inputs)
    generator = model.Generator(4, n_inputs, noise=noise, **limit)
    rng = np.random.default_rng(n_inputs)
    generator.set_weights(
        [
            rng.uniform(0.5, 2, w.shape) if v.path.endswith("variance") else w + rng.normal(0, 0.05, w.shape)
            for w, v in zip(generator.get_weights(), generator.weights, strict=True)
        ]
    )
    return generator


def save_trained(folder, n_inputs, noise=False, **limit):
    generator, size = trained_generator(n_inputs, noise, **limit), {"base_filters": 4, "n_inputs": n_inputs, **limit}
    save_model(folder, {"generator": generator}, {"model": {**size, "noise": True} if noise else size})
    return generator


@pytest.fixture(scope="module", params=[1, 2])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    generator = save_trained(folder, request.param)
    write_legacy(folder / "legacy.h5", generator)
    return folder, generator


def images(count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 256, 256, 1)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", [".", "legacy.h5"])
def test_the_graph_gives_what_keras_gives(saved, name):
    folder, generator = saved
    takes_style = len(generator.inputs) == 2
    infer, source, (style,) = onnx_network.make_infer(find_generator(folder / name)), images(3), images(1, seed=1)
    generated = infer(source, style) if takes_style else infer(source)
    expected = generator([source, np.stack([style] * 3)] if takes_style else source, training=False).numpy()
    assert generated.dtype == np.float32 and expected.std() > 0.01
    np.testing.assert_allclose(generated, expected, atol=1e-5)


@pytest.mark.parametrize(("n_inputs", "limit"), [(1, {"max_filters": 20}), (2, {})])
def test_the_graph_draws_from_the_noise_that_keras_draws_from(tmp_path, n_inputs, limit):
    generator = save_trained(tmp_path, n_inputs, noise=True, **limit)
    given = [images(3, seed) for seed in range(n_inputs)]
    session = onnx_network.start_session(onnx_network.build(find_generator(tmp_path)))
    (generated,) = session.run(None, dict(zip(("source", "style"), given, strict=False)))
    expected = generator(given if n_inputs > 1 else given[0], training=False).numpy()
    np.testing.assert_allclose(generated, expected, atol=1e-5)
    for layer in generator.layers:
        if isinstance(layer, model.Noise):
            layer.set_weights([0 * weights for weights in layer.get_weights()])
    assert np.abs(generator(given if n_inputs > 1 else given[0], training=False).numpy() - expected).mean() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.shipped())
def test_the_graphs_of_shipped_models_give_what_keras_gives(name):
    folder = REPOSITORY / "pretrained" / name
    generator, config = load_generator(folder)
    infer, source, (style,) = onnx_network.make_infer(find_generator(folder)), images(1), images(1, seed=1)
    with_style = config["model"]["n_inputs"] == 2
    generated = infer(source, style) if with_style else infer(source)
    expected = generator([source, style[np.newaxis]] if with_style else source, training=False).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(generated, expected, atol=1e-4)


def test_the_levels_are_those_of_the_network():
    assert tuple(factor for factor, _ in model._ENCODER) == LEVELS
    assert tuple(factor for factor, _ in model._DECODER) == LEVELS[-2::-1]
    assert len(model._NOISE_SIZES) == NOISY


def change(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("layers/conv2d_3/vars/0", None, "its 72 arrays are not"),
        ("layers/conv2d_3/vars/0", np.ones((4, 4, 32, 16), np.float32), "does not hold the weights of a network"),
        ("layers/batch_normalization_2/vars/3", -np.ones(32, np.float32), "is from -1 to -1"),
        ("layers/batch_normalization_2/vars/2", np.full(32, np.nan, np.float32), "is from nan to nan"),
        ("layers/conv2d_transpose_7/vars/1", np.full(1, 1e9, np.float32), "weights must be from -1e+06"),
    ],
)
def test_weights_that_keras_refuses_are_refused(tmp_path, name, values, told):
    size = {"base_filters": 4, "n_inputs": 1}
    save_model(tmp_path, {"generator": model.Generator(4)}, {"model": size})
    change(tmp_path / "generator.weights.h5", name, values)
    for load in (lambda: load_generator(tmp_path), lambda: read_convolutions(find_generator(tmp_path))):
        with pytest.raises(UserError) as error:
            load()
        assert told in one_line(str(error.value))


def test_folding_is_the_formula_of_the_normalization():
    from common.stored_generator import Convolution

    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 4, 2, 3)).astype(np.float32)
    scale, offset, mean, variance = (rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4))
    for transposed in (False, True):
        given = kernel.transpose(0, 1, 3, 2) if transposed else kernel
        folded, bias = onnx_network.fold(Convolution(given, None, (scale, offset, mean, variance)), transposed)
        patch = rng.normal(size=(4, 4, 2))
        result = np.einsum("hwi,hwoi->o" if transposed else "hwi,hwio->o", patch, folded) + bias
        plain = np.einsum("hwi,hwio->o", patch, kernel)
        np.testing.assert_allclose(result, scale * (plain - mean) / np.sqrt(variance + 1e-3) + offset, rtol=1e-5)
    assert onnx_network.fold(Convolution(kernel, None, None), False)[0] is kernel
