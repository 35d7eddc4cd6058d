"""A variant of a generator's ONNX graph: its decoder computes the last frames alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from inference.onnx_network import GENERATED

if TYPE_CHECKING:
    import onnx

FRAMES = "frames"  # the input that says how many of the last frames are computed
_FRAME_AXIS = 3  # of (batch, channel, bin, frame)


def limit_decoder(model: bytes) -> bytes:
    """Add the input `frames` to a graph: int64 [shape=(1,)], how many of the last frames it generates, 1 to 256.

    `generated` becomes (batch, 256, frames, 1). Its values are those of the whole image. The decoder, which does two
    thirds of the work, computes only the columns that these frames depend on.

    Args:
        model: a graph that `onnx_network.build` made.
    """
    import onnx
    from onnx import helper, numpy_helper

    proto = onnx.load_from_string(model)
    graph = proto.graph
    # The columns of the images where the decoder takes up those of the encoder, from the last layer inward.
    widths = [2**level for level in range(sum(node.name.endswith("_skip") for node in graph.node), 0, -1)]
    constants = {"one": 1, "two": 2, "frame_axis": _FRAME_AXIS, "end": np.iinfo(np.int64).max}
    constants |= {f"width{width}": width for width in widths}
    graph.initializer.extend(numpy_helper.from_array(np.array([value]), name) for name, value in constants.items())
    nodes = []

    def add(kind: str, inputs: list[str], name: str) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name))
        return name

    wanted = FRAMES
    for width in widths:
        # A transposed convolution of stride 2 needs half as many columns as are wanted of its result, and one more.
        rounded = add("Add", [wanted, "one"], f"rounded{width}")
        half = add("Div", [rounded, "two"], f"half{width}")
        more = add("Add", [half, "one"], f"more{width}")
        wanted = add("Min", [more, f"width{width}"], f"columns{width}")
        add("Neg", [wanted], f"start{width}")
    add("Neg", [FRAMES], "start_frames")
    for node in graph.node:
        if node.name.endswith("_skip"):
            width = 2 ** int(node.name.removeprefix("up").removesuffix("_skip"))
            names = [[name, f"start{width}", "end", "frame_axis"] for name in node.input]
            node.input[:] = [add("Slice", inputs, f"{node.name}_{inputs[0]}") for inputs in names]
        elif node.name.endswith("_weighted"):  # noise, of twice as many columns as the layer sees
            width = 2 ** (int(node.name.removeprefix("up").removesuffix("_weighted")) - 1)
            start = add("Mul", [f"start{width}", "two"], f"{node.name}_start")
            node.input[0] = add("Slice", [node.input[0], start, "end", "frame_axis"], f"{node.name}_sliced")
        elif node.name == "last_tanh":
            node.input[0] = add("Slice", [node.input[0], "start_frames", "end", "frame_axis"], "last_frames")
        nodes.append(node)
    _set_nodes(graph, nodes)
    graph.input.append(helper.make_tensor_value_info(FRAMES, onnx.TensorProto.INT64, [1]))
    (generated,) = (output for output in graph.output if output.name == GENERATED)
    generated.type.tensor_type.shape.dim[2].dim_param = FRAMES
    return proto.SerializeToString()


def _set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the nodes of a graph by others, some of which may be its own."""
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
