"""Settings of an evaluation, as the command line makes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.settings import PhaseSettings


@dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, on which recordings, and how.

    Attributes:
        model_paths: models' folders, or files of weights.
        dataset_paths: folders that compute_features.py wrote; empty if `audios_path` is given.
        audios_path: folder of `<instrument>/<piece>.wav`, or None.
        output: folder to write to.
        origin: the one instrument to convert from; None for all that the models know.
        target: the one instrument to convert to; None for all that the models know.
        phases: the phases to compare.
        phase_network: folder of the network of the phase; None for the one beside the first model.
        overlap: frames that neighboring slices share, 0 to 128.
        pieces: largest number of pieces; None for all.
        seconds: largest length of each piece.
        listen: number of pieces on the page.
        excerpt: seconds of each piece on the page.
        midi_path: folder of the MIDI files that the audio was synthesized from, to compare notes with, or None.
        reference: the system, or the model, that the others are compared with; None for the first model.
        seed: seed of the confidence intervals, and of the choice of slices for the fixed equalizer.
        overwrite: whether an evaluation with other settings may be replaced.
        recorded: the flags that decide about scores and excerpts, for the manifest.
    """

    model_paths: list[Path]
    dataset_paths: list[str]
    audios_path: str | None
    output: Path
    origin: str | None
    target: str | None
    phases: list[PhaseSettings]
    phase_network: str | None
    overlap: int
    pieces: int | None
    seconds: float
    listen: int
    excerpt: float
    midi_path: str | None
    reference: str | None
    seed: int
    overwrite: bool
    recorded: dict[str, Any]
