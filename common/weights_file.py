"""HDF5 files of weights, which may come from anywhere: what they hold is checked before it takes memory."""

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from common import representations
from common.cli import UserError

if TYPE_CHECKING:
    import keras

LARGEST_WEIGHT = 1e6  # of the shipped models 391, a variance; a thousand times as much saturates every output
_DAMAGED = (OSError, RuntimeError, KeyError, TypeError, ValueError)  # what h5py raises for what it cannot read


@contextlib.contextmanager
def open_weights(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read weights from.

    Within the block, whatever h5py raises, or a ValueError, says that the file is damaged.

    Raises:
        UserError: if it is damaged, or no HDF5 file.
        OSError: if there is no permission to read it.
    """
    with open(path, "rb"):  # h5py's error for a file without permission does not name it
        pass
    if not h5py.is_hdf5(path):
        raise UserError(f"{path} is not an HDF5 file; it must hold the weights of a network")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _DAMAGED as error:
        raise UserError(f"{path} does not hold the weights of a network, or is damaged: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def find_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Find all datasets of a file; nothing of them is read.

    Returns:
        dict of full name to dataset.

    Raises:
        ValueError: if the file refers to other places: links, or data outside of it. Weights are in the file itself,
            and another's file has no business with others on this machine.
    """
    datasets, groups, seen = {}, [file], set()
    while groups:
        group = groups.pop()
        for key in group:
            name = f"{group.name.rstrip('/')}/{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is a link to another place, which is not followed")
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise ValueError(f"{name} is there under another name, too")
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise ValueError(f"{name} has its data in another file, which is not read")
                datasets[name] = item
    return datasets


def find_weights(file: h5py.File) -> list[h5py.Dataset]:
    """Find the weights in a `.weights.h5` file of Keras 3.

    Raises:
        ValueError: as `find_datasets` and `check_stored`.
    """
    # The states of seed generators (dropout) are no weights.
    weights = [dataset for name, dataset in find_datasets(file).items() if "seed_generator" not in name]
    check_stored(weights)
    return weights


def find_legacy_weights(group: h5py.Group) -> list[h5py.Dataset]:
    """Find the weights that TensorFlow 2.0 wrote: for each layer (a nested Sequential) trainable ones, then others.

    Raises:
        ValueError: as `find_datasets` and `check_stored`.
    """
    datasets = find_datasets(group.file)
    weights = []
    for layer_name in _names(group, "layer_names"):
        layer = group[layer_name]
        for weight_name in _names(layer, "weight_names"):
            name = layer[weight_name].name
            if name not in datasets:
                raise ValueError(f"{name} is a group and no weight")
            weights.append(datasets[name])
    check_stored(weights)
    return weights


def _names(item: h5py.Group | h5py.Dataset, attribute: str) -> list[str]:
    """Read an attribute that lists names."""
    names = np.atleast_1d(item.attrs[attribute])
    if names.dtype.kind not in "SOU" and names.size:
        raise ValueError(f"the attribute {attribute} of {item.name} holds no names")
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def check_stored(weights: Collection[h5py.Dataset]) -> None:
    """Check that weights are numbers, and that the file holds them rather than only their shapes.

    Raises:
        ValueError: if not.
    """
    for dataset in weights:
        if dataset.shape is None or dataset.dtype.kind != "f":
            raise ValueError(f"{dataset.name} does not hold floating-point numbers")
    # Weights hardly compress; a file with a fourth of the bytes promises what it does not have.
    needed = sum(dataset.size * dataset.dtype.itemsize for dataset in weights)
    stored = sum(dataset.id.get_storage_size() for dataset in weights)
    if needed > 4 * stored:
        raise ValueError(f"it has {stored} of the {needed} bytes of its weights")


