"""Running the scripts: in forks of a process that has their libraries loaded, or as new processes."""

import ctypes
import gc
import importlib
import os
import pickle
import re
import resource
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS, MIB = 60.0, 2048  # what a command may take
_ADDRESS_SPACE = 8 << 30  # bytes that a command may ask for beyond what the libraries have
_LIBRARIES = ("numpy", "scipy.signal", "soundfile", "soxr", "mido", "tqdm", "filelock", "av", "h5py")
_NETWORK_LIBRARIES = (
    *("tensorflow", "keras", "matplotlib.backends.backend_agg", "matplotlib.animation", "PIL.GifImagePlugin"),
    *("librosa.core.constantq", "librosa.core.pitch", "librosa.sequence"),
)

# What libraries print by themselves.
_STRAY = re.compile(
    r"Exception ignored|^\w*Warning\b|: \w*Warning: |fluidsynth:|mpg123|^\[\w+ @ 0x|^[WEF]0000 |^W\d{4} |object at 0x"
)
_OF_SCRIPTS = re.compile(r"\w+\.py: |failed: |\d+ .*failed|stopped|warning: |notice: |shortened: |left out: ")


class Outcome:
    """What a command did.

    Attributes:
        status: exit status; negative for a signal; None if it was killed after `SECONDS`.
        stdout: what it printed.
        stderr: what it printed there.
        seconds: how long it took.
        mib: its peak memory.
        killed: whether `kill_when` ended it.
    """

    def __init__(self, status, stdout, stderr, seconds, mib=0.0, killed=False):
        self.status, self.stdout, self.stderr = status, stdout, stderr
        self.seconds, self.mib, self.killed = seconds, mib, killed

    def __str__(self):
        tail = " / ".join(self.stderr.strip().splitlines()[-3:])[-400:]
        return f"exit {self.status}, {self.seconds:.1f} s, {self.mib:.0f} MiB: {tail or '(no stderr)'}"

    def problem(self, culprits=()):
        """Say what is wrong with the way in which a command ended; None if nothing is.

        Args:
            culprits: names of which a command that did not end with 0 must print one.
        """
        if self.status is None:
            return f"still running after {SECONDS:.0f} s"
        if self.status < 0:
            return f"died of signal {-self.status}"
        if "Traceback" in self.stderr:
            return "traceback"
        if self.mib > MIB:
            return f"took {self.mib:.0f} MiB"
        if "not enough memory" in self.stderr:
            return "asked for more than 8 GiB"
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        stray = next((line for line in lines if _STRAY.search(line)), None)
        if stray:
            return f"a stray line of a library: {stray[:120]}"
        if self.status not in (0, 1, 2):
            return f"exit status {self.status}"
        if self.status == 0:
            return None
        if not lines:
            return f"exit status {self.status} without a word"
        foreign = next((line for line in lines if not _OF_SCRIPTS.match(line)), None)
        others = [line for line in lines if not line.startswith("failed: ")]  # of a folder, a line for each file
        if foreign or len(others) > 3:
            return f"not one line, but {len(lines)}: {(foreign or lines[-1])[:120]}"
        if culprits and not any(name in self.stderr for name in culprits):
            return f"the message does not name {' or '.join(culprits)}"
        return None


def load_libraries(with_network=True):
    """Import what the scripts import, once, without starting a thread or a device."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # as common/device.py, or forks and new processes would differ
    sys.stderr.flush()
    real, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)  # TensorFlow's remarks while it loads
    try:
        for name in _LIBRARIES + (_NETWORK_LIBRARIES if with_network else ()):
            importlib.import_module(name)
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nothing)
    gc.freeze()  # or the garbage collections of each fork would copy all of it


def in_fork(function, log, kill_when=None, limits=()):
    """Call a function in a fork of this process.

    Args:
        function: called without arguments; what it returns, or gives to `sys.exit`, is the exit status.
        log: path without extension, of the files that get stdout and stderr.
        kill_when: function of the seconds so far, which tells whether to kill it now.
        limits: pairs of a resource and its limit.
    """
    stdout, stderr = (Path(f"{log}.{extension}") for extension in ("out", "err"))
    stdout.touch()
    stderr.touch()
    started = time.monotonic()
    sys.stdout.flush()
    process = os.fork()
    if not process:
        _child(function, stdout, stderr, limits)
    ended_by = None
    while True:
        done, wait_status, usage = os.wait4(process, os.WNOHANG)
        seconds = time.monotonic() - started
        if done:
            break
        if ended_by is None and (seconds > SECONDS or (kill_when and kill_when(seconds))):
            ended_by = "clock" if seconds > SECONDS else "kill_when"
            os.kill(process, signal.SIGKILL)
        time.sleep(0.001 if kill_when else 0.01)
    status = None if ended_by == "clock" else os.waitstatus_to_exitcode(wait_status)
    texts = (path.read_text(errors="replace") for path in (stdout, stderr))
    return Outcome(status, *texts, seconds, usage.ru_maxrss / 1024, ended_by == "kill_when" and status < 0)


def run(script, words, log, **options):
    """Run a script in a fork; `options` are those of `in_fork`, and `repository`, whose script is run."""
    path = options.pop("repository", REPOSITORY) / script

    def call():
        sys.path.insert(0, str(path.parent))
        sys.argv = [str(path), *map(str, words)]
        runpy.run_path(str(path), run_name="__main__")

    return in_fork(call, log, **options)


def run_new(script, words, **options):
    """Run a script as a new process; `options` are those of `subprocess.Popen`."""
    started = time.monotonic()
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, str(REPOSITORY / script), *map(str, words)]
    with subprocess.Popen(command, **options) as process:
        try:
            texts = process.communicate(timeout=2 * SECONDS)  # half of it to load the libraries
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            texts, status = process.communicate(), None
    texts = ((text or b"").decode(errors="replace") for text in texts)
    return Outcome(status, *texts, time.monotonic() - started)


def at_once(one, other):
    """Call two functions at the same time, the first one in a fork; return what both return."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if not process:
        os.close(reader)
        with os.fdopen(writer, "wb") as file:
            pickle.dump(one(), file)
        os._exit(0)
    os.close(writer)
    second = other()
    with os.fdopen(reader, "rb") as file:
        first = pickle.load(file)
    os.waitpid(process, 0)
    return first, second


def _child(function, stdout, stderr, limits):
    """Be the fork: redirect, limit, call, exit as Python does."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # end with the campaign (PR_SET_PDEATHSIG)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, stdout, None), (2, stderr, None)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if mode is None else mode
            descriptor = os.open(path, flags, 0o644)
            os.dup2(descriptor, number)
        present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        for name, value in ((resource.RLIMIT_AS, present + _ADDRESS_SPACE), (resource.RLIMIT_CORE, 0), *limits):
            resource.setrlimit(name, (value, value))
        status = function() or 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
