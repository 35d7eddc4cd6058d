"""Integrated loudness of a stream (ITU-R BS.1770-4), to match levels by."""

import numpy as np

_SILENCE = -70.0  # LUFS, the absolute gate


class Meter:
    """Measures the loudness and the peak of audio that comes in blocks.

    Attributes:
        peak: the greatest absolute sample.
    """

    def __init__(self, sample_rate, n_channels, with_loudness=True):
        self.peak, self._with_loudness = 0.0, with_loudness
        self._filter = _k_weighting(sample_rate)
        self._state = np.zeros((len(self._filter), n_channels, 2))
        self._step = max(1, round(sample_rate * 0.1))  # blocks of 400 ms every 100 ms
        self._rest = np.zeros((n_channels, 0))
        self._energies = []  # of each 100 ms, the channels' sum

    def add(self, block):
        """Adds a block [shape=(n_channels, n_samples)]."""
        if not block.shape[1]:
            return
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
        if not self._with_loudness:
            return
        import scipy.signal  # 0.5 s

        filtered, self._state = scipy.signal.sosfilt(self._filter, block, zi=self._state)
        filtered = np.concatenate([self._rest, filtered], axis=1)
        n_steps = filtered.shape[1] // self._step
        steps = filtered[:, : n_steps * self._step].reshape(len(filtered), n_steps, self._step)
        self._energies.extend(np.mean(steps**2, axis=2).sum(axis=0))
        self._rest = filtered[:, n_steps * self._step :]

    def loudness(self):
        """LUFS; None of silence. Channels weigh alike. What is shorter than 400 ms is one block."""
        energies = np.array(self._energies)
        if len(energies) < 4:
            tail = np.sum(self._rest**2) / max(1, self._rest.shape[1])
            energies = np.array([np.mean([*energies, *([tail] if self._rest.shape[1] else [])] or [0.0])])
        else:
            energies = np.convolve(energies, np.full(4, 0.25), "valid")
        for gate in (lambda kept: _energy(_SILENCE), lambda kept: np.mean(kept) / 10):  # 10 dB below the mean
            if not len(energies):
                return None
            energies = energies[energies > gate(energies)]
        return float(-0.691 + 10 * np.log10(np.mean(energies))) if len(energies) else None


def _energy(loudness):
    return 10 ** ((loudness + 0.691) / 10)


def _k_weighting(sample_rate):
    """The two filters of BS.1770-4, annex 1, for any rate, as second-order sections.

    Their analogue prototypes (De Man 2014, "Evaluation of implementations of the EBU R128 loudness measurement").
    """
    sections = []
    for kind, gain, quality, frequency in (
        ("shelf", 3.999843853973347, 0.7071752369554196, 1681.974450955533),
        ("highpass", 0.0, 0.5003270373238773, 38.13547087602444),
    ):
        k = np.tan(np.pi * frequency / sample_rate)
        a0 = 1 + k / quality + k * k
        if kind == "shelf":
            high = 10 ** (gain / 20)
            middle = high**0.4996667741545416
            slope = middle * k / quality
            b = [(high + slope + k * k) / a0, 2 * (k * k - high) / a0, (high - slope + k * k) / a0]
        else:
            b = [1.0, -2.0, 1.0]
        sections.append([*b, 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])
    return np.array(sections)
