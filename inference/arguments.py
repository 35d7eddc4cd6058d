"""Command-line flags of the predict scripts, and the settings that they stand for."""

import argparse
from collections.abc import Sequence

from common import cli, pretrained
from common.cli import UserError
from common.device import add_gpu_argument
from inference.settings import (
    AUTO,
    HIGH_BANDS,
    LEVELS,
    MODEL_PHASE,
    PHASES,
    RUNTIMES,
    ConvertSettings,
    PhaseSettings,
    StyleSettings,
    TransferSettings,
)

DEFAULTS = ConvertSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both predict scripts have."""
    transfer = DEFAULTS.transfer
    add = parser.add_argument
    add("--model", required=True, help="name of a model, model folder, or a .h5 file of generator weights")
    add("--input", required=True, nargs="+", help="audio files to convert, or folders of them")
    add("--output", required=True, help="audio file to write, or a folder")
    add_gpu_argument(parser)
    add(
        "--runtime",
        choices=RUNTIMES,
        default="auto",
        help="what runs the network; auto: onnxruntime on the CPU, TensorFlow with --gpu and for more than an hour",
    )
    add("--overwrite", action="store_true", help="replace existing outputs, which are skipped otherwise")
    add("--subtype", type=str.upper, help="how samples are stored, such as PCM_16, PCM_24 or FLOAT")
    add(
        "--level",
        choices=LEVELS,
        default=DEFAULTS.level,
        help="level of the output: the network's, the input's loudness, or a peak of -1 dBFS",
    )
    add("--high_band", choices=HIGH_BANDS, default=transfer.high_band, help="what sounds above 11 kHz")
    add(
        "--phase",
        choices=(AUTO, *PHASES),
        default=AUTO,
        help=f"how the phase is found; auto: {MODEL_PHASE} for models that predict one, else {transfer.phase.name}",
    )
    add("--phase_network", metavar="FOLDER", help="folder of train_phase.py (default: phase/ in the model's folder)")
    add(
        "--phase_iterations",
        type=cli.non_negative_int,
        help="iterations of phases that are estimated (default: 8, with --interleave 16; griffinlim: 32)",
    )
    add(
        "--interleave",
        type=cli.boolean,
        nargs="?",
        const=True,
        metavar="true|false",
        help="also run the network on the recording shifted by 256 samples, and find the phase on the finer grid "
        "(default: for models that were trained with a discriminator)",
    )
    add(
        "--overlap",
        type=int,
        choices=range(129),
        default=transfer.overlap,
        metavar="0-128",
        help="frames that neighboring slices share",
    )
    add("--seed", type=cli.seed, default=transfer.phase.seed, help="seed of random phases")
    add("--list_models", action=_ListModels, nargs=0, help="list the models that are known by name, and exit")


def add_style_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a style, or several that are mixed."""
    add = parser.add_argument
    add("--style", required=True, nargs="+", help="recording of the target instrument; several are mixed")
    add(
        "--style_weights",
        type=cli.non_negative_float,
        nargs="+",
        help="the part of each style in the mix, such as 0.7 0.3 (default: equal parts)",
    )
    add(
        "--style_start",
        type=cli.non_negative_float,
        nargs="+",
        help="seconds at which each style begins (default: its fullest part)",
    )
    add(
        "--style_slices",
        type=cli.positive_int,
        default=1,
        help="number of parts of each style; the predictions with each are averaged",
    )


def convert_settings(arguments: argparse.Namespace) -> ConvertSettings:
    """Convert what `add_arguments` parsed into settings.

    Raises:
        UserError: if a network of the phase is named that no phase needs.
    """
    if arguments.phase_network and arguments.phase != "network":
        raise UserError("--phase_network needs --phase network")
    phase = PhaseSettings(arguments.phase, arguments.phase_iterations, arguments.seed, arguments.interleave)
    transfer = TransferSettings(phase, arguments.overlap, arguments.high_band)
    return ConvertSettings(arguments.level, arguments.subtype, transfer, arguments.overwrite, arguments.phase_network)


def style_settings(arguments: argparse.Namespace) -> list[StyleSettings]:
    """Convert what `add_style_arguments` parsed into settings of each style.

    Raises:
        UserError: if there are not as many weights or starts as styles, or all weights are 0.
    """
    paths = arguments.style
    weights, starts = arguments.style_weights or [1.0] * len(paths), arguments.style_start or [None] * len(paths)
    for flag, values in (("--style_weights", weights), ("--style_start", starts)):
        if len(values) != len(paths):
            raise UserError(f"{flag} must have one number for each --style: {len(paths)}, not {len(values)}")
    if not any(weights):
        raise UserError("--style_weights are all 0; one must be above 0")
    return [
        StyleSettings(path, arguments.style_slices, start, weight)
        for path, start, weight in zip(paths, starts, _normalize(weights), strict=True)
    ]


def _normalize(weights: Sequence[float]) -> list[float]:
    """Divide weights by their sum; first by the largest of them, as the sum of large ones may be infinite."""
    relative = [weight / max(weights) for weight in weights]
    return [weight / sum(relative) for weight in relative]


class _ListModels(argparse.Action):
    """Print the models and exit, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(*pretrained.describe(), sep="\n")
        parser.exit()
