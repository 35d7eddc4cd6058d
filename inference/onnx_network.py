"""A stored generator as an ONNX graph that onnxruntime runs, so that prediction needs no TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np

import data
import source_noise
from common.stored_generator import NOISY, Convolution, StoredGenerator, read_convolutions

SOURCE, STYLE, GENERATED = "source", "style", "generated"
OPSET, IR_VERSION = 17, 8  # of 2022: what reads ONNX today knows them
_EPSILON = 1e-3  # of Keras's normalization
_SLOPE = 0.3  # of the encoder's leaky ReLU


def build(stored: StoredGenerator, half: bool = False) -> bytes:
    """Make the ONNX graph of a generator, with normalization folded into the convolutions.

    Its inputs are `source` and, for two inputs, `style`; its output is `generated`: float32 (batch, 256, 256, 1) in
    [-1, 1], bins, frames and channel as in `model.Generator`; more channels if it predicts a phase.

    Args:
        stored: the generator.
        half: whether kernels are stored as float16, before what is folded into them: weights that are stored so lose
            nothing. onnxruntime makes them float32 when it loads the graph.

    Raises:
        UserError: if the weights are not exactly those of a generator.
    """
    import onnx
    from onnx import helper, numpy_helper

    encoder, decoder = read_convolutions(stored)
    nodes, weights = [], []

    def constant(name: str, value: object, dtype: type = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def convolve(kind: str, x: str, name: str, convolution: Convolution) -> str:
        # Keras's kernel is (height, width, in, out); (height, width, out, in) where transposed. ONNX wants (out, in,
        # height, width), and (in, out, height, width).
        transposed = kind == "ConvTranspose"
        kernel, bias = fold(convolution, transposed)
        if half:
            stored_kernel = constant(f"{name}_half", convolution.kernel.transpose(3, 2, 0, 1), np.float16)
            cast = add("Cast", [stored_kernel], f"{name}_cast", to=onnx.TensorProto.FLOAT)
            factor = np.expand_dims(factors(convolution, transposed), (0, 2, 3) if transposed else (1, 2, 3))
            folded = add("Mul", [cast, constant(f"{name}_factor", factor)], f"{name}_kernel")
        else:
            folded = constant(f"{name}_kernel", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        # 'same' of TensorFlow, for a kernel of 4 and a stride of 2, is a margin of 1 on each side.
        geometry = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return add(kind, [x, folded, constant(f"{name}_bias", bias)], name, **geometry)

    def add_noise(x: str, name: str, strength: np.ndarray) -> str:
        factor = constant(f"{name}_strength", source_noise.GAIN * strength.transpose(2, 0, 1))
        return add("Add", [x, add("Mul", [noises.pop(), factor], f"{name}_weighted")], f"{name}_noise")

    def noise_images() -> list[str]:
        # As `source_noise.of_images` and `source_noise.halve` compute it.
        pool, half = {"kernel_shape": [2, 2], "strides": [2, 2]}, constant("noise_half", 0.5)
        height, width = data.SLICE_SHAPE[:2]
        x = add("Gather", [SOURCE, constant("noise_channel", [0], np.int64)], "noise_magnitude", axis=3)
        x = add("Mul", [x, constant("noise_rounding", source_noise.ROUNDING)], "noise_steps")
        x = add("Floor", [add("Add", [x, half], "noise_steps_above")], "noise_rounded")
        x = add("Reshape", [x, constant("noise_quarters", [-1, 4, height // 4 * width], np.int64)], "noise_split")
        x = add("MatMul", [constant("noise_matrix", source_noise.MATRIX), x], "noise_product")
        x = add("Reshape", [x, constant("noise_image", [-1, 1, height, width], np.int64)], "noise_mixed")
        nearest = add("Floor", [add("Add", [x, half], "noise_above")], "noise_nearest")
        x = add("AveragePool", [add("Sub", [x, nearest], "noise_digits")], "noise_pooled", **pool)
        images = [add("Mul", [x, constant("noise_scale", source_noise.SCALE)], "noise_1")]
        while len(images) < NOISY:
            pooled = add("AveragePool", [images[-1]], f"noise_{len(images)}_pooled", **pool)
            images.append(add("Mul", [pooled, constant(f"noise_{len(images)}_two", 2)], f"noise_{len(images) + 1}"))
        return images

    inputs = [SOURCE, STYLE][: stored.size["n_inputs"]]
    noises = noise_images() if stored.noise else []
    x = add("Concat", inputs, "images", axis=3) if len(inputs) > 1 else inputs[0]
    x = add("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    skips = []
    for number, convolution in enumerate(encoder, 1):
        x = convolve("Conv", x, f"down{number}_conv", convolution)
        x = add("LeakyRelu", [x], f"down{number}", alpha=_SLOPE)
        skips.append(x)
    for number, (convolution, skip) in enumerate(zip(decoder[:-1], reversed(skips[:-1]), strict=True), 1):
        x = convolve("ConvTranspose", x, f"up{number}_conv", convolution)
        if convolution.noise is not None:
            x = add_noise(x, f"up{number}", convolution.noise)
        x = add("Relu", [x], f"up{number}")
        x = add("Concat", [x, skip], f"up{number}_skip", axis=1)
    x = convolve("ConvTranspose", x, "last", decoder[-1])
    x = add("Tanh", [x], "last_tanh")
    add("Transpose", [x], GENERATED, perm=[0, 2, 3, 1])

    n_in, n_out = stored.n_channels
    shapes = {
        name: ["batch", *data.SLICE_SHAPE[:2], n_out if name == GENERATED else n_in] for name in (*inputs, GENERATED)
    }
    infos = {name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(nodes, "generator", [infos[name] for name in inputs], [infos[GENERATED]], weights)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()


def fold(convolution: Convolution, transposed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fold the normalization of inference into a convolution: y = scale · (x - mean) / √(variance + ε) + offset.

    Args:
        convolution: a convolution, with a normalization or without.
        transposed: whether its kernel is (4, 4, n_out, n_in), and not (4, 4, n_in, n_out).

    Returns:
        float32 arrays: kernel, of the same shape, and bias [shape=(n_out,)].
    """
    kernel, bias, normalization, _ = convolution
    factor = factors(convolution, transposed)
    if bias is None:
        bias = np.zeros(len(factor), np.float32)
    if normalization is None:
        return kernel, bias
    _, offset, mean, _ = normalization
    folded = kernel * (factor[:, np.newaxis] if transposed else factor)
    return folded.astype(np.float32), ((bias - mean) * factor + offset).astype(np.float32)


