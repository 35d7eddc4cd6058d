"""A script that runs in a fork, as most of these tests' scripts do, shows what the same one shows as a new process."""

import os
import signal
import subprocess

import numpy as np
import pytest
from conftest import forked_scripts, run_script, start_script, wait_for

pytestmark = pytest.mark.skipif(not forked_scripts.AVAILABLE, reason="scripts do not run in forks on this system")

ENDS = {
    "returns": "",
    "status": "sys.exit(3)",
    "text": "sys.exit('one line')",
    "nothing": "sys.exit()",
    "error": "raise ValueError('no')",
    "interrupt": "raise KeyboardInterrupt",
    "signal": "os.kill(os.getpid(), 15)",
    "at once": "os._exit(7)",
    "at exit": "import atexit; atexit.register(print, 'the end'); sys.exit(2)",
    "thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_fork_ends_as_a_new_process(tmp_path, monkeypatch, end):
    monkeypatch.setenv("OF_THIS_TEST", "é\udce9")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "print(__name__, sys.argv, sys.path, os.getcwd(), os.environ['OF_THIS_TEST'].encode('utf-8', 'replace'))\n"
        "print(sys.stdin.read(), sys.stdout.encoding, sys.stderr.encoding, sorted(os.listdir('/proc/self/fd'))[:3])\n"
        f"print('to stderr', file=sys.stderr)\n{ENDS[end]}\n"
    )
    results = [run_script(script, "--flag", "a b", "", "é", cwd=tmp_path, new=new) for new in (False, True)]
    statuses, outputs = ([getattr(result, name) for result in results] for name in ("returncode", "stdout"))
    assert statuses[0] == statuses[1]
    assert outputs[0] == outputs[1]
    errors = [result.stderr.splitlines() for result in results]
    assert (errors[0][0], errors[0][-1]) == (errors[1][0], errors[1][-1])
    assert all(("Traceback (most recent call last):" in lines) == (end in ("error", "interrupt")) for lines in errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_a_fork(tmp_path, number):
    (tmp_path / "script.py").write_text(
        "import pathlib, time\npathlib.Path('ready').touch()\ntry:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n    raise SystemExit(5)\n"
    )
    process = start_script(tmp_path / "script.py", cwd=tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.01)
    wait_for(lambda: (tmp_path / "ready").exists(), process)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert (process.returncode, stdout) == (5, "interrupted\n")
    else:
        assert (process.returncode, stdout) == (-number, "")
    process.kill()  # what has ended is left alone


def test_forks_draw_different_numbers(tmp_path):
    (tmp_path / "script.py").write_text("import random, numpy\nprint(random.random(), numpy.random.random())\n")
    drawn = np.array([run_script(tmp_path / "script.py", check=0).stdout.split() for _ in range(2)])
    assert (drawn[0] != drawn[1]).all()


def test_what_python_reads_as_it_starts_asks_for_a_new_process(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("import sys\nprint('tensorflow' in sys.modules, sys.stdout.encoding)\n")
    assert run_script(tmp_path / "script.py", check=0).stdout.startswith("True ")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert run_script(tmp_path / "script.py", check=0).stdout.split() == ["False", "iso8859-1"]
    assert os.environ["PYTHONIOENCODING"] == "latin-1"
