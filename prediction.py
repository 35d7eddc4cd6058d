"""What the predict scripts share: their flags, and the way from recordings to converted ones."""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import audio_files
import cli
import files
from cli import UserError
from device import add_gpu_argument

LEVELS = ("none", "match", "peak")
PHASES = ("input", "griffinlim", "griffinlim_input", "admm")
_PEAK = 10 ** (-1 / 20)  # -1 dBFS
_FINE_SUBTYPES = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")


class Job(NamedTuple):
    """A recording to convert, and the file to write."""

    input_path: Path
    output_path: Path


def add_arguments(parser):
    """Adds the flags that all predict scripts have."""
    add = parser.add_argument
    add("--model", required=True, help="name of a model, model folder, or a .h5 file of generator weights")
    add("--input", required=True, nargs="+", help="audio files to convert, or folders of them")
    add("--output", required=True, help="audio file to write, or a folder")
    add_gpu_argument(parser)
    add("--overwrite", action="store_true", help="replace outputs that exist; they are skipped otherwise")
    add("--subtype", type=str.upper, help="how samples are stored, such as PCM_16, PCM_24 or FLOAT")
    add("--level", choices=LEVELS, default="none", help="the network's, the input's loudness, or a peak of -1 dBFS")
    add("--high_band", choices=("none", "input"), default="none", help="what sounds above 11 kHz")
    add("--phase", choices=PHASES, default="griffinlim_input", help="where the phase comes from")
    add("--phase_iterations", type=cli.positive_int, help="of phases that are estimated (default: 8; griffinlim: 32)")
    add("--overlap", type=int, choices=range(129), default=32, metavar="0-128", help="frames that slices share")
    add("--seed", type=cli.natural, default=0, help="of random phases")
    add("--list_models", action=_ListModels, nargs=0, help="tell the models that are known by name, and leave")


class _ListModels(argparse.Action):
    """Prints the models and leaves, like --help."""

    def __call__(self, parser, *_):
        import pretrained

        print(*pretrained.describe(), sep="\n")
        parser.exit()


def find_model(arguments):
    """The path of the model that is asked for, downloaded if need be."""
    import pretrained

    return pretrained.find(arguments.model)


def check(arguments):
    """Finds what is to be done, and refuses what cannot be; see `plan` and `check_jobs`."""
    jobs = check_jobs(plan(arguments.input, arguments.output), arguments)
    if len(jobs) == 1:  # a single one that is no audio need not wait for TensorFlow
        try:
            audio_files.Reader(jobs[0].input_path).close()
        except ValueError as error:
            raise UserError(f"--input {jobs[0].input_path} {error}") from None
    return jobs


def plan(inputs, output):
    """Finds what to convert, and the names of what is written.

    A folder's recordings keep their places below it; the ending is that of the input if it can be written, or .wav.

    Args:
        inputs: files and folders.
        output: a file, for a single file, or a folder.

    Returns:
        List of `Job`.

    Raises:
        UserError: if an input is missing or a folder holds no audio, or the output fits neither.
    """
    output = Path(output)
    own = output.resolve()  # what an earlier run wrote is no input, where the output lies in the input's folder
    found = {}  # input to its place in the output folder
    for path in map(Path, inputs):
        if path.is_file():
            found[path] = Path(path.name)
        elif path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in audio_files.INPUT_ENDINGS]
            inside = [p for p in inside if p.is_file() and p.name[0] != "." and own not in p.resolve().parents]
            if not inside:
                raise UserError(f"--input {path} holds no audio files ({' '.join(audio_files.INPUT_ENDINGS)})")
            found |= {p: p.relative_to(path) for p in inside}
        else:
            raise UserError(f"--input {path} is not a file or folder; it must be a recording")
    single = len(inputs) == 1 and Path(inputs[0]).is_file()
    if output.suffix and not output.is_dir():
        if output.suffix.lower() not in audio_files.ENDINGS:
            raise UserError(f"--output {output} must end in one of {' '.join(audio_files.ENDINGS)}, or be a folder")
        if not single:
            raise UserError(f"--output {output} is one file for {len(found)} recordings; it must be a folder")
        return [Job(Path(inputs[0]), output)]
    if output.is_file():
        raise UserError(f"--output {output} is a file without an ending; it must be a folder, or end in .wav")

    kept = {place for place in found.values() if place.suffix.lower() in audio_files.ENDINGS}
    others = [place.with_suffix(".wav") for place in found.values() if place not in kept]
    jobs = []
    for path, place in found.items():
        if place not in kept:
            renamed = place.with_suffix(".wav")
            # a.aiff becomes a.wav, but a.aiff.wav where there is another a.
            place = Path(f"{place}.wav") if renamed in kept or others.count(renamed) > 1 else renamed
        jobs.append(Job(path, output / place))
    by_output = {}
    for job in jobs:
        other = by_output.setdefault(job.output_path, job)
        if other is not job:
            raise UserError(
                f"--input {other.input_path} and {job.input_path} would both become {job.output_path}; "
                "convert them into separate folders"
            )
    return jobs


