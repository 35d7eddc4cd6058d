"""The size of a generator, as the shapes of its stored weights tell it."""

from types import SimpleNamespace

import numpy as np
import pytest

from common.cli import UserError
from common.weights import load_generator, save_model
from common.weights_file import generator_size
from model import Generator


@pytest.fixture(scope="module")
def limited():
    """A generator whose inner layers have fewer filters than eight times those of the first one."""
    return Generator(4, max_filters=20)


def arrays(shapes):
    """What an HDF5 file says of arrays, without their values."""
    return [SimpleNamespace(shape=tuple(shape), size=int(np.prod(shape))) for shape in shapes]


@pytest.mark.parametrize("told", [{}, {"max_filters": 24}, {"max_filters": 20}])
def test_a_limit_of_filters_is_found_in_the_weights(limited, tmp_path, told):
    save_model(tmp_path, {"generator": limited}, {"model": {"base_filters": 4, "n_inputs": 1, **told}})
    if told != {"max_filters": 20}:
        with pytest.raises(UserError, match="'max_filters': 20"):
            load_generator(tmp_path)
        return
    loaded, config = load_generator(tmp_path)
    assert config["model"] == {"base_filters": 4, "n_inputs": 1, "max_filters": 20}
    for ours, theirs in zip(loaded.get_weights(), limited.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("max_filters", [None, 20])
def test_kernels_that_see_fewer_channels_than_they_must_are_no_generator(max_filters):
    """Their network would take more memory than the file has bytes."""
    shapes = [w.shape for w in Generator(4, max_filters=max_filters, random_init=False).get_weights()]
    assert generator_size(arrays(shapes))[0]["base_filters"] == 4
    inner = [shape for shape in shapes if len(shape) == 4 and min(shape[2:]) >= 16]
    thin = [(4, 4, 1, shape[3]) if shape in inner else shape for shape in shapes]
    with pytest.raises(ValueError, match="not those of a generator"):
        generator_size(arrays(thin))
