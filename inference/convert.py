"""Recordings converted to recordings, in bounded memory."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import soundfile

import data
from common import audio, cli, failures, storage
from common.cli import UserError
from common.progress import ProgressBar
from inference.channels import representation_of
from inference.jobs import Job, expected_seconds, skip_notice
from inference.loudness import Meter
from inference.runtimes import Network, complete_phase
from inference.settings import ConvertSettings
from inference.style import Style
from inference.transfer import PredictFn, mix, transfer, with_styles

_FINE_SUBTYPES = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")


class Outcome(NamedTuple):
    """What became of a recording.

    Attributes:
        message: about what was written.
        fault: why the input is not whole, although what there is of it was converted; None if it is.
    """

    message: str
    fault: str | None


def run(
    jobs: Sequence[Job], model_path: Path, network: Network, settings: ConvertSettings, styles: Sequence[Style] = ()
) -> int:
    """Convert recordings with a network.

    Args:
        jobs: the recordings, and the files to write.
        model_path: where the network comes from, for messages.
        network: what `runtimes.load` returned.
        settings: how recordings are converted and written.
        styles: the style, for a network that takes one; the results with several are mixed by their weights.

    Returns:
        The script's exit status.

    Raises:
        UserError: if the network takes a style and there is none, or takes none and there is one.
    """
    settings = complete_phase(settings, model_path, network)
    if network.takes_style and not styles:
        raise UserError(f"--model {model_path} also needs a style; predict_multitarget.py is for such models")
    if not styles:
        return convert_all(jobs, network.infer, settings, network.device_name)
    if not network.takes_style:
        raise UserError(f"--model {model_path} takes no style; predict.py is for such models")
    print(*(notice for style in styles for notice in style.notices), sep="\n")
    with_phase = representation_of(network.infer) is not None
    predict_fns = [with_styles(network.infer, style.images(with_phase)) for style in styles]
    return convert_all(jobs, mix(predict_fns, [style.weight for style in styles]), settings, network.device_name)


def convert_all(jobs: Sequence[Job], predict_fn: PredictFn, settings: ConvertSettings, device_name: str) -> int:
    """Convert recordings one after the other. One that fails does not stop the others.

    Those that another run was writing are tried once more at the end: two runs in one folder share the work.

    Args:
        jobs: the recordings, and the files to write.
        predict_fn: what `transfer.with_styles` returns.
        settings: how recordings are converted and written.
        device_name: what the network runs on, for messages.

    Returns:
        The script's exit status: 1 if some failed or were not whole.

    Raises:
        UserError: if there is only one recording, and it is not audio, or its output is in use or not finite.
    """
    with ProgressBar(expected_seconds(jobs), "s") as bar:
        faults = {job: _try_to_convert(job, predict_fn, settings, bar, device_name) for job in jobs}
        for job in [job for job, fault in faults.items() if isinstance(fault, storage.FileInUse)]:
            faults[job] = _try_to_convert(job, predict_fn, settings, bar, device_name)
    if len(jobs) == 1 and isinstance(faults[jobs[0]], audio.AudioError):
        raise UserError(f"--input {jobs[0].input_path} {faults[jobs[0]]}")
    if len(jobs) == 1 and isinstance(faults[jobs[0]], UserError):
        raise faults[jobs[0]]
    failed = [(str(job.input_path), str(fault)) for job, fault in faults.items() if fault]
    if len(jobs) > 1 or not failed:
        return cli.report_failures(failed, f"of {len(jobs)} recordings")
    print("failed: {}: {}".format(*failed[0]), file=sys.stderr)
    return 1


def _try_to_convert(
    job: Job, predict_fn: PredictFn, settings: ConvertSettings, bar: ProgressBar, device_name: str
) -> Exception | str | None:
    """Convert a recording and print a line about its output; return what is wrong with the input or with the output."""
    try:
        outcome = convert(job, predict_fn, settings, bar)
    except (audio.AudioError, UserError) as error:
        return error
    except failures.expected() as error:
        return failures.describe(error, job.output_path)
    if outcome is None:
        bar.write_line(skip_notice(job, overwrite=False))
        return None
    bar.write_line(f"{job.output_path}: {outcome.message}, on {device_name}")
    return outcome.fault and f"{outcome.fault}; what there is was converted"


def convert(job: Job, predict_fn: PredictFn, settings: ConvertSettings, bar: ProgressBar) -> Outcome | None:
    """Convert a recording of any length.

    Nothing is left of an output that cannot be completed, and no other process can write it at the same time.

    Args:
        job: the recording, and the file to write.
        predict_fn: what `transfer.with_styles` returns.
        settings: how the recording is converted and written.
        bar: counts seconds of input.

    Returns:
        What was written; None if the output exists and is not to be replaced, as another run has made it meanwhile.

    Raises:
        AudioError: if the input is not audio, damaged or empty, or the output's format cannot hold it.
        FileInUse: if another process writes the output.
        UserError: if the network's output is not finite.
    """
    with audio.Reader(job.input_path) as reader, storage.lock_file(job.output_path):
        if skip_notice(job, settings.overwrite):
            return None
        return _convert(reader, job, predict_fn, settings, bar)


def _convert(
    reader: audio.Reader, job: Job, predict_fn: PredictFn, settings: ConvertSettings, bar: ProgressBar
) -> Outcome:
    """Convert what a reader reads; see `convert`."""
    with storage.atomic_write(job.output_path) as partial:
        rate, n_channels = reader.sample_rate, reader.n_channels
        subtype = settings.subtype or _default_subtype(reader.subtype, job.output_path)
        input_meter, output_meter = (Meter(rate, n_channels, settings.level == "match") for _ in range(2))
        with audio.open_to_write(partial, rate, n_channels, subtype):
            pass  # fails now if the format cannot hold it
        # The gain is known only at the end. Until then, the samples are in a temporary file, as 32-bit numbers.
        with tempfile.TemporaryFile(dir=partial.parent) as samples:
            blocks = _read_blocks(reader, input_meter, bar)
            n_written = 0
            for block in transfer(blocks, rate, predict_fn, settings.transfer):
                block = block[:, : reader.n_samples - n_written]
                n_written += block.shape[1]
                output_meter.add(block)
                samples.write(np.ascontiguousarray(block.T).tobytes())
            if reader.n_samples == 0:
                raise audio.AudioError("holds no samples")
            gain, notice = _choose_gain(settings.level, input_meter, output_meter, subtype)
            with audio.open_to_write(partial, rate, n_channels, subtype, n_written) as writer:
                _write_scaled(samples, writer, gain)
        fault = reader.cut_off()
    return Outcome(f"{n_written / rate:.2f} s, {n_channels} channels, {rate} Hz{notice}", fault)


def _read_blocks(reader: audio.Reader, meter: Meter, bar: ProgressBar) -> Iterator[np.ndarray]:
    """Yield a file's blocks, measured and counted."""
    for block in reader.blocks():
        meter.add(block)
        bar.update(block.shape[1] / reader.sample_rate)
        yield block


