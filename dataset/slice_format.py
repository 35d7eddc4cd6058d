"""What slice files hold: log-magnitude, or log-magnitude and phase."""

import functools
import io
import os
from typing import NamedTuple

import numpy as np

import data


class SliceFormat(NamedTuple):
    """A kind of slice files. Kinds are never mixed: features.json has the shape, and so has each file.

    Attributes:
        shape: bins, frames, channels.
        flag: the flag of compute_features.py that makes such files, for messages; empty for none.
    """

    shape: tuple[int, int, int]
    flag: str

    @property
    def header(self) -> bytes:
        """What such a .npy file begins with, whatever NumPy version wrote it."""
        return _make_header(self.shape)

    @property
    def n_bytes(self) -> int:
        """The size of such a file."""
        return _count_bytes(self.shape)

    def __str__(self) -> str:
        return f"float16 slice of {self.shape}"

    def is_slice(self, entry: os.DirEntry) -> bool:
        """Tell whether a file is such a slice: float16, of this shape, in C order, of the right size.

        The values are not read; the input pipeline checks them.
        """
        if not entry.is_file():  # a pipe would block, a dead link cannot be opened
            return False
        descriptor = os.open(entry.path, os.O_RDONLY)  # half the time of a file object
        try:
            header = self.header
            return os.fstat(descriptor).st_size == self.n_bytes and os.read(descriptor, len(header)) == header
        finally:
            os.close(descriptor)


@functools.cache
def _make_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.empty(shape, np.float16))
    return file.getvalue()[: file.getvalue().index(b"\n") + 1]


@functools.cache  # it is asked for each of hundreds of thousands of files
def _count_bytes(shape: tuple[int, ...]) -> int:
    return len(_make_header(shape)) + 2 * int(np.prod(shape))


MAGNITUDE = SliceFormat(data.SLICE_SHAPE, "")
WITH_PHASE = SliceFormat(data.PHASE_SLICE_SHAPE, " --phase")
