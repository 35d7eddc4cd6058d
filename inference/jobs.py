"""What there is to convert: recordings, and the files that they become."""

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from common import audio, failures, storage
from common.cli import UserError


class Job(NamedTuple):
    """A recording to convert, and the file to write."""

    input_path: Path
    output_path: Path


def prepare_jobs(inputs: Sequence[str], output: str, subtype: str | None, overwrite: bool) -> list[Job]:
    """List what is to be done, and refuse what cannot be done; see `list_jobs` and `check_jobs`.

    Raises:
        UserError: also if there is a single recording and it is not audio. Several are read later, one by one, so that
            one that cannot be read does not stop the others.
    """
    jobs = check_jobs(list_jobs(inputs, output), subtype, overwrite)
    if len(jobs) == 1:
        try:
            audio.Reader(jobs[0].input_path).close()
        except audio.AudioError as error:
            raise UserError(f"--input {jobs[0].input_path} {error}") from None
    return jobs


def list_jobs(inputs: Sequence[str], output: str) -> list[Job]:
    """Find the recordings to convert, and name the files to write.

    In the output folder, a folder's recordings keep their subfolders. The extension is the input's if that format can
    be written, otherwise .wav.

    Args:
        inputs: files and folders.
        output: a file, for a single file, or a folder.

    Returns:
        A job for each recording.

    Raises:
        UserError: if an input is missing, a folder holds no audio, the output cannot be a file or folder as given, or
            two recordings would become the same file.
    """
    output_path = Path(output)
    recordings = _find_recordings(inputs, output_path)
    if output_path.suffix and not output_path.is_dir():
        if output_path.suffix.lower() not in audio.EXTENSIONS:
            raise UserError(f"--output {output} must end in one of {' '.join(audio.EXTENSIONS)}, or be a folder")
        if len(inputs) > 1 or Path(inputs[0]).is_dir():
            raise UserError(f"--output {output} is one file for {len(recordings)} recordings; it must be a folder")
        return [Job(Path(inputs[0]), output_path)]
    if output_path.is_file():
        raise UserError(f"--output {output} is a file without an extension; it must be a folder, or end in .wav")
    names = _name_outputs(recordings.values())
    jobs = [Job(path, output_path / name) for path, name in zip(recordings, names, strict=True)]
    _refuse_collisions(jobs)
    return jobs


def check_jobs(jobs: Sequence[Job], subtype: str | None, overwrite: bool) -> list[Job]:
    """Refuse what cannot be done, and skip outputs that exist.

    Args:
        jobs: what `list_jobs` returns.
        subtype: libsndfile's name of how samples are to be stored, or None.
        overwrite: whether outputs that exist are replaced.

    Returns:
        The jobs that are left to do.

    Raises:
        UserError: if an output is an input, or its format does not know the subtype.
    """
    pending, inputs = [], {os.path.realpath(job.input_path) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.output_path) in inputs:
            raise UserError(f"--output {job.output_path} is an input; choose another file or folder")
        extension = job.output_path.suffix.lower()
        known = audio.subtypes(extension)
        if subtype and subtype not in known:
            raise UserError(f"--subtype {subtype} is not a subtype of {extension} files; they have {' '.join(known)}")
        if notice := skip_notice(job, overwrite):
            print(notice)
            storage.remove_stale_lock(job.output_path)  # of a run that was killed between the rename and the unlock
        else:
            pending.append(job)
    return pending


def skip_notice(job: Job, overwrite: bool) -> str | None:
    """Return the line that says that an output exists and stays; None if the job is to be done."""
    if overwrite or not job.output_path.exists():
        return None
    return f"skipped: {job.output_path} exists (--overwrite replaces it)"


def expected_seconds(jobs: Iterable[Job]) -> float:
    """Return the length of all recordings, as their files tell it; 0 for those that cannot be read."""
    total = 0.0
    for job in jobs:
        unreadable = contextlib.suppress(audio.AudioError, *failures.expected())  # said where it is converted
        with unreadable, audio.Reader(job.input_path) as reader:
            total += reader.expected_samples / reader.sample_rate
    return total


def _find_recordings(inputs: Sequence[str], output_path: Path) -> dict[Path, Path]:
    """Find the recordings that `--input` names.

    The output folder may lie in an input folder. What an earlier run wrote there is not an input. What has the name of
    a recording and cannot be read, such as a link to nowhere, is found too, so that it is reported.

    Returns:
        dict of path to the path below the input folder; of a file that was named itself, its name.
    """
    found, output_folder = {}, Path(os.path.realpath(output_path))
    for path in map(Path, inputs):
        if path.is_file():
            found[path] = Path(path.name)
        elif path.is_dir():
            folder = Path(os.path.realpath(path))
            if output_folder == folder:
                raise UserError(f"--output {output_path} is the input folder; choose another one, which may lie in it")
            paths = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in audio.INPUT_EXTENSIONS]
            paths = [p for p in paths if not p.is_dir() and p.name[0] != "."]
            if folder in output_folder.parents:
                paths = [p for p in paths if output_folder not in Path(os.path.realpath(p)).parents]
            if not paths:
                raise UserError(f"--input {path} holds no audio files ({' '.join(audio.INPUT_EXTENSIONS)})")
            found |= {p: p.relative_to(path) for p in paths}
        else:
            raise UserError(f"--input {path} is not a file or folder; it must be a recording")
    return found


def _name_outputs(names: Collection[Path]) -> list[Path]:
    """Give recordings an extension that can be written, without giving two of them the same name.

    a.aiff becomes a.wav; where there is another a.wav, a.aiff.wav.
    """
    writable = {name for name in names if name.suffix.lower() in audio.EXTENSIONS}
    renamed = [name.with_suffix(".wav") for name in names if name not in writable]

    def name_output(name: Path) -> Path:
        if name in writable:
            return name
        short = name.with_suffix(".wav")
        return Path(f"{name}.wav") if short in writable or renamed.count(short) > 1 else short

    return list(map(name_output, names))


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    by_output = {}
    for job in jobs:
        other = by_output.setdefault(job.output_path, job)
        if other is not job:
            raise UserError(
                f"--input {other.input_path} and {job.input_path} would both become {job.output_path}; "
                "convert them into separate folders"
            )
