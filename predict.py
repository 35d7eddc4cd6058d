#!/usr/bin/env python3
"""Plays a recording with the instrument that a model was trained for.

The output is as long as the input, at its sample rate and with its channels; its format is that of its ending (.wav,
.flac, .ogg, .mp3). The model is a folder of models/ or a file of generator weights.

example:
  python predict.py --model models/keyboard_acoustic_2_guitar_acoustic --input piano.wav --output guitar.wav
"""

from pathlib import Path

import cli
from cli import UserError
from device import add_gpu_argument, start_tensorflow

OUTPUT_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--model", required=True, help="model folder, or a .h5 file of generator weights")
    parser.add_argument("--input", required=True, help="audio file to convert")
    parser.add_argument("--output", required=True, help="audio file to write")
    add_gpu_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser.parse_args()


def check_paths(input_path, output_path, overwrite):
    if not input_path.is_file():
        raise UserError(f"--input {input_path} is not a file; it must be a recording")
    if output_path.suffix.lower() not in OUTPUT_ENDINGS:
        raise UserError(f"--output {output_path} must end in one of {' '.join(OUTPUT_ENDINGS)}")
    if output_path.is_dir():
        raise UserError(f"--output {output_path} is a folder; it must be a file to write")
    if output_path.exists() and output_path.samefile(input_path):
        raise UserError(f"--output {output_path} is the input; choose another file")
    if output_path.exists() and not overwrite:
        raise UserError(f"--output {output_path} exists; choose another file, or replace it with --overwrite")


def main():
    arguments = parse_arguments()
    input_path, output_path = Path(arguments.input), Path(arguments.output)
    check_paths(input_path, output_path, arguments.overwrite)

    import data

    try:
        audio, sample_rate = data.read_audio(input_path)
    except ValueError as error:
        raise UserError(f"--input {input_path} {error}") from None
    n_channels, n_samples = audio.shape
    if n_samples == 0:
        raise UserError(f"--input {input_path} holds no samples")

    running_on = start_tensorflow(arguments.gpu)

    import numpy as np
    import soundfile

    import files
    from model import load_generator
    from transfer import make_generate, transfer_audio

    generator, config = load_generator(arguments.model)
    if config["model"]["n_inputs"] != 1:
        raise UserError(f"--model {arguments.model} also needs a style; predict_multitarget.py is for such models")
    result = transfer_audio(audio, sample_rate, make_generate(generator))
    peak = float(np.abs(result).max())
    if peak > 1:
        print(f"turned down by {20 * np.log10(peak):.1f} dB, as it would have clipped")
        result /= peak
    try:
        with files.replacing(output_path) as partial:
            soundfile.write(partial, result.T, sample_rate)
    except soundfile.LibsndfileError as error:  # MP3 has its own few rates, and two channels at most
        raise UserError(
            f"--output {output_path}: {output_path.suffix} cannot hold {n_channels} channels at {sample_rate} Hz "
            f"({error.error_string}); .wav can"
        ) from None
    print(f"{output_path}: {n_samples / sample_rate:.2f} s, {n_channels} channels, {sample_rate} Hz, on {running_on}")
    return 0


if __name__ == "__main__":
    cli.run(main)
