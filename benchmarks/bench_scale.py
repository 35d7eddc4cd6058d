#!/usr/bin/env python3
"""Measure data preparation at the scale of MAESTRO: time, memory, bytes and files while hours grow.

Makes performances of 564 s, as MAESTRO's 1,276 in 200 hours, out of a folder of MIDI files: several files in a row,
each at another tempo and transposition, in ten year folders. Then, year by year, it calls synthesize_audios.py and
compute_features.py on all years so far, which do the new year. After each year, audio gives its blocks back to the disk
(its length and times stay), and the slices of a recording become links to its first one: on the disk is never more than
a year. At the end, both scripts are called once more and find all done.

Example:
  python benchmarks/bench_scale.py --midi_path midi --nsynth_path notes --hours 200 --folder /tmp/scale
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import material
import mido
import numpy as np

SECONDS_OF_A_PIECE = 200 * 3600 / 1276
YEARS = (2004, 2006, 2008, 2009, 2011, 2013, 2014, 2015, 2017, 2018)
TICKS, TEMPO = 480, 500_000
TICKS_A_SECOND = TICKS * 1_000_000 / TEMPO


def read_messages(path):
    """Read a MIDI file as (seconds, message) of its notes and pedals."""
    now, messages = 0.0, []
    for message in mido.MidiFile(path, clip=True):
        now += message.time
        if message.type in ("note_on", "note_off", "control_change"):
            messages.append((now, message))
    return messages


def make_performances(midi_path, folder, hours, seed=0):
    """Write performances to year folders, from the same seed the same ones; return their number."""
    rng = np.random.default_rng(seed)
    sources = sorted(path for path in midi_path.rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    parsed, n_pieces = {}, round(hours * 3600 / SECONDS_OF_A_PIECE)
    for number in range(n_pieces):
        year = YEARS[number * len(YEARS) // n_pieces]
        track, end, ticks = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=TEMPO)]), 0.0, 0
        while end < 0.8 * SECONDS_OF_A_PIECE:
            path = sources[rng.integers(len(sources))]
            tempo, transposition = rng.uniform(0.8, 1.25), int(rng.integers(-5, 7))
            if path not in parsed:
                parsed[path] = read_messages(path)
            for seconds, message in parsed[path]:
                if seconds / tempo > SECONDS_OF_A_PIECE:
                    break
                place = round((end + seconds / tempo) * TICKS_A_SECOND)
                if message.type != "control_change":
                    message = message.copy(note=min(127, max(0, message.note + transposition)))
                track.append(message.copy(time=place - ticks))
                ticks = place
            end = ticks / TICKS_A_SECOND + 1
        for channel in range(16):
            for control in (64, 123):  # pedal up, all notes off
                track.append(mido.Message("control_change", channel=channel, control=control, value=0))
        midi = mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])
        target = folder / str(year) / f"performance_{number:04d}.midi"
        target.parent.mkdir(parents=True, exist_ok=True)
        midi.save(target)
    return n_pieces


def thin(audios, features):
    """Give the blocks of the last year's audio back and link the slices of each recording; return files and bytes."""
    counts = {"recordings": 0, "audio": 0, "slices": 0, "features": 0}
    for path in audios.glob("*/*.wav"):
        status = path.stat()
        if status.st_blocks * 512 > status.st_size // 2:
            counts["recordings"] += 1
            counts["audio"] += status.st_size
            os.truncate(path, 0)
            os.truncate(path, status.st_size)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for folder in features.glob("*/"):
        first = None
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if name.endswith("_000.npy"):
                first = path
            status = path.stat()
            if status.st_nlink == 1:  # of this year
                counts["slices"] += 1
                counts["features"] += status.st_size
                if path != first:
                    path.unlink()
                    os.link(first, path)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--midi_path", type=Path, required=True, help="MIDI files to make performances of")
    parser.add_argument("--nsynth_path", type=Path, help="notes of two instruments (default: built-in tones)")
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in; it stays")
    parser.add_argument("--hours", type=float, default=200)
    arguments = parser.parse_args()
    folder = arguments.folder
    notes, audios, features = arguments.nsynth_path or folder / "notes", folder / "audios", folder / "features"
    instruments = (material.ORIGIN, material.TARGET)
    if not arguments.nsynth_path:
        material.run(
            "render_notes.py", "--builtin", "--nsynth_path", notes, "--instruments", *(f"{i}=0" for i in instruments)
        )
    started = time.perf_counter()
    # In a process of its own: what this one holds would count as memory of the scripts that it starts.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        n_pieces = pool.submit(make_performances, arguments.midi_path, folder / "all", arguments.hours).result()
    print(f"{n_pieces} performances written in {time.perf_counter() - started:.0f} s", flush=True)
    synthesis = ("--nsynth_path", notes, "--midi_path", folder / "midi", "--audios_path", audios)
    commands = {
        "synthesize_audios.py": (*synthesis, "--instruments", *instruments),
        "compute_features.py": ("--audios", audios, "--features", features),
    }
    rows, hours = [], 0.0
    for year in sorted(path.name for path in (folder / "all").iterdir()):
        (folder / "midi").mkdir(exist_ok=True)
        (folder / "all" / year).rename(folder / "midi" / year)
        measured = {script: material.measure(script, *words) for script, words in commands.items()}
        entries = json.loads((audios / "synthesis.json").read_text())["entries"].values()
        total = sum(entry["seconds"] for entry in entries) / 3600
        new_hours, hours = total - hours, total
        counts = thin(audios, features)
        row = {"hours so far": f"{hours:.1f}", "hours of the year": f"{new_hours:.1f}"}
        for script, (seconds, cpu, memory) in measured.items():
            row[f"{script}: minutes"] = f"{seconds / 60:.1f}"
            row[f"{script}: CPU s an hour of music"] = f"{cpu / new_hours:.1f}"
            row[f"{script}: peak MiB"] = f"{memory:.0f}"
        row |= {"audio files": counts["recordings"], "audio GB": f"{counts['audio'] / 1e9:.2f}"}
        row |= {"slices": counts["slices"], "slices GB": f"{counts['features'] / 1e9:.2f}"}
        rows.append(row)
        print(row, flush=True)
    material.table("year by year; the last columns are those of the year", rows)
    again = {script: material.measure(script, *words) for script, words in commands.items()}
    material.table(
        "the same commands again, which find all done",
        [
            {"script": script, "seconds": f"{seconds:.1f}", "CPU s": f"{cpu:.1f}", "peak MiB": f"{memory:.0f}"}
            for script, (seconds, cpu, memory) in again.items()
        ],
    )
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nCPU of all: {(own.ru_utime + own.ru_stime) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
