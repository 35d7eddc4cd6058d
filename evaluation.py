"""How good models are, on pairs of recordings, beside what is made of the input without them."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

import audio_files
import data
import dataset
import files
import metrics
from cli import UserError
from model import load_generator
from styles import choose_slices
from transfer import make_generate, resynthesize, transfer_log_magnitude

INPUT, EQUALISER, TRUTH = "input unchanged", "fixed equaliser", "true magnitude"
N_RESAMPLES = 2000


class Metric(NamedTuple):
    """A column of the tables: its title, the digits to show, and whether more is better."""

    title: str
    digits: int
    more_is_better: bool = False


METRICS = {
    "mae": Metric("MAE", 4),
    "mae_audio": Metric("MAE of the audio", 4),
    "log_spectral_distance": Metric("log-spectral distance (dB)", 2),
    "spectral_convergence": Metric("spectral convergence", 3),
    "multi_resolution_distance": Metric("multi-resolution STFT distance", 3),
    "mfcc_distance": Metric("MFCC distance", 1),
    "pitch_f_measure": Metric("pitches kept (F-measure)", 3, more_is_better=True),
}


class Model(NamedTuple):
    """A trained generator to evaluate.

    Attributes:
        label: name in the tables.
        generator: `keras.Model`.
        couples: list of (origin, target) that it knows.
        config: its configuration.
        sha256: of its weights.
    """

    label: str
    generator: object
    couples: list
    config: dict
    sha256: str


class Pair(NamedTuple):
    """The same piece played by origin and target: its name and the two files."""

    piece: str
    source_path: Path
    target_path: Path


def load_models(paths, origin=None, target=None):
    """Loads models, and names them by as much of their paths as tells them apart.

    Args:
        paths: folders or files of weights.
        origin, target: instruments, for models that do not say theirs or know several; None for all.

    Returns:
        List of `Model`.

    Raises:
        UserError: if one cannot be loaded, or knows no such pair of instruments.
    """
    paths = [Path(path).resolve() for path in paths]
    if len(set(paths)) < len(paths):
        raise UserError("--model names a model twice; each counts once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    models = []
    for path in paths:
        generator, config = load_generator(path)
        origins, targets = (
            [name] if isinstance(name, str) else list(name or [asked] * bool(asked))
            for name, asked in ((config.get("origin"), origin), (config.get("target"), target))
        )
        if not origins or not targets:
            raise UserError(f"--model {path} does not say its instruments; --origin and --target must")
        couples = [(o, t) for o in origins for t in targets if o != t and origin in (None, o) and target in (None, t)]
        if not couples:
            raise UserError(
                f"--model {path} is for {' '.join(origins)} to {' '.join(targets)}, not for "
                f"{origin or 'any'} to {target or 'any'}"
            )
        weights = path / "generator.weights.h5" if path.is_dir() else path
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        models.append(Model("/".join(path.parts[-depth:]), generator, couples, config, digest))
    return models


def pairs_in_folder(audios_path, origin, target):
    """The pairs of `<instrument>/<piece>.<ending>` in a folder: list of `Pair`, sorted by piece."""
    found = {}
    for instrument in (origin, target):
        folder = Path(audios_path) / instrument
        if not folder.is_dir():
            raise UserError(
                f"--audios_path {audios_path} has no folder {instrument}; it must hold <instrument>/<piece>"
            )
        found[instrument] = {
            path.stem: path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in audio_files.INPUT_ENDINGS and path.name[0] != "."
        }
    pieces = sorted(found[origin].keys() & found[target].keys())
    if not pieces:
        raise UserError(f"--audios_path {audios_path}: no piece of {origin} has a partner of {target} of the same name")
    return [Pair(piece, found[origin][piece], found[target][piece]) for piece in pieces]


def pairs_of_dataset(dataset_paths, origin, target, pieces):
    """The recordings that slices of some pieces were made from, as compute_features.py has noted: list of `Pair`."""
    pairs = []
    for folder in map(Path, dataset_paths):
        for piece in sorted(pieces):
            paths = [dataset.recording(folder, instrument, piece) for instrument in (origin, target)]
            if all(paths):
                several = any(pair.piece == piece for pair in pairs)
                pairs.append(Pair(f"{piece} ({folder})" if several else piece, *paths))
    if not pairs:
        raise UserError(
            f"--dataset_path {' '.join(map(str, dataset_paths))}: the recordings of {len(pieces)} validation pieces of "
            f"{origin} and {target} are not where features.json says; --audios_path takes them from elsewhere"
        )
    return pairs


def validation_pieces(models):
    """The pieces that all of some models kept for validation; a `UserError` if there are none."""
    kept = [set(model.config.get("data", {}).get("validation_pieces", ())) for model in models]
    shared = set.intersection(*kept)
    if not shared:
        names = ", ".join(model.label for model in models)
        raise UserError(f"--dataset_path: no piece was kept for validation by {names}; --audios_path evaluates on any")
    return shared


def slices_difference(dataset_paths, origin, target, held_back, seed):
    """`dataset.mean_difference` of the training pairs of a data set.

    Args:
        dataset_paths: folders of slices.
        held_back: pieces that are left out.
        seed: which slices are taken where there are very many.
    """
    (pairs,), _ = dataset.find_pairs(dataset_paths, [(origin, target)])
    pairs = pairs.of(set(pairs.pieces) - set(held_back))
    if not len(pairs):
        raise UserError("--dataset_path holds no training pieces, which the fixed equaliser is made from")
    return dataset.mean_difference(pairs, seed)


def read_pair(pair, seconds):
    """Reads both recordings, cut to the same length and to at most so many seconds: two float32 arrays."""
    signals = []
    for path in (pair.source_path, pair.target_path):
        try:
            signals.append(audio_files.load_audio(path)[: round(seconds * data.SAMPLE_RATE)])
        except ValueError as error:
            raise UserError(f"{path} {error}") from None
    length = min(map(len, signals))
    return tuple(signal[:length] for signal in signals)


def log_magnitude_of(audio):
    return data.log_magnitude(data.stft(audio))


def mean_difference(pair, seconds):
    """What `slices_difference` is, of one pair of recordings."""
    source, target = map(log_magnitude_of, read_pair(pair, seconds))
    return (target - source).mean(axis=1)


def make_generates(models, couple, pairs, seconds):
    """How each model converts each piece; a style is taken from the next piece in which the target sounds.

    Args:
        models: list of `Model`.
        couple: (origin, target).
        pairs: list of `Pair`.
        seconds: of each piece that is read.

    Returns:
        Function of the number of a pair to dict of the model's label to what `transfer.make_generate` gives.
    """
    plain = {model.label: make_generate(model.generator) for model in models if len(model.generator.inputs) == 1}
    styled = [model for model in models if len(model.generator.inputs) == 2]

    def style(number):
        for offset in range(1, len(pairs)):
            _, target = read_pair(pairs[(number + offset) % len(pairs)], seconds)
            try:
                return data.to_network(choose_slices(log_magnitude_of(target))[0])
            except ValueError:
                continue
        raise UserError(f"a style of {couple[1]} is taken from another piece, and there is none; add pieces")

    def of_pair(number):
        if not styled:
            return plain
        chosen = style(number)
        return plain | {model.label: make_generate(model.generator, chosen) for model in styled}

    return of_pair


def systems(source, target, difference, generates, phases, settings):
    """Makes what is to be compared, of one pair of recordings.

    Args:
        source, target: float32 arrays [shape=(n_samples,)].
        difference: mean spectral difference, [shape=(256,)].
        generates: dict of label to what `transfer.make_generate` gives.
        phases: names of phases.
        settings: dict of `overlap`, `phase_iterations` and `seed`.

    Yields:
        Name, log-magnitude before a phase was found [shape=(256, n_frames)], audio [shape=(n_samples,)].
    """
    spectrum = data.stft(source)
    picture, true = data.log_magnitude(spectrum), log_magnitude_of(target)
    keywords = {"phase_iterations": settings["phase_iterations"], "seed": settings["seed"]}

    def audio(image, phase):
        return resynthesize(image, spectrum, len(source), phase, **keywords)

    yield INPUT, picture, source
    equalised = np.clip(picture + difference[:, np.newaxis], 0, 1)
    yield EQUALISER, equalised, audio(equalised, "input")
    for phase in dict.fromkeys(["input", *phases]):
        yield f"{TRUTH}, {phase}", true, audio(true, phase)
    for label, generate in generates.items():
        image = transfer_log_magnitude(picture, generate, settings["overlap"])
        for phase in phases:
            yield f"{label}, {phase}", image, audio(image, phase)


def score(log_magnitude, audio, target, target_pitches):
    """All metrics of one system on one piece: dict of name to float. See metrics.py."""
    ours, true = log_magnitude_of(audio), log_magnitude_of(target)
    magnitude, true_magnitude = map(data.db_to_amplitude, (ours, true))
    return {
        "mae": metrics.mean_absolute_error(log_magnitude, true),
        "mae_audio": metrics.mean_absolute_error(ours, true),
        "log_spectral_distance": metrics.log_spectral_distance(magnitude, true_magnitude),
        "spectral_convergence": metrics.spectral_convergence(magnitude, true_magnitude),
        "multi_resolution_distance": metrics.multi_resolution_distance(audio, target),
        "mfcc_distance": metrics.mfcc_distance(magnitude, true_magnitude),
        "pitch_f_measure": metrics.pitch_f_measure(metrics.pitches(audio), target_pitches),
    }


def fullest_part(audio, seconds):
    """The slice of the samples with the most sound, by mean log-magnitude."""
    loudness = log_magnitude_of(audio).mean(axis=0)
    width = min(len(loudness), round(seconds * data.SAMPLE_RATE / data.HOP_LENGTH))
    sums = np.convolve(loudness, np.ones(width), mode="valid")
    first = int(np.argmax(sums)) * data.HOP_LENGTH
    return slice(first, first + width * data.HOP_LENGTH)


def write_excerpts(folder, excerpts):
    """Writes audio as 16-bit FLAC, all of it turned down alike if any would clip: `<number>.flac`, in their order."""
    import soundfile

    loudest = max(float(np.abs(audio).max(initial=0)) for audio in excerpts)
    for number, audio in enumerate(excerpts):
        with files.replacing(folder / f"{number:02d}.flac") as partial:
            soundfile.write(partial, audio / max(1.0, loudest), data.SAMPLE_RATE, subtype="PCM_16")


def summarise(scores, seed):
    """Means over pieces with their bootstrap intervals.

    The interval is the percentile interval of 2,000 resamples of the pieces (Efron 1979), 95%. A piece on which a
    metric is undefined (silence) is left out of that metric.

    Args:
        scores: list of dict of system to dict of metric to float, one for each piece.
        seed: of the resampling.

    Returns:
        dict of system to dict of metric to (mean, low, high); NaN where nothing is defined.
    """
    summary = {}
    for system in scores[0]:
        summary[system] = {}
        for name in METRICS:
            values = np.array([of_piece[system][name] for of_piece in scores], dtype=np.float64)
            values = values[np.isfinite(values)]
            if len(values) == 0:
                summary[system][name] = (float("nan"),) * 3
                continue
            drawn = np.random.default_rng(seed).integers(0, len(values), (N_RESAMPLES, len(values)))
            low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
            summary[system][name] = float(values.mean()), float(low), float(high)
    return summary
