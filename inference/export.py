"""Generators for other programs: ONNX, LiteRT (TensorFlow Lite) and SavedModel, with a README beside them."""

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import data
from common import storage
from common.cli import UserError
from common.device import held_back_stderr
from common.stored_generator import StoredGenerator, require_magnitude
from inference import onnx_network

FILE_NAMES = {"onnx": "generator.onnx", "litert": "generator.tflite", "savedmodel": "generator"}
TOLERANCE = 1e-4
_NAMES = (onnx_network.SOURCE, onnx_network.STYLE)
_README = """# {name}

`{file}` is a generator of Pix2Pix timbre transfer for spectrograms{instruments}.

| | shape | values |
|---|---|---|
{inputs}| output `generated` | (batch, 256, 256, 1), float32 | [-1, 1] |

The axes are batch, frequency bin (43.07 Hz each, from 0 up to 11 kHz), frame (11.6 ms each) and channel. An image is
the log-magnitude of 256 frames of mono audio at 44.1 kHz:

```python
window = numpy.hanning(1024)  # every 512 samples; sample 0 is in the middle of frame 0
magnitude = abs(stft(audio))[:256] * 2 / window.sum()  # a sine of amplitude 1 has 1
a = 2.0**-16
log_magnitude = log1p(magnitude / a) / log1p(1 / a)  # 0 is silence, 1 full scale; more is cut off
image = 2 * log_magnitude - 1
```

And back: `log_magnitude = (generated + 1) / 2`, `magnitude = a * expm1(log_magnitude * log1p(1 / a))`. The phase is not
part of it: take the input's, or refine it by a few iterations of Griffin-Lim. Cross-fade slices that overlap.{style}
"""


def export(stored: StoredGenerator, kind: str, folder: Path, overwrite: bool, half: bool = False) -> Path:
    """Write a generator in a format of other programs, and a README beside it.

    Args:
        stored: the generator.
        kind: one of `FILE_NAMES`. All but "onnx" need TensorFlow, started before.
        folder: where it goes; made if need be.
        overwrite: whether an export that is there is replaced.
        half: whether the weights of "onnx" are float16, cast to float32 when the file is loaded.

    Returns:
        The path of the file, or of the folder of a SavedModel.

    Raises:
        UserError: if there is one already, the weights are not those of a generator of the magnitude alone, or the
            result differs from it.
    """
    require_magnitude(stored, "export.py needs")
    path = folder / FILE_NAMES[kind]
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; --overwrite replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "onnx":
        _write_onnx(stored, path, half)
    else:
        {"litert": _write_litert, "savedmodel": _write_savedmodel}[kind](stored, path)
    with storage.atomic_write(folder / "README.md") as partial:
        partial.write_text(describe(stored, path.name), encoding="utf-8")
    return path


def describe(stored: StoredGenerator, file: str) -> str:
    """Return the README of an export: shapes, ranges, and the formula of an image."""
    origin, target = (stored.config.get(key) for key in ("origin", "target"))
    listed = [", ".join(value) if isinstance(value, list) else value for value in (origin, target)]
    names = _NAMES[: stored.size["n_inputs"]]
    return _README.format(
        name=stored.path.parent.resolve().name,
        file=file,
        instruments=f": {listed[0]} to {listed[1]}" if origin and target else "",
        inputs="".join(f"| input `{name}` | (batch, 256, 256, 1), float32 | [-1, 1] |\n" for name in names),
        style=" The style is an image of the target instrument, of any music." if len(names) > 1 else "",
    )


def _write_onnx(stored: StoredGenerator, path: Path, half: bool) -> None:
    model = onnx_network.build(stored, half)
    with storage.atomic_write(path) as partial:
        partial.write_bytes(model)


def _write_savedmodel(stored: StoredGenerator, path: Path) -> None:
    import tensorflow as tf

    with _saved(stored, path.parent) as (folder, expected):
        loaded = tf.saved_model.load(str(folder))
        _check(lambda *images: loaded.serve(*images).numpy(), expected, path)
        if path.exists():
            shutil.rmtree(path)
        folder.rename(path)


def _write_litert(stored: StoredGenerator, path: Path) -> None:
    import tensorflow as tf

    with _saved(stored, path.parent) as (folder, expected), held_back_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow recommends the package ai-edge-litert
        model = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
        interpreter = tf.lite.Interpreter(model_content=model)

    def run(*images: np.ndarray) -> np.ndarray:
        # The converter does not keep the order of the inputs; their names do.
        inputs = sorted(interpreter.get_input_details(), key=lambda detail: "style" in detail["name"])
        for detail, image in zip(inputs, images, strict=True):
            interpreter.resize_tensor_input(detail["index"], image.shape)
        interpreter.allocate_tensors()
        for detail, image in zip(inputs, images, strict=True):
            interpreter.set_tensor(detail["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    with held_back_stderr():
        _check(run, expected, path)
    with storage.atomic_write(path) as partial:
        partial.write_bytes(model)


@contextlib.contextmanager
def _saved(stored: StoredGenerator, folder: Path):  # noqa: ANN202 - a context of (Path, (images, generated))
    """Write a SavedModel to a temporary folder; also give images, and what the generator makes of them."""
    import keras
    import tensorflow as tf

    from common.weights import load_generator

    generator, _ = load_generator(stored.path)
    images = [example_image(number) for number in range(stored.size["n_inputs"])]
    generated = generator(images if len(images) > 1 else images[0], training=False).numpy()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as temporary:
        saved = Path(temporary) / "generator"
        archive = keras.export.ExportArchive()
        archive.track(generator)
        archive.add_endpoint(
            "serve",
            lambda *inputs: generator(list(inputs) if len(inputs) > 1 else inputs[0], training=False),
            [tf.TensorSpec((None, *data.SLICE_SHAPE), tf.float32, name) for name in _NAMES[: len(images)]],
        )
        archive.write_out(str(saved), verbose=False)
        yield saved, (images, generated)


def example_image(number: int) -> np.ndarray:
    """Make an image to compare with: float32 array [shape=(1, 256, 256, 1)] in [-1, 1]."""
    return np.random.default_rng(number).uniform(-1, 1, (1, *data.SLICE_SHAPE)).astype(np.float32)


def _check(run: Callable[..., np.ndarray], expected: tuple[list[np.ndarray], np.ndarray], path: Path) -> None:
    """Compare an export with the generator."""
    images, generated = expected
    difference = float(np.abs(run(*images) - generated).max())
    if not difference < TOLERANCE:
        raise UserError(f"{path} would differ from the generator by {difference:.2g}; nothing was written")
