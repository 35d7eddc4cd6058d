"""A transcriber: the notes that basic-pitch hears in audio.

The network is that of Bittner et al. 2022, "A lightweight instrument-agnostic model for polyphonic note transcription
and multipitch estimation"; its weights come with the package basic-pitch (Apache 2.0). The package itself is not
imported: it wants old versions of what it imports. What is around the network is written anew here.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal

import data
from common.cli import UserError
from inference.onnx_network import start_session

INSTALL = "pip install -r requirements-notes.txt && pip install --no-deps 'basic-pitch>=0.4,<0.5'"
RATE, HOP = 22_050, 256  # Hz, samples: a frame every 11.6 ms
WINDOW_SAMPLES, WINDOW_FRAMES = 43_844, 172  # what the network takes, and gives for it
MARGIN_FRAMES = 15  # at each end of a window that are left out, as they lack context
LOWEST_PITCH, N_PITCHES = 21, 88  # a piano's keys

# The package's defaults.
ONSET_THRESHOLD, FRAME_THRESHOLD = 0.5, 0.3
SHORTEST_FRAMES = 11  # a note has more: 128 ms
_PAUSE_FRAMES = 11  # so many in a row below the threshold end a note

_KEPT_FRAMES = WINDOW_FRAMES - 2 * MARGIN_FRAMES
_WEIGHTS = Path("saved_models") / "icassp_2022" / "nmp.onnx"
_INPUT, _NOTES, _ONSETS = "serving_default_input_2:0", "StatefulPartitionedCall:1", "StatefulPartitionedCall:2"
_MODULES = ("onnxruntime", "mir_eval", "basic_pitch")


class Notes(NamedTuple):
    """Notes, of a transcription or of a MIDI file, in the order of their onsets.

    Attributes:
        intervals: onset and end in seconds, float64 array [shape=(n_notes, 2)].
        pitches: MIDI numbers, int64 array [shape=(n_notes,)].
    """

    intervals: np.ndarray
    pitches: np.ndarray


def find_weights() -> Path:
    """Find the weights of the network, and check that what comparing notes needs is installed.

    Raises:
        UserError: if something is missing, with the command that installs it.
    """
    specs = {name: importlib.util.find_spec(name) for name in _MODULES}
    missing = [name for name, spec in specs.items() if spec is None]
    if missing:
        raise UserError(f"--midi_path needs {' and '.join(missing)}: {INSTALL}")
    weights = Path(specs["basic_pitch"].origin).parent / _WEIGHTS
    if not weights.is_file():
        raise UserError(f"--midi_path needs {weights}, which is not there: {INSTALL}")
    return weights


class Transcriber:
    """Finds notes in audio. It may be called by several threads at a time."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            UserError: if something is missing.
        """
        weights = find_weights()
        self._session = start_session(str(weights), threads=1)  # systems are scored in threads of their own

    def transcribe(self, audio: np.ndarray) -> Notes:
        """Find the notes in audio.

        Args:
            audio: float32 array [shape=(n_samples,)] at 44.1 kHz.
        """
        frames, onsets = self._posteriors(audio)
        return find_notes(frames, onsets)

    def _posteriors(self, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the probabilities that a note sounds and that one begins: float32 arrays [shape=(n_frames, 88)]."""
        audio = data.resample(audio, data.SAMPLE_RATE, RATE)
        outputs = [self._session.run([_NOTES, _ONSETS], {_INPUT: window[np.newaxis]}) for window in windows(audio)]
        n_frames = 1 + len(audio) // HOP
        frames, onsets = (join_windows(np.concatenate(of), n_frames) for of in zip(*outputs, strict=True))
        return frames, onsets


