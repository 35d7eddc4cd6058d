"""Audio → slice files: log-magnitude images of 256 frames, the images that the networks see."""

from pathlib import Path

import numpy as np

import data
from common import audio, storage
from common.cli import UserError, report_failures
from common.progress import in_parallel
from dataset.slice_pairs import MANIFEST_NAME

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg")
_SAVE_EVERY = 20  # files between two writes of the manifest

Key = tuple[str, str]  # instrument and piece


def compute_features(audios_path: Path, features_path: Path, jobs: int | None, overwrite: bool) -> int:
    """Cut the audio below a folder into slices, skipping files whose slices are complete.

    Args:
        audios_path: folder of `<instrument>/<piece>` audio files.
        features_path: folder that gets `<instrument>/<piece>_<index>.npy`.
        jobs: files at a time; None for one a core.
        overwrite: whether slices that are there may be replaced.

    Returns:
        The script's exit status: 1 if a file could not be cut.

    Raises:
        UserError: if there is no audio, or the folder holds other slices.
    """
    found, failures = find_audio(audios_path)
    slices = {instrument: data.find_slices(features_path / instrument) for instrument in {name for name, _ in found}}
    manifest = _open_manifest(features_path, slices, overwrite)
    keys = {"/".join(key): key for key in found}

    def is_complete(name: str, entry: dict) -> bool:
        instrument, piece = keys[name]
        return set(slices[instrument].get(piece, ())) == set(range(entry["slices"]))

    fingerprints = {name: storage.fingerprint(found[key]) for name, key in keys.items()}
    pending, n_changed = manifest.pending(fingerprints, "audio", is_complete)
    calls = [(keys[name], found[keys[name]], features_path / keys[name][0]) for name in pending]
    calls.sort(key=lambda call: -call[1].stat().st_size)  # long files first, so that no thread ends with one

    counts = []
    try:
        for number, (key, outcome) in enumerate(in_parallel(compute_slices, calls, jobs, "files"), 1):
            instrument, piece = key
            count = outcome if isinstance(outcome, int) else 0
            for index in set(slices[instrument].get(piece, ())) - set(range(count)):  # of longer audio
                data.slice_path(features_path / instrument, piece, index).unlink(missing_ok=True)
            if not count:
                failures.append((str(found[key]), str(outcome)))
                manifest.entries.pop("/".join(key), None)
                continue
            counts.append(count)
            manifest.entries["/".join(key)] = {
                "slices": count,
                "audio": storage.fingerprint(found[key]),
                "path": str(found[key].resolve()),
            }
            if number % _SAVE_EVERY == 0:
                manifest.save()
    finally:
        manifest.save()

    print(
        f"{sum(counts)} slices of {len(counts)} files written to {features_path}, "
        f"{len(found) - len(calls)} files were there already"
        + (f" ({n_changed} made again: their audio changed)" if n_changed else "")
    )
    return report_failures(failures, "audio files")


def find_audio(audios_path: Path) -> tuple[dict[Key, Path], list[tuple[str, str]]]:
    """Find audio files below instrument folders.

    Returns:
        dict of (instrument, piece) to path, and a list of (path, reason) of files whose name another file has already.

    Raises:
        UserError: if there is no such folder, or no audio in it.
    """
    if not audios_path.is_dir():
        raise UserError(f"--audios {audios_path} is not a folder; it must hold <instrument>/<piece>.wav")
    found: dict[Key, Path] = {}
    failures = []
    for folder in sorted(path for path in audios_path.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
                continue
            key = folder.name, path.stem
            if key in found:
                failures.append((str(path), f"would have the slices of {found[key].name}; rename one of them"))
            else:
                found[key] = path
    if not found:
        raise UserError(f"--audios {audios_path} holds no <instrument>/<piece> file in WAV, FLAC or OGG")
    return found, failures


def compute_slices(key: Key, path: Path, folder: Path) -> tuple[Key, int | str]:
    """Write the slices of one audio file.

    Args:
        key: instrument and piece.
        path: the audio file.
        folder: where the slices go.

    Returns:
        The key, and the number of slices or the reason why there are none.
    """
    _, piece = key
    try:
        count = 0
        for count, image in enumerate(data.slices(audio.load_audio(path)), 1):
            with (
                storage.atomic_write(data.slice_path(folder, piece, count - 1)) as partial,
                open(partial, "wb") as file,
            ):
                np.save(file, image.astype(np.float16, order="C"))  # the only order that training reads
        return key, count
    except (ValueError, OSError) as error:
        return key, str(error)


def _open_manifest(features_path: Path, slices: dict, overwrite: bool) -> storage.Manifest:
    settings = {
        "sample_rate": data.SAMPLE_RATE,
        "n_fft": data.N_FFT,
        "hop_length": data.HOP_LENGTH,
        "shape": data.SLICE_SHAPE,
        "amin": data.AMIN,
    }
    manifest = storage.Manifest(features_path / MANIFEST_NAME, settings, overwrite)
    if not overwrite:
        entries = (entry for pieces in slices.values() for entries in pieces.values() for entry in entries.values())
        manifest.refuse_foreign_files(Path(entry.path) for entry in entries)
    manifest.save()
    return manifest
