"""What a training run is: that in which the train scripts differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras

from common import representations
from training import sound
from training.steps import Step


class LearningRate(NamedTuple):
    """The learning rate of a network, and the flag that sets it."""

    flag: str
    value: float


@dataclass(frozen=True)
class Recipe:
    """What a run is: that in which the train scripts differ.

    Attributes:
        name: name of the model and of its folders.
        instrument_pairs: list of (origin, target).
        learning_rates: dict of network to its rate: for `generator` and, where there is one, `discriminator`; or for
            `phase`.
        make_networks: function without arguments that makes the networks: dict of name to `keras.Model`.
        make_steps: function of (networks, optimizers) that makes a training and a validation step.
        metrics: names of what the steps measure; the first one is the error by which the best epoch is chosen.
        n_inputs: images that the generator takes; the second one is a style.
        of_phase: whether the network learns phases alone, from slices that hold them.
        network: the kind of network, where there are several.
        phase: how a generator represents the phase that it predicts beside the magnitude; None if it predicts none.
        noise: whether a generator draws from noise.
    """

    name: str
    instrument_pairs: list[tuple[str, str]]
    learning_rates: dict[str, LearningRate]
    make_networks: Callable[[], dict[str, keras.Model]]
    make_steps: Callable[[dict, dict], tuple[Step, Step]]
    metrics: tuple[str, ...]
    n_inputs: int = 1
    of_phase: bool = False
    network: str | None = None
    phase: str | None = None
    noise: bool = False

    @property
    def with_phase(self) -> bool:
        """Whether the slices must hold phases."""
        return self.of_phase or self.phase is not None

    @property
    def model(self) -> dict[str, Any]:
        """What the configuration says of the network, besides its width."""
        if self.of_phase:
            return {"network": self.network}
        of_phase = {"phase": self.phase, "n_channels": list(representations.n_channels(self.phase))}
        of_noise = {"noise": True} if self.noise else {}
        return {"n_inputs": self.n_inputs, **(of_phase if self.phase else {}), **of_noise}

    @property
    def validated(self) -> list[str]:
        """Names of what a validation step measures."""
        return [*self.metrics, *([] if self.of_phase else sound.names())]

    @property
    def columns(self) -> list[str]:
        """Names of what the history has of the validation."""
        return [*self.metrics, *([] if self.of_phase else [sound.SCORE, *sound.names()])]
