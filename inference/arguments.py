"""Command-line flags of the predict scripts, and the settings that they stand for."""

import argparse

from common import cli, pretrained
from common.device import add_gpu_argument
from inference.settings import HIGH_BANDS, LEVELS, PHASES, ConvertSettings, PhaseSettings, TransferSettings

DEFAULTS = ConvertSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both predict scripts have."""
    transfer = DEFAULTS.transfer
    add = parser.add_argument
    add("--model", required=True, help="name of a model, model folder, or a .h5 file of generator weights")
    add("--input", required=True, nargs="+", help="audio files to convert, or folders of them")
    add("--output", required=True, help="audio file to write, or a folder")
    add_gpu_argument(parser)
    add("--overwrite", action="store_true", help="replace existing outputs, which are skipped otherwise")
    add("--subtype", type=str.upper, help="how samples are stored, such as PCM_16, PCM_24 or FLOAT")
    add(
        "--level",
        choices=LEVELS,
        default=DEFAULTS.level,
        help="level of the output: the network's, the input's loudness, or a peak of -1 dBFS",
    )
    add("--high_band", choices=HIGH_BANDS, default=transfer.high_band, help="what sounds above 11 kHz")
    add("--phase", choices=PHASES, default=transfer.phase.name, help="how the phase is found")
    add(
        "--phase_iterations",
        type=cli.positive_int,
        help="iterations of phases that are estimated (default: 8; griffinlim: 32)",
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
    """Add the flags that name a style."""
    add = parser.add_argument
    add("--style", required=True, help="recording of the target instrument")
    add("--style_start", type=seconds, help="seconds at which the style begins (default: its fullest part)")
    add(
        "--style_slices",
        type=cli.positive_int,
        default=1,
        help="number of parts of the style; the predictions with each are averaged",
    )


def convert_settings(arguments: argparse.Namespace) -> ConvertSettings:
    """Convert what `add_arguments` parsed into settings."""
    phase = PhaseSettings(arguments.phase, arguments.phase_iterations, arguments.seed)
    transfer = TransferSettings(phase, arguments.overlap, arguments.high_band)
    return ConvertSettings(arguments.level, arguments.subtype, transfer, arguments.overwrite)


def seconds(text: str) -> float:
    """Parse a finite number of at least 0 (an argparse type)."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be 0 or above")
    return value


class _ListModels(argparse.Action):
    """Print the models and exit, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(*pretrained.describe(), sep="\n")
        parser.exit()
