"""The fixed equalizer: a baseline that adds one mean spectral difference to every frame."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import data
from common.cli import UserError
from common.stored_generator import EQUALIZERS_KEY
from dataset import input_pipeline, slice_pairs
from evaluation.models import Model, validation_pieces
from evaluation.pairs import RecordingPair, read_pair
from evaluation.settings import EvaluationSettings


class Equalizer(NamedTuple):
    """The fixed equalizer for the pieces of a pair of instruments.

    Attributes:
        differences: what it adds to each piece, float32 array [shape=(n_pieces, 256)] on the scale of the
            log-magnitude.
        made_from: what the differences are means of, for messages.
    """

    differences: np.ndarray
    made_from: str


def make_equalizer(
    settings: EvaluationSettings,
    instrument_pair: tuple[str, str],
    models: Sequence[Model],
    pairs: Sequence[RecordingPair],
) -> Equalizer:
    """Make the fixed equalizer of a pair of instruments.

    It is the mean spectral difference of the data set's training pairs. Without a data set, it is that in the first
    model's configuration, of the pairs that the model was trained with. Without either, each piece gets the mean
    difference of the other pieces.

    Args:
        settings: settings of the evaluation.
        instrument_pair: (origin, target).
        models: the models for these instruments.
        pairs: the pieces.

    Raises:
        UserError: if there is nothing to make it from.
    """
    if settings.dataset_paths:
        difference = training_difference(
            settings.dataset_paths, instrument_pair, validation_pieces(models), settings.seed
        )
        return Equalizer(np.tile(difference, (len(pairs), 1)), "the training pairs")
    configured = models[0].config.get(EQUALIZERS_KEY, {}).get("/".join(instrument_pair))
    if configured:
        difference = _parse_difference(configured)
        if difference is None:
            raise UserError(
                f"the configuration of {models[0].label} is damaged: {EQUALIZERS_KEY} must have {data.N_BINS} numbers "
                f"from -1 to 1 for {'/'.join(instrument_pair)}; restore it"
            )
        differences = np.tile(difference, (len(pairs), 1))
        return Equalizer(differences, f"the training pairs of {models[0].label}")
    if len(pairs) < 2:
        raise UserError(
            f"--audios_path holds one piece, and the configuration of {models[0].label} has no equalizer: that is made "
            "from other pieces; add some"
        )
    differences = np.stack([_mean_difference(*read_pair(pair, settings.seconds)) for pair in pairs])
    return Equalizer((differences.sum(axis=0) - differences) / (len(pairs) - 1), "the other pieces")


def training_difference(
    dataset_paths: Sequence[str | Path], instrument_pair: tuple[str, str], held_out: Collection[str], seed: int
) -> np.ndarray:
    """Compute the mean spectral difference of the training pairs of data sets.

    Args:
        dataset_paths: folders of slices.
        instrument_pair: (origin, target).
        held_out: pieces that are left out.
        seed: decides which slices are read if there are very many.

    Returns:
        float32 array [shape=(256,)], target minus source, on the scale of the log-magnitude.

    Raises:
        UserError: if no pairs are left.
    """
    (pairs,), _ = slice_pairs.find_pairs(dataset_paths, [instrument_pair])
    pairs = pairs.of(set(pairs.pieces) - set(held_out))
    if not len(pairs):
        raise UserError("--dataset_path holds no training pieces, which the fixed equalizer is made from")
    return input_pipeline.mean_difference(pairs, seed)


def _parse_difference(value: Any) -> np.ndarray | None:
    """Convert what a configuration has for an equalizer: float32 array [shape=(256,)]; None if it is something else."""
    if not isinstance(value, list) or not all(type(number) in (int, float) for number in value):
        return None
    difference = np.array(value, np.float64)
    return difference.astype(np.float32) if len(value) == data.N_BINS and (abs(difference) <= 1).all() else None


def _mean_difference(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the mean spectral difference of two recordings: float32 array [shape=(256,)], target minus source."""
    image, target_image = (data.log_magnitude(data.stft(audio)) for audio in (source, target))
    return (target_image - image).mean(axis=1)
