"""Instruments of a note source → single-note recordings named and shaped as NSynth's.

render_notes.json has an entry for each instrument that was begun, with the number of its notes: 0 until all of them are
there. The file survives a power cut; notes may come out of one cut short, and the next run renders their instrument
again.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import failures, storage
from common.audio import PEAK_LEVEL, open_to_write
from common.cli import UserError, report_failures
from common.process_cache import Key
from common.workers import Pool, Workers
from synthesis.note_sources import SOURCES, NoteSource
from synthesis.notes import NOTE_RATE, NOTE_SECONDS, find_notes, note_name

MANIFEST_NAME = "render_notes.json"
_SILENT = 1 / 32768  # notes that stay below one step of 16 bits are left out

_playing = threading.Lock()  # a source plays one note at a time


class Instrument(NamedTuple):
    """An instrument to render, and the program of the source that plays it."""

    name: str
    bank: int
    program: int


class Notes(NamedTuple):
    """Which notes of each instrument are rendered, and how they are stored.

    Attributes:
        preset: number in the names of the files.
        pitches: MIDI numbers.
        velocities: MIDI velocities, ascending.
        sample_rate: Hz.
    """

    preset: int
    pitches: range
    velocities: tuple[int, ...]
    sample_rate: int = NOTE_RATE


class _Job(NamedTuple):
    """An instrument that is yet to be rendered: its key in the manifest, and what its entry will say."""

    key: str
    instrument: Instrument
    settings: dict[str, Any]


class _PitchSettings(NamedTuple):
    """How the notes of a pitch are made.

    Attributes:
        source: key of the source in `SOURCES`.
        instrument: what is rendered.
        folder: where the notes go, absolute.
        notes: which notes they are.
        gain: factor on the samples.
    """

    source: Key
    instrument: Instrument
    folder: Path
    notes: Notes
    gain: float


def render_notes(
    soundfont: str | None,
    folder: Path,
    instruments: Sequence[Instrument],
    notes: Notes,
    workers: Workers,
    overwrite: bool,
) -> int:
    """Render instruments to note files, skipping those that are complete.

    One gain for the run brings the loudest note to -1 dBFS, so that levels keep their relations.

    Args:
        soundfont: the SoundFont; None for additive tones.
        folder: where the notes go; `audio/` in it is used if there is one, as in NSynth.
        instruments: what to render; names differ.
        notes: which of their notes.
        workers: who renders; a process renders one pitch at a time.
        overwrite: whether notes that are there may be replaced.

    Returns:
        The script's exit status: 1 if an instrument could not be rendered.

    Raises:
        UserError: if the source lacks a program or plays nothing, the folder holds notes of another source, another
            process writes to it, or the workers cannot be used.
    """
    key, source = SOURCES.load(str(Path(soundfont).absolute()) if soundfont else None, notes.sample_rate)
    if (folder / "audio").is_dir():
        folder /= "audio"
    for instrument in instruments:
        source.select(instrument.bank, instrument.program)
    settings = {
        "source": source.name,
        "sha256": source.sha256,
        "pitches": [notes.pitches[0], notes.pitches[-1]],
        "velocities": list(notes.velocities),
        "sample_rate": notes.sample_rate,
    }
    with storage.lock(folder), Pool(workers, folder) as pool:
        storage.remove_partial(folder, recursive=False)
        manifest = storage.Manifest(folder / MANIFEST_NAME, {"format": 1})
        existing = find_notes(folder)
        jobs = _list_jobs(instruments, notes.preset, settings, manifest, existing, overwrite)
        if not jobs:
            return 0
        gain = PEAK_LEVEL / _find_peak(pool, key, source, instruments, notes)
        failed = []
        for job in jobs:
            manifest.entries[job.key] = {**job.settings, "notes": 0}
            manifest.save()
            for path in existing.get((job.instrument.name, notes.preset), {}).values():
                Path(path).unlink(missing_ok=True)
            settings = _PitchSettings(key, job.instrument, folder.absolute(), notes, gain)
            try:
                n_written, message = _render_instrument(pool, settings)
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
    note_bytes = 2 * NOTE_SECONDS * settings["sample_rate"]  # of a file at least
    for instrument in instruments:
        key = f"{instrument.name}_{preset:03d}"
        wanted = {**settings, "bank": instrument.bank, "program": instrument.program}
        known = {"sample_rate": NOTE_RATE, **manifest.entries.get(key, {})}  # notes once had this rate alone
        paths = list(map(Path, existing.get((instrument.name, preset), {}).values()))
        n_recorded, n_found = known.pop("notes", 0), len(paths)
        is_whole = all(path.is_file() and path.stat().st_size > note_bytes for path in paths)
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


def _find_peak(pool: Pool, key: Key, source: NoteSource, instruments: Sequence[Instrument], notes: Notes) -> float:
    """Find the peak of all pitches of all instruments at the loudest velocity.

    It is found before anything is written, so that a resumed run has the same gain.
    """
    calls = {
        (instrument, pitch): (key, instrument, pitch, notes.velocities[-1])
        for instrument in instruments
        for pitch in notes.pitches
    }
    peak = max(map(_made, pool.run(_measure_peak, calls, "pitches measured")))
    if peak == 0:
        raise UserError(f"{source.name} plays none of these pitches; choose other --pitches or --instruments")
    return peak


def _measure_peak(key: Key, instrument: Instrument, pitch: int, velocity: int) -> float:
    source = SOURCES.get(key)
    with _playing:
        source.select(instrument.bank, instrument.program)
        return float(np.abs(source.render(instrument.name, pitch, velocity)).max())


def _render_instrument(pool: Pool, settings: _PitchSettings) -> tuple[int, str]:
    """Write the notes of an instrument; return their number and a message."""
    preset, pitches, velocities, _ = settings.notes
    unit = f"pitches of {settings.instrument.name}_{preset:03d}"
    n_written = n_clipped = 0
    for written, clipped in map(_made, pool.run(_render_pitch, {pitch: (settings, pitch) for pitch in pitches}, unit)):
        n_written += written
        n_clipped += clipped
    n_silent = len(pitches) * len(velocities) - n_written
    message = f"{n_written} notes written"
    message += f", {n_silent} silent ones left out" if n_silent else ""
    return n_written, message + (f", {n_clipped} clipped" if n_clipped else "")


def _render_pitch(settings: _PitchSettings, pitch: int) -> tuple[int, int]:
    """Write the notes of one pitch of an instrument; return their number, and how many of them are clipped."""
    instrument, source = settings.instrument, SOURCES.get(settings.source)
    n_written = n_clipped = 0
    for velocity in settings.notes.velocities:
        with _playing:
            source.select(instrument.bank, instrument.program)
            samples = source.render(instrument.name, pitch, velocity) * settings.gain
        peak = np.abs(samples).max()
        if peak < _SILENT:
            continue  # outside the range of the SoundFont's instrument
        n_clipped += int(peak > 1)
        n_written += 1
        pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
        path = settings.folder / note_name(instrument.name, settings.notes.preset, pitch, velocity)
        with (
            storage.atomic_write(path, durable=False) as partial,
            open_to_write(partial, settings.notes.sample_rate, 1, "PCM_16") as file,
        ):
            file.write(pcm)
    return n_written, n_clipped


def _made(outcome: tuple[Any, Any]) -> Any:
    """Return what a call of the pool returned, without its name.

    Raises:
        OSError: if a text stands for it: its workers died.
    """
    if isinstance(outcome[1], str):
        raise OSError(outcome[1])
    return outcome[1]
