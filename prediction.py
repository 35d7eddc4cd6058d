"""What the predict scripts share: their flags, and the way from a recording to a converted one."""

from pathlib import Path

from cli import UserError
from device import add_gpu_argument

OUTPUT_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


def add_arguments(parser):
    """Adds the flags that all predict scripts have."""
    parser.add_argument("--model", required=True, help="model folder, or a .h5 file of generator weights")
    parser.add_argument("--input", required=True, help="audio file to convert")
    parser.add_argument("--output", required=True, help="audio file to write")
    add_gpu_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")


def check_paths(arguments):
    """Raises a `UserError` if the input is no file, or the output may not be written."""
    input_path, output_path = Path(arguments.input), Path(arguments.output)
    if not input_path.is_file():
        raise UserError(f"--input {input_path} is not a file; it must be a recording")
    if output_path.suffix.lower() not in OUTPUT_ENDINGS:
        raise UserError(f"--output {output_path} must end in one of {' '.join(OUTPUT_ENDINGS)}")
    if output_path.is_dir():
        raise UserError(f"--output {output_path} is a folder; it must be a file to write")
    if output_path.exists() and output_path.samefile(input_path):
        raise UserError(f"--output {output_path} is the input; choose another file")
    if output_path.exists() and not arguments.overwrite:
        raise UserError(f"--output {output_path} exists; choose another file, or replace it with --overwrite")


def read_input(path):
    """Reads the recording: float32 array [shape=(n_channels, n_samples)] and its rate; a `UserError` if it is none."""
    import data

    try:
        audio, sample_rate = data.read_audio(path)
    except ValueError as error:
        raise UserError(f"--input {path} {error}") from None
    if audio.size == 0:
        raise UserError(f"--input {path} holds no samples")
    return audio, sample_rate


def convert(audio, sample_rate, generate, output_path, running_on):
    """Converts audio, writes it, and says so.

    Args:
        audio: float32 array [shape=(n_channels, n_samples)].
        sample_rate: Hz.
        generate: what `transfer.make_generate` gives.
        output_path: the file.
        running_on: what `device.start_tensorflow` says.
    """
    import numpy as np
    import soundfile

    import files
    from transfer import transfer_audio

    n_channels, n_samples = audio.shape
    result = transfer_audio(audio, sample_rate, generate)
    peak = float(np.abs(result).max())
    if peak > 1:
        print(f"turned down by {20 * np.log10(peak):.1f} dB, as it would have clipped")
        result /= peak
    try:
        with files.replacing(output_path) as partial:
            soundfile.write(partial, result.T, sample_rate)
    except soundfile.LibsndfileError as error:  # MP3 has its own few rates, and two channels at most
        raise UserError(
            f"--output {output_path}: {Path(output_path).suffix} cannot hold {n_channels} channels at {sample_rate} Hz "
            f"({error.error_string}); .wav can"
        ) from None
    print(f"{output_path}: {n_samples / sample_rate:.2f} s, {n_channels} channels, {sample_rate} Hz, on {running_on}")
