#!/usr/bin/env python3
"""Plays a recording with the instrument that a model was trained for.

The output is as long as the input, at its sample rate and with its channels; its format is that of its ending (.wav,
.flac, .ogg, .mp3). The model is a folder of models/ or a file of generator weights.

example:
  python predict.py --model models/keyboard_acoustic_2_guitar_acoustic --input piano.wav --output guitar.wav
"""

import cli
import prediction
from cli import UserError
from device import start_tensorflow


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    prediction.add_arguments(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    prediction.check_paths(arguments)
    audio, sample_rate = prediction.read_input(arguments.input)
    running_on = start_tensorflow(arguments.gpu)

    from model import load_generator
    from transfer import make_generate

    generator, config = load_generator(arguments.model)
    if config["model"]["n_inputs"] != 1:
        raise UserError(f"--model {arguments.model} also needs a style; predict_multitarget.py is for such models")
    prediction.convert(audio, sample_rate, make_generate(generator), arguments.output, running_on)
    return 0


if __name__ == "__main__":
    cli.run(main)
