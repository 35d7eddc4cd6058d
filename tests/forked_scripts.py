"""Scripts run in forks of a process that has their libraries loaded, since TensorFlow takes seconds to import.

A fork has its own arguments, working directory, environment, streams, signals and exit status, and its interpreter ends
by itself, as that of `python <script> …` does. Only the start is not that of a new process: what Python reads from the
environment when it starts, and in which order libraries are imported.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHALLOW = "TESTS_WITH_SHALLOW_NETWORKS"  # a variable of the environment
AVAILABLE = sys.platform == "linux"  # other systems do not let a process go on after a fork without exec


def of_python(environment):
    """What Python reads when it starts, of an environment."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LANG"))}


def collect_rarely():
    """Let Python look for cycles rarely: tracing makes many objects, of which next to none is garbage."""
    gc.collect()
    gc.freeze()  # what is loaded stays, and is shared with the forks
    gc.set_threshold(100_000, 50, 50)


class Server:
    """The process that is forked; it ends with this one."""

    def __init__(self):
        self._socket, other = socket.socketpair()
        with other:
            command = [sys.executable, __file__, str(other.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[other.fileno()])

    def start(self, path, words, environment, cwd=None):
        """Start a script as `subprocess.Popen` does; return an object with the same methods."""
        reader, writer = os.pipe()
        stdout, stderr = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))  # noqa: SIM115
        with tempfile.TemporaryFile() as request, open(os.devnull) as nothing, open(writer, "wb") as status:
            call = {"path": str(path), "words": words, "cwd": str(cwd or os.getcwd()), "environment": environment}
            request.write(json.dumps(call).encode())
            request.seek(0)
            files = (request, nothing, stdout, stderr, status)
            socket.send_fds(self._socket, [b"x"], [file.fileno() for file in files])
        return ForkedScript([str(path), *words], reader, stdout, stderr)

    def close(self):
        """End the server; scripts that run go on."""
        self._socket.close()
        self._process.wait()


class ForkedScript:
    """A script that runs in a fork; the methods are those of `subprocess.Popen`."""

    def __init__(self, arguments, reader, stdout, stderr):
        self.args, self.returncode = arguments, None
        self._streams = (stdout, stderr)
        self._reader = open(reader, "rb", buffering=0)  # noqa: SIM115
        self.pid = self._read_number()

    def poll(self):
        if self.returncode is None and select.select([self._reader], [], [], 0)[0]:
            self.returncode = self._read_number()
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None and not select.select([self._reader], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.poll()

    def communicate(self, timeout=None):
        self.wait(timeout)
        texts = []
        for stream in self._streams:
            stream.seek(0)
            texts.append(stream.read())
        return tuple(texts)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def _read_number(self):
        number = self._reader.read(4)
        assert number, "the process that forks has ended"
        return struct.unpack("i", number)[0]


def serve(connection):
    """Fork for each request; return, in the fork that is to be the script, what it was asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; this process ends with the tests
    forks = []
    while True:
        message, descriptors, *_ = socket.recv_fds(connection, 1, 5)
        forks = [fork for fork in forks if os.waitpid(fork, 0 if not message else os.WNOHANG) == (0, 0)]
        if not message:
            os._exit(0)
        fork = os.fork()
        if not fork:
            break
        forks.append(fork)
        for descriptor in descriptors:
            os.close(descriptor)
    # In a fork, which makes the script its child, waits for it and says how it ended.
    connection.close()
    request, *streams, status = descriptors
    process = os.fork()
    if process:
        for descriptor in streams:
            os.close(descriptor)
        os.write(status, struct.pack("i", process))
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.write(status, struct.pack("i", ended))
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    with open(request, "rb") as file:
        call = json.load(file)
    for descriptor in (*streams, status):
        os.close(descriptor)
    return call


_STATUS = []  # with which the script has ended


def make_networks_shallow(patch=setattr):
    """Let generators have three levels instead of eight: building and tracing them takes most of a short run.

    TensorFlow does not optimize their graphs either, which takes longer than the few steps that are run, and plots are
    small and without ticks.
    """
    import matplotlib.axis
    import tensorflow as tf

    import model
    from common import plots, stored_generator, weights_file

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def generator_size(weights):
        kernels = [w.shape for w in weights if len(w.shape) == 4]
        base_filters = min(shape[3] for shape in kernels)
        n_inputs, phase = weights_file.find_images(kernels, base_filters)
        other = {shape[3] for shape in kernels} - {base_filters, 2 * base_filters, 4 * base_filters}
        limit = {"max_filters": max(other)} if other else {}
        return {"base_filters": base_filters, "n_inputs": n_inputs, **limit}, phase

    patch(weights_file, "generator_size", generator_size)
    patch(stored_generator, "LEVELS", stored_generator.LEVELS[:3])
    patch(model, "_ENCODER", model._ENCODER[:3])
    patch(model, "_DECODER", [(2, True), (1, False)])
    save = plots._save
    patch(plots, "_save", lambda figure, path, dpi: save(figure, path, 20))
    patch(matplotlib.axis.Axis, "draw", lambda *arguments: None)


def make_networks_shallow_later():
    """Wait with that for the script's start of TensorFlow, which must come before any import of TensorFlow."""
    sys.path.append(str(REPOSITORY))  # the script may be of another folder
    from common import device

    start = device.start_tensorflow

    def start_tensorflow(*arguments, **options):
        name = start(*arguments, **options)
        make_networks_shallow()
        return name

    device.start_tensorflow = start_tensorflow


def run(path):
    """Run a script as __main__."""
    if SHALLOW in os.environ:
        make_networks_shallow_later()
    try:
        runpy.run_path(path, run_name="__main__")
        _STATUS.append(0)
    except SystemExit as stop:
        _STATUS.append(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise
    except Exception:
        _STATUS.append(1)
        raise


def leave():
    """Leave out the last part of Python's end, which takes all libraries to pieces."""
    if _STATUS:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_STATUS[0])


def main():
    if sys.argv[1] == "run":  # in a new process, but with networks as in a fork
        sys.argv = sys.argv[2:]
        sys.path[0] = str(Path(sys.argv[0]).parent)
        return run(sys.argv[0])
    atexit.register(leave)  # the first to be registered is the last to be called
    sys.path.insert(0, str(REPOSITORY / "benchmarks" / "faults"))
    import processes

    sys.path.pop(0)
    processes.load_libraries()
    collect_rarely()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        call = serve(connection)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["cwd"])
    import numpy as np

    np.random.seed()  # noqa: NPY002 - each process has its own randomness
    sys.argv = [call["path"], *call["words"]]
    sys.path[0] = str(Path(call["path"]).parent)
    run(call["path"])


if __name__ == "__main__":
    main()
