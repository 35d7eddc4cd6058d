"""Slices of MIDI played with packed notes, on the GPU: always other keyboards, keys, speeds, pedals and effects.

The synthesizer, the effects and the spectrogram are those of synthesis/ and data.py, computed with PyTorch. What
differs: the source is never detuned, and filters have no window.
"""

import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.fft
import terms
import torch
from packed import PITCHES, RATE, SECONDS, TARGETS, VELOCITIES

import data
from synthesis import effect_filters
from synthesis.effects import PARAMETERS, Effects, draw

KEYBOARD = "keyboard_acoustic"
EFFECTS = {name: 0.5 if name == "room" else 0.3 for name in PARAMETERS if name != "detune"}
N_NOTE = round(SECONDS * data.SAMPLE_RATE)
N_DAMPED = round(0.05 * data.SAMPLE_RATE)
PEAK = 10 ** (-1 / 20)
_GRID_HZ = np.maximum(np.linspace(0, data.SAMPLE_RATE / 2, 8193), 1.0)  # where curves are computed
_BLOCK = 40_000_000  # samples of notes that are added at a time


class Way(NamedTuple):
    """How a piece is played: see `synthesize_audios.py`."""

    keyboard: int
    transpose: int = 0
    speed: float = 1.0
    duration_rate: float = 1.0
    pedal: bool = True
    effects: bool = False


class Notes:
    """The notes of an instrument on the GPU, at 44.1 kHz."""

    def __init__(self, folder: Path, name: str, preset: int, device: str) -> None:
        """Read packed notes."""
        import soundfile

        entry = json.loads((folder / f"{name}_{preset:03d}.json").read_text())
        layers = []
        for velocity in entry["layers"]:
            samples, _ = soundfile.read(folder / f"{name}_{preset:03d}_{velocity:03d}.flac", dtype="float32")
            layers.append(_resample(torch.from_numpy(samples).to(device).reshape(len(PITCHES), -1)).half())
        self.samples = torch.stack(layers).reshape(-1)  # layer, pitch, sample
        numbers = [entry["layers"].index(v) if entry["factors"] is None else 0 for v in VELOCITIES]
        self.layers = torch.tensor(numbers, device=device)
        factors = np.ones((len(VELOCITIES), len(PITCHES))) if entry["factors"] is None else entry["factors"]
        self.gains = torch.tensor(np.array(factors) * entry["gain"], dtype=torch.float32, device=device)


