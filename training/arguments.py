"""The flags that the train scripts share, checked and turned into settings."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import cli
from common.device import add_gpu_argument, add_threads_argument
from common.device_names import device_words
from common.processor import Workload
from common.representations import PHASES_AS_CHANNELS
from training.loss_weights import PAPER, LossWeights

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
SCHEDULES = ("constant", "cosine")
SELECTIONS = ("gen_mae", "sound")
# Flags that need a discriminator.
ADVERSARIAL_FLAGS = ("disc_lr", "disc_filters", "disc_band", "l1_weight", "feature_matching", "r1", "noise")
_WEIGHT = {"type": cli.non_negative_float, "metavar": "W"}  # of a term of a loss
# Flags that do not describe a run, and that its config.json leaves out.
_NOT_RECORDED = ("restart", "findlr", "findlr_start", "findlr_end", "findlr_steps", "defaults")


@dataclass(frozen=True)
class RunSettings:
    """The values of the flags that the train scripts share; `add_arguments` says what each of them means.

    Attributes:
        loss_weights: the flags that weigh terms of the losses.
        phase: how the phase that the generator predicts is represented; None if it predicts none.
        disc_filters: filters of the discriminator's first layer; None for a script that has no discriminator.
        recorded: all flags of the script that describe the run, for its config.json.
        defaults: the default of each flag.
    """

    dataset_path: list[str]
    epochs: int
    epoch_offset: int
    batch_size: int
    devices: list[str]
    sync_norm: bool
    schedule: str
    ema: float
    select: str
    init_from: str | None
    dropout: float
    augment: bool
    balanced_upsampling: bool
    validation_split: float
    base_filters: int
    max_filters: int | None
    precision: str
    threads: list[int] | None
    jit_compile: bool
    steps_per_epoch: int | None
    checkpoint_minutes: float
    models_path: str
    output_path: str
    sample_audio: str | None
    tensorboard: bool
    seed: int
    restart: bool
    findlr: bool
    findlr_start: float
    findlr_end: float
    findlr_steps: int
    loss_weights: LossWeights
    phase: str | None
    disc_filters: int | None
    recorded: dict[str, Any]
    defaults: dict[str, Any]

    @property
    def width(self) -> dict[str, int]:
        """How wide the generator is: the arguments of `model.Generator`, and what a configuration says of it."""
        return {"base_filters": self.base_filters, **({"max_filters": self.max_filters} if self.max_filters else {})}

    @property
    def workload(self) -> Workload:
        """What the threads of a CPU depend on."""
        return Workload(self.base_filters, self.precision, tuple(self.threads) if self.threads else None)


def parse_pair_arguments(parser: cli.ArgumentParser) -> argparse.Namespace:
    """Parse the flags of a script that trains a model for one pair of instruments."""
    parser.add_argument("--origin", type=cli.instrument_name, required=True, help="instrument to convert from")
    parser.add_argument("--target", type=cli.instrument_name, required=True, help="instrument to convert to")
    add_arguments(parser)
    add_phase_arguments(parser)
    arguments = parser.parse_args()
    check_arguments(parser, arguments)
    check_channels(parser, arguments)
    if arguments.origin == arguments.target:
        parser.error(f"argument --target: must differ from --origin {arguments.origin}")
    return arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all train scripts have."""
    add = parser.add_argument
    add("--dataset_path", nargs="+", required=True, help="folders that compute_features.py wrote")
    add_gpu_argument(parser)
    add(
        "--devices",
        type=device_words,
        nargs="+",
        default=[],
        metavar="DEVICE",
        help="devices that share each batch: indices of GPUs, all (GPUs), or cpu:2 (parts of the CPU) (default: one)",
    )
    add("--sync_norm", action="store_true", help="normalize over the batches of all devices, not over each by itself")
    add_threads_argument(parser)
    add("--epochs", type=cli.positive_int, default=100, help="number of epochs in all")
    add(
        "--epoch_offset",
        type=cli.non_negative_int,
        default=0,
        help="epochs before the first one, in history and names",
    )
    add("--batch_size", type=int, default=8, help="slices a step, of all devices; at least 2")
    add("--schedule", choices=SCHEDULES, default="constant", help="learning rates over the run; cosine ends at 0")
    add("--ema", type=cli.fraction, default=0.0, help="decay of a moving average of the weights, such as 0.999")
    add("--select", choices=SELECTIONS, default="gen_mae", help="validation measure that decides which epoch is best")
    add(
        "--linear_weight",
        **_WEIGHT,
        default=PAPER.linear,
        help="weight of the error of linear magnitudes, in which loud parts count, in the generator's loss",
    )
    add(
        "--mean_weight",
        **_WEIGHT,
        default=PAPER.mean,
        help="weight of the error that all slices of a batch share, in the generator's loss: levels, checkerboards",
    )
    add(
        "--level_weight",
        **_WEIGHT,
        default=PAPER.level,
        help="weight of the error of the levels of octaves, in the generator's loss",
    )
    add("--init_from", help="folder or name of a model that gives the initial weights")
    add("--dropout", type=cli.fraction, default=0.5, help="dropout rate of the decoder's first three layers")
    add("--augment", action="store_true", help="change level, spectrum and noise floor of the sources at random")
    add("--balanced_upsampling", action="store_true", help="keep the generator from drawing checkerboards")
    add("--validation_split", type=cli.fraction, default=0.1, help="fraction of the pieces for validation")
    add("--base_filters", type=cli.positive_int, default=64, help="filters of the first layers")
    add("--max_filters", type=cli.positive_int, help="most filters of a layer of the generator (default: no limit)")
    add("--precision", choices=PRECISIONS, default="float32", help="precision of the networks")
    add("--jit_compile", action="store_true", help="compile the steps with XLA")
    add("--steps_per_epoch", type=cli.positive_int, help="largest number of steps an epoch (default: all slices)")
    add("--checkpoint_minutes", type=cli.positive_float, default=10.0, help="minutes between checkpoints")
    add("--models_path", default="models", help="folder of models")
    add("--output_path", default="output", help="folder of the previews of each epoch")
    add("--sample_audio", help="audio to convert after each epoch (default: a validation piece)")
    add("--tensorboard", action="store_true", help="also log for TensorBoard, in the output folder")
    add("--seed", type=cli.seed, default=0, help="seed of split, order, styles, initial weights and dropout")
    add("--deterministic", action="store_true", help="the same numbers in every run; slower")
    add("--restart", action="store_true", help="remove the contents of the model's folder and begin again")
    add(
        "--findlr",
        type=cli.boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="search for learning rates instead of training",
    )
    add("--findlr_start", type=cli.positive_float, default=1e-7, help="first rate of the search")
    add("--findlr_end", type=cli.positive_float, default=1.0, help="last rate of the search")
    add("--findlr_steps", type=cli.positive_int, default=140, help="steps of the search")


