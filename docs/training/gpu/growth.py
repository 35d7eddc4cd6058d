"""A wider generator that begins as a narrower one.

Weights are dict of `<layer>/<index>` to arrays in Keras's layout.
"""

from collections.abc import Mapping

import numpy as np

_N_DECODER = 8  # layers of the decoder, the last one included


def grow(weights: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put the weights of a generator into those of a wider one, which then computes the same.

    The filters that are added see all channels, as they were drawn; what was there does not see them, until it learns
    to: those weights are 0.

    Args:
        weights: of the narrower network, in Keras's layout.
        drawn: of the wider one, for example what `to_keras` returns of a new network.

    Returns:
        dict of the keys of `drawn` to arrays of their shapes.
    """
    result = {}
    for key, wide in drawn.items():
        if key not in weights:  # noise
            result[key] = wide
            continue
        narrow, wide = np.asarray(weights[key], np.float32), wide.copy()
        if narrow.ndim != 4:  # of a channel each, in the last axis
            wide[..., : narrow.shape[-1]] = narrow
            result[key] = wide
            continue
        axes = (3, 2) if key.startswith(("up", "last")) else (2, 3)  # of the input and the output
        seen = _seen_channels(key.partition("_conv")[0].partition("/")[0], weights, drawn, narrow.shape[axes[0]])
        narrow, view = (np.moveaxis(array, axes, (0, 1)) for array in (narrow, wide))
        view[:, : narrow.shape[1]] = 0
        view[seen, : narrow.shape[1]] = narrow
        result[key] = wide
    return result


def _seen_channels(
    layer: str, weights: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray], n_in: int
) -> np.ndarray:
    """Return the channels of what a wider layer sees that are those of the narrower one."""
    number = _N_DECODER if layer == "last" else int(layer[-1])
    if layer.startswith("down") or number == 1:
        return np.arange(n_in)
    before, after = (array[f"up{number - 1}_conv/0"].shape[2] for array in (weights, drawn))
    return np.concatenate([np.arange(before), after + np.arange(n_in - before)])
