#!/usr/bin/env python3
"""Plays recordings with the instrument that a model was trained for.

Input is anything that libsndfile or FFmpeg reads, of any length, rate and number of channels; several files or folders
too. The output has the input's channels, rate and number of samples; its format is that of its ending (.wav, .flac,
.ogg, .mp3). The model is a name (--list_models tells them), a folder of models/, or a file of generator weights.

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
    jobs = prediction.check(arguments)
    if not jobs:
        return 0
    running_on = start_tensorflow(arguments.gpu)

    from model import load_generator
    from transfer import make_generate

    generator, config = load_generator(prediction.find_model(arguments))
    if config["model"]["n_inputs"] != 1:
        raise UserError(f"--model {arguments.model} also needs a style; predict_multitarget.py is for such models")
    return prediction.convert_all(jobs, make_generate(generator), arguments, running_on)


if __name__ == "__main__":
    cli.run(main)