def _resample(notes: torch.Tensor) -> torch.Tensor:
    """Resample notes (n, samples) at 25.2 kHz to 44.1 kHz, by their spectra."""
    n = notes.shape[1]
    padded = torch.nn.functional.pad(notes, (0, -(-(n + 400) // 4) * 4 - n))
    spectrum = torch.fft.rfft(padded)
    wide = torch.zeros(len(notes), padded.shape[1] // 4 * 7 // 2 + 1, dtype=spectrum.dtype, device=notes.device)
    wide[:, : spectrum.shape[1]] = spectrum
    return torch.fft.irfft(wide, padded.shape[1] // 4 * 7)[:, :N_NOTE] * (data.SAMPLE_RATE / RATE)


class Renderer:
    """Plays pieces with all instruments, and cuts them into slices."""

    def __init__(self, folder: Path, keyboards: list[int], device: str, seed: int = 0) -> None:
        """Load notes and MIDI."""
        self.device, self.rng = device, np.random.default_rng(seed)
        self.generator = torch.Generator(device).manual_seed(seed)
        wanted = [(KEYBOARD, preset) for preset in keyboards] + [(name, 0) for name in TARGETS]
        with ThreadPoolExecutor(8) as pool:
            self.notes = dict(zip(wanted, pool.map(lambda key: Notes(folder, *key, device), wanted), strict=True))
        self.keyboards = keyboards
        self.midi = dict(np.load(folder / "midi.npz"))
        self.held_back = np.flatnonzero(self.midi["held_back"])
        self.trained = np.flatnonzero(~self.midi["held_back"])
        self.firsts = {name: np.cumsum([0, *self.midi[f"{name}_counts"]]) for name in ("pedal", "plain")}
        self.window = torch.from_numpy(data.WINDOW).to(device)
        self.n_rendered = 0

    def draw_way(self) -> Way:
        """Draw how the next piece is played."""
        rng = self.rng
        pedal = bool(rng.random() < 0.5)
        rates = (1.0, 1.0, 1.5, 2.0) if pedal else (1.0, 1.0, 2.0, 3.0, 4.0)
        return Way(
            keyboard=int(rng.choice(self.keyboards)),
            transpose=int(rng.integers(-6, 7)),
            speed=float(0.75 * (1.3 / 0.75) ** rng.random()),
            duration_rate=float(rng.choice(rates)),
            pedal=pedal,
            effects=bool(rng.random() < 0.5),
        )

    def render(self, piece: int, way: Way, shift: int = 0) -> torch.Tensor:
        """Render a piece.

        Args:
            piece: its number.
            way: how it is played.
            shift: frames that are left out at the beginning.

        Returns:
            float16 (n, 5, 256, 256) in [-1, 1]: slices of keyboard, guitar, strings and lead, and the phase of the
            keyboard in half turns.
        """
        spectra = [self._spectrum(audio)[:, shift:] for audio in self.play(piece, way)]
        images = [terms.compress(spectrum.abs() * float(2 / data.WINDOW.sum())) for spectrum in spectra]
        return torch.stack([_cut(image) for image in (*images, spectra[0].angle() / math.pi)], 1)

    def play(self, piece: int, way: Way) -> list[torch.Tensor]:
        """Play a piece: float32 audio of keyboard, guitar, strings and lead, as the files of synthesize_audios.py."""
        name = "pedal" if way.pedal else "plain"
        part = slice(*self.firsts[name][piece : piece + 2])
        notes, times = self.midi[f"{name}_notes"][part], self.midi[f"{name}_times"][part]
        pitches = notes[:, 0].astype(int) + way.transpose - PITCHES.start
        starts = times[:, 0] / way.speed
        lengths = (times[:, 1] - times[:, 0]) / way.speed * way.duration_rate
        playable = (pitches >= 0) & (pitches < len(PITCHES))
        rows = np.abs(notes[:, 1:2].astype(int) - np.array(VELOCITIES)).argmin(1)
        held = np.maximum(1, np.rint(lengths * data.SAMPLE_RATE)).astype(np.int64)
        columns = [np.minimum(held + N_DAMPED, N_NOTE), np.rint(starts * data.SAMPLE_RATE), pitches, rows]
        events = np.stack([column[playable].astype(np.int64) for column in columns])
        keys = [(KEYBOARD, way.keyboard), *((target, 0) for target in TARGETS)]
        mixes = self._mix(events, [self.notes[key] for key in keys])
        factor = PEAK / mixes.abs().max().clamp(min=PEAK)
        mixes = mixes * factor
        if way.effects:
            drawn = draw(Effects(tuple(EFFECTS.items()), (KEYBOARD,)), KEYBOARD, str(self.n_rendered))
            changed = self._change(mixes[0], drawn)
            mixes[0] = changed * (PEAK / changed.abs().max().clamp(min=PEAK))
        self.n_rendered += 1
        return [torch.round(mix * 32768).clamp(-32768, 32767) / 32768 for mix in mixes]

    def _spectrum(self, audio: torch.Tensor) -> torch.Tensor:
        audio = torch.nn.functional.pad(audio, (0, -len(audio) % data.HOP_LENGTH))
        options = {"window": self.window, "center": True, "pad_mode": "constant", "return_complex": True}
        return torch.stft(audio, data.N_FFT, data.HOP_LENGTH, **options)[: data.N_BINS]

    def _mix(self, events: np.ndarray, instruments: list[Notes]) -> torch.Tensor:
        """Add the notes of events (length, start, pitch, velocity): float32 (instruments, samples)."""
        n_samples = int((events[0] + events[1]).max())
        mixes = torch.zeros(len(instruments), n_samples, device=self.device)
        ends = np.cumsum(events[0])
        splits = np.unique([*np.searchsorted(ends, np.arange(0, ends[-1], _BLOCK)), events.shape[1]])
        for first, last in itertools.pairwise(splits):
            part = events[:, first:last]
            lengths, starts, pitches, rows = torch.from_numpy(part).to(self.device)
            n = int(part[0].sum())
            index = torch.repeat_interleave(torch.arange(len(lengths), device=self.device), lengths, output_size=n)
            places = torch.arange(n, device=self.device) - (torch.cumsum(lengths, 0) - lengths)[index]
            damped = (N_DAMPED + 1 - (lengths[index] - places)).clamp(min=0)  # from 1 on, at the end
            ramp = 0.5 + 0.5 * torch.cos(damped * (math.pi / N_DAMPED))
            into = starts[index] + places
            for mix, notes in zip(mixes, instruments, strict=True):
                base = (notes.layers[rows] * len(PITCHES) + pitches) * N_NOTE
                gains = notes.gains[rows, pitches]
                mix.index_add_(0, into, notes.samples[base[index] + places].float() * gains[index] * ramp)
        return mixes

    def _change(self, audio: torch.Tensor, drawn: dict[str, dict[str, float]]) -> torch.Tensor:
        """Apply effects, and keep the root mean square."""
        level, changed = _rms(audio), audio
        for name, parameters in drawn.items():
            changed = getattr(self, f"_{name}")(changed, **parameters)
        return changed * (level / _rms(changed))

    def _convolve(self, audio: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
        n = _fast_length(audio)
        return torch.fft.irfft(torch.fft.rfft(audio, n) * torch.fft.rfft(response, n), n)[: len(audio)]

    def _filter(self, audio: torch.Tensor, gains: np.ndarray) -> torch.Tensor:
        """Filter with zero phase, by gains at the frequencies `_GRID_HZ`."""
        n = _fast_length(audio)
        spectrum = torch.fft.rfft(audio, n)
        curve = torch.tensor(gains, dtype=torch.float32, device=self.device)[None, None]
        curve = torch.nn.functional.interpolate(curve, len(spectrum), mode="linear", align_corners=True)[0, 0]
        return torch.fft.irfft(spectrum * curve, n)[: len(audio)]

    def _add(self, audio: torch.Tensor, disturbance: torch.Tensor, level_db: float) -> torch.Tensor:
        return audio + disturbance * (data.decibels_to_gain(level_db) * _rms(audio) / _rms(disturbance))

    def _room(self, audio, **parameters: float) -> torch.Tensor:
        return self._convolve(audio, torch.from_numpy(effect_filters.room_response(**parameters)).to(self.device))

    def _delay(self, audio, seconds: float, level_db: float, feedback: float) -> torch.Tensor:
        changed, gain, period = audio.clone(), data.decibels_to_gain(level_db), round(seconds * data.SAMPLE_RATE)
        for start in range(period, len(audio), period):
            if gain < effect_filters.FAINT:
                break
            changed[start:] += gain * audio[:-start]
            gain *= feedback
        return changed

    def _equalizer(self, audio, **points: float) -> torch.Tensor:
        return self._filter(audio, data.decibels_to_gain(effect_filters.equalizer_curve(_GRID_HZ, points)))

    def _tilt(self, audio, db_per_octave: float) -> torch.Tensor:
        return self._filter(audio, data.decibels_to_gain(effect_filters.slope_curve(_GRID_HZ, db_per_octave)))

    def _noise(self, audio, level_db: float, db_per_octave: float, seed: int) -> torch.Tensor:
        noise = torch.randn(len(audio), device=self.device, generator=self.generator)
        return self._add(audio, self._tilt(noise, db_per_octave), level_db)

    def _hum(self, audio, hertz: int, level_db: float, slope: float, seed: int) -> torch.Tensor:
        phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, effect_filters.HARMONICS)
        period = np.arange(data.SAMPLE_RATE // hertz) * (2 * np.pi * hertz / data.SAMPLE_RATE)
        hum = sum(number**-slope * np.sin(number * period + phase) for number, phase in enumerate(phases, 1))
        hum = torch.tensor(hum, dtype=torch.float32, device=self.device)
        return self._add(audio, hum.repeat(-(-len(audio) // len(hum)))[: len(audio)], level_db)

    def _compression(self, audio, threshold_db: float, ratio: float, seconds: float) -> torch.Tensor:
        n = data.SAMPLE_RATE
        weights = torch.exp(-torch.arange(n, device=self.device) / (seconds * data.SAMPLE_RATE))
        power = self._convolve(audio.square(), weights / weights.sum()).clamp(min=0)
        over_db = 10 * torch.log10(power / _rms(audio) ** 2 + 1e-12) - threshold_db
        return audio * 10 ** (-(1 - 1 / ratio) * over_db.clamp(min=0) / 20)

    def _clipping(self, audio, over_db: float) -> torch.Tensor:
        ceiling = audio.abs().max() / data.decibels_to_gain(over_db)
        return audio / (1 + (audio / ceiling).abs() ** effect_filters.KNEE) ** (1 / effect_filters.KNEE)

    def _band(self, audio, low: float, high: float) -> torch.Tensor:
        return self._filter(audio, 1 / (1 + (low / _GRID_HZ) ** 4) / (1 + (_GRID_HZ / high) ** 4))


def _cut(image: torch.Tensor) -> torch.Tensor:
    """Cut an image (256, frames) into slices (n, 256, 256), without the last frames."""
    n = image.shape[1] // data.SLICE_FRAMES
    return image[:, : n * data.SLICE_FRAMES].reshape(data.N_BINS, n, -1).transpose(0, 1).half()


def _fast_length(audio: torch.Tensor) -> int:
    """Return a length that an FFT is fast with, and beyond which nothing wraps around."""
    return scipy.fft.next_fast_len(len(audio) + 2 * data.SAMPLE_RATE, True)


def _rms(audio: torch.Tensor) -> torch.Tensor:
    return audio.square().mean().sqrt()
