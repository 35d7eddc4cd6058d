"""The training step beside that of Keras's own layers and of PyTorch: processes that take turns on the same machine."""

import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import material

HERE = Path(__file__).resolve().parent
TORCH_HINT = (
    "--peer torch: {python} has no torch; install it where you like (python -m venv torch; "
    "torch/bin/pip install torch numpy) and name that Python with --peer_python torch/bin/python"
)


class Row(NamedTuple):
    """What is measured: a size, a precision, and one process on all cores or one on each of two cores."""

    base_filters: int
    batch_size: int
    adversarial: bool
    bfloat16: bool
    on_single_cores: bool

    def flags(self):
        """Return the flags of the processes that run a step."""
        words = ["--base_filters", str(self.base_filters), "--batch_size", str(self.batch_size)]
        return words + ["--adversarial"] * self.adversarial + ["--bfloat16"] * self.bfloat16


def _list_rows():
    rows = {f"full-{p}": Row(64, 8, True, p == "bfloat16", False) for p in ("float32", "bfloat16")}
    for filters in (16, 24, 32):
        for precision in ("float32", "bfloat16"):
            row = Row(filters, 4, False, precision == "bfloat16", False)
            rows[f"{filters}-{precision}"] = row
            rows[f"{filters}-{precision}-two"] = row._replace(on_single_cores=True)
    return rows


ROWS = _list_rows()
DEFAULT_ROWS = [name for name in ROWS if not name.endswith("-two") or name.startswith("16-")]


class Worker:
    """A process that runs steps on demand.

    Attributes:
        first_step: seconds that it took from its start to the end of the first step.
    """

    def __init__(self, command, cores):
        """Start it on some cores; `wait` for its first step."""
        self._started = time.perf_counter()
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=pin
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def wait(self, limit):
        """Wait for the first step; return whether it was done within `limit` seconds."""
        try:
            while (line := self._lines.get(timeout=max(0.1, limit - (time.perf_counter() - self._started)))) != "ready":
                if line is None:
                    raise SystemExit(f"{' '.join(map(str, self._process.args))} failed")
        except queue.Empty:
            return False
        return True

    def ask(self, words):
        """Send a line; `answer` returns the reply."""
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()

    def answer(self):
        """Return the number that the process answers."""
        return float(self._lines.get())

    def stop(self):
        """End the process."""
        self._process.kill()
        self._process.wait()


class Contestant:
    """One or two processes that run the same step; speeds are sums over them."""

    def __init__(self, command, row, limit):
        cores = [{core} for core in sorted(os.sched_getaffinity(0))[:2]] if row.on_single_cores else [None]
        self.workers = [Worker(command, core) for core in cores]
        waited = [worker.wait(limit) for worker in self.workers]
        self.in_time = all(waited)
        self.batch_size, self.n_steps, self.speeds = row.batch_size * len(cores), 1, []
        self.slowest = self.batch_size / limit
        if not self.in_time:
            self.stop()

    def ask(self, words):
        """Send all processes a line; return the sum of what they answer."""
        for worker in self.workers:
            worker.ask(words)
        return sum(worker.answer() for worker in self.workers)

    def calibrate(self, seconds):
        """Choose as many steps a turn as take about so many seconds; return the speed of one step."""
        speed = self.ask(1)
        self.n_steps = max(1, round(seconds * speed / self.batch_size))
        return speed

    def turn(self):
        """Measure once."""
        self.speeds.append(self.ask(self.n_steps))

    def stop(self):
        """End the processes."""
        for worker in self.workers:
            worker.stop()

    def shown(self):
        """Return the median for the table, or a bound if the first step took too long."""
        return f"{statistics.median(self.speeds):.2f}" if self.in_time else f"< {self.slowest:.2f}"

    def bound(self):
        """Return the median, or what it is below."""
        return statistics.median(self.speeds) if self.in_time else self.slowest


def check_torch(python):
    """End with one line if a Python has no torch."""
    command = [python, "-c", "import torch"]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(TORCH_HINT.format(python=python))


def measure(names, peers, peer_python, repeats, seconds, limit):
    """Measure rows and print their table.

    Args:
        names: keys of `ROWS`.
        peers: of "keras" and "torch", those to measure beside our steps.
        peer_python: the Python that has torch.
        repeats: turns of each.
        seconds: of a turn.
        limit: seconds after which a process that has not done its first step is given up.
    """
    if "torch" in peers:
        check_torch(peer_python)
    rows = []
    for name in names:
        started = time.perf_counter()
        rows.append(_measure_row(name, peers, peer_python, repeats, seconds, limit))
        print(f"{name}: {rows[-1]} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
    material.table("Training steps, images/s: medians by turns", rows)


def _measure_row(name, peers, peer_python, repeats, seconds, limit):
    row = ROWS[name]
    ours = [sys.executable, HERE / "tensorflow_step.py", *row.flags()]
    contestants = {"ours": Contestant(ours, row, limit)}
    threads = "-"
    if "keras" in peers:
        contestants["keras"] = Contestant([*ours, "--keras"], row, limit)
    if "torch" in peers:
        contestants["torch"], threads = _best_torch(row, peer_python, limit)
    running = [contestant for contestant in contestants.values() if contestant.in_time]
    for contestant in running:
        contestant.calibrate(seconds)
    products = []
    for _ in range(repeats):  # by turns, so that a slow minute of the machine affects all
        products.append(contestants["ours"].ask("matmul"))
        for contestant in running:
            contestant.turn()
    for contestant in running:
        contestant.stop()
    speed = contestants["ours"].bound()
    line = {"row": name, "ours": contestants["ours"].shown()}
    for peer, title in (("keras", "Keras's own"), ("torch", "PyTorch")):
        if peer in contestants:
            ratio = speed / contestants[peer].bound()
            sign = "" if contestants[peer].in_time else "> "
            line |= {title: contestants[peer].shown(), f"ours / {title}": f"{sign}{ratio:.2f}"}
    if "torch" in peers:
        line["PyTorch's threads"] = threads
    return line | {"matrix product (GFLOP/s)": f"{statistics.median(products):.0f}"}


def _best_torch(row, python, limit):
    """Start PyTorch with the number of threads that makes one step fastest; return it and that number."""
    available = len(os.sched_getaffinity(0))
    best, best_speed, best_threads = None, -1.0, available
    for threads in [1] if row.on_single_cores else sorted({available, max(1, available // 2), 1}, reverse=True):
        command = [python, HERE / "torch_step.py", *row.flags(), "--threads", str(threads)]
        tried = Contestant(command, row, limit)
        speed = tried.calibrate(0.0) if tried.in_time else 0.0
        if speed > best_speed:
            if best:
                best.stop()
            best, best_speed, best_threads = tried, speed, threads
        else:
            tried.stop()
        if not speed:
            break  # too slow with all cores
    return best, best_threads
