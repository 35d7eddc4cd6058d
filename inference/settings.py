"""Settings of a conversion, as the command line makes them."""

from collections.abc import Callable
from typing import Any, NamedTuple

LEVELS = ("none", "match", "peak")
HIGH_BANDS = ("none", "input")
RUNTIMES = ("auto", "onnx", "tensorflow")
MODEL_PHASE = "model"  # what a model predicts beside the magnitude
PHASES = ("input", "griffinlim", "griffinlim_input", "network", MODEL_PHASE)
AUTO = "auto"  # what the model can do best
PHASE_NETWORKS = ("compact", "unet")


class PhaseSettings(NamedTuple):
    """How the phase of a generated magnitude is found.

    Attributes:
        name: one of `PHASES`; see `phase.with_phase`. In the settings of a command line also `AUTO`, until the model is
            known.
        iterations: iterations of a phase that is estimated; None for its default.
        seed: seed of random phases.
        interleave: whether the network also runs on the recording shifted by 256 samples, and the phase is found for
            a magnitude every 256 samples. None to let the model decide (`runtimes.complete_phase`); until then, no.
        network: for the phase of that name, what `phase_network.load` returns.
    """

    name: str = "griffinlim_input"
    iterations: int | None = None
    seed: int = 0
    interleave: bool | None = None
    network: Callable[..., Any] | None = None

    @property
    def label(self) -> str:
        """The name in tables."""
        return f"{self.name}, interleaved" if self.interleave else self.name

    def with_grid(self, adversarial: bool) -> "PhaseSettings":
        """Choose the grid if it is left to the model: the finer one for a model with a discriminator.

        Args:
            adversarial: whether the model was trained with a discriminator.
        """
        if self.interleave is not None:
            return self
        return self._replace(interleave=adversarial and self.name != MODEL_PHASE)

    @property
    def grids(self) -> int:
        """How often the network runs: on the recording, and on it shifted."""
        return 2 if self.interleave else 1

    @property
    def n_iterations(self) -> int:
        """Iterations of a phase that is estimated."""
        if self.iterations is not None:
            return self.iterations
        if self.name == "griffinlim":
            return 32
        return 16 if self.interleave else 8


class TransferSettings(NamedTuple):
    """How audio goes through a network.

    Attributes:
        phase: how the phase is found.
        overlap: frames that neighboring slices share, 0 to 128.
        high_band: what sounds above 11 kHz: "none", or "input" for the input's own band.
        batch_size: slices that the network gets at a time.
    """

    phase: PhaseSettings = PhaseSettings()
    overlap: int = 32  # its cost and its effect are in docs/benchmarks.md
    high_band: str = "none"
    batch_size: int = 8


class StyleSettings(NamedTuple):
    """A style, and its part in a mix of styles.

    Attributes:
        path: a recording of the target instrument.
        n_slices: slices to take from it; fewer if it does not hold so many.
        start: seconds at which the first one begins; None for the fullest parts of the recording.
        weight: the style's part in the mix, from 0 to 1; the weights of all styles add up to 1.
    """

    path: str
    n_slices: int = 1
    start: float | None = None
    weight: float = 1.0


class ConvertSettings(NamedTuple):
    """How recordings are converted and written.

    Attributes:
        level: the level of the output: "none" for that of the network, "match" for the input's loudness, or "peak" for
            a peak of -1 dBFS.
        subtype: libsndfile's name of how samples are stored; None to choose by the input and the format.
        transfer: how audio goes through the network.
        overwrite: whether an output that exists is replaced.
        phase_network: folder of the network of the phase; None for the one beside the model.
    """

    level: str = "none"
    subtype: str | None = None
    transfer: TransferSettings = TransferSettings()
    overwrite: bool = False
    phase_network: str | None = None
