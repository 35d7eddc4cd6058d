"""Files that are whole or absent, locks, and manifests."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPOSITORY, one_line

from common import storage
from common.cli import UserError


def start(code, *arguments):
    """Starts a process that runs code in the repository, and waits until it has written a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_written_as_a_whole(tmp_path, durable):
    path = tmp_path / "new" / "file.txt"
    with storage.atomic_write(path, durable) as partial:
        assert partial.parent == path.parent and partial.suffix == ".txt"
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(error), storage.atomic_write(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "before" and names(tmp_path) == ["file.txt"]


def test_a_process_that_is_killed_leaves_what_was_there_and_a_partial_file(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    path.parent.mkdir()
    path.write_text("before")
    code = (
        "import sys, time; from common import storage\n"
        "with storage.atomic_write(sys.argv[1]) as partial:\n"
        "    partial.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    kill(start(code, path))
    assert path.read_text() == "before"
    assert names(path.parent) == [".partial-file.txt", "file.txt"]
    storage.remove_partial(tmp_path)
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("name", ["n" * 251 + ".wav", "曲" * 83 + ".wav", "caf\udce9.wav", "-dash.wav", "a\nb.wav"])
def test_any_name_that_the_disk_takes_can_be_written(tmp_path, name):
    with storage.atomic_write(tmp_path / name) as partial:
        assert partial.suffix == ".wav" and partial.name.startswith(".partial-")
        partial.write_text("whole")
    assert names(tmp_path) == [name]


def test_long_names_with_the_same_beginning_have_partial_files_of_their_own(tmp_path):
    first, second = (tmp_path / ("n" * 250 + end) for end in "ab")
    with storage.atomic_write(first) as one, storage.atomic_write(second) as two:
        one.write_text("a")
        two.write_text("b")
    assert (first.read_text(), second.read_text()) == ("a", "b")


def test_durable_files_and_their_folders_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    path, calls = tmp_path / "file.txt", []
    fsync, replace = os.fsync, os.replace

    def record_sync(descriptor):
        calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def record_rename(*paths):
        calls.append("rename")
        replace(*paths)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_rename)
    with storage.atomic_write(path) as partial:
        partial.write_text("whole")
    assert calls == [".partial-file.txt", "rename", tmp_path.name]
    calls.clear()
    with storage.atomic_write(path, durable=False) as partial:
        partial.write_text("whole")
    assert calls == ["rename"]


def test_a_folder_is_for_one_process_at_a_time(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from common import storage\n"
        "with storage.lock(Path(sys.argv[1])):\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    folder = tmp_path / "made"
    other = start(code, folder)
    try:
        started = time.monotonic()
        with pytest.raises(UserError, match="is in use by another run") as error, storage.lock(folder):
            pytest.fail("two processes hold the lock")
        assert str(folder) in one_line(str(error.value)) and time.monotonic() - started < 5
        with storage.lock(tmp_path / "elsewhere"):
            pass
    finally:
        kill(other)
    with storage.lock(folder):  # the lock has ended with the process
        pass
    with pytest.raises(ValueError), storage.lock(folder):
        raise ValueError
    with storage.lock(folder):  # and with the block
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": "\xe9"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b"3",
        b"null",
        b'"text"',
        b"\x00" * 100,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_json_object_is_one_line(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged") as error:
        storage.read_json(path)
    assert str(path) in one_line(str(error.value))


def test_json_keeps_every_name(tmp_path):
    value = {"café 曲": 1, "caf\udce9": "\udcff", "a\nb": [1.5, None]}
    storage.write_json(tmp_path / "file.json", value)
    assert storage.read_json(tmp_path / "file.json") == value
    (tmp_path / "file.json").read_bytes().decode()  # it is UTF-8
    assert "café 曲" in (tmp_path / "file.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        {"settings": [], "entries": {}},
        {"settings": 3},
        {"settings": None, "entries": {}},
        {"settings": {}, "entries": []},
        {"entries": "text"},
        {"settings": {}, "entries": {"a": 3}},
        {"settings": {}, "entries": {"a": [1]}},
        {"settings": {}, "entries": {"a": None}},
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_damaged_manifest_is_one_line(tmp_path, content, overwrite):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="is damaged") as error:
        storage.Manifest(path, {}, overwrite)
    assert str(path) in one_line(str(error.value))


def test_a_manifest_goes_on_with_the_same_settings_alone(tmp_path):
    path = tmp_path / "manifest.json"
    manifest = storage.Manifest(path, {"rate": 1, "pair": (1, 2)})
    assert not manifest.existed
    manifest.entries["b"], manifest.entries["a"] = {"hash": "x"}, {"hash": "y"}
    manifest.save()
    again = storage.Manifest(path, {"rate": 1, "pair": (1, 2)})
    assert again.existed and list(again.entries) == ["a", "b"]
    with pytest.raises(UserError, match="rate 1 then, 2 now") as error:
        storage.Manifest(path, {"rate": 2, "pair": (1, 2)})
    one_line(str(error.value))
    replaced = storage.Manifest(path, {"rate": 2}, overwrite=True)
    assert replaced.entries == {} and list(replaced.replaced["entries"]) == ["a", "b"]


def test_pending_items_are_new_changed_or_incomplete(tmp_path):
    manifest = storage.Manifest(tmp_path / "manifest.json", {})
    manifest.entries = {name: {"hash": 1} for name in ("same", "changed", "incomplete")}
    sources = {"same": 1, "changed": 2, "incomplete": 1, "new": 1}
    pending, changed = manifest.pending(sources, "hash", lambda name, entry: name != "incomplete")
    assert (pending, changed) == (["changed", "incomplete", "new"], 1)


def test_a_manifest_is_not_written_anew_for_each_entry(tmp_path, monkeypatch):
    now, writes = [1000.0], []

    def write(path, value):
        writes.append(len(value["entries"]))
        now[0] += 0.1  # a large manifest

    monkeypatch.setattr(storage, "write_json", write)
    monkeypatch.setattr(storage.time, "monotonic", lambda: now[0])
    manifest = storage.Manifest(tmp_path / "manifest.json", {})
    for number in range(1000):
        now[0] += 0.05
        manifest.entries[str(number)] = {}
        manifest.save_soon()
    assert 20 <= len(writes) <= 30  # 50 s of work; each time 0.1 s, at most a twentieth
    manifest.save()
    assert writes[-1] == 1000


def test_a_task_writes_only_as_long_as_its_run_is_there(tmp_path):
    path = tmp_path / "file.txt"
    with storage.open_run(tmp_path) as run, storage.write_for(run):
        with storage.atomic_write(path) as one, storage.atomic_write(path) as twin:  # tried twice at the same time
            one.write_text("whole")
            twin.write_text("whole")
        with pytest.raises(storage.RunEnded), storage.atomic_write(path) as partial:
            partial.write_text("late")
            storage.end_runs(tmp_path)  # as the next run does
        with pytest.raises(storage.RunEnded), storage.atomic_write(path):
            pass
    assert path.read_text() == "whole" and names(tmp_path) == ["file.txt"]
    with pytest.raises(storage.RunEnded), storage.write_for(run):
        pass
    with storage.atomic_write(path) as partial:  # outside of tasks
        partial.write_text("new")
    assert path.read_text() == "new"
