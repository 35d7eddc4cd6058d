"""A network of the phase as train_phase.py stores it, with onnxruntime or TensorFlow."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

import data
import phase_gradient
from common import storage, weights_file
from common.cli import UserError
from common.stored_generator import CONFIG_NAME, WEIGHTS_EXTENSION
from inference.integration import DerivativesFn
from inference.onnx_network import IR_VERSION, OPSET, start_session
from inference.settings import PHASE_NETWORKS

WEIGHTS_NAME, FOLDER = f"phase{WEIGHTS_EXTENSION}", "phase"
_KERNEL, _N_LAYERS = (5, 3), 5  # of `model.PhaseNetwork`


def find(asked: str | None, model_path: Path) -> Path:
    """Find the folder of a network of the phase.

    Args:
        asked: what `--phase_network` names, or None for the folder `phase/` beside the model's weights.
        model_path: the model's folder, or its file of weights.

    Raises:
        UserError: if it holds no such network.
    """
    beside = (model_path if model_path.is_dir() else model_path.parent) / FOLDER
    path = Path(asked) if asked else beside
    if not (path / WEIGHTS_NAME).is_file():
        what = f"--phase_network {path}" if asked else f"--phase network: {path}"
        raise UserError(f"{what} holds no {WEIGHTS_NAME}; it must be a folder that train_phase.py wrote")
    return path


def load(path: Path, runtime: str) -> DerivativesFn:
    """Load a network of the phase, with all its weights or not at all.

    Args:
        path: its folder.
        runtime: "onnx" or "tensorflow", started before.

    Raises:
        UserError: if its configuration or its weights are not those of such a network, or the runtime cannot run it.
    """
    size = _read_size(path)
    if runtime == "onnx":
        if size["network"] != "compact":
            raise UserError(f"{path} holds a U-Net of the phase, which needs --runtime tensorflow")
        return _load_onnx(path / WEIGHTS_NAME, size["base_filters"])
    return _load_keras(path / WEIGHTS_NAME, **size)


def _read_size(path: Path) -> dict[str, Any]:
    """Read the kind and the width of a network."""
    config_path = path / CONFIG_NAME
    if not config_path.is_file():
        raise UserError(f"{path} has no {CONFIG_NAME}; the two belong together")
    size = storage.read_json(config_path).get("model")
    size = size if isinstance(size, dict) else {}
    kind, width = size.get("network"), size.get("base_filters")
    if kind not in PHASE_NETWORKS or type(width) is not int or width < 1:
        raise UserError(
            f"{config_path} is not of a network of the phase: model.network must be {' or '.join(PHASE_NETWORKS)}, and "
            f"model.base_filters at least 1, not {kind} and {width}"
        )
    return {"network": kind, "base_filters": width}


def _load_keras(path: Path, network: str, base_filters: int) -> DerivativesFn:
    import tensorflow as tf

    from common.device import prefers_matmul
    from common.weights import load_weights
    from model import Generator, PhaseNetwork

    if network == "compact":
        built = PhaseNetwork(base_filters, random_init=False)
    else:
        n_channels = phase_gradient.N_INPUTS, phase_gradient.N_OUTPUTS
        built = Generator(base_filters, random_init=False, by_matmul=prefers_matmul(), n_channels=n_channels)
    load_weights(built, path)
    images = tf.TensorSpec((None, *data.SLICE_SHAPE[:2], phase_gradient.N_INPUTS), tf.float32)
    infer = tf.function(lambda inputs: built(inputs, training=False), input_signature=[images], autograph=False)
    return lambda inputs: infer(inputs).numpy()


def _load_onnx(path: Path, base_filters: int) -> DerivativesFn:
    session = start_session(build(_read_layers(path, base_filters)))
    return lambda inputs: session.run(["derivatives"], {"source": inputs})[0]


def _read_layers(path: Path, base_filters: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read kernels and biases of the compact network, float32."""
    widths = [1, *[base_filters] * (_N_LAYERS - 1), phase_gradient.N_OUTPUTS]
    layers = []
    with weights_file.open_weights(path) as file:
        found = {dataset.name: dataset for dataset in weights_file.find_weights(file)}
        if len(found) != 2 * _N_LAYERS:
            raise ValueError(f"its {len(found)} arrays are not the {2 * _N_LAYERS} of a compact network of the phase")
        for number in range(_N_LAYERS):
            name = f"/layers/conv2d_{number}" if number else "/layers/conv2d"
            kernel = _read(found, f"{name}/vars/0", (*_KERNEL, widths[number], widths[number + 1]), path)
            layers.append((kernel, _read(found, f"{name}/vars/1", widths[number + 1 : number + 2], path)))
    return layers


def _read(found: dict[str, h5py.Dataset], name: str, shape: tuple[int, ...] | list[int], path: Path) -> np.ndarray:
    if name not in found or found[name].shape != tuple(shape):
        raise ValueError(f"{name} must have the shape {tuple(shape)}")
    values = found[name][()].astype(np.float32)
    weights_file.check_array(values, name, path, is_variance=False)
    return values


def build(layers: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Make the ONNX graph of a compact network.

    Args:
        layers: kernel [shape=(5, 3, n_in, n_out)] and bias [shape=(n_out,)] of each layer, float32.

    Returns:
        A graph of `source` (batch, 256, n_frames, 6) to `derivatives` (batch, 256, n_frames, 4), float32.
    """
    import onnx
    from onnx import helper, numpy_helper

    n_inputs, n_outputs = phase_gradient.N_INPUTS, phase_gradient.N_OUTPUTS
    nodes = [
        helper.make_node("Transpose", ["source"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["channels_first", "first"], ["target"], axis=1),
    ]
    weights = [numpy_helper.from_array(np.zeros(1, np.int64), "first")]
    x = "target"
    for number, (kernel, bias) in enumerate(layers, 1):
        values = {f"kernel{number}": np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), f"bias{number}": bias}
        weights.extend(numpy_helper.from_array(value, key) for key, value in values.items())
        geometry = {"kernel_shape": list(_KERNEL), "pads": [2, 1, 2, 1]}
        nodes.append(helper.make_node("Conv", [x, *values], [f"y{number}"], **geometry))
        x = f"y{number}"
        if number < len(layers):
            nodes.append(helper.make_node("Relu", [x], [f"x{number}"]))
            x = f"x{number}"
    nodes.append(helper.make_node("Transpose", [x], ["derivatives"], perm=[0, 2, 3, 1]))
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", data.N_BINS, "n_frames", n_channels])
        for name, n_channels in (("source", n_inputs), ("derivatives", n_outputs))
    ]
    graph = helper.make_graph(nodes, "phase", infos[:1], infos[1:], weights)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