def check_jobs(jobs, arguments):
    """Refuses what cannot be before the network is loaded; gives the jobs that are left to do.

    Raises:
        UserError: if an output is an input, or the subtype is none of its format.
    """
    left, inputs = [], {job.input_path.resolve() for job in jobs}
    for job in jobs:
        if job.output_path.resolve() in inputs:
            raise UserError(f"--output {job.output_path} is an input; choose another place")
        ending = job.output_path.suffix.lower()
        known = audio_files.subtypes(ending)
        if arguments.subtype and arguments.subtype not in known:
            raise UserError(f"--subtype {arguments.subtype} is none of {ending} files; they have {' '.join(known)}")
        if job.output_path.exists() and not arguments.overwrite:
            print(f"skipped: {job.output_path} exists (--overwrite replaces it)")
        else:
            left.append(job)
    return left


def convert_all(jobs, generate, arguments, running_on):
    """Converts recordings one after the other.

    Returns:
        The script's exit status: 1 if some failed.

    Raises:
        UserError: if the only one fails.
    """
    failures = []
    with cli.Bar(sum(map(_seconds, jobs)), "s") as bar:
        for job in jobs:
            try:
                told = convert(job, generate, arguments, bar)
            except (ValueError, OSError) as error:
                if len(jobs) > 1:
                    failures.append((str(job.input_path), str(error)))
                elif isinstance(error, ValueError):
                    raise UserError(f"--input {job.input_path} {error}") from None
                else:
                    raise
            else:
                bar.write(f"{job.output_path}: {told}, on {running_on}")
    return cli.report_failures(failures, f"of {len(jobs)} recordings")


def _seconds(job):
    try:
        with audio_files.Reader(job.input_path) as reader:
            return reader.expected_samples / reader.sample_rate
    except ValueError:
        return 0.0


def convert(job, generate, arguments, bar):
    """Converts a recording of any length, holding little of it in memory.

    Args:
        job: a `Job`.
        generate: what `transfer.make_generate` gives.
        arguments: the script's.
        bar: `cli.Bar` that counts seconds of input.

    Returns:
        A text about what was written.

    Raises:
        ValueError: if the input is no audio, damaged or empty, or the output's format cannot hold it.
    """
    import numpy as np

    from loudness import Meter

    with audio_files.Reader(job.input_path) as reader, files.replacing(job.output_path) as partial:
        rate, n_channels = reader.sample_rate, reader.n_channels
        subtype = arguments.subtype or _default_subtype(reader.subtype, job.output_path)
        before, after = (Meter(rate, n_channels, arguments.level == "match") for _ in range(2))

        def heard():
            for block in reader.blocks():
                before.add(block)
                bar.update(block.shape[1] / rate)
                yield block

        # The level is known at the end alone, so that the samples wait in a file, as 32-bit numbers.
        with (
            audio_files.open_to_write(partial, rate, n_channels, subtype, reader.expected_samples) as writer,
            tempfile.TemporaryFile(dir=partial.parent) as waiting,
        ):
            n_written = 0
            for block in _result(heard(), generate, arguments, rate):
                block = block[:, : reader.n_samples - n_written]
                n_written += block.shape[1]
                after.add(block)
                waiting.write(np.ascontiguousarray(block.T).tobytes())
            if reader.n_samples == 0:
                raise ValueError("holds no samples")
            gain, told = _gain(arguments.level, before, after, subtype)
            waiting.seek(0)
            while chunk := waiting.read(4 * n_channels * audio_files.BLOCK_SAMPLES):
                writer.write(np.frombuffer(chunk, np.float32).reshape(-1, n_channels) * np.float32(gain))
    return f"{reader.n_samples / rate:.2f} s, {n_channels} channels, {rate} Hz{told}"


def _result(blocks, generate, arguments, sample_rate):
    from transfer import transfer

    return transfer(
        blocks,
        sample_rate,
        generate,
        overlap=arguments.overlap,
        phase=arguments.phase,
        phase_iterations=arguments.phase_iterations,
        high_band=arguments.high_band,
        seed=arguments.seed,
    )


def _default_subtype(subtype, output_path):
    """As fine as the input, where the format can be; otherwise the format's own default."""
    if subtype in _FINE_SUBTYPES and output_path.suffix.lower() in (".wav", ".flac"):
        return "PCM_24"
    return None


def _gain(level, before, after, subtype):
    """The factor for the output, and a text that says so if it is none that was asked for."""
    import numpy as np

    if after.peak == 0:
        return 1.0, ""
    gain = 1.0
    if level == "peak":
        gain = _PEAK / after.peak
    elif level == "match":
        loudness = before.loudness(), after.loudness()
        if None not in loudness:
            gain = 10 ** ((loudness[0] - loudness[1]) / 20)
    if gain * after.peak > 1 and subtype not in ("FLOAT", "DOUBLE"):
        told = f", turned down by {20 * np.log10(gain * after.peak):.1f} dB, as it would have clipped"
        return 1 / after.peak, told
    return gain, ""
