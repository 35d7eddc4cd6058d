#!/usr/bin/env python3
"""Cuts audio into log-magnitude slices, the images that the networks see.

Every WAV, FLAC or OGG file in --audios/<instrument>/ becomes <features>/<instrument>/<piece>_<index>.npy: float16,
(256, 256, 1), in [0, 1], 2.97 s each. Other files are ignored.

example:
  python compute_features.py --audios audios --features features
"""

from pathlib import Path

import cli
import files
from cli import UserError

AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
RECORD_NAME = "features.json"


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--audios", "--audios_path", dest="audios_path", required=True, help="folder of audio")
    parser.add_argument("--features", "--features_path", dest="features_path", required=True, help="folder to write to")
    parser.add_argument("--jobs", type=cli.positive_int, help="files at a time (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="make again what exists")
    return parser.parse_args()


def find_audio(audios_path):
    """Finds audio files below instrument folders.

    Returns:
        dict of (instrument, piece) to path, and a list of (path, reason) of files whose name another one took first.
    """
    if not audios_path.is_dir():
        raise UserError(f"--audios {audios_path} is not a folder; it must hold <instrument>/<piece>.wav")
    found, failures = {}, []
    for folder in sorted(path for path in audios_path.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in AUDIO_ENDINGS or path.name.startswith("."):
                continue
            key = folder.name, path.stem
            if key in found:
                failures.append((str(path), f"would have the slices of {found[key].name}; rename one of them"))
            else:
                found[key] = path
    if not found:
        raise UserError(f"--audios {audios_path} holds no <instrument>/<piece> file in WAV, FLAC or OGG")
    return found, failures


def compute_slices(key, path, folder):
    """Writes the slices of one audio file. Returns (key, their number) or (key, why there are none)."""
    import numpy as np

    import audio_files
    import data

    _, piece = key
    try:
        audio = audio_files.load_audio(path)
        count = 0
        for count, image in enumerate(data.slices(audio), 1):
            with files.replacing(data.slice_path(folder, piece, count - 1)) as partial, open(partial, "wb") as file:
                np.save(file, image.astype(np.float16, order="C"))  # dataset.py reads no other order
        return key, count
    except (ValueError, OSError) as error:
        return key, str(error)


def main():
    arguments = parse_arguments()
    audios_path, features_path = Path(arguments.audios_path), Path(arguments.features_path)
    found, failures = find_audio(audios_path)

    import data

    settings = {
        "sample_rate": data.SAMPLE_RATE,
        "n_fft": data.N_FFT,
        "hop_length": data.HOP_LENGTH,
        "shape": data.SLICE_SHAPE,
        "amin": data.AMIN,
    }
    record = files.Record(features_path / RECORD_NAME, settings, arguments.overwrite)
    there = {instrument: data.find_slices(features_path / instrument) for instrument in {name for name, _ in found}}
    if not record.existed and not arguments.overwrite and any(there.values()):
        instrument = next(name for name, pieces in there.items() if pieces)
        raise UserError(
            f"{features_path / instrument} holds slices that were not made by this script: "
            "choose another folder, or --overwrite them"
        )
    record.save()

    calls, changed = [], 0
    for (instrument, piece), path in found.items():
        entry = record.entries.get(f"{instrument}/{piece}")
        made_from = files.fingerprint(path)
        if (
            entry
            and entry["audio"] == made_from
            and set(there[instrument].get(piece, ())) == set(range(entry["slices"]))
        ):
            continue
        changed += entry is not None and entry["audio"] != made_from
        calls.append(((instrument, piece), path, features_path / instrument))
    calls.sort(key=lambda call: -call[1].stat().st_size)

    written = cut = 0
    try:
        for number, (key, outcome) in enumerate(cli.in_parallel(compute_slices, calls, arguments.jobs, "files"), 1):
            instrument, piece = key
            count = outcome if isinstance(outcome, int) else 0
            for index in set(there[instrument].get(piece, ())) - set(range(count)):
                data.slice_path(features_path / instrument, piece, index).unlink(missing_ok=True)  # of longer audio
            if not count:
                failures.append((str(found[key]), outcome))
                record.entries.pop(f"{instrument}/{piece}", None)
                continue
            written += count
            cut += 1
            record.entries[f"{instrument}/{piece}"] = {
                "slices": count,
                "audio": files.fingerprint(found[key]),
                "path": str(found[key].resolve()),
            }
            if number % 20 == 0:
                record.save()
    finally:
        record.save()

    print(
        f"{written} slices of {cut} files written to {features_path}, "
        f"{len(found) - len(calls)} files were there already"
        + (f" ({changed} made again: their audio changed)" if changed else "")
    )
    return cli.report_failures(failures, "audio files")


if __name__ == "__main__":
    cli.run(main)
