#!/usr/bin/env python3
"""Measure synthesis and features as whole processes: time, seconds of audio per second, peak memory.

Example:
  python benchmarks/bench_data.py --midi_path six_pieces --nsynth_path notes
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import material


def audio_seconds(folder):
    import soundfile

    return sum(soundfile.info(path).duration for path in folder.rglob("*.wav"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--midi_path", type=Path, help="MIDI files (default: those of make pipeline)")
    parser.add_argument("--nsynth_path", type=Path, help="notes of the four instruments (default: built-in tones)")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        midi_path, nsynth_path = arguments.midi_path, arguments.nsynth_path
        if midi_path is None or nsynth_path is None:
            material.make_pieces(folder)
            midi_path, nsynth_path = midi_path or folder / "midi", nsynth_path or folder / "notes"

        results = {"synthesize_audios.py": [], "compute_features.py": []}
        for _ in range(arguments.repeats):
            shutil.rmtree(folder / "a", ignore_errors=True)
            shutil.rmtree(folder / "f", ignore_errors=True)
            synthesis = ("--nsynth_path", nsynth_path, "--midi_path", midi_path, "--audios_path", folder / "a")
            results["synthesize_audios.py"].append(material.run("synthesize_audios.py", *synthesis))
            features = ("--audios", folder / "a", "--features", folder / "f")
            results["compute_features.py"].append(material.run("compute_features.py", *features))
        seconds_of_audio = audio_seconds(folder / "a")
        rows = []
        for name, measured in results.items():
            seconds = statistics.median(seconds for seconds, _ in measured)
            rows.append(
                {
                    "script": name,
                    "seconds": f"{seconds:.2f}",
                    "seconds of audio per second": f"{seconds_of_audio / seconds:.0f}",
                    # Linux reports the maximum of all processes so far: the second script's may be that of the first.
                    "peak memory (MiB)": f"{max(peak for _, peak in measured):.0f}",
                }
            )
        material.table(f"{seconds_of_audio:.0f} s of audio, medians of {arguments.repeats} whole processes", rows)


if __name__ == "__main__":
    main()
