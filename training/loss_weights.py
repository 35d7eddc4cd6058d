"""What the losses weigh: values of flags. Without TensorFlow, as the command line needs them."""

from typing import NamedTuple


class LossWeights(NamedTuple):
    """The weights of the terms of the losses (docs/method.md has the formulas); by default, the paper's loss.

    Attributes:
        l1: of the mean absolute error, relative to the cross-entropy; lambda in Isola et al. 2017.
        feature_matching: of the discriminator's features.
        linear: of the error of linear magnitudes.
        r1: of the discriminator's gradient penalty.
        phase: of the error of the phase, for networks that predict one.
        consistency: of the inconsistency of magnitude and phase, for networks that predict both.
        mean: of the square of the mean error at each place.
        level: of the error of the levels of octaves.
    """

    l1: float = 100.0
    feature_matching: float = 0.0
    linear: float = 0.0
    r1: float = 0.0
    phase: float = 10.0
    consistency: float = 0.0
    mean: float = 0.0
    level: float = 0.0


PAPER = LossWeights()
