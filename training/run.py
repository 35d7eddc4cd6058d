"""A training run: data, networks and the model's folder from the settings, then the loop or the rate search."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import keras

from common import storage
from common.cli import UserError
from common.stored_generator import EQUALIZERS_KEY
from common.weights import versions
from dataset.paired_dataset import DatasetSettings, PairedDataset
from fast_layers import synchronize
from training import lr_search, model_folder, phase_previews, tensorboard_log
from training.arguments import RunSettings
from training.devices import Devices, connect
from training.history import Row
from training.loop import Learners, LoopSettings, train
from training.messages import lost_message
from training.optimizers import make_optimizer
from training.previews import make_preview_writer, read_excerpt
from training.recipe import Recipe
from training.steps import Networks, Optimizers
from training.upsampling import balance


def run(recipe: Recipe, settings: RunSettings, device_name: str) -> int:
    """Train, or search for learning rates.

    Args:
        recipe: what the script trains.
        settings: the values of its flags.
        device_name: what `device.start_tensorflow` returned.

    Returns:
        The script's exit status.

    Raises:
        UserError: if the data, the model's folder or a file that a flag names is not as it must be.
    """
    devices = connect(settings.devices, settings.batch_size, settings.sync_norm)
    if devices.n_workers > 1:
        device_name = f"{devices.n_workers} workers with {device_name} each"
    for flag, given in (("--findlr", settings.findlr), ("--jit_compile", settings.jit_compile)):
        if given and devices.count > 1:
            raise UserError(f"{flag}: is for one device; leave out --devices and TF_CONFIG")
    try:
        return _run(recipe, settings, devices, device_name)
    except devices.lost as error:
        print(lost_message(error), file=sys.stderr)
        return 1


def _run(recipe: Recipe, settings: RunSettings, devices: Devices, device_name: str) -> int:
    dataset = PairedDataset(
        DatasetSettings(
            settings.dataset_path,
            recipe.instrument_pairs,
            settings.batch_size,
            settings.steps_per_epoch,
            settings.validation_split,
            settings.seed,
            with_style=recipe.n_inputs == 2,
            augment=settings.augment,
            worker=devices.worker,
            n_workers=devices.n_workers,
            with_phase=recipe.with_phase,
        )
    )
    if devices.is_chief:
        _print_lines(dataset.notices)
    initial = None
    if settings.init_from:
        initial = model_folder.find_initial(settings.init_from, recipe.learning_rates, recipe.n_inputs, recipe.phase)
    model_path = Path(settings.models_path) / recipe.name
    if not settings.findlr:
        return _train(recipe, settings, devices, dataset, initial, model_path, device_name)

    def start(names: tuple[str, ...]) -> tuple[Networks, Optimizers]:
        return _start(recipe, settings, devices, initial, names)

    print(f"{recipe.name}: searching for learning rates on {device_name}")
    search = lr_search.SearchSettings(
        settings.findlr_start, settings.findlr_end, settings.findlr_steps, settings.jit_compile, settings.loss_weights
    )
    return lr_search.search_rates(model_path / "lr_finder", search, dataset, recipe.learning_rates, start)


def _start(
    recipe: Recipe,
    settings: RunSettings,
    devices: Devices,
    initial: Path | None,
    names: tuple[str, ...],
    decay_steps: int | None = None,
) -> tuple[Networks, Optimizers]:
    """Make the networks as a run begins with them, the same each time, and the optimizers of those in `names`."""
    keras.utils.set_random_seed(settings.seed)
    with devices.scope():
        networks = recipe.make_networks()
        if initial:
            model_folder.load_initial(initial, networks)
        for network in networks.values():
            if settings.balanced_upsampling:
                balance(network)
            if settings.sync_norm:
                synchronize(network)
        optimizers = {
            name: make_optimizer(recipe.learning_rates[name].value, networks[name], settings.precision, decay_steps)
            for name in names
        }
    return networks, optimizers


def _train(
    recipe: Recipe,
    settings: RunSettings,
    devices: Devices,
    dataset: PairedDataset,
    initial: Path | None,
    model_path: Path,
    device_name: str,
) -> int:
    output_path = Path(settings.output_path) / recipe.name
    # Everything that can be refused is refused before anything is written or, with --restart, removed.
    if settings.select != "gen_mae" and not dataset.validation:
        raise UserError(
            f"--select {settings.select} needs pieces to validate with: add some, or raise --validation_split"
        )
    excerpt = read_excerpt(settings.sample_audio) if settings.sample_audio else None
    log = tensorboard_log.make_logger(output_path / "tensorboard", recipe.columns) if settings.tensorboard else None
    config = _make_config(recipe, settings, dataset)
    decay_steps = settings.epochs * dataset.steps if settings.schedule == "cosine" else None
    devices.agree(_compared(config), "its flags or its data set are not those of the others")
    networks, optimizers = _start(recipe, settings, devices, initial, tuple(recipe.learning_rates), decay_steps)
    with storage.lock(model_path) if devices.is_chief else contextlib.nullcontext():
        after_epoch = None
        if devices.is_chief:
            storage.remove_partial(model_path)
            model_folder.prepare(model_path, config, settings.defaults, settings.restart)
            _add_measured(config, recipe, dataset, device_name)
            slices = dataset.preview_slices()
            if recipe.of_phase:
                write_previews, notices = phase_previews.make_preview_writer(output_path, networks["phase"], slices)
            else:
                write_previews, notices = make_preview_writer(output_path, networks["generator"], slices, excerpt)
            _print_lines(notices)

            def after_epoch(row: Row) -> None:
                folder = write_previews(row["epoch"])
                if log:
                    log(row, folder)

        devices.total_of_workers([1])  # the others wait here until the folder is prepared
        learners = Learners(networks, optimizers, *recipe.make_steps(networks, optimizers), devices)
        loop_settings = LoopSettings(
            settings.epochs,
            settings.epoch_offset,
            settings.batch_size,
            settings.checkpoint_minutes,
            settings.jit_compile,
            settings.ema,
            settings.select if settings.select != "gen_mae" else recipe.metrics[0],
        )
        return train(recipe, learners, dataset, loop_settings, model_path, config, after_epoch)


def _add_measured(config: dict[str, Any], recipe: Recipe, dataset: PairedDataset, device_name: str) -> None:
    """Print what is trained on, and add to the configuration what is measured of the data before the training."""
    if not recipe.of_phase:
        config[EQUALIZERS_KEY] = dataset.equalizers()
    print(
        f"{recipe.name}: {len(dataset.train)} training slices of {len(dataset.train_pieces)} pieces, on {device_name}"
    )
    if not dataset.validation:
        print("no piece is left to validate with; the training error decides which epoch is best")
        return
    print(f"{len(dataset.validation)} validation slices of {len(dataset.validation_pieces)} pieces", end="")
    if recipe.of_phase:
        print()
        return
    config["unchanged"] = dataset.unchanged_errors()
    errors = ", ".join(f"{metric} {value:.4f}" for metric, value in config["unchanged"].items())
    print(f"; the unchanged input has {errors}")


def _make_config(recipe: Recipe, settings: RunSettings, dataset: PairedDataset) -> dict[str, Any]:
    """Make the `config.json` of a run: what prediction needs, all arguments, and what a resumed run must find again."""
    return {
        "model": {**settings.width, **recipe.model},
        "origin": settings.recorded["origin"],
        "target": settings.recorded["target"],
        "data": dataset.describe(),
        "arguments": settings.recorded,
        "versions": versions(),
    }


def _compared(config: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal in the configurations of all workers: paths, devices and threads may differ."""
    own = ("checkpoint_minutes", "dataset_path", "devices", "gpu", "init_from", "models_path", "output_path")
    own += ("sample_audio", "tensorboard", "threads")
    arguments = {name: value for name, value in config["arguments"].items() if name not in own}
    return {"model": config["model"], "data": config["data"], "arguments": arguments}


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        print(line)
