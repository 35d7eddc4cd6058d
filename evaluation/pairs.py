"""Pairs of recordings of the same piece: where they are, and their audio."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import data
from common import audio
from common.cli import UserError
from dataset import slice_pairs

_SHORTEST = 2048  # samples: the longest window of the metrics
_LONGEST = 2**48  # samples: more than any recording has, and few enough to count


class RecordingPair(NamedTuple):
    """Two recordings of the same piece, played by the origin and by the target.

    Attributes:
        piece: name of the piece.
        source_path: recording of the origin.
        target_path: recording of the target.
    """

    piece: str
    source_path: Path
    target_path: Path


def find_in_folder(audios_path: str | Path, origin: str, target: str) -> list[RecordingPair]:
    """Find the pairs among `<instrument>/<piece>.<extension>` in a folder.

    Args:
        audios_path: the folder.
        origin: instrument.
        target: instrument.

    Returns:
        The pairs, sorted by piece.

    Raises:
        UserError: if an instrument has no folder, or no piece is in both.
    """
    sources, targets = (_find_recordings(Path(audios_path), instrument) for instrument in (origin, target))
    pieces = sorted(sources.keys() & targets.keys())
    if not pieces:
        raise UserError(f"--audios_path {audios_path}: no piece of {origin} has a partner of {target} of the same name")
    return [RecordingPair(piece, sources[piece], targets[piece]) for piece in pieces]


def find_in_datasets(
    dataset_paths: Iterable[str | Path], origin: str, target: str, pieces: Iterable[str]
) -> list[RecordingPair]:
    """Find the recordings that the slices of data sets were made from, as compute_features.py recorded them.

    Args:
        dataset_paths: folders that compute_features.py wrote.
        origin: instrument.
        target: instrument.
        pieces: the pieces to find.

    Returns:
        The pairs whose recordings are still there, in the order of folder and piece. A piece that several data sets
        have gets the folder in its name from the second one on.

    Raises:
        UserError: if there are none.
    """
    dataset_paths, pieces = list(map(Path, dataset_paths)), sorted(pieces)
    pairs: dict[str, RecordingPair] = {}
    for dataset_path in dataset_paths:
        for piece in pieces:
            source_path, target_path = (
                slice_pairs.recording_path(dataset_path, instrument, piece) for instrument in (origin, target)
            )
            if source_path and target_path:
                name = f"{piece} ({dataset_path})" if piece in pairs else piece
                pairs[name] = RecordingPair(name, source_path, target_path)
    if not pairs:
        raise UserError(
            f"--dataset_path {' '.join(map(str, dataset_paths))}: the recordings of {len(pieces)} validation pieces of "
            f"{origin} and {target} are not where features.json says; --audios_path takes them from elsewhere"
        )
    return list(pairs.values())


def read_pair(pair: RecordingPair, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Read both recordings, cut to the same length.

    Args:
        pair: the recordings.
        seconds: the largest length.

    Returns:
        Source and target, float32 arrays [shape=(n_samples,)].

    Raises:
        UserError: if one of them is not audio, damaged, or shorter than the metrics need.
    """
    at_most = max(1, round(min(seconds * data.SAMPLE_RATE, _LONGEST)))
    signals = []
    for path in (pair.source_path, pair.target_path):
        try:
            signals.append(audio.load_audio(path, at_most))
        except ValueError as error:
            raise UserError(f"{path} {error}") from None
    n_samples = min(map(len, signals))
    if n_samples < _SHORTEST:
        raise UserError(
            f"{pair.source_path} and {pair.target_path} have {n_samples} samples in common with --seconds {seconds:g}; "
            f"at least {_SHORTEST} are needed"
        )
    source, target = (signal[:n_samples] for signal in signals)
    return source, target


def _find_recordings(audios_path: Path, instrument: str) -> dict[str, Path]:
    """Find the recordings of an instrument: dict of piece to path."""
    folder = audios_path / instrument
    if not folder.is_dir():
        raise UserError(f"--audios_path {audios_path} has no folder {instrument}; it must hold <instrument>/<piece>")
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in audio.INPUT_EXTENSIONS and path.name[0] != "."
    }
