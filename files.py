"""Files that are whole or absent, and the record of what a folder was made with."""

import contextlib
import json
import os
from pathlib import Path

from cli import UserError


@contextlib.contextmanager
def replacing(path):
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends without an error.

    A run that is killed leaves `path` as it was. The temporary name starts with `.partial-` and keeps the ending,
    which some writers judge the format by.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path, value):
    """Writes `value` as indented JSON, atomically."""
    with replacing(path) as partial:
        dump_json(partial, value)


def dump_json(path, value):
    """Writes `value` as indented JSON to a path that `replacing` gave."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path):
    """Reads a JSON object; a `UserError` if the file is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: not JSON ({error}); remove it or restore it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object; remove it or restore it")
    return value


def fingerprint(path):
    """Size and time of change of a file, by which a `Record` tells whether it is the same: list of two ints."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


class Record:
    """What a folder was made with: the settings of the run and an entry for each item that is whole.

    A run opens the record of its output folder, skips the items whose entry is still right, and adds an entry when an
    item is whole. A file without an entry is a leftover of a run that was killed, and is made again.

    Attributes:
        entries: dict of item name to what is known of the item (JSON values).
        replaced: the record that this one takes the place of (with `overwrite`): dict of `settings` and `entries`.
    """

    def __init__(self, path, settings, overwrite=False):
        """Opens the record at `path`, or starts one.

        Raises:
            UserError: if the record that exists was made with other settings and `overwrite` is false.
        """
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))  # as it will be read back: tuples are lists
        self.entries, self.replaced = {}, {"settings": {}, "entries": {}}
        self.existed = self.path.exists()
        if self.existed:
            recorded = {**self.replaced, **read_json(self.path)}
            old = recorded["settings"]
            if overwrite:
                self.replaced = recorded
            elif old == self.settings:
                self.entries = recorded["entries"]
            else:
                changed = [key for key in {**old, **self.settings} if old.get(key) != self.settings.get(key)]
                differences = "; ".join(f"{key} {old.get(key)} then, {self.settings.get(key)} now" for key in changed)
                raise UserError(
                    f"{self.path.parent} was made with other settings ({differences}): "
                    "choose another folder, or replace what is there with --overwrite"
                )

    def save(self):
        write_json(self.path, {"settings": self.settings, "entries": dict(sorted(self.entries.items()))})