def add_phase_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a phase that a generator predicts beside the magnitude."""
    add = parser.add_argument
    add(
        "--phase",
        choices=("none", *PHASES_AS_CHANNELS),
        default="none",
        help="also predict the phase, as further channels, from slices that hold phases",
    )
    add(
        "--phase_weight",
        **_WEIGHT,
        default=PAPER.phase,
        help="weight of the error of the phase in the generator's loss",
    )
    add(
        "--consistency_weight",
        **_WEIGHT,
        default=PAPER.consistency,
        help="weight of the inconsistency of magnitude and phase in the generator's loss",
    )


def add_adversarial_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the losses and of the discriminator that the scripts with a discriminator share."""
    add = parser.add_argument
    add(
        "--disc_filters",
        type=cli.positive_int,
        help="filters of the discriminator's first layer (default: --base_filters)",
    )
    add("--disc_band", action="store_true", help="let each judgment of the discriminator see all bins, not 94 of them")
    add("--noise", action="store_true", help="let the generator draw from noise, where the target is random")
    add("--l1_weight", **_WEIGHT, default=PAPER.l1, help="weight of the mean absolute error in the generator's loss")
    add("--feature_matching", **_WEIGHT, default=PAPER.feature_matching, help="weight of the discriminator's features")
    add("--r1", **_WEIGHT, default=PAPER.r1, help="weight of the discriminator's gradient penalty on real pairs")


