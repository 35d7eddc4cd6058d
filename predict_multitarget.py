#!/usr/bin/env python3
"""Plays recordings with the instrument of another recording, by a model of train_multitarget.py.

The style is any recording of an instrument that the model was trained for, of any length and any music. The part of it
that is used is always the same: the fullest 3 s, or those from --style_start on. All else is as in predict.py.

example:
  python predict_multitarget.py --model models/keyboard_acoustic_2_any --input piano.wav --style strings.wav
      --output piano_as_strings.wav
"""

from pathlib import Path

import cli
import prediction
from cli import UserError
from device import start_tensorflow


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    prediction.add_arguments(parser)
    parser.add_argument("--style", required=True, help="recording of the target instrument")
    parser.add_argument("--style_start", type=float, help="seconds where the style begins (default: its fullest part)")
    parser.add_argument(
        "--style_slices", type=cli.positive_int, default=1, help="parts of the style, the predictions are averaged"
    )
    arguments = parser.parse_args()
    if arguments.style_start is not None and not 0 <= arguments.style_start < float("inf"):
        parser.error("argument --style_start: must be 0 or above")
    return arguments


def read_style(arguments):
    """The slices of the style, as the network sees them, and the seconds at which each begins."""
    import audio_files
    import data
    from styles import choose_slices

    if not Path(arguments.style).is_file():
        raise UserError(f"--style {arguments.style} is not a file; it must be a recording of the target instrument")
    try:
        image = data.log_magnitude(data.stft(audio_files.load_audio(arguments.style)))
        chosen, begins = choose_slices(image, arguments.style_slices, arguments.style_start)
    except ValueError as error:
        raise UserError(f"--style {arguments.style} {error}") from None
    return data.to_network(chosen), begins


def main():
    arguments = parse_arguments()
    jobs = prediction.check(arguments)
    styles, begins = read_style(arguments)
    if not jobs:
        return 0
    running_on = start_tensorflow(arguments.gpu)

    from model import load_generator
    from transfer import make_generate

    generator, config = load_generator(prediction.find_model(arguments))
    if config["model"]["n_inputs"] != 2:
        raise UserError(f"--model {arguments.model} takes no style; predict.py is for such models")
    print(f"style: {arguments.style} from {', '.join(f'{begin:.2f} s' for begin in begins)}")
    if len(begins) < arguments.style_slices:
        print(f"it holds {len(begins)} slices that sound, not {arguments.style_slices}")
    return prediction.convert_all(jobs, make_generate(generator, styles), arguments, running_on)


if __name__ == "__main__":
    cli.run(main)
