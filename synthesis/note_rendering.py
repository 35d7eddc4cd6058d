"""Instruments of a note source → single-note recordings named and shaped as NSynth's.

render_notes.json has an entry for each instrument that was begun, with the number of its notes: 0 until all of them are
there. The file survives a power cut; notes may come out of one cut short, and the next run renders their instrument
again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import failures, storage
from common.audio import PEAK_LEVEL, open_to_write
from common.cli import UserError, report_failures
from common.progress import progress
from synthesis.note_sources import NoteSource
from synthesis.notes import NOTE_RATE, NOTE_SAMPLES, find_notes, note_name

MANIFEST_NAME = "render_notes.json"
_NOTE_BYTES = 2 * NOTE_SAMPLES  # of a file at least
_SILENT = 1 / 32768  # notes that stay below one step of 16 bits are left out


class Instrument(NamedTuple):
    """An instrument to render, and the program of the source that plays it."""

    name: str
    bank: int
    program: int


class _Job(NamedTuple):
    """An instrument that is yet to be rendered: its key in the manifest, and what its entry will say."""

    key: str
    instrument: Instrument
    settings: dict[str, Any]


def render_notes(
    source: NoteSource,
    folder: Path,
    instruments: Sequence[Instrument],
    preset: int,
    pitches: range,
    velocities: Sequence[int],
    overwrite: bool,
) -> int:
    """Render instruments to note files, skipping those that are complete.

    One gain for the run brings the loudest note to -1 dBFS, so that levels keep their relations.

    Args:
        source: plays the notes.
        folder: where the notes go; `audio/` in it is used if there is one, as in NSynth.
        instruments: what to render; names differ.
        preset: number in the names of the files.
        pitches: MIDI numbers.
        velocities: MIDI velocities, ascending.
        overwrite: whether notes that are there may be replaced.

    Returns:
        The script's exit status: 1 if an instrument could not be rendered.

    Raises:
        UserError: if the source lacks a program or plays nothing, the folder holds notes of another source, or another
            process writes to it.
    """
    if (folder / "audio").is_dir():
        folder /= "audio"
    for instrument in instruments:
        source.select(instrument.bank, instrument.program)
    settings = {
        "source": source.name,
        "sha256": source.sha256,
        "pitches": [pitches[0], pitches[-1]],
        "velocities": list(velocities),
    }
    with storage.lock(folder):
        storage.remove_partial(folder, recursive=False)
        manifest = storage.Manifest(folder / MANIFEST_NAME, {"format": 1})
        existing = find_notes(folder)
        jobs = _list_jobs(instruments, preset, settings, manifest, existing, overwrite)
        if not jobs:
            return 0
        gain = PEAK_LEVEL / _find_peak(source, instruments, pitches, velocities[-1])
        notes = [(pitch, velocity) for pitch in pitches for velocity in velocities]
        failed = []
        for job in jobs:
            manifest.entries[job.key] = {**job.settings, "notes": 0}
            manifest.save()
            for path in existing.get((job.instrument.name, preset), {}).values():
                Path(path).unlink(missing_ok=True)
            source.select(job.instrument.bank, job.instrument.program)
            try:
                n_written, message = _render_instrument(source, folder, job.instrument.name, preset, notes, gain)
            except failures.expected() as error:  # a full disk, for example
                failed.append((job.key, failures.describe(error, folder)))
                continue
            if not n_written:
                failed.append((job.key, f"{source.name} plays none of these pitches with it; choose other --pitches"))
                continue
            manifest.entries[job.key]["notes"] = n_written
            manifest.save()
            print(f"{job.key}: {message}")
    return report_failures(failed, "instruments")


def _list_jobs(
    instruments: Sequence[Instrument],
    preset: int,
    settings: Mapping[str, Any],
    manifest: storage.Manifest,
    existing: Mapping,
    overwrite: bool,
) -> list[_Job]:
    """Choose the instruments that are yet to be rendered; report complete ones, and refuse to mix sources."""
    jobs = []
    for instrument in instruments:
        key = f"{instrument.name}_{preset:03d}"
        wanted = {**settings, "bank": instrument.bank, "program": instrument.program}
        known = dict(manifest.entries.get(key, {}))
        paths = list(map(Path, existing.get((instrument.name, preset), {}).values()))
        n_recorded, n_found = known.pop("notes", 0), len(paths)
        is_whole = all(path.is_file() and path.stat().st_size > _NOTE_BYTES for path in paths)
        if known == wanted and n_found == n_recorded != 0 and is_whole and not overwrite:
            print(f"{key} is there already")
            continue
        if n_found and known != wanted and not overwrite:
            raise UserError(
                f"{manifest.path.parent} holds {n_found} notes of {key} from {known.get('source', 'another source')} "
                "or with other settings: number these with another --preset, or replace those with --overwrite"
            )
        jobs.append(_Job(key, instrument, wanted))
    return jobs


def _find_peak(source: NoteSource, instruments: Sequence[Instrument], pitches: range, velocity: int) -> float:
    """Find the peak of all pitches of all instruments at the loudest velocity.

    It is found before anything is written, so that a resumed run has the same gain.
    """
    peak = 0.0
    for instrument in instruments:
        source.select(instrument.bank, instrument.program)
        for pitch in pitches:
            peak = max(peak, float(np.abs(source.render(instrument.name, pitch, velocity)).max()))
    if peak == 0:
        raise UserError(f"{source.name} plays none of these pitches; choose other --pitches or --instruments")
    return peak


def _render_instrument(
    source: NoteSource, folder: Path, name: str, preset: int, notes: Sequence[tuple[int, int]], gain: float
) -> tuple[int, str]:
    """Write the notes of an instrument; return their number and a message."""
    n_written = n_clipped = 0
    for pitch, velocity in progress(notes, len(notes), f"notes of {name}_{preset:03d}"):
        samples = source.render(name, pitch, velocity) * gain
        peak = np.abs(samples).max()
        if peak < _SILENT:
            continue  # outside the range of the SoundFont's instrument
        n_clipped += peak > 1
        n_written += 1
        pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
        path = folder / note_name(name, preset, pitch, velocity)
        with (
            storage.atomic_write(path, durable=False) as partial,
            open_to_write(partial, NOTE_RATE, 1, "PCM_16") as file,
        ):
            file.write(pcm)
    n_silent = len(notes) - n_written
    message = f"{n_written} notes written"
    message += f", {n_silent} silent ones left out" if n_silent else ""
    return n_written, message + (f", {n_clipped} clipped" if n_clipped else "")