def check_arguments(parser: cli.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the script with one line if flags do not fit together; otherwise add their defaults to the arguments."""
    arguments.defaults = parser.defaults()
    arguments.devices = cli.flatten(arguments.devices)
    if arguments.devices and arguments.gpu is not None:
        parser.error("argument --devices: not together with --gpu; it names the GPUs itself")
    if len(arguments.devices) > 1 and not all(word.isdigit() for word in arguments.devices):
        parser.error(f"argument --devices: {' '.join(arguments.devices)} must be indices of GPUs, or all, or cpu:2")
    if arguments.batch_size < 2:
        parser.error(
            "argument --batch_size: must be at least 2: over a single slice, batch normalization at the generator's "
            "1 × 1 bottleneck gives the same output for every input"
        )
    if arguments.sample_audio and not Path(arguments.sample_audio).is_file():
        parser.error(f"argument --sample_audio: {arguments.sample_audio} is not a file")
    if arguments.findlr_start >= arguments.findlr_end:
        parser.error(f"argument --findlr_start: must be below --findlr_end {arguments.findlr_end:g}")
    if arguments.findlr_steps < 10:
        parser.error("argument --findlr_steps: must be at least 10, or there is no slope to see")
    least, most = 2 * arguments.base_filters, 8 * arguments.base_filters
    if arguments.max_filters and not least < arguments.max_filters < most:
        parser.error(
            f"argument --max_filters: must be above {least} and below {most}, which a generator of --base_filters "
            f"{arguments.base_filters} has without it"
        )


def check_channels(parser: cli.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the script with one line if flags about a phase beside the magnitude do not fit together."""
    for flag in ("phase_weight", "consistency_weight"):
        if arguments.phase == "none" and getattr(arguments, flag) != arguments.defaults[flag]:
            parser.error(f"argument --{flag}: needs --phase {' or '.join(PHASES_AS_CHANNELS)}")
    if arguments.phase == "derivatives" and arguments.consistency_weight:
        parser.error(
            "argument --consistency_weight: needs the phase itself, which --phase derivatives does not predict; "
            "take --phase angle or rotation"
        )


def check_phase_arguments(parser: cli.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End train_phase.py with one line if flags are given that are about magnitudes, or instruments do not fit."""
    for flag in ("linear_weight", "mean_weight", "level_weight", "sample_audio", "select", "max_filters"):
        if getattr(arguments, flag) != arguments.defaults[flag]:
            parser.error(f"argument --{flag}: is not for train_phase.py")
    if arguments.balanced_upsampling and arguments.network == "compact":
        parser.error("argument --balanced_upsampling: needs --network unet; the compact network does not upsample")
    if len(set(arguments.target)) < len(arguments.target) or arguments.origin in arguments.target:
        parser.error("argument --target: must name other instruments than --origin, each once")


def make_run_settings(arguments: argparse.Namespace) -> RunSettings:
    """Turn the flags of a train script into settings."""
    flags = dict(vars(arguments))
    if "disc_filters" in flags:  # the same run, whether the default is spelled out or not
        flags["disc_filters"] = flags["disc_filters"] or flags["base_filters"]
        flags["defaults"] = {**flags["defaults"], "disc_filters": flags["base_filters"]}
    made = {
        "loss_weights": LossWeights(
            flags.get("l1_weight", PAPER.l1),
            flags.get("feature_matching", PAPER.feature_matching),
            flags["linear_weight"],
            flags.get("r1", PAPER.r1),
            flags.get("phase_weight", PAPER.phase),
            flags.get("consistency_weight", PAPER.consistency),
            flags["mean_weight"],
            flags["level_weight"],
        ),
        "phase": None if flags.get("phase", "none") == "none" else flags["phase"],
        "disc_filters": flags.get("disc_filters"),
        "recorded": {name: value for name, value in flags.items() if name not in _NOT_RECORDED},
    }
    return RunSettings(**{name: flags[name] for name in RunSettings.__dataclass_fields__.keys() - made.keys()}, **made)
