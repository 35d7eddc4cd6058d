"""What runs a network in the predict scripts: onnxruntime, which starts at once, or TensorFlow."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import processor
from common.cli import UserError
from common.device import start_tensorflow
from common.stored_generator import find_generator, is_adversarial
from inference import onnx_network, phase_network
from inference.channels import of_slices, representation_of
from inference.settings import AUTO, MODEL_PHASE, ConvertSettings, PhaseSettings

# TensorFlow takes seconds to start. Its slices are a little faster on a CPU, and much on a GPU.
LONG_SECONDS = 3600.0
_PACKAGES = {"onnx": ("onnxruntime", "onnx"), "tensorflow": ("tensorflow", "keras")}
_INSTALL = {"onnx": "pip install -r requirements-predict.txt", "tensorflow": "pip install -r requirements.txt"}


class Network(NamedTuple):
    """A generator that is ready to compute.

    Attributes:
        infer: function of images, or of images and one style for all of them: float32 arrays
            [shape=(n, 256, 256, 1)] and [shape=(256, 256, 1)] in [-1, 1], to generated images. For a generator that
            predicts a phase or draws from noise, what `channels.of_slices` returns.
        takes_style: whether it needs a style.
        device_name: what it runs on, for messages.
        runtime: "onnx" or "tensorflow".
        adversarial: whether it was trained with a discriminator; False if its configuration does not say.
    """

    infer: Callable[..., np.ndarray]
    takes_style: bool
    device_name: str
    runtime: str = "onnx"
    adversarial: bool = False


def choose(runtime: str, gpu: int | None, seconds: float) -> str:
    """Choose what runs the network.

    Args:
        runtime: one of `settings.RUNTIMES`.
        gpu: index of the GPU that was asked for; -1 for the CPU; None for none.
        seconds: length of all recordings.

    Returns:
        "onnx" or "tensorflow".

    Raises:
        UserError: if what was asked for is not installed, or cannot use the GPU.
    """
    wants_gpu = gpu is not None and gpu >= 0
    missing = {name: _missing(*packages) for name, packages in _PACKAGES.items()}
    if runtime == "auto":
        prefers_tensorflow = wants_gpu or seconds > LONG_SECONDS
        order = ("tensorflow", "onnx") if prefers_tensorflow else ("onnx", "tensorflow")
        runtime = next((name for name in order if not missing[name]), order[0])
    elif runtime == "onnx" and wants_gpu:
        raise UserError(
            f"--gpu {gpu}: --runtime onnx computes on the CPU; take --runtime tensorflow, or leave out --gpu"
        )
    if missing[runtime]:
        raise UserError(f"--runtime {runtime} needs {' and '.join(missing[runtime])}: {_INSTALL[runtime]}")
    if runtime == "onnx" and wants_gpu:
        raise UserError(f"--gpu {gpu} needs tensorflow: {_INSTALL['tensorflow']}")
    return runtime


def load(path: Path, runtime: str, gpu: int | None) -> Network:
    """Load a generator.

    Args:
        path: a model's folder, or a file of weights.
        runtime: what `choose` returned.
        gpu: index of the GPU; -1 for the CPU; None for the first GPU if there is one and the runtime can use it.

    Raises:
        UserError: if the generator cannot be loaded, or there is no such GPU.
    """
    if runtime == "onnx":
        stored = find_generator(path)
        device_name = f"the CPU ({processor.available_cores()} cores, onnxruntime)"
        takes_style, adversarial = stored.size["n_inputs"] == 2, is_adversarial(stored.config)
        infer = of_slices(onnx_network.make_infer(stored), stored.phase, stored.noise)
        return Network(infer, takes_style, device_name, runtime, adversarial)
    device_name = start_tensorflow(gpu)
    from common.weights import load_generator
    from inference import keras_network

    generator, config = load_generator(path)
    takes_style = config["model"]["n_inputs"] == 2
    infer = keras_network.make_network_fn(generator, takes_style)
    return Network(infer, takes_style, device_name, runtime, is_adversarial(config))


def complete_phase(settings: ConvertSettings, model_path: Path, network: Network) -> ConvertSettings:
    """Choose what the settings of the phase leave to the model, and load the network of the phase if they need one.

    Without a choice, a model that predicts a phase has that one. Of the others, one that was trained with a
    discriminator has its phase found on the finer grid, where more pitches stay (docs/phases.md). The network of the
    phase has the runtime of the generator.

    Args:
        settings: how recordings are converted.
        model_path: the model's folder, or its file of weights.
        network: the generator.

    Returns:
        The settings with the phase, the grid and the network.

    Raises:
        UserError: if there is no such network, or the model does not predict the phase that is asked for.
    """
    phase, predicts = settings.transfer.phase, representation_of(network.infer) is not None
    if phase.name == MODEL_PHASE and not predicts:
        raise UserError(f"--phase {MODEL_PHASE}: {model_path} predicts the magnitude alone; choose another phase")
    if phase.name == AUTO:
        phase = phase._replace(name=MODEL_PHASE if predicts else PhaseSettings().name)
    if phase.iterations == 0 and phase.name != MODEL_PHASE:
        raise UserError(f"--phase_iterations 0 is for --phase {MODEL_PHASE}, not {phase.name}")
    phase = phase.with_grid(network.adversarial)
    if phase.name == "network" and phase.network is None:
        found = phase_network.find(settings.phase_network, model_path)
        phase = phase._replace(network=phase_network.load(found, network.runtime))
    return settings._replace(transfer=settings.transfer._replace(phase=phase))


def _missing(*packages: str) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]
