"""What `--devices` and TF_CONFIG name: GPUs, parts of the CPU, and machines."""

import argparse
import json
import os
import re
from collections.abc import Sequence

from common.cli import UserError


def device_words(text: str) -> list[str]:
    """Parse a word of `--devices` (an argparse type): indices of GPUs between commas, all, cpu or cpu:<number>."""
    words = [word for word in text.split(",") if word]
    for word in words:
        if not re.fullmatch(r"\d{1,3}|all|cpu(:[1-9]\d{0,2})?", word):
            raise argparse.ArgumentTypeError(f"{word!r} must be the index of a GPU, all, or cpu:<number>")
    return words


def read_cluster() -> dict[str, list[str]]:
    """Read the machines that TF_CONFIG names: dict of `chief` and `worker` to addresses; empty if it names one or none.

    Raises:
        UserError: if TF_CONFIG is not what TensorFlow describes, or names other tasks.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return {}
    try:
        value = json.loads(text)
        cluster, task = value.get("cluster", {}), value.get("task", {})
        named = [address for addresses in cluster.values() for address in addresses]
        inside = not named or 0 <= int(task["index"]) < len(cluster[task["type"]])
    except (ValueError, TypeError, KeyError, AttributeError):
        inside = False
    if not inside or not cluster.keys() <= {"chief", "worker"}:
        raise UserError(
            'TF_CONFIG must be like {"cluster": {"worker": ["host0:port", "host1:port"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )
    return cluster if len(named) > 1 else {}


def choose(gpu: int | None, devices: Sequence[str] | None, n_gpus: int) -> tuple[list[int], str]:
    """Choose GPUs from the flags.

    Args:
        gpu: that of `--gpu`.
        devices: the words of `--devices`; None or empty for `gpu`.
        n_gpus: number of GPUs that TensorFlow finds.

    Returns:
        Their indices, none for the CPU; and a name for messages.

    Raises:
        UserError: if there are none such.
    """
    there = f"GPUs 0 to {n_gpus - 1} are there" if n_gpus else "TensorFlow finds no GPU"
    if gpu == -1 or (gpu is None and not devices and not n_gpus):
        n_cpus = count_logical_cpus(devices)
        parts = f"{n_cpus} logical devices of " if n_cpus > 1 else ""
        return [], f"{parts}the CPU"
    if not devices:
        if (gpu or 0) >= n_gpus:
            raise UserError(f"--gpu {gpu}: {there}; -1 runs on the CPU")
        return [gpu or 0], f"GPU {gpu or 0}"
    numbers = list(range(n_gpus)) if devices == ["all"] else sorted(map(int, devices))
    if not numbers or numbers[-1] >= n_gpus:
        raise UserError(f"--devices {' '.join(devices)}: {there}; cpu runs on the CPU")
    return numbers, f"GPU{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def count_logical_cpus(devices: Sequence[str] | None) -> int:
    """Count the logical devices that the words of `--devices` divide the CPU into; 1 if they name GPUs."""
    return int(devices[0].partition(":")[2] or 1) if devices and devices[0].startswith("cpu") else 1
