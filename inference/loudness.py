"""Integrated loudness of audio that comes in blocks (ITU-R BS.1770-4), to match levels by."""

import numpy as np

import data

_SILENCE = -70.0  # LUFS, the absolute gate
_STEPS_PER_BLOCK = 4  # blocks of 400 ms begin every 100 ms


class Meter:
    """Measures the loudness and the peak of audio.

    Attributes:
        peak: the greatest absolute sample.
    """

    def __init__(self, sample_rate: int, n_channels: int, with_loudness: bool = True) -> None:
        """Start a measurement.

        Args:
            sample_rate: Hz.
            n_channels: number of channels.
            with_loudness: whether the loudness is measured too, which takes longer than the peak.
        """
        self.peak, self._with_loudness = 0.0, with_loudness
        self._filter = _k_weighting(sample_rate)
        self._filter_state = np.zeros((len(self._filter), n_channels, 2))
        self._step = max(1, round(sample_rate * 0.1))  # samples of 100 ms
        self._remainder = np.zeros((n_channels, 0))  # filtered samples that do not fill a step yet
        self._energies: list[float] = []  # of each step: mean square, summed over the channels

    def add(self, block: np.ndarray) -> None:
        """Add a block of audio, float array [shape=(n_channels, n_samples)]."""
        if not block.shape[1]:
            return
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
        if not self._with_loudness:
            return
        import scipy.signal  # takes 0.5 s, and few runs match levels

        filtered, self._filter_state = scipy.signal.sosfilt(self._filter, block, zi=self._filter_state)
        filtered = np.concatenate([self._remainder, filtered], axis=1)
        n_steps = filtered.shape[1] // self._step
        steps = filtered[:, : n_steps * self._step].reshape(len(filtered), n_steps, self._step)
        self._energies.extend(np.mean(steps**2, axis=2).sum(axis=0))
        self._remainder = filtered[:, n_steps * self._step :]

    def loudness(self) -> float | None:
        """Compute the loudness of what was added, in LUFS; None if it is silent. All channels have the same weight."""
        energies = self._block_energies()
        energies = energies[energies > _energy(_SILENCE)]
        if not len(energies):
            return None
        energies = energies[energies > np.mean(energies) / 10]  # the relative gate, 10 dB below the mean
        return float(-0.691 + 10 * np.log10(np.mean(energies)))

    def _block_energies(self) -> np.ndarray:
        """Compute the energy of each block of 400 ms; audio that is shorter is one block."""
        energies = self._energies
        if len(energies) >= _STEPS_PER_BLOCK:
            return np.convolve(energies, np.full(_STEPS_PER_BLOCK, 1 / _STEPS_PER_BLOCK), "valid")
        _, n_remaining = self._remainder.shape
        if n_remaining:
            energies = [*energies, np.sum(self._remainder**2) / n_remaining]
        return np.array([np.mean(energies)]) if energies else np.zeros(0)


def _energy(loudness: float) -> float:
    """Convert LUFS to a mean square of filtered audio (BS.1770-4, eq. 2)."""
    return 10 ** ((loudness + 0.691) / 10)


def _k_weighting(sample_rate: int) -> np.ndarray:
    """Design the two filters of BS.1770-4, annex 1, for any rate.

    The standard gives them for 48 kHz alone. Their analog prototypes are in De Man 2014, "Evaluation of implementations
    of the EBU R128 loudness measurement".

    Returns:
        Second-order sections [shape=(2, 6)]: a high shelf and a high pass.
    """
    sections = []
    for kind, decibels, quality, frequency in (
        ("shelf", 3.999843853973347, 0.7071752369554196, 1681.974450955533),
        ("highpass", 0.0, 0.5003270373238773, 38.13547087602444),
    ):
        k = np.tan(np.pi * frequency / sample_rate)
        a0 = 1 + k / quality + k * k
        if kind == "shelf":
            high = data.decibels_to_gain(decibels)
            middle = high**0.4996667741545416
            slope = middle * k / quality
            b = [(high + slope + k * k) / a0, 2 * (k * k - high) / a0, (high - slope + k * k) / a0]
        else:
            b = [1.0, -2.0, 1.0]
        sections.append([*b, 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])
    return np.array(sections)
