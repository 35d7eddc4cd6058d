"""Pairs of slice files: found in data sets, split by piece, and traced back to the audio that they were made from."""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import data
from common import storage
from common.cli import UserError
from dataset.slice_format import MAGNITUDE, SliceFormat

MANIFEST_NAME = "features.json"  # in a data set: what belongs to it, and where it comes from


class SlicePairs(NamedTuple):
    """Slices of the same moment of the same piece, played by two instruments: a table with a row for each pair.

    Attributes:
        pieces: the piece of each pair.
        sources: path of the origin's slice.
        targets: path of the target's slice.
    """

    pieces: Sequence[str]
    sources: Sequence[str]
    targets: Sequence[str]

    def __len__(self) -> int:
        return len(self.pieces)

    def of(self, pieces: Collection[str]) -> "SlicePairs":
        """Return the pairs of some pieces."""
        chosen = [index for index, piece in enumerate(self.pieces) if piece in pieces]
        return SlicePairs(*([column[index] for index in chosen] for column in self))


def find_pairs(
    dataset_paths: Iterable[str | Path],
    instrument_pairs: Sequence[tuple[str, str]],
    kind: SliceFormat = MAGNITUDE,
) -> tuple[list[SlicePairs], list[str]]:
    """Match the slices of pairs of instruments by piece and index, in one or several data sets.

    Args:
        dataset_paths: folders that compute_features.py wrote.
        instrument_pairs: list of (origin, target), instrument names.
        kind: what the slices hold.

    Returns:
        The pairs for each of `instrument_pairs`, in the order of folder, piece and index; and a list of messages about
        what was left out.

    Raises:
        UserError: if a folder or an instrument is missing, or two instruments have nothing to pair.
    """
    dataset_paths = list(map(Path, dataset_paths))
    # Lists of text alone: a tuple for each of 250,000 rows keeps the garbage collector busy for seconds.
    tables = [SlicePairs([], [], []) for _ in instrument_pairs]
    notices: list[str] = []
    for dataset_path in dataset_paths:
        instruments = dict.fromkeys(instrument for pair in instrument_pairs for instrument in pair)
        slices = {instrument: _usable_slices(dataset_path, instrument, kind, notices) for instrument in instruments}
        for (origin, target), table in zip(instrument_pairs, tables, strict=True):
            n_shared = _pair(slices[origin], slices[target], table)
            for name, partner in ((origin, target), (target, origin)):
                unpaired = sum(map(len, slices[name].values())) - n_shared
                if unpaired:
                    notices.append(
                        f"{dataset_path}: {unpaired} slices of {name} have no partner of {partner}, left out"
                    )
    for (origin, target), table in zip(instrument_pairs, tables, strict=True):
        if not len(table):
            folders = " ".join(map(str, dataset_paths))
            raise UserError(
                f"--dataset_path {folders}: no slice of {origin} has a partner of {target}; "
                "both must be made from audio with the same piece names (see compute_features.py)"
            )
    return tables, notices


def _pair(sources: Mapping[str, dict[int, str]], targets: Mapping[str, dict[int, str]], table: SlicePairs) -> int:
    """Add the slices that two instruments share to a table, in the order of piece and index; return their number."""
    before = len(table)
    for piece in sorted(sources.keys() & targets.keys()):
        shared = sorted(sources[piece].keys() & targets[piece].keys())
        table.pieces.extend([piece] * len(shared))
        table.sources.extend(sources[piece][index] for index in shared)
        table.targets.extend(targets[piece][index] for index in shared)
    return len(table) - before


def split_pieces(
    pieces: Iterable[str], validation_split: float, seed: int, least: int = 1
) -> tuple[set[str], set[str]]:
    """Split pieces into training and validation. A piece is on one side in all data sets that hold it.

    The pieces are sorted by a hash of seed and name, and the first ones validate. Further pieces do not change the
    order of the others.

    Args:
        pieces: names.
        validation_split: fraction of the pieces that validates.
        seed: decides about the order.
        least: pieces that each side needs. If `validation_split` is above 0, at least so many pieces validate, and at
            least so many are left to train with; none validate if there are too few pieces for that.

    Returns:
        The pieces for training, and the pieces for validation.
    """
    ordered = sorted(set(pieces), key=lambda piece: hashlib.sha256(os.fsencode(f"{seed}/{piece}")).digest())
    count = min(max(least, round(validation_split * len(ordered))), len(ordered) - least)
    if not validation_split or len(ordered) < 2 * least:
        count = 0
    return set(ordered[count:]), set(ordered[:count])


