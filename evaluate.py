#!/usr/bin/env python3
"""Measure models on pairs of recordings, compare them with three baselines, and write a page to listen and look.

The pairs are the validation pieces of a data set, whose audio is found through its features.json, or a folder of
<instrument>/<piece>.wav. The baselines are the unchanged input, the input with the mean spectral difference of the
training pairs (a fixed equalizer), and the true magnitude with the input's phase. <output>/ gets report.html,
summary.md, summary.csv, scores.csv (by piece), differences.csv (between systems) and the excerpts that the page plays.
The run can be stopped: the same command continues it.

Example:
  python evaluate.py --model models/keyboard_acoustic_2_guitar_acoustic --dataset_path features --output scores
"""

import argparse
from pathlib import Path

from common import cli, pretrained
from common.cli import UserError
from common.device import add_gpu_argument, start_tensorflow
from evaluation.settings import EvaluationSettings
from inference.settings import PHASES, PhaseSettings, TransferSettings

INTERLEAVE = {"auto": (None,), "no": (False,), "yes": (True,), "both": (False, True)}
# Flags that do not change what is measured; the manifest records the models by their weights.
_NOT_RECORDED = ("model", "output", "origin", "target", "reference", "gpu", "overwrite", "phase_network")


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    add = parser.add_argument
    add("--model", required=True, nargs="+", help="names of models, model folders, or .h5 files of generator weights")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset_path", nargs="+", help="folders that compute_features.py wrote")
    source.add_argument("--audios_path", help="folder of <instrument>/<piece>.wav")
    add("--output", required=True, help="folder to write to")
    add("--origin", type=cli.instrument_name, help="only from this instrument (default: all that the models know)")
    add("--target", type=cli.instrument_name, help="only to this instrument (default: all that the models know)")
    add(
        "--phase",
        nargs="+",
        type=cli.comma_list(phase_name),
        help=f"phases to compare, of {' '.join(PHASES)} (default: {PhaseSettings().name})",
    )
    add("--phase_network", metavar="FOLDER", help="folder of train_phase.py (default: phase/ beside the first model)")
    add(
        "--phase_iterations",
        type=cli.positive_int,
        help="iterations of phases that are estimated (default: 8, interleaved 16; griffinlim: 32)",
    )
    add(
        "--interleave",
        choices=list(INTERLEAVE),
        default="auto",
        help="find phases with magnitudes every 256 samples, as --interleave of predict.py does; both: also without "
        "(default: auto, as predict.py chooses by the model; both if the models differ)",
    )
    add(
        "--overlap",
        type=int,
        choices=range(129),
        default=TransferSettings().overlap,
        metavar="0-128",
        help="frames that neighboring slices share",
    )
    add("--pieces", type=cli.positive_int, help="largest number of pieces (default: all)")
    add("--seconds", type=cli.positive_float, default=60.0, help="largest length of each piece")
    add("--listen", type=cli.non_negative_int, default=3, help="number of pieces on the page")
    add("--excerpt", type=cli.positive_float, default=8.0, help="seconds of each piece on the page")
    add(
        "--midi_path",
        help="folder of the MIDI files that the audio was synthesized from, to compare notes with; needs "
        "requirements-notes.txt",
    )
    add(
        "--reference",
        help="the model or other system, such as 'fixed equalizer', that the others are compared with (default: the "
        "first model)",
    )
    add("--seed", type=cli.seed, default=0, help="seed of random phases and of the confidence intervals")
    add_gpu_argument(parser)
    add("--overwrite", action="store_true", help="replace an evaluation that was made with other settings")
    arguments = parser.parse_args()
    arguments.phase = cli.flatten(arguments.phase or [[PhaseSettings().name]])
    return arguments


def phase_name(text: str) -> str:
    """Parse the name of a phase (an argparse type)."""
    if text not in PHASES:
        raise argparse.ArgumentTypeError(f"{text!r} must be one of {' '.join(PHASES)}")
    return text


def make_settings(arguments: argparse.Namespace) -> EvaluationSettings:
    """Convert the flags into settings, and check the paths that they name.

    Raises:
        UserError: if a path is not what it must be, or there is no such model.
    """
    flag = "--dataset_path" if arguments.dataset_path else "--audios_path"
    for folder in arguments.dataset_path or [arguments.audios_path]:
        if not Path(folder).is_dir():
            raise UserError(f"{flag} {folder} is not a folder; it must hold <instrument>/<piece>")
    if arguments.phase_network and "network" not in arguments.phase:
        raise UserError("--phase_network needs --phase network")
    if Path(arguments.output).is_file():
        raise UserError(f"--output {arguments.output} is a file; it must be a folder")
    if arguments.midi_path and not Path(arguments.midi_path).is_dir():
        raise UserError(f"--midi_path {arguments.midi_path} is not a folder; it must hold .mid or .midi files")
    return EvaluationSettings(
        model_paths=[pretrained.find(model) for model in arguments.model],
        dataset_paths=arguments.dataset_path or [],
        audios_path=arguments.audios_path,
        output=Path(arguments.output),
        origin=arguments.origin,
        target=arguments.target,
        phases=[
            PhaseSettings(name, arguments.phase_iterations, arguments.seed, interleave)
            for name in arguments.phase
            for interleave in INTERLEAVE[arguments.interleave]
        ],
        phase_network=arguments.phase_network,
        overlap=arguments.overlap,
        pieces=arguments.pieces,
        seconds=arguments.seconds,
        listen=arguments.listen,
        excerpt=arguments.excerpt,
        midi_path=arguments.midi_path,
        reference=arguments.reference,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        recorded={name: value for name, value in vars(arguments).items() if name not in _NOT_RECORDED},
    )


def main() -> int:
    arguments = parse_arguments()
    settings = make_settings(arguments)
    device_name = start_tensorflow(arguments.gpu)

    from evaluation.run import run

    return run(settings, device_name)


if __name__ == "__main__":
    cli.run(main)
