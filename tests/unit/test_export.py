"""Exports for other programs: each is loaded as they would, and compared."""

import numpy as np
import pytest
from conftest import one_line, read_json

import export as script
import model
from common.stored_generator import find_generator
from common.weights import load_generator, save_model
from inference import export


@pytest.fixture(scope="module", params=[(1, False), (1, True), (2, True)])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "keyboard_2_guitar"
    n_inputs, noise = request.param
    size = {"base_filters": 4, "n_inputs": n_inputs, "noise": noise}
    config = {"model": size, "origin": "keyboard_acoustic", "target": "guitar_acoustic"}
    made = model.Generator(4, n_inputs, noise=noise)
    for layer in made.layers:
        if isinstance(layer, model.Noise):
            layer.strength.assign(np.random.default_rng(0).normal(0, 0.05, layer.strength.shape))
    save_model(folder, {"generator": made}, config)
    generator, _ = load_generator(folder)
    images = [export.example_image(10 + number) for number in range(n_inputs)]
    return folder, images, generator(images if n_inputs > 1 else images[0], training=False).numpy()


def run_onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.shape[1:] for value in session.get_inputs()] == [[256, 256, 1]] * len(images)
    return session.run(None, dict(zip(("source", "style"), images, strict=False)))[0]


def run_savedmodel(path, images):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return loaded.serve(*images).numpy()


def run_litert(path, images):
    import tensorflow as tf

    runner = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    (result,) = runner(**dict(zip(("source", "style"), images, strict=False))).values()
    return result


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "run"), [("onnx", run_onnx), ("savedmodel", run_savedmodel), ("litert", run_litert)])
def test_an_export_gives_what_the_generator_gives(saved, tmp_path, kind, run):
    folder, images, expected = saved
    path = export.export(find_generator(folder), kind, tmp_path / "out", overwrite=False)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(run(path, images), expected, atol=1e-5)
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("# keyboard_2_guitar\n") and path.name in text
    assert "keyboard_acoustic to guitar_acoustic" in text
    assert ("`style`" in text) == (len(images) > 1)
    assert {file.name for file in path.parent.iterdir()} == {path.name, "README.md"}


def test_an_export_that_differs_is_refused(tmp_path):
    images = [export.example_image(0)]
    export._check(lambda image: image + 5e-5, (images, images[0]), tmp_path)
    for wrong in (lambda image: np.zeros_like(image), lambda image: image * np.nan):
        with pytest.raises(script.cli.UserError, match="would differ from the generator"):
            export._check(wrong, (images, images[0]), tmp_path)


def test_an_export_is_not_replaced_unless_asked_to(call_script, saved, tmp_path):
    folder, *_ = saved
    words = ("--model", folder, "--format", "onnx", "--output", tmp_path / "out")
    assert call_script(script, *words)[0] == 0
    (tmp_path / "out" / "generator.onnx").write_bytes(b"mine")
    status, _, stderr = call_script(script, *words)
    assert (status, "exists; --overwrite replaces it" in one_line(stderr)) == (2, True)
    assert (tmp_path / "out" / "generator.onnx").read_bytes() == b"mine"
    assert call_script(script, *words, "--overwrite")[0] == 0
    assert (tmp_path / "out" / "generator.onnx").stat().st_size > 100_000
    assert read_json(folder / "config.json")["model"]["base_filters"] == 4


def test_weights_of_16_bit_are_for_onnx_alone(call_script, saved, tmp_path):
    folder, images, expected = saved
    words = ("--model", folder, "--weights", "float16", "--output", tmp_path / "out", "--format")
    assert call_script(script, *words, "onnx")[0] == 0
    generated = run_onnx(tmp_path / "out" / "generator.onnx", images)
    assert 0 < np.abs(generated - expected).max() < 1e-3
    status, _, stderr = call_script(script, *words, "litert")
    assert (status, "--weights float16 is for --format onnx" in one_line(stderr)) == (2, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"--model": "nowhere/m"}, "--model nowhere/m does not exist"), ({"--output": __file__}, "is a file; it must be")],
)
def test_wrong_calls_are_one_line(call_script, saved, tmp_path, changes, told):
    words = {"--model": saved[0], "--format": "onnx", "--output": tmp_path / "out", **changes}
    status, _, stderr = call_script(script, *(word for pair in words.items() for word in pair))
    assert (status, told in one_line(stderr)) == (2, True)