def windows(audio: np.ndarray) -> np.ndarray:
    """Cut audio into the windows that the network takes.

    The windows overlap by 30 frames. They begin at whole frames, so that frame i of the joined outputs is at
    i · 256 / 22050 s exactly; the package moves by 36,164 samples instead, and corrects times by a factor afterwards.

    Args:
        audio: float32 array [shape=(n_samples,)] at 22.05 kHz.

    Returns:
        float32 array [shape=(n_windows, 43844, 1)].
    """
    step = _KEPT_FRAMES * HOP
    n_windows = 1 + len(audio) // step
    before = MARGIN_FRAMES * HOP
    padded = np.pad(audio, (before, (n_windows - 1) * step + WINDOW_SAMPLES - before - len(audio)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::step, :, np.newaxis]


def join_windows(outputs: np.ndarray, n_frames: int) -> np.ndarray:
    """Join what the network gives for the windows of `windows`.

    Args:
        outputs: float32 array [shape=(n_windows, 172, 88)].
        n_frames: number of frames of the audio.

    Returns:
        float32 array [shape=(n_frames, 88)].
    """
    kept = outputs[:, MARGIN_FRAMES : MARGIN_FRAMES + _KEPT_FRAMES]
    return kept.reshape(-1, outputs.shape[-1])[:n_frames]


def find_notes(frames: np.ndarray, onsets: np.ndarray) -> Notes:
    """Find the notes in the network's probabilities, as the package does with its default settings.

    A note begins at a peak of the onset probability of at least 0.5 and lasts as long as the frame probability is at
    least 0.3; pauses of less than 11 frames do not end it, and a note must last more than 11 frames. Where the frame
    probability rises steeply, that counts as an onset, too. Notes are found from the last onset to the first; each
    takes its frames, and those of the neighboring semitones, from the earlier ones. Of what is left, each stretch that
    is long enough is a note, too.

    Args:
        frames: probability that a note sounds, float array [shape=(n_frames, 88)] in [0, 1].
        onsets: probability that it begins, float array of the same shape and range.
    """
    left = np.array(frames, np.float64)
    strengths = np.maximum(onsets, _inferred_onsets(left, float(onsets.max(initial=0))))
    times, keys = scipy.signal.argrelmax(strengths, axis=0)
    strong = strengths[times, keys] >= ONSET_THRESHOLD
    found = []
    for start, key in sorted(zip(times[strong].tolist(), keys[strong].tolist(), strict=True), reverse=True):
        stop, pause = _find_pause(left[:, key] < FRAME_THRESHOLD, start)
        if stop - pause - start > SHORTEST_FRAMES:
            _take(left, key, start, stop - pause)
            found.append((start, stop - pause, key + LOWEST_PITCH))
    found = sorted([*found, *_notes_without_onset(left)])
    table = np.array(found, np.int64).reshape(-1, 3)
    return Notes(table[:, :2] * (HOP / RATE), table[:, 2])


def _notes_without_onset(left: np.ndarray) -> list[tuple[int, int, int]]:
    """Find the notes whose onset was missed, from the most probable frame to both sides.

    Args:
        left: frame probability that no note has taken, float64 array [shape=(n_frames, 88)]. It is used up.

    Returns:
        (first frame, last frame, MIDI number) of each.
    """
    n_frames, found = len(left), []
    while left.max(initial=0) > FRAME_THRESHOLD:
        middle, key = map(int, np.unravel_index(np.argmax(left), left.shape))
        left[middle, key] = 0
        quiet = left[:, key] < FRAME_THRESHOLD
        stop, pause = _find_pause(quiet, middle)
        stop_before, pause_before = _find_pause(quiet[::-1], n_frames - 1 - middle)
        _take(left, key, n_frames - stop_before, middle)
        _take(left, key, middle + 1, stop)
        start, end = n_frames - stop_before + pause_before, stop - pause - 1
        if end - start > SHORTEST_FRAMES:
            found.append((start, end, key + LOWEST_PITCH))
    return found


def _take(left: np.ndarray, key: int, start: int, stop: int) -> None:
    """Take frames of a key, and of its neighbors, from what is left, in place."""
    left[start:stop, max(0, key - 1) : key + 2] = 0


def _inferred_onsets(frames: np.ndarray, highest: float) -> np.ndarray:
    """Compute onsets from rises of the frame probability over one and two frames, scaled to the highest onset.

    Args:
        frames: float64 array [shape=(n_frames, 88)].
        highest: the highest onset probability.

    Returns:
        float64 array of the same shape.
    """
    rises = np.zeros_like(frames)
    rises[2:] = np.clip(np.minimum(frames[2:] - frames[1:-1], frames[2:] - frames[:-2]), 0, None)
    steepest = rises.max(initial=0)
    return rises * (highest / steepest) if steepest > 0 else rises


def _find_pause(quiet: np.ndarray, start: int) -> tuple[int, int]:
    """Find the end of a note: 11 quiet frames in a row, or the end.

    Args:
        quiet: whether each frame is below the threshold, bool array [shape=(n_frames,)].
        start: a frame of the note.

    Returns:
        The frame after the last one that was looked at, and how many before it were quiet.
    """
    stop, pause = start + 1, 0
    while stop < len(quiet) - 1 and pause < _PAUSE_FRAMES:
        pause = pause + 1 if quiet[stop] else 0
        stop += 1
    return stop, pause