def _write_scaled(samples: IO[bytes], writer: soundfile.SoundFile, gain: float) -> None:
    """Write interleaved float32 samples from the start of a file to an audio file, times `gain`."""
    samples.seek(0)
    while chunk := samples.read(4 * writer.channels * audio.BLOCK_SAMPLES):
        writer.write(np.frombuffer(chunk, np.float32).reshape(-1, writer.channels) * np.float32(gain))


def _choose_gain(level: str, input_meter: Meter, output_meter: Meter, subtype: str | None) -> tuple[float, str]:
    """Choose the gain of the output for a level; also return a notice if it is lower than the level asks for."""
    if output_meter.peak == 0:
        return 1.0, ""
    gain = 1.0
    if level == "peak":
        gain = audio.PEAK_LEVEL / output_meter.peak
    elif level == "match":
        loudness, wanted = output_meter.loudness(), input_meter.loudness()
        if loudness is not None and wanted is not None:
            gain = data.decibels_to_gain(wanted - loudness)
    if gain * output_meter.peak > 1 and subtype not in ("FLOAT", "DOUBLE"):
        decibels = 20 * np.log10(gain * output_meter.peak)
        return 1 / output_meter.peak, f", turned down by {decibels:.1f} dB, as it would have clipped"
    return gain, ""


def _default_subtype(subtype: str | None, output_path: Path) -> str | None:
    """Return 24 bit if the input has as many and the format can hold them; otherwise the format's default."""
    if subtype in _FINE_SUBTYPES and output_path.suffix.lower() in (".wav", ".flac"):
        return "PCM_24"
    return None
