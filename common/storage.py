"""Files that are whole or absent, locks, and the manifest of what a folder was made with."""

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import filelock

from common.cli import UserError

LOCK_NAME = ".lock"
_RUN_NAME = ".partial-run-"
_LONGEST_NAME = 255  # bytes, of all file systems in use
_SAVE_SECONDS = 1.0

_run_of_task: ContextVar[Path | None] = ContextVar("run_of_task", default=None)


class FileInUse(UserError):
    """Another process is writing the file."""


class RunEnded(Exception):
    """A task was to write a file for a run that has ended, or whose folder this machine does not see."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, durable: bool = True) -> Iterator[Path]:
    """Write a file as a whole or not at all.

    A run that is killed leaves `path` as it was. The temporary name begins with `.partial-` and keeps the extension,
    from which some writers infer the format.

    Args:
        path: the file. Its folder is made if need be.
        durable: whether the file must survive a power cut once the block has ended: it and its folder are synced to the
            disk. That takes milliseconds; files that are quickly made again do without.

    Yields:
        A path in the same folder to write to. It is renamed to `path` when the block ends without an error.

    Raises:
        RunEnded: in a task (see `write_for`) whose run has ended.
    """
    path = Path(path)
    run = check_run()
    path.parent.mkdir(parents=True, exist_ok=True)
    # A task that is thought lost is run once more elsewhere, so that two may write the same file.
    partial = _companion(path, f".partial-{uuid.uuid4().hex[:12]}-" if run else ".partial-")
    try:
        yield partial
        if durable:
            sync(partial)
        check_run()
        os.replace(partial, path)
        if durable and os.name == "posix":
            sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def lock(folder: Path, name: str = LOCK_NAME) -> Iterator[None]:
    """Keep other processes out of an output folder while the block runs.

    The lock ends with the process, however that ends. Its file, which is empty, stays.

    Args:
        folder: made if need be.
        name: name of the lock's file.

    Raises:
        UserError: if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(folder / name, timeout=0)
    try:
        held.acquire()
    except filelock.Timeout:
        raise UserError(f"{folder} is in use by another run; wait for its end, or choose another folder") from None
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same file while the block runs.

    The lock ends with the process, however that ends. Its file is removed with the block.

    Args:
        path: the file. Its folder is made if need be.

    Raises:
        FileInUse: if another process holds the lock.
    """
    companion = _companion(path, ".lock-")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(path.parent, companion.name))
        except UserError:
            raise FileInUse(f"{path} is being written by another run; wait for its end, or choose another") from None
        held.callback(companion.unlink, missing_ok=True)  # before the release: afterwards, it may be another's
        yield


def remove_stale_lock(path: Path) -> None:
    """Remove the lock file that a killed run left next to a finished file, unless another process holds the lock."""
    if _companion(path, ".lock-").exists():
        with contextlib.suppress(UserError, OSError), lock_file(path):
            pass


@contextlib.contextmanager
def open_run(folder: Path) -> Iterator[Path]:
    """Mark an output folder, which is locked, as that of a run whose tasks other processes do.

    Such tasks outlive a run that is killed. What they write must not mix with what the next run writes: with the end of
    the mark, they write nothing more.

    Yields:
        The mark, an empty file, for `write_for`. It is removed with the block.
    """
    mark = folder / f"{_RUN_NAME}{uuid.uuid4().hex}"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def end_runs(folder: Path) -> None:
    """Remove the marks that killed runs left in a folder; only for who holds the folder's lock."""
    for mark in folder.glob(f"{_RUN_NAME}*"):
        mark.unlink(missing_ok=True)


@contextlib.contextmanager
def write_for(run: Path) -> Iterator[None]:
    """Let the files that the block writes count only as long as the run is there that wants them.

    Args:
        run: the mark that `open_run` gave to the run.

    Raises:
        RunEnded: if the mark is not there.
    """
    token = _run_of_task.set(run)
    try:
        check_run()
        yield
    finally:
        _run_of_task.reset(token)


def check_run() -> Path | None:
    """Return the mark of the run that a task writes for; None outside of tasks.

    Raises:
        RunEnded: if the mark is not there.
    """
    run = _run_of_task.get()
    if run and not run.exists():
        raise RunEnded(f"{run.parent} is not the folder of the run, or the run has ended")
    return run


def _companion(path: Path, prefix: str) -> Path:
    """Return the name of a hidden file next to `path`, with its extension; of a long name, a hash is taken."""
    companion = path.with_name(prefix + path.name)
    if len(os.fsencode(companion.name)) <= _LONGEST_NAME:
        return companion
    return path.with_name(f"{prefix}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{path.suffix}")


def remove_partial(folder: Path, recursive: bool = True) -> None:
    """Remove what killed runs left in a folder and its subfolders; only for who holds the folder's lock."""
    for partial in folder.rglob(".partial-*") if recursive else folder.glob(".partial-*"):
        if partial.is_file():
            partial.unlink(missing_ok=True)


def is_plain(name: str) -> bool:
    """Tell whether a name from a file is that of something in a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and Path(name).name == name


def sync(path: Path) -> None:
    """Sync a file or a folder to the disk, to survive a power cut; not all file systems can sync folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_write(path) as partial:
        dump_json(partial, value)


def dump_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to a path that `atomic_write` gave."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    # Bytes of file names that are not UTF-8 are lone surrogates, which become JSON's own escapes (\udce9).
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: if the file holds anything else.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # a RecursionError: thousands of nested brackets
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged: not JSON ({reason}); remove it or restore it") from None
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
        self._saved, self._save_seconds = 0.0, 0.0
        self.existed = self.path.exists()
        if self.existed:
            recorded = {**self.replaced, **read_json(self.path)}
            old = recorded["settings"]
            entries = recorded["entries"]
            if not isinstance(old, dict) or not isinstance(entries, dict):
                raise UserError(f"{self.path} is damaged: settings and entries must be objects; restore or remove it")
            if not all(isinstance(entry, dict) for entry in entries.values()):
                raise UserError(f"{self.path} is damaged: each entry must be an object; restore or remove it")
            if overwrite:
                self.replaced = recorded
            elif old == self.settings:
                self.entries = entries
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
            if entry and entry.get(source_key) == source and is_complete(name, entry):
                continue
            changed += entry is not None and entry.get(source_key) != source
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
        started = time.monotonic()
        write_json(self.path, {"settings": self.settings, "entries": dict(sorted(self.entries.items()))})
        self._saved = time.monotonic()
        self._save_seconds = self._saved - started

    def save_soon(self) -> None:
        """Write the manifest unless that was done a moment ago.

        A large manifest is written less often, so that all writing takes at most a twentieth of the time. The entries
        since the last time are lost if the run is killed; their items are then made again. Call `save` at the end.
        """
        if time.monotonic() - self._saved > max(_SAVE_SECONDS, 20 * self._save_seconds):
            self.save()
