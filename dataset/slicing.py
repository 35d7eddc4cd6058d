"""Audio → slice files: log-magnitude images of 256 frames, the images that the networks see.

features.json is the truth of what belongs to a data set: training reads no slice that it does not list. The file
survives a power cut; slices may come out of one empty or cut short, and the next run makes those again.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

import data
from common import audio, failures, storage
from common.cli import UserError, report_failures
from common.workers import Pool, Workers
from dataset.slice_format import MAGNITUDE, WITH_PHASE, SliceFormat
from dataset.slice_pairs import MANIFEST_NAME, is_entry

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg")

Key = tuple[str, str]  # instrument and piece
Failures = list[tuple[str, str]]  # file and reason
Slices = dict[str, dict[str, dict[int, os.DirEntry]]]  # instrument to piece to index to file


def compute_features(
    audios_path: Path, features_path: Path, workers: Workers, overwrite: bool, with_phase: bool = False
) -> int:
    """Cut the audio below a folder into slices, skipping files whose slices are complete.

    Args:
        audios_path: folder of `<instrument>/<piece>` audio files.
        features_path: folder that gets `<instrument>/<piece>_<index>.npy`.
        workers: who cuts the files.
        overwrite: whether slices that are there may be replaced. Those that the replaced run made of audio that is not
            there any more are removed.
        with_phase: whether the slices also hold the phase.

    Returns:
        The script's exit status: 1 if a file could not be cut.

    Raises:
        UserError: if there is no audio, the folder holds other slices, another process writes to it, or the workers
            cannot be used.
    """
    found, failed = find_audio(audios_path)
    with storage.lock(features_path), Pool(workers, features_path) as pool:
        kind = WITH_PHASE if with_phase else MAGNITUDE
        manifest = _open_manifest(features_path, kind, overwrite)
        return _fill(found, failed, features_path, pool, manifest, kind, overwrite)


def _fill(
    found: dict[Key, Path],
    failed: Failures,
    features_path: Path,
    pool: Pool,
    manifest: storage.Manifest,
    kind: SliceFormat,
    overwrite: bool,
) -> int:
    """Do what `compute_features` does, in a folder that is locked."""
    keys = {"/".join(key): key for key in found}
    slices = _find_slices(features_path, {*keys, *manifest.entries, *manifest.replaced["entries"]})
    if not overwrite:
        manifest.refuse_foreign_files(Path(file.path) for files in slices.values() for file in _files(files.values()))
    _remove_replaced(manifest, keys, slices)

    def is_complete(name: str, entry: dict) -> bool:
        instrument, piece = keys[name]
        files = slices[instrument].get(piece, {})
        return set(files) == set(range(entry["slices"])) and all(map(kind.is_slice, files.values()))

    fingerprints = {}
    for name, key in keys.items():
        try:
            fingerprints[name] = storage.fingerprint(found[key])
        except OSError as error:
            failed.append((str(found[key]), failures.describe(error)))
    pending, n_changed = manifest.pending(fingerprints, "audio", is_complete)
    for name in pending:  # while a piece is cut, its slices may be of different audio
        manifest.entries.pop(name, None)
    manifest.save()
    pending.sort(key=lambda name: -fingerprints[name][0])  # long files first, so that no thread ends with one
    calls = {
        name: (keys[name][1], found[keys[name]].absolute(), (features_path / keys[name][0]).absolute(), kind)
        for name in pending
    }

    counts = []
    try:
        for name, outcome in pool.run(compute_slices, calls, "files"):
            instrument, piece = key = keys[name]
            count = 0 if isinstance(outcome, str) else len(outcome)
            for index in set(slices[instrument].get(piece, ())) - set(range(count)):  # of longer audio
                data.slice_path(features_path / instrument, piece, index).unlink(missing_ok=True)
            if not count:
                failed.append((str(found[key]), str(outcome)))
                continue
            counts.append(count)
            manifest.entries[name] = {
                "slices": count,
                "audio": fingerprints[name],
                "path": str(found[key].resolve()),
                "sounding": " ".join(map(str, outcome)),
            }
            manifest.save_soon()
    finally:
        manifest.save()

    print(
        f"{sum(counts)} slices of {len(counts)} files written to {features_path}, "
        f"{len(fingerprints) - len(calls)} files were there already"
        + (f" ({n_changed} made again: their audio changed)" if n_changed else "")
    )
    _report_others(manifest, {*keys}, slices)
    return report_failures(failed, "audio files")


def find_audio(audios_path: Path) -> tuple[dict[Key, Path], Failures]:
    """Find audio files below instrument folders.

    Returns:
        dict of (instrument, piece) to path, and a list of (path, reason) of what cannot be read, or has the name of
        another file.

    Raises:
        UserError: if there is no such folder, or no audio in it.
    """
    if not audios_path.is_dir():
        raise UserError(f"--audios {audios_path} is not a folder; it must hold <instrument>/<piece>.wav")
    found: dict[Key, Path] = {}
    failed: Failures = []
    for folder in sorted(path for path in audios_path.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            failed.append((str(folder), failures.describe(error)))
            continue
        for path in paths:
            if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
                continue
            key = folder.name, path.stem
            if reason := failures.why_no_file(path):
                failed.append((str(path), reason))
            elif len(os.fsencode(path.stem)) > data.LONGEST_PIECE:
                failed.append((str(path), f"its name is longer than {data.LONGEST_PIECE} bytes; rename it"))
            elif key in found:
                failed.append((str(path), f"would have the slices of {found[key].name}; rename one of them"))
            else:
                found[key] = path
    if not found and not failed:
        raise UserError(f"--audios {audios_path} holds no <instrument>/<piece> file in WAV, FLAC or OGG")
    return found, failed


def compute_slices(piece: str, path: Path, folder: Path, kind: SliceFormat = MAGNITUDE) -> list[int] | str:
    """Write the slices of one audio file.

    Args:
        piece: its name.
        path: the audio file.
        folder: where the slices go.
        kind: what they hold.

    Returns:
        The number of frames that sound in each slice, or the reason why there are none.
    """
    try:
        n_sounding = []
        for index, image in enumerate(data.slices(audio.load_audio(path), kind == WITH_PHASE)):
            image = image.astype(np.float16, order="C")  # the only order that training reads
            slice_path = data.slice_path(folder, piece, index)
            with storage.atomic_write(slice_path, durable=False) as partial, open(partial, "wb") as file:
                np.save(file, image)
            n_sounding.append(int(data.sounding(image[..., 0]).sum()))
        return n_sounding
    except ValueError as error:
        return str(error)
    except failures.expected() as error:
        return failures.describe(error, folder)


def _open_manifest(features_path: Path, kind: SliceFormat, overwrite: bool) -> storage.Manifest:
    """Open features.json.

    Raises:
        UserError: if it is damaged, or of another program's settings.
    """
    settings = {
        "sample_rate": data.SAMPLE_RATE,
        "n_fft": data.N_FFT,
        "hop_length": data.HOP_LENGTH,
        "shape": kind.shape,
        "amin": data.AMIN,
    }
    manifest = storage.Manifest(features_path / MANIFEST_NAME, settings, overwrite)
    if not all(map(is_entry, manifest.entries.values())):
        raise UserError(f"{manifest.path} is damaged: an entry holds no number of slices; --overwrite makes all again")
    return manifest


def _find_slices(features_path: Path, names: Iterable[str]) -> Slices:
    """Find the slices of all instruments that are named, and remove what killed runs left between them."""
    instruments = {name.partition("/")[0] for name in names}
    # A name from features.json must not lead out of the folder.
    folders = {instrument: features_path / instrument for instrument in instruments if storage.is_plain(instrument)}
    for folder in folders.values():
        storage.remove_partial(folder, recursive=False)
    return {instrument: data.find_slices(folder) for instrument, folder in folders.items()}


def _files(pieces: Iterable[Mapping[int, os.DirEntry]]) -> list[os.DirEntry]:
    return [file for files in pieces for file in files.values()]


def _remove_replaced(manifest: storage.Manifest, keys: Iterable[str], slices: Slices) -> None:
    """Remove the slices that the replaced run made of audio that is not there any more."""
    for name in set(manifest.replaced["entries"]) - set(keys):
        instrument, _, piece = name.partition("/")
        for file in slices.get(instrument, {}).pop(piece, {}).values():
            Path(file.path).unlink(missing_ok=True)


def _report_others(manifest: storage.Manifest, keys: set[str], slices: Slices) -> None:
    """Say what the folder holds besides the slices of this run's audio."""
    n_gone = len(set(manifest.entries) - keys)
    if n_gone:
        print(f"{n_gone} files are not below --audios any more; their slices stay, unless you --overwrite")
    strangers = {
        f"{instrument}/{piece}": files
        for instrument, pieces in slices.items()
        for piece, files in pieces.items()
        if f"{instrument}/{piece}" not in manifest.entries.keys() | keys
    }
    if strangers:
        print(
            f"{len(_files(strangers.values()))} slices are not listed in {MANIFEST_NAME}, and no training reads them; "
            f"remove them: {min(strangers)}_*.npy{', …' if len(strangers) > 1 else ''}"
        )
