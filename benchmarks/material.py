"""Data for the benchmarks, and the tables that they print."""

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

ORIGIN, TARGET = "keyboard_acoustic", "guitar_acoustic"


def machine():
    """Describe the machine and the Python version in one line."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        processor = next((line.split(":")[1].strip() for line in cpuinfo.open() if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}"


def measure(name, *arguments, stderr=None):
    """Run a script of the repository; return its seconds, seconds of CPU, and peak memory in MiB (on Linux)."""
    started = time.perf_counter()
    command = [sys.executable, str(REPOSITORY / name), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def run(name, *arguments):
    """Run a script of the repository in silence; return its seconds and peak memory in MiB (on Linux)."""
    seconds, _, memory = measure(name, *arguments, stderr=subprocess.DEVNULL)
    return seconds, memory


def median(function, repeats):
    """Return the median of what a function returns over several calls."""
    return statistics.median(function() for _ in range(repeats))


def table(title, rows):
    """Print a Markdown table from a list of dicts with the same keys."""
    print(f"\n{title}\n{machine()}\n")
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")


def pipeline_speed(pairs, batch_size, count):
    """Measure the pairs of slices a second that the input pipeline reads from the page cache."""
    import numpy as np

    from dataset import input_pipeline

    order = np.resize(input_pipeline.epoch_order([len(pairs)], 0, 0), count)  # small data sets several times
    for _ in range(2):  # the first pass fills the page cache
        started = time.perf_counter()
        batches = input_pipeline.batches((pairs.sources, pairs.targets), batch_size, order)
        n_pairs = sum(len(source) for source, _ in batches)
        seconds = time.perf_counter() - started
    return n_pairs / seconds


def make_pieces(folder):
    """Make pieces, notes and slices like those of `make pipeline` in `folder`, unless they are there."""
    if not (folder / "features" / "features.json").is_file():
        run("docs/examples/write_pieces.py", "--midi_path", folder / "midi")
        run("render_notes.py", "--builtin", "--nsynth_path", folder / "notes")
        common = ("--midi_path", folder / "midi", "--audios_path", folder / "audios")
        run("synthesize_audios.py", "--nsynth_path", folder / "notes", *common)
        run("compute_features.py", "--audios", folder / "audios", "--features", folder / "features")
    return folder