def fingerprint(*columns: Iterable[str]) -> str:
    """Hash lists of slice paths to 16 hexadecimal digits.

    Only the names of file and instrument folder count, so that data sets may be moved.
    """
    digest = hashlib.sha256()
    ends: dict[str, int] = {}  # of folder to where its own name begins; there are few folders and many slices
    for column in columns:
        for path in column:
            folder = path[: path.rfind(os.sep)]
            if folder not in ends:
                ends[folder] = len(folder) - len(os.path.basename(folder))
            digest.update(os.fsencode(path[ends[folder] :]) + b"\n")
    return digest.hexdigest()[:16]


def recording_path(dataset_path: str | Path, instrument: str, piece: str) -> Path | None:
    """Return the audio that slices were made from, as compute_features.py recorded it; None if it is not there.

    Raises:
        UserError: if the record is damaged.
    """
    entry = (read_record(Path(dataset_path)) or {}).get(f"{instrument}/{piece}", {})
    path = Path(str(entry.get("path", "")))
    return path if path.is_file() else None


def read_record(dataset_path: Path) -> dict[str, dict[str, Any]] | None:
    """Read what belongs to a data set: dict of `<instrument>/<piece>` to entry; None without features.json.

    Raises:
        UserError: if the file is damaged.
    """
    path = dataset_path / MANIFEST_NAME
    if not path.is_file():
        return None
    entries = storage.read_json(path).get("entries", {})
    if not isinstance(entries, dict) or not all(map(is_entry, entries.values())):
        raise UserError(f"{path} is damaged: an entry holds no number of slices; restore it, or remove it")
    return entries


def is_entry(entry: Any) -> bool:
    """Tell whether a value of features.json is an entry: an object with a number of slices."""
    return isinstance(entry, dict) and isinstance(entry.get("slices"), int)


def recorded_sounding(paths: Iterable[str]) -> list[float] | None:
    """Return the fraction of the frames of each slice that sound, as compute_features.py recorded it.

    Returns:
        One number in [0, 1] for each path; None if any of them is not recorded.

    Raises:
        UserError: if a record is damaged.
    """
    records: dict[str, dict[str, list[float]]] = {}
    fractions = []
    for path in paths:
        folder, name = os.path.split(path)
        piece, _, index = name.removesuffix(".npy").rpartition("_")
        if folder not in records:
            dataset_path, instrument = os.path.split(folder)
            entries = read_record(Path(dataset_path)) or {}
            records[folder] = {
                key.partition("/")[2]: [int(count) / data.SLICE_FRAMES for count in str(entry["sounding"]).split()]
                for key, entry in entries.items()
                if key.startswith(f"{instrument}/") and re.fullmatch(r"[\d ]*", str(entry.get("sounding")))
            }
        recorded = records[folder].get(piece, ())
        if int(index) >= len(recorded):
            return None
        fractions.append(recorded[int(index)])
    return fractions


def _usable_slices(
    dataset_path: Path, instrument: str, kind: SliceFormat, notices: list[str]
) -> dict[str, dict[int, str]]:
    """Find the slices of an instrument that belong and can be read: dict of piece to dict of index to path."""
    if not dataset_path.is_dir():
        raise UserError(f"--dataset_path {dataset_path} is not a folder; compute_features.py makes one")
    found = data.find_slices(dataset_path / instrument)
    if not found:
        folders = ", ".join(sorted(path.name for path in dataset_path.iterdir() if path.is_dir())) or "no folders"
        raise UserError(f"--dataset_path {dataset_path} holds no slices of {instrument}; it holds {folders}")
    record = read_record(dataset_path)
    slices: dict[str, dict[int, str]] = {}
    damaged: list[str] = []
    n_strangers = 0
    for piece, entries in found.items():
        n_listed = _count_listed(record, instrument, piece)
        for index, entry in entries.items():
            if n_listed is not None and index >= n_listed:
                n_strangers += 1
            elif kind.is_slice(entry):
                slices.setdefault(piece, {})[index] = entry.path
            else:
                damaged.append(entry.path)
    folder = dataset_path / instrument
    if damaged:
        notices.append(
            f"{folder}: {len(damaged)} files are no float16 slices of {kind.shape} and are left out "
            f"({Path(min(damaged)).name}{', …' if len(damaged) > 1 else ''}); compute_features.py{kind.flag} makes "
            "them again"
        )
    if n_strangers:
        notices.append(
            f"{folder}: {n_strangers} slices are not listed in {MANIFEST_NAME} and are left out; "
            "compute_features.py says which"
        )
    if not slices:
        raise UserError(f"--dataset_path {dataset_path} holds no slices of {instrument} to use: {notices[-1]}")
    return slices


def _count_listed(record: Mapping[str, dict] | None, instrument: str, piece: str) -> int | None:
    """Return the number of slices of a piece that belong; None if nothing is recorded, so that all do."""
    return None if record is None else record.get(f"{instrument}/{piece}", {"slices": 0})["slices"]
