"""Failures that are expected of files, disks and devices, and what is said of them in one line."""

import errno
import os
import re
import shutil
import stat
import sys
from pathlib import Path

_LEAST_FREE = 1 << 20  # bytes; a disk with less is full, whatever the library's error says


def expected() -> tuple[type[BaseException], ...]:
    """Return the types of the errors that files, disks and devices raise, for an `except` clause.

    Errors of libraries are among them if the library is loaded; this module does not load any. What is not among them
    is a defect of this program and keeps its traceback.
    """
    types: list[type[BaseException]] = [OSError, MemoryError]
    if soundfile := sys.modules.get("soundfile"):
        types.append(soundfile.LibsndfileError)
    if tensorflow := sys.modules.get("tensorflow"):
        errors = tensorflow.errors
        types += [
            errors.ResourceExhaustedError,  # memory of a device, space on a disk
            errors.NotFoundError,
            errors.PermissionDeniedError,
            errors.DataLossError,
        ]
    return tuple(types)


def describe(error: BaseException, path: str | os.PathLike | None = None) -> str:
    """Say in one line what went wrong.

    Args:
        error: one of `expected`.
        path: what was written, to tell a full disk from other errors where the library does not.
    """
    if path is not None and is_full(path):
        return f"{path}: no space left on the disk; make room, and the same command goes on"
    if isinstance(error, OSError) and error.errno:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{os.strerror(error.errno).lower()}"
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = str(getattr(error, "message", "") or getattr(error, "error_string", "") or error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    return re.sub(r"^(\{\{.*?\}\} )+", "", line)[:300]  # without the places in TensorFlow's graphs


def why_no_file(path: Path) -> str | None:
    """Say why a path is not a file that can be read, without opening it; None if it is one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else "has vanished"
    except OSError as error:  # a link to itself, for example
        return os.strerror(error.errno).lower()
    if stat.S_ISREG(mode):
        return None
    return "is a folder" if stat.S_ISDIR(mode) else "is a pipe or a device, not a file"


def is_full(path: str | os.PathLike) -> bool:
    """Tell whether the disk of a file or folder is full; the file need not exist."""
    folder = Path(path)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free < _LEAST_FREE
    except OSError as error:
        return error.errno == errno.ENOSPC
