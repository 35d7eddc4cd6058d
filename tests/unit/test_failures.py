"""The boundary of a script: what is expected is one line, what is not keeps its traceback."""

import errno
import os
import subprocess
import sys

import pytest
import soundfile
import tensorflow as tf
from conftest import REPOSITORY, one_line

from common import cli, failures


def run(main, monkeypatch, capsys):
    """Runs `main` as a script: exit status, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/script.py"])
    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    return stop.value.code, *capsys.readouterr()


def fail_with(error):
    def main():
        raise error

    return main


def os_error(number, name=None):
    return OSError(number, os.strerror(number), name)


EXPECTED = {
    "full disk": (os_error(errno.ENOSPC, "out.wav"), "out.wav: no space left on device"),
    "full disk, no name": (os_error(errno.ENOSPC), "no space left on device"),
    "no permission": (os_error(errno.EACCES, "out.wav"), "out.wav: permission denied"),
    "read-only disk": (os_error(errno.EROFS, "out.wav"), "out.wav: read-only file system"),
    "vanished": (os_error(errno.ENOENT, "in.wav"), "in.wav: no such file or directory"),
    "name too long": (os_error(errno.ENAMETOOLONG, "n.wav"), "n.wav: file name too long"),
    "text alone": (OSError("cannot be written"), "cannot be written"),
    "memory": (MemoryError(), "not enough memory"),
    "libsndfile": (soundfile.LibsndfileError(2, "out.wav: "), "System error"),
    "device memory": (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore lines"), "OOM when"),
    "TensorFlow's file": (tf.errors.NotFoundError(None, None, "a.npy; No such file"), "a.npy; No such file"),
    "damaged data": (tf.errors.DataLossError(None, None, "truncated block"), "truncated block"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_expected_failure_is_one_line_and_status_1(monkeypatch, capsys, name):
    error, message = EXPECTED[name]
    status, _, errors = run(fail_with(error), monkeypatch, capsys)
    assert status == 1
    assert message in one_line(errors)
    assert errors.startswith("script.py: ")


def test_a_wrong_call_is_status_2_and_success_0(monkeypatch, capsys):
    status, _, errors = run(fail_with(cli.UserError("--output out is a file")), monkeypatch, capsys)
    assert (status, errors) == (2, "script.py: --output out is a file\n")
    assert [run(lambda value=value: value, monkeypatch, capsys)[0] for value in (None, 0, 1)] == [0, 0, 1]
    status, _, errors = run(fail_with(KeyboardInterrupt()), monkeypatch, capsys)
    assert status == 1 and "finished files are kept" in one_line(errors)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("x"), KeyError("x"), RuntimeError("x"), AssertionError(), TypeError("x")),
        tf.errors.InvalidArgumentError(None, None, "shapes do not match"),
    ],
)
def test_a_defect_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(type(error)):
        cli.run(fail_with(error))


def test_libraries_that_are_not_loaded_stay_so():
    code = (
        "import sys; from common import failures; failures.expected(); failures.describe(OSError('x'), '.');"
        "assert not {'tensorflow', 'soundfile', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_a_full_disk_is_told_from_other_errors(monkeypatch, tmp_path):
    path = tmp_path / "not" / "there" / "yet.wav"
    error = soundfile.LibsndfileError(2)
    assert "no space" not in failures.describe(error, path)
    monkeypatch.setattr(failures, "_LEAST_FREE", 1 << 80)
    assert failures.describe(error, path).startswith(f"{path}: no space left on the disk")
    assert "no space" not in failures.describe(error)


def test_the_places_in_tensorflows_graphs_are_left_out():
    places = "{{function_node __inference_read_1}} " * 2 + "{{node ReadFile}} "
    error = tf.errors.NotFoundError(None, None, f"{places}a_000.npy; No such file or directory\n\t [[ReadFile]]")
    assert failures.describe(error) == "a_000.npy; No such file or directory"


def piped(code, expected):
    """Runs code whose output nobody reads to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"from common import cli\n{code}\ncli.run(main)"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (expected, "")


@pytest.mark.parametrize("count", [1, 100_000])  # the first is written when the process ends
def test_a_reader_that_goes_is_no_error_to_speak_of(count):
    piped(f"def main():\n    import time; time.sleep(0.3)\n    for _ in range({count}): print('line')", expected=1)


def test_names_that_the_terminal_cannot_show_are_printed_somehow():
    code = "from common import cli\ndef main(): print('caf\\udce9 \\u66f2')\ncli.run(main)"
    for encoding in ("utf-8", "ascii"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, check=True
        )
        assert b"caf\\udce9" in result.stdout and not result.stderr


@pytest.mark.parametrize("text", ["-1", "4294967296", "1.5", "x"])
def test_a_seed_is_what_every_generator_takes(text):
    with pytest.raises((cli.argparse.ArgumentTypeError, ValueError)):
        cli.seed(text)
    assert (cli.seed("0"), cli.seed("4294967295")) == (0, 2**32 - 1)


def test_a_name_with_a_newline_is_one_line(monkeypatch, capsys):
    for error in (cli.UserError("--input a\nb.wav is not a file"), os_error(errno.ENOENT, "a\nb.wav")):
        _, _, errors = run(fail_with(error), monkeypatch, capsys)
        assert "b.wav" in one_line(errors)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_streams_are_neither_an_error_nor_written_to(tmp_path, closed):
    code = (
        "import os\nfrom common import cli\n"
        "def main():\n"
        "    with open(os.environ['FILE'], 'w') as file:\n"
        "        print('out'); print('errors', file=__import__('sys').stderr); file.write('whole')\n"
        "    return 3\n"
        "cli.run(main)"
    )
    path = tmp_path / "file.txt"
    result = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}>&-', sys.executable, code],
        cwd=REPOSITORY,
        env={**os.environ, "FILE": str(path)},
        capture_output=True,
    )
    assert (result.returncode, path.read_text()) == (3, "whole")
    assert (result.stdout, result.stderr) == (b"" if closed == 1 else b"out\n", b"" if closed == 2 else b"errors\n")


def test_what_is_no_file_is_said(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    reasons = {name: failures.why_no_file(tmp_path / name) for name in ("file", "", "loop", "dangling", "gone", "pipe")}
    assert reasons == {
        "file": None,
        "": "is a folder",
        "loop": "too many levels of symbolic links",
        "dangling": "is a link to nothing",
        "gone": "has vanished",
        "pipe": "is a pipe or a device, not a file",
    }
