#!/usr/bin/env python3
"""Play recordings with the instrument that a model was trained for.

Input is anything that libsndfile or FFmpeg reads, of any length, rate and number of channels; several files or folders
too. The output has the input's channels, rate and number of samples. Its extension gives its format (.wav, .flac, .ogg,
.mp3). The model is a name (--list_models lists them), a model's folder, or a file of generator weights.

Example:
  python predict.py --model keyboard_acoustic_2_guitar_acoustic --input piano.wav --output guitar.wav
"""

import argparse

from common import cli, pretrained
from inference.arguments import add_arguments, convert_settings


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    add_arguments(parser)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from inference.jobs import expected_seconds, prepare_jobs

    jobs = prepare_jobs(arguments.input, arguments.output, arguments.subtype, arguments.overwrite)
    if not jobs:
        return 0
    model_path = pretrained.find(arguments.model)
    from inference import convert, runtimes

    runtime = runtimes.choose(arguments.runtime, arguments.gpu, expected_seconds(jobs))
    network = runtimes.load(model_path, runtime, arguments.gpu)
    return convert.run(jobs, model_path, network, convert_settings(arguments))


if __name__ == "__main__":
    cli.run(main)
