"""What the CPU can do, and how many threads a training on it gets. Knows no TensorFlow, as it is asked before that."""

import os
from pathlib import Path
from typing import NamedTuple

# What TensorFlow computes a precision with; without one of these, its kernels convert number by number.
_UNITS = {
    "mixed_bfloat16": {"avx512f", "avx_ne_convert"},
    "mixed_float16": {"avx512_fp16", "amx_fp16", "avx_ne_convert"},
}
_CPUINFO = Path("/proc/cpuinfo")
_MATRIX_UNITS = "amx_bf16"
_NARROW = 16  # filters; see docs/benchmarks.md


class Workload(NamedTuple):
    """What is to be trained, as far as the threads depend on it.

    Attributes:
        base_filters: filters of the networks' first layers.
        precision: precision of the networks.
        threads: threads that an operation is spread over, and operations at once, as the user wants them; None to
            choose.
    """

    base_filters: int
    precision: str
    threads: tuple[int, int] | None = None


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_threads(workload: Workload) -> tuple[int, int]:
    """Choose threads for a training on the CPU.

    Operations of a narrow network are short on matrix units, and dividing one costs more than it gains: two cores are
    then better used by two operations. Otherwise, an operation gets all cores.

    Args:
        workload: what is trained.

    Returns:
        Threads that an operation is spread over, and operations at once; both at least 1.
    """
    if workload.threads:
        return workload.threads
    cores = available_cores()
    is_short = workload.base_filters <= _NARROW and workload.precision == "mixed_bfloat16"
    if cores == 2 and is_short and _MATRIX_UNITS in _flags():
        return 1, cores
    return cores, cores


def computes(precision: str) -> bool:
    """Tell whether the CPU computes in a precision. True if unknown: processors that are not x86, and not on Linux."""
    flags = _flags()
    return precision not in _UNITS or not flags or bool(_UNITS[precision] & flags)


def lacks_wide_vectors() -> bool:
    """Tell whether the CPU is an x86 without AVX-512. False if unknown: not on Linux."""
    flags = _flags()
    return bool(flags) and "avx512f" not in flags


def _flags() -> set[str]:
    """Return the features of an x86 processor as Linux names them; empty elsewhere."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
