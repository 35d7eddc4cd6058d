"""The measures of an evaluation: their names, which values are better, and which table has them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from evaluation.octaves import LEVEL_BANDS, TEXTURE_BANDS

# Tables. That of the truth has what does not depend on the system, for scores.csv and the captions.
MAIN, TEXTURE, LEVEL, NOTES, TRUTH_NOTES = "main", "texture", "level", "notes", "truth"
FRECHET = "frechet_distance"


class Metric(NamedTuple):
    """A column of the tables.

    Attributes:
        title: its heading.
        digits: digits to show after the point.
        explanation: what it is, for the page; empty if another one of its table says it.
        more_is_better: whether a higher value is better.
        ideal: the value that is best, or None if the lowest or highest is.
        table: the table that it belongs to.
    """

    title: str
    digits: int
    explanation: str = ""
    more_is_better: bool = False
    ideal: float | None = None
    table: str = MAIN

    @property
    def goal(self) -> str:
        """Which values are better, in words."""
        if self.ideal is not None:
            return f"{self.ideal:g} is best"
        return "more is better" if self.more_is_better else "less is better"

    @property
    def sign(self) -> str:
        """Which values are better, as a sign."""
        if self.ideal is not None:
            return f"→ {self.ideal:g}"
        return "↑" if self.more_is_better else "↓"

    def format(self, value: float) -> str:
        """Format a value for the tables; a dash where the metric is undefined."""
        return f"{self._round(value):.{self.digits}f}".replace("-", "−") if np.isfinite(value) else "–"

    def format_difference(self, value: float) -> str:
        """Format a difference of two values, with its sign."""
        return f"{self._round(value):+.{self.digits}f}".replace("-", "−") if np.isfinite(value) else "–"

    def _round(self, value: float) -> float:
        """Round a value as it is shown; a zero has no sign."""
        return round(float(value), self.digits) + 0.0

    def error(self, value: np.ndarray | float) -> np.ndarray | float:
        """Convert a value to one that is better the lower it is: itself, its negative, or its distance from `ideal`."""
        if self.ideal is not None:
            return np.abs(value - self.ideal)
        return -value if self.more_is_better else value


def _band_title(low: int, high: int) -> str:
    return f"{low}–{high} Hz" if low else f"below {high} Hz"


METRICS = {
    "mae": Metric(
        "MAE",
        4,
        "mean absolute error of the spectrogram on the network's scale from −1 to 1, before a phase is found: the "
        "published figure. It prefers a smooth average to a realistic texture",
    ),
    "mae_audio": Metric("MAE of the audio", 4, "the same for the finished audio, analyzed again"),
    "log_spectral_distance": Metric(
        "log-spectral distance (dB)", 2, "root mean square difference of levels over the bins, averaged over frames"
    ),
    "spectral_convergence": Metric(
        "spectral convergence",
        3,
        "norm of the difference of magnitudes over the target's norm; strong bins decide",
    ),
    "multi_resolution_distance": Metric(
        "multi-resolution STFT distance",
        3,
        "spectral convergence plus mean difference of log-magnitudes, over three window lengths",
    ),
    "mfcc_distance": Metric(
        "MFCC distance",
        1,
        "timbre: distance of mel-frequency cepstral coefficients 1 to 12, without the level",
    ),
    FRECHET: Metric(
        "Fréchet distance (MFCC)",
        2,
        "timbre and its movement over all pieces: the Fréchet distance of the slices' means and standard deviations of "
        "MFCCs and of their deltas, in standard deviations of the target, squared. It needs no aligned target. The "
        "interval is that of the jackknife over pieces",
    ),
    "texture_error": Metric(
        "texture error", 3, "mean over the octaves of how far the texture, in the table below, is from 1"
    ),
    "level_error": Metric(
        "level error (dB)", 2, "mean over the bands of how far the level, in the table below, is from 0 dB"
    ),
    "pattern": Metric(
        "pattern (share)",
        3,
        "share of the fast changes over time that repeats every 32 frames, above that of the target: a checkerboard of "
        "the network, which the texture counts as texture",
    ),
    "contrast": Metric(
        "contrast (dB)",
        1,
        "by how many dB partials stand out more from what lies between them than in the target: below 0 there is noise "
        "between them (the texture counts it as texture), or they are smeared or missing",
        ideal=0.0,
    ),
    "pitch_f_measure": Metric(
        "pitches kept (F-measure)",
        3,
        "how well the pitches found in the audio agree with those found in the target, frame by frame; 1 is best",
        more_is_better=True,
    ),
    "pitch_jaccard": Metric(
        "pitches kept (Jaccard)", 3, "the same pitches: common ones over all that either has", more_is_better=True
    ),
}
for _low, _high in TEXTURE_BANDS:
    METRICS[f"texture_{_low}"] = Metric(
        _band_title(_low, _high),
        2,
        "fast changes over time in an octave, those of the output over those of the target: standard deviation of the "
        "log-magnitude minus its mean over 9 frames. 1 is right; below 1 the sound is smoothed, above 1 it is rough"
        if _low == TEXTURE_BANDS[0][0]
        else "",
        ideal=1.0,
        table=TEXTURE,
    )
for _low, _high in LEVEL_BANDS:
    METRICS[f"level_{_low}"] = Metric(
        _band_title(_low, _high),
        1,
        "energy of the output in a band relative to the target's, in dB; 0 is right, below 0 it is too soft"
        if _low == LEVEL_BANDS[0][0]
        else "",
        ideal=0.0,
        table=LEVEL,
    )
# Only with --midi_path.
NOTE_METRICS = {
    "notes_f": Metric(
        "notes (F-measure)",
        3,
        "the notes that a transcriber hears in the audio, compared with those of the MIDI file: onset within 50 ms, "
        "right pitch",
        more_is_better=True,
        table=NOTES,
    ),
    "notes_f_relative": Metric(
        "notes, relative to the target",
        3,
        "the same over what the true target reaches: the transcriber errs, more with some instruments than with others",
        more_is_better=True,
        table=NOTES,
    ),
    "notes_precision": Metric(
        "precision of notes", 3, "the share of those heard that are right", more_is_better=True, table=NOTES
    ),
    "notes_recall": Metric(
        "recall of notes", 3, "the share of the MIDI file's that are heard", more_is_better=True, table=NOTES
    ),
    "onsets_f": Metric(
        "onsets (F-measure)", 3, "onset within 50 ms, whatever the pitch", more_is_better=True, table=NOTES
    ),
    "onsets_f_relative": Metric(
        "onsets, relative to the target",
        3,
        "the same over what the true target reaches",
        more_is_better=True,
        table=NOTES,
    ),
    "target_notes_f": Metric("notes of the target (F-measure)", 3, table=TRUTH_NOTES),
    "target_onsets_f": Metric("onsets of the target (F-measure)", 3, table=TRUTH_NOTES),
}
METRICS |= NOTE_METRICS


def piece_metrics(with_notes: bool) -> list[str]:
    """List the metrics that a piece has a value of: all but the Fréchet distance, which is one of all pieces.

    Args:
        with_notes: whether notes are compared with MIDI files.
    """
    return [name for name in METRICS if name != FRECHET and (with_notes or name not in NOTE_METRICS)]


def of_table(names: Iterable[str], table: str) -> list[str]:
    """Return those of some metrics that belong to a table."""
    return [name for name in names if METRICS[name].table == table]