def generator_size(weights: Sequence[h5py.Dataset]) -> tuple[dict[str, int], str | None]:
    """Infer the size of a generator from the shapes of its weights.

    Returns:
        dict with `base_filters`, `n_inputs` and, if the filters of its layers are limited, `max_filters`; and the
        representation of the phase that it predicts; None for none.

    Raises:
        ValueError: if they are not those of a generator.
    """
    kernels = [dataset.shape for dataset in weights if len(dataset.shape) == 4]
    base_filters = min((shape[3] for shape in kernels), default=0)  # of the first layer
    max_filters = max((shape[3] for shape in kernels), default=0) // 2  # the widest: into the decoder's 2nd to 4th
    n_inputs, representation = find_images(kernels, base_filters)
    fits = n_inputs and 2 * base_filters < max_filters <= 8 * base_filters
    if not fits or sum(dataset.size for dataset in weights) < _n_kernel_weights(base_filters, max_filters):
        raise ValueError(f"its {len(weights)} arrays are not those of a generator")
    limit = {"max_filters": max_filters} if max_filters < 8 * base_filters else {}
    return {"base_filters": base_filters, "n_inputs": n_inputs, **limit}, representation


def _n_kernel_weights(base_filters: int, max_filters: int) -> int:
    """Count the weights of a generator's kernels, without what sees the inputs and what generates the output."""
    widths = [min(base_filters << number, max_filters) for number in range(8)]
    encoder = sum(narrow * wide for narrow, wide in itertools.pairwise(widths))
    # The decoder has the same layers backwards, which also see the skips; the innermost has none.
    return 16 * (3 * encoder - widths[-1] * widths[-2])


def find_images(kernels: Collection[tuple[int, ...]], base_filters: int) -> tuple[int, str | None]:
    """Find how many images a generator takes, by the shapes of its kernels, and how they represent a phase.

    Returns:
        The number, 0 if they are not those of a generator, and the representation; None for images without a phase.
    """
    first = [shape[2] for shape in kernels if shape[3] == base_filters]
    # The second layer, which sees `base_filters`, and the last one, transposed.
    last = [shape[2] for shape in kernels if shape[3] == 2 * base_filters]
    if len(first) != 1 or len(last) != 2 or base_filters not in last:
        return 0, None
    last.remove(base_filters)
    return representations.of_kernels(first[0], last[0])


def discriminator_filters(weights: Sequence[h5py.Dataset], n_seen: int = 2) -> int:
    """Infer the filters of a discriminator's first layer from the shapes of its weights.

    Args:
        weights: all of them.
        n_seen: channels that the first layer sees, of both images together.

    Raises:
        ValueError: if they are not those of a discriminator.
    """
    # The first layer sees two images. With as many filters as channels, another one sees as many, and has more filters.
    first = [dataset.shape[3] for dataset in weights if len(dataset.shape) == 4 and dataset.shape[2] == n_seen]
    if not first:
        raise ValueError(f"its {len(weights)} arrays are not those of a discriminator")
    return min(first)


def check_values(network: "keras.Model", path: Path) -> None:
    """Check that the weights that a network has loaded are numbers with which it can compute.

    Raises:
        UserError: if one is not finite, larger than `LARGEST_WEIGHT`, or a negative variance.
    """
    for variable in network.weights:
        if "seed_generator" in variable.path:
            continue
        check_array(variable.numpy(), variable.path, path, variable.path.endswith("moving_variance"))


def check_array(values: np.ndarray, name: str, path: Path, is_variance: bool) -> None:
    """Check that the values of a weight are numbers with which a network can compute.

    Raises:
        UserError: if one is not finite, larger than `LARGEST_WEIGHT`, or a negative variance.
    """
    lowest, highest = float(values.min()), float(values.max())  # NaN if there is one
    least = 0.0 if is_variance else -LARGEST_WEIGHT
    if not (least <= lowest and highest <= LARGEST_WEIGHT):
        raise UserError(
            f"{path} is damaged or of a training that diverged: {name} is from {lowest:g} to {highest:g}; "
            f"weights must be from {least:g} to {LARGEST_WEIGHT:g}"
        )
