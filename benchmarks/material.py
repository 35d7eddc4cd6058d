"""What the benchmarks run on, and how they print it."""

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
    """One line on the machine and the versions."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        processor = next((line.split(":")[1].strip() for line in cpuinfo.open() if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}"


def run(name, *arguments):
    """Runs a script of the repository and gives its seconds and its peak memory in MiB (Linux; children included)."""
    import resource

    started = time.perf_counter()
    command = [sys.executable, str(REPOSITORY / name), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def median(function, repeats):
    """The median of what a function gives over several calls."""
    return statistics.median(function() for _ in range(repeats))


def table(title, rows):
    """Prints a Markdown table from a list of dicts with the same keys."""
    print(f"\n{title}\n{machine()}\n")
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")


def make_pieces(folder):
    """Pieces, notes and slices of the kind of make chain's, made once in `folder`."""
    if not (folder / "features" / "features.json").is_file():
        run("docs/examples/write_pieces.py", "--midi_path", folder / "midi")
        run("render_notes.py", "--builtin", "--nsynth_path", folder / "notes")
        common = ("--midi_path", folder / "midi", "--audios_path", folder / "audios")
        run("synthesize_audios.py", "--nsynth_path", folder / "notes", *common)
        run("compute_features.py", "--audios", folder / "audios", "--features", folder / "features")
    return folder
