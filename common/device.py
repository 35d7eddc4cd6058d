"""TensorFlow started on the device that `--gpu` names, or the devices that `--devices` names."""

import argparse
import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from common import cli, device_names, processor


def add_gpu_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--gpu` to a script's arguments."""
    parser.add_argument(
        "--gpu", type=int, choices=range(-1, 64), metavar="N", help="index of the GPU; -1: CPU (default: GPU 0 if any)"
    )


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--threads` to a script's arguments."""
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        nargs=2,
        metavar=("INTRA", "INTER"),
        help="CPU threads that an operation is spread over, and operations at once (default: chosen by size)",
    )


def start_tensorflow(
    gpu: int | None = None,
    deterministic: bool = False,
    workload: processor.Workload | None = None,
    devices: Sequence[str] | None = None,
) -> str:
    """Import TensorFlow and Keras for a GPU or the CPU. Call it before importing any module that imports them.

    Args:
        gpu: index of the GPU; -1 for the CPU; None for the first GPU if there is one, otherwise the CPU.
        deterministic: whether the same call gives the same numbers again; slower.
        workload: what will be trained, to choose the threads of a CPU by; None for TensorFlow's own choice.
        devices: the words of `--devices`, if any, instead of `gpu`; None for a script that runs on one device. With
            them, no operation runs if TF_CONFIG names several machines: these have to be connected first.

    Returns:
        The name of the device or devices, for messages.

    Raises:
        UserError: if there is no such GPU.
    """
    in_cluster = devices is not None and bool(device_names.read_cluster())
    # Where machines lose each other, this program says so in one line; TensorFlow takes dozens.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if in_cluster else "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if platform.machine().lower() in ("x86_64", "amd64"):
        # By itself, TensorFlow uses oneDNN's faster convolutions on some processors only.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
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
    chosen, name = device_names.choose(gpu, devices, len(gpus))
    details = f"{processor.available_cores()} cores"
    with held_back_stderr():
        if chosen:
            tf.config.set_visible_devices([gpus[number] for number in chosen], "GPU")
            for number in chosen:
                tf.config.experimental.set_memory_growth(gpus[number], True)
            details = tf.config.experimental.get_device_details(gpus[chosen[0]])
            details = details.get("device_name", "unknown")
        elif (n_cpus := device_names.count_logical_cpus(devices)) > 1:
            logical = [tf.config.LogicalDeviceConfiguration()] * n_cpus
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
        threads = _set_threads(workload, bool(chosen)) if workload else ""
        if not in_cluster:
            tf.cast(tf.zeros(1, tf.float16), tf.float32)  # triggers what the first operation prints
    return f"{name} ({details}{threads})"


def network_precision(precision: str) -> str:
    """Return the precision that networks get on the device, after `start_tensorflow`.

    A CPU that does not compute in 16 bit takes several times as long for the same weights. It gets float32, and a
    line says so.
    """
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU") or processor.computes(precision):
        return precision
    print(f"this CPU does not compute in {precision.removeprefix('mixed_')}; the networks are in float32, faster here")
    return "float32"


def prefers_matmul(precision: str = "float32") -> bool:
    """Tell, after `start_tensorflow`, whether networks are faster with `by_matmul` on the device; see `fast_layers`."""
    import tensorflow as tf

    on_gpu = bool(tf.config.get_visible_devices("GPU"))
    return precision == "float32" and not on_gpu and processor.lacks_wide_vectors()


def network_options(precision: str) -> dict[str, Any]:
    """Return `dtype` and `by_matmul` for the networks of `model.py` on the device, after `start_tensorflow`."""
    precision = network_precision(precision)
    return {"dtype": precision, "by_matmul": prefers_matmul(precision)}


def _set_threads(workload: processor.Workload, has_gpu: bool) -> str:
    """Set TensorFlow's threads, on a GPU only those that the user wants; return what was set, for messages."""
    if has_gpu and not workload.threads:
        return ""
    import tensorflow as tf

    intra, inter = processor.choose_threads(workload)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(intra)
        tf.config.threading.set_inter_op_parallelism_threads(inter)
    except RuntimeError:  # it has computed something in this process already, and keeps its threads
        return ""
    return f"; threads: {intra} an operation, {inter} operations at once"


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
