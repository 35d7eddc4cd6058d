#!/usr/bin/env python3
"""Play recordings with the instrument of another recording, by a model of train_multitarget.py.

The style is any recording of an instrument that the model was trained for, of any length and any music. The part of it
that is used is always the same: the fullest 3 s, or those from --style_start on. Several styles give an instrument
between theirs. All else is as in predict.py.

Examples:
  python predict_multitarget.py --model keyboard_acoustic_2_any --input piano.wav --style strings.wav
      --output piano_as_strings.wav
  python predict_multitarget.py --model keyboard_acoustic_2_any --input piano.wav --style strings.wav guitar.wav
      --style_weights 0.7 0.3 --output piano_as_both.wav
"""

import argparse

from common import cli, pretrained
from common.device import start_tensorflow
from inference.arguments import add_arguments, add_style_arguments, convert_settings, style_settings


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    add_arguments(parser)
    add_style_arguments(parser)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    requested = style_settings(arguments)
    from inference.jobs import prepare_jobs
    from inference.style import read_styles

    jobs = prepare_jobs(arguments.input, arguments.output, arguments.subtype, arguments.overwrite)
    styles = read_styles(requested)
    if not jobs:
        return 0
    model_path = pretrained.find(arguments.model)
    device_name = start_tensorflow(arguments.gpu)
    from inference import convert

    return convert.run(jobs, model_path, convert_settings(arguments), device_name, styles)


if __name__ == "__main__":
    cli.run(main)
