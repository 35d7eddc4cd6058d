"""Files that are whole or absent, and the manifest of what a folder was made with."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.cli import UserError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file as a whole or not at all.

    A run that is killed leaves `path` as it was. The temporary name begins with `.partial-` and keeps the extension,
    from which some writers infer the format.

    Args:
        path: the file. Its folder is made if need be.

    Yields:
        A path in the same folder to write to. It is renamed to `path` when the block ends without an error.
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


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_write(path) as partial:
        dump_json(partial, value)


def dump_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to a path that `atomic_write` gave."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: if the file holds anything else.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: not JSON ({error}); remove it or restore it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object; remove it or restore it")
    return value


def fingerprint(path: Path) -> list[int]:
    """Return size and time of change (ns) of a file, by which a `Manifest` tells whether it is the same."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


class Manifest:
    """What a folder was made with: the settings of the run, and an entry for each item that is complete.

    A run opens the manifest of its output folder, skips the items whose entry is up to date, and adds an entry when an
    item is complete. A file without an entry was left by a run that was killed, and is made again.

    Attributes:
        path: the JSON file.
        settings: the settings of the run, as JSON holds them.
        existed: whether the file was there when it was opened.
        entries: dict of item name to what is known of the item (JSON values).
        replaced: the manifest that this one replaces (with `overwrite`): dict of `settings` and `entries`.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        """Open the manifest at `path`, or start one.

        Args:
            path: the JSON file.
            settings: the settings of this run (JSON values).
            overwrite: whether a manifest with other settings may be replaced.

        Raises:
            UserError: if the folder was made with other settings and `overwrite` is false.
        """
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))  # as it is read back: tuples become lists
        self.entries: dict[str, Any] = {}
        self.replaced: dict[str, Any] = {"settings": {}, "entries": {}}
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

    def pending(
        self, sources: Mapping[str, Any], source_key: str, is_complete: Callable[[str, dict], bool]
    ) -> tuple[list[str], int]:
        """Find the items that are yet to be made.

        Args:
            sources: dict of item name to what identifies its source: a hash, or a `fingerprint`.
            source_key: the key of that in an entry.
            is_complete: function of an item's name and its entry that tells whether all its files are there.

        Returns:
            The names of the items to make, and how many of them were made before from another source.
        """
        names, changed = [], 0
        for name, source in sources.items():
            entry = self.entries.get(name)
            if entry and entry[source_key] == source and is_complete(name, entry):
                continue
            changed += entry is not None and entry[source_key] != source
            names.append(name)
        return names, changed

    def refuse_foreign_files(self, paths: Iterable[Path]) -> None:
        """Refuse to replace files in a folder without a manifest: the script did not make them.

        Args:
            paths: files that exist where the run would write.

        Raises:
            UserError: if the folder had no manifest and there is any such file.
        """
        path = next(iter(paths), None)
        if path and not self.existed:
            raise UserError(f"{path} exists and was not made by this script: choose another folder, or --overwrite it")

    def save(self) -> None:
        """Write the manifest, atomically."""
        write_json(self.path, {"settings": self.settings, "entries": dict(sorted(self.entries.items()))})
