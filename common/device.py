"""TensorFlow started on the device that `--gpu` names, or the devices that `--devices` names."""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence

from common.cli import UserError


def add_gpu_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--gpu` to a script's arguments."""
    parser.add_argument(
        "--gpu", type=int, choices=range(-1, 64), metavar="N", help="index of the GPU; -1: CPU (default: GPU 0 if any)"
    )


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


def start_tensorflow(gpu: int | None = None, deterministic: bool = False, devices: Sequence[str] | None = None) -> str:
    """Import TensorFlow and Keras for a GPU or the CPU. Call it before importing any module that imports them.

    Args:
        gpu: index of the GPU; -1 for the CPU; None for the first GPU if there is one, otherwise the CPU.
        deterministic: whether the same call gives the same numbers again; slower.
        devices: the words of `--devices`, if any, instead of `gpu`; None for a script that runs on one device. With
            them, no operation runs if TF_CONFIG names several machines: these have to be connected first.

    Returns:
        The name of the device or devices, for messages.

    Raises:
        UserError: if there is no such GPU.
    """
    in_cluster = devices is not None and bool(read_cluster())
    # Where machines lose each other, this program says so in one line; TensorFlow takes dozens.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if in_cluster else "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if devices and devices[0].startswith("cpu"):
        gpu = -1
    if gpu == -1:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with held_back_stderr():
        import keras
        import tensorflow as tf

        keras.config.set_image_data_format("channels_last")  # whatever ~/.keras/keras.json says
        keras.config.set_floatx("float32")
        if deterministic:
            tf.config.experimental.enable_op_determinism()
        gpus = tf.config.list_physical_devices("GPU")
        if gpu == -1:  # CUDA_VISIBLE_DEVICES hides CUDA's alone
            tf.config.set_visible_devices([], "GPU")
            gpus = []
    chosen, name = _choose(gpu, devices, len(gpus))
    with held_back_stderr():
        if chosen:
            tf.config.set_visible_devices([gpus[number] for number in chosen], "GPU")
            for number in chosen:
                tf.config.experimental.set_memory_growth(gpus[number], True)
            details = tf.config.experimental.get_device_details(gpus[chosen[0]])
            name += f" ({details.get('device_name', 'unknown')})"
        elif (n_cpus := count_logical_cpus(devices)) > 1:
            logical = [tf.config.LogicalDeviceConfiguration()] * n_cpus
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
        if not in_cluster:
            tf.cast(tf.zeros(1, tf.float16), tf.float32)  # triggers what the first operation prints
    return name


def _choose(gpu: int | None, devices: Sequence[str] | None, n_gpus: int) -> tuple[list[int], str]:
    """Choose GPUs from the flags, and name them or the CPU; raise a UserError if there are none such."""
    there = f"GPUs 0 to {n_gpus - 1} are there" if n_gpus else "TensorFlow finds no GPU"
    if gpu == -1 or not (n_gpus or gpu or devices):
        n_cpus = count_logical_cpus(devices)
        parts = f"{n_cpus} logical devices of " if n_cpus > 1 else ""
        return [], f"{parts}the CPU ({os.cpu_count()} cores)"
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


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Hold back what TensorFlow's libraries print while they load, unless something goes wrong.

    They print before TF_CPP_MIN_LOG_LEVEL takes effect (github.com/tensorflow/tensorflow/issues/100442).
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] in ("0", "1"):  # set by a user who wants to see it
        yield
        return
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(real, held_back.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
