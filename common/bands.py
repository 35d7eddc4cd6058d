"""Octave bands, by which texture and level are measured in evaluations and in the validation of a training run."""

import math

import data

# Low and high frequency in Hz. NSynth's notes have nothing above 8 kHz.
OCTAVES = ((150, 300), (300, 600), (600, 1200), (1200, 2400), (2400, 4800), (4800, 9600))
TEXTURE_FRAMES = 9  # of the moving mean that fast changes are relative to: 104 ms


def bins(low: float, high: float) -> slice:
    """Return the bins whose frequency is at least `low` and below `high`, in Hz."""
    return slice(*(math.ceil(frequency * data.N_FFT / data.SAMPLE_RATE) for frequency in (low, high)))
