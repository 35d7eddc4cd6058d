"""The models that are evaluated: loaded, named, and turned into functions of images."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import data
from common.cli import UserError
from common.pretrained import GENERATOR_NAME
from common.stored_generator import is_adversarial
from common.weights import load_generator
from evaluation.pairs import RecordingPair, read_pair
from evaluation.settings import EvaluationSettings
from inference import phase_network
from inference.keras_network import make_predict_fn, representation_of
from inference.settings import MODEL_PHASE
from inference.style import slices_with_phase
from inference.transfer import PredictFn


class Model(NamedTuple):
    """A trained generator to evaluate.

    Attributes:
        label: name in the tables.
        generator: the network.
        instrument_pairs: the (origin, target) that it knows.
        config: its configuration.
        sha256: hash of its weights.
    """

    label: str
    generator: keras.Model
    instrument_pairs: list[tuple[str, str]]
    config: dict[str, Any]
    sha256: str

    @property
    def takes_style(self) -> bool:
        """Whether the network has a second input, the style."""
        return len(self.generator.inputs) == 2

    def make_predict_fn(self, style: np.ndarray | None = None) -> PredictFn:
        """Make its function of images with a style, [shape=(n, 256, 256, 2)], of which it may not need the phase."""
        if style is not None and representation_of(self.generator) is None:
            style = style[..., :1]
        return make_predict_fn(self.generator, style)


def load_models(paths: Sequence[str | Path], origin: str | None = None, target: str | None = None) -> list[Model]:
    """Load models, and name each by the shortest end of its path that no other model has.

    Args:
        paths: folders, or files of weights.
        origin: the one instrument to convert from, or None. A model without instruments in its configuration gets
            this one.
        target: the one instrument to convert to, or None.

    Raises:
        UserError: if a model cannot be loaded, or knows no such pair of instruments.
    """
    paths = [Path(path).resolve() for path in paths]
    if len(set(paths)) < len(paths):
        raise UserError("--model names a model twice; each counts once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return [_load_model(path, "/".join(path.parts[-depth:]), origin, target) for path in paths]


def load_phase_network(settings: EvaluationSettings, models: Sequence[Model]) -> EvaluationSettings:
    """Load the network of the phase if a phase needs it, and record its weights.

    Raises:
        UserError: if there is no such network, or a model does not predict the phase that is to be the model's.
    """
    if any(phase.name == MODEL_PHASE for phase in settings.phases):
        for model in models:
            if representation_of(model.generator) is None:
                raise UserError(
                    f"--phase {MODEL_PHASE}: {model.label} predicts the magnitude alone; leave out one of both"
                )
    if all(phase.name != "network" for phase in settings.phases):
        return settings
    folder = phase_network.find(settings.phase_network, settings.model_paths[0])
    infer = phase_network.load(folder, "tensorflow")
    weights = hashlib.sha256((folder / phase_network.WEIGHTS_NAME).read_bytes()).hexdigest()
    phases = [phase._replace(network=infer) if phase.name == "network" else phase for phase in settings.phases]
    return dataclasses.replace(settings, phases=phases, recorded={**settings.recorded, "phase_network": weights})


def choose_grids(settings: EvaluationSettings, models: Sequence[Model]) -> EvaluationSettings:
    """Choose the grids that are left to the models, as the predict scripts do (`runtimes.complete_phase`).

    Where some models were trained with a discriminator and others were not, both grids are measured.
    """
    kinds = sorted({is_adversarial(model.config) for model in models})
    choices = [dict.fromkeys(phase.with_grid(adversarial) for adversarial in kinds) for phase in settings.phases]
    return dataclasses.replace(settings, phases=list(itertools.chain.from_iterable(choices)))


def _load_model(path: Path, label: str, origin: str | None, target: str | None) -> Model:
    """Load a model, and check that it knows the instruments that the flags name."""
    generator, config = load_generator(path)
    origins, targets = _instruments(config.get("origin"), origin), _instruments(config.get("target"), target)
    if not origins or not targets:
        raise UserError(f"--model {path} does not say its instruments; --origin and --target must")
    instrument_pairs = [
        (model_origin, model_target)
        for model_origin in origins
        for model_target in targets
        if model_origin != model_target and origin in (None, model_origin) and target in (None, model_target)
    ]
    if not instrument_pairs:
        raise UserError(
            f"--model {path} is for {' '.join(origins)} to {' '.join(targets)}, not for "
            f"{origin or 'any'} to {target or 'any'}"
        )
    weights_path = path / GENERATOR_NAME if path.is_dir() else path
    return Model(label, generator, instrument_pairs, config, hashlib.sha256(weights_path.read_bytes()).hexdigest())


def _instruments(configured: str | list[str] | None, asked: str | None) -> list[str]:
    """List a model's instruments: those of its configuration, or else the one that a flag names."""
    if configured:
        return [configured] if isinstance(configured, str) else list(configured)
    return [asked] if asked else []


def validation_pieces(models: Sequence[Model]) -> set[str]:
    """Return the pieces that all models kept for validation.

    Raises:
        UserError: if there are none.
    """
    pieces = set.intersection(*(set(model.config.get("data", {}).get("validation_pieces", ())) for model in models))
    if not pieces:
        labels = ", ".join(model.label for model in models)
        raise UserError(f"--dataset_path: no piece was kept for validation by {labels}; --audios_path evaluates on any")
    return pieces


def make_predict_fns(
    models: Sequence[Model], target: str, pairs: Sequence[RecordingPair], seconds: float
) -> Callable[[int], tuple[dict[str, PredictFn], list[RecordingPair]]]:
    """Make the functions with which models convert pieces. Models that take a style get that of another piece.

    Args:
        models: the models.
        target: instrument, for messages.
        pairs: the pieces.
        seconds: of each piece that is read.

    Returns:
        Function from the index of a pair to a dict of a model's label to what `transfer.make_predict_fn` returns, and
        the pairs that were read for the style: the last of them gives it, and the target is silent in the others.
    """
    without_style = {model.label: model.make_predict_fn() for model in models if not model.takes_style}
    with_style = [model for model in models if model.takes_style]

    def predict_fns_for(index: int) -> tuple[dict[str, PredictFn], list[RecordingPair]]:
        if not with_style:
            return without_style, []
        style, tried = _choose_style(index, target, pairs, seconds)
        return without_style | {model.label: model.make_predict_fn(style) for model in with_style}, tried

    return predict_fns_for


def _choose_style(
    index: int, target: str, pairs: Sequence[RecordingPair], seconds: float
) -> tuple[np.ndarray, list[RecordingPair]]:
    """Choose a style from the next piece after that of `index` in which the target sounds.

    Returns:
        float32 array [shape=(1, 256, 256, 2)] in [-1, 1], log-magnitude and phase, and the pieces that were read.

    Raises:
        UserError: if there is no such piece.
    """
    tried = []
    for offset in range(1, len(pairs)):
        tried.append(pairs[(index + offset) % len(pairs)])
        _, audio = read_pair(tried[-1], seconds)
        try:
            return slices_with_phase(data.stft(audio)), tried
        except ValueError:  # it is silent
            continue
    raise UserError(f"a style of {target} is taken from another piece, and there is none; add pieces")