def factors(convolution: Convolution, transposed: bool) -> np.ndarray:
    """Compute by what `fold` multiplies the kernel of each output: float64 [shape=(n_out,)]."""
    if convolution.normalization is None:
        return np.ones(convolution.kernel.shape[2 if transposed else 3])
    scale, _, _, variance = (values.astype(np.float64) for values in convolution.normalization)
    return scale / np.sqrt(variance + _EPSILON)


def start_session(model: bytes | str, threads: int = 0) -> Any:
    """Load a graph into onnxruntime, on the CPU.

    Args:
        model: the graph, or the path of its file.
        threads: threads of an operation; 0 for all cores.

    Returns:
        An `onnxruntime.InferenceSession`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_infer(stored: StoredGenerator) -> Callable[..., np.ndarray]:
    """Load a generator into onnxruntime, which uses all cores.

    Args:
        stored: the generator.

    Returns:
        Function of images or of images and one style: float32 arrays [shape=(n, 256, 256, 1)] and
        [shape=(256, 256, 1)], to the generated images, all in [-1, 1]; with as many channels as the generator has.

    Raises:
        UserError: if the weights are not exactly those of a generator.
    """
    session = start_session(build(stored))

    def infer(source: np.ndarray, style: np.ndarray | None = None) -> np.ndarray:
        feeds = {SOURCE: source}
        if style is not None:
            feeds[STYLE] = np.ascontiguousarray(np.broadcast_to(style, source.shape))
        (generated,) = session.run([GENERATED], feeds)
        return generated

    return infer
