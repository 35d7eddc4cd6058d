"""Which effects change an instrument of a piece, and how strongly: drawn from a seed. Imports no library."""

import os
import random
from collections.abc import Mapping
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Where a parameter is drawn from: evenly from low to high, or evenly on a logarithmic scale."""

    low: float
    high: float
    logarithmic: bool = False

    def draw(self, rng: random.Random) -> float:
        """Draw a value."""
        share = rng.random()
        if self.logarithmic:
            return self.low * (self.high / self.low) ** share
        return self.low + (self.high - self.low) * share


EQUALIZER_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000, 16_000)
MAINS_HZ = 50, 60

# Effect -> its parameters, which are those of its function in effect_filters.py. A tuple is a choice. The effects stand
# in the order in which they change the sound.
PARAMETERS: dict[str, dict[str, Range | tuple[int, ...]]] = {
    "detune": {"cents": Range(-8, 8), "spread": Range(0, 2)},
    "room": {
        "rt60": Range(0.2, 1.5, logarithmic=True),
        "direct_db": Range(-3, 12),
        "gap": Range(0.002, 0.02),
        "damping": Range(0.3, 0.9),
    },
    "delay": {"seconds": Range(0.08, 0.4), "level_db": Range(-20, -8), "feedback": Range(0.1, 0.5)},
    "equalizer": {f"db_{hertz}": Range(-6, 6) for hertz in EQUALIZER_HZ},
    "tilt": {"db_per_octave": Range(-2, 2)},
    "noise": {"level_db": Range(-60, -30), "db_per_octave": Range(-6, 0)},
    "hum": {"hertz": MAINS_HZ, "level_db": Range(-60, -35), "slope": Range(0.5, 2)},
    "compression": {
        "threshold_db": Range(-6, 3),
        "ratio": Range(1.5, 3),
        "seconds": Range(0.01, 0.05, logarithmic=True),
    },
    "clipping": {"over_db": Range(1, 6)},
    "band": {"low": Range(20, 150, logarithmic=True), "high": Range(4_000, 14_000, logarithmic=True)},
}
_SEEDED = ("detune", "room", "noise", "hum")  # that are random beyond their parameters


class Effects(NamedTuple):
    """The effects of a run.

    Attributes:
        probabilities: (effect, probability that a piece has it) of each effect.
        instruments: the instruments that they change.
        seed: of all draws.
    """

    probabilities: tuple[tuple[str, float], ...]
    instruments: tuple[str, ...]
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        """Return what the manifest says of them."""
        probabilities, instruments = dict(sorted(self.probabilities)), sorted(self.instruments)
        return {"effects": probabilities, "effects_on": instruments, "effects_seed": self.seed}


def draw(effects: Effects, instrument: str, piece: str) -> dict[str, dict[str, float]]:
    """Draw the effects of an instrument in a piece.

    Each effect has a generator of its own, seeded by run, instrument, effect and piece: a draw depends neither on the
    order of the pieces nor on the other effects.

    Args:
        effects: those of the run.
        instrument: its name.
        piece: name of the piece.

    Returns:
        dict of effect to its parameters, in the order in which they change the sound. Values are rounded, so that what
        the manifest says is what was used.
    """
    if instrument not in effects.instruments:
        return {}
    probabilities = dict(effects.probabilities)
    drawn = {}
    for name, parameters in PARAMETERS.items():
        rng = random.Random(f"{effects.seed} {instrument} {name} ".encode() + os.fsencode(piece))
        if rng.random() < probabilities.get(name, 0):
            drawn[name] = _draw_parameters(parameters, rng)
            if name in _SEEDED:
                drawn[name]["seed"] = rng.getrandbits(32)
    return drawn


def _draw_parameters(parameters: Mapping[str, Range | tuple[int, ...]], rng: random.Random) -> dict[str, float]:
    drawn = {}
    for name, values in parameters.items():
        if isinstance(values, Range):
            drawn[name] = float(f"{values.draw(rng):.4g}")
        else:
            drawn[name] = values[int(rng.random() * len(values))]
    return drawn
