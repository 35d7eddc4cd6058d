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


def run(name, *arguments):
    """Run a script of the repository; return its seconds and peak memory in MiB (on Linux; of all processes so far)."""
    import resource

    started = time.perf_counter()
    command = [sys.executable, str(REPOSITORY / name), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


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


def make_pieces(folder):
    """Make pieces, notes and slices like those of `make pipeline` in `folder`, unless they are there."""
    if not (folder / "features" / "features.json").is_file():
        run("docs/examples/write_pieces.py", "--midi_path", folder / "midi")
        run("render_notes.py", "--builtin", "--nsynth_path", folder / "notes")
        common = ("--midi_path", folder / "midi", "--audios_path", folder / "audios")
        run("synthesize_audios.py", "--nsynth_path", folder / "notes", *common)
        run("compute_features.py", "--audios", folder / "audios", "--features", folder / "features")
    return folder
