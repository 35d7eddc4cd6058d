#!/usr/bin/env python3
"""Measure the ways to a phase, for the magnitudes that a model predicts and for the true ones: docs/phases.md.

Each way is measured on the same excerpts, and compared with the first one by the mean difference over the pieces and
its 95% bootstrap interval. Pitches and onsets are compared with those of the true target: F-measure of the pitches, and
correlation of librosa's onset strength. Speed is processor time per second of audio, of the network and of the phase.

A way is the name of a phase, /ITERATIONS if they are not the default, and +interleave for the finer grid. The way
model is the phase that a model predicts beside the magnitude, which true magnitudes do not have.

Example:
  python benchmarks/bench_phases.py --model keyboard_acoustic_2_guitar_acoustic --audios_path test/8 test/11
"""

import argparse
import os
import sys
import time
from pathlib import Path

if "--one_core" in sys.argv:  # before NumPy and onnxruntime count the cores
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import material
import numpy as np

WAYS = [
    "griffinlim_input",
    "input",
    "griffinlim",
    "griffinlim_input/16",
    "input+interleave",
    "griffinlim_input/8+interleave",
    "griffinlim_input+interleave",
    "griffinlim_input/32+interleave",
]
METRICS = {  # title, digits, whether more is better
    "mae": ("MAE", 4, False),
    "lsd": ("log-spectral distance", 2, False),
    "mrd": ("multi-resolution", 3, False),
    "pitches": ("pitches kept", 3, True),
    "onsets": ("onsets kept", 3, True),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, nargs="+", help="names or folders of models; multitarget ones too")
    parser.add_argument(
        "--audios_path", required=True, nargs="+", type=Path, help="folders of <instrument>/<piece>.wav"
    )
    parser.add_argument("--way", nargs="+", default=WAYS, help=f"(default: {' '.join(WAYS)})")
    parser.add_argument("--phase_network", help="folder of train_phase.py (default: phase/ beside the model)")
    parser.add_argument("--pieces", type=int, default=8, help="how many pieces of each folder")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--start", type=float, default=5, help="where the excerpts begin, in seconds")
    parser.add_argument("--truth_only", action="store_true", help="leave out the predicted magnitudes")
    parser.add_argument("--one_core", action="store_true", help="compute on one core alone")
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common import pretrained
    from inference import runtimes

    for name in arguments.model:
        path = pretrained.find(name)
        ways = {text: parse_way(text, arguments.phase_network, path) for text in arguments.way}
        network = runtimes.load(path, "onnx", None)
        from common.stored_generator import find_generator

        config = find_generator(path).config
        targets = [config["target"]] if isinstance(config["target"], str) else config["target"]
        origin = config["origin"] if isinstance(config["origin"], str) else config["origin"][0]
        for target in targets:
            for folder in arguments.audios_path:
                measure(arguments, folder, (origin, target), network, ways, f"{path.name}, {target}, {folder}")


def parse_way(text, asked, model_path):
    """Make the settings of a way, such as griffinlim_input/16+interleave."""
    from inference import phase_network
    from inference.settings import PhaseSettings

    name, _, grid = text.partition("+")
    name, _, iterations = name.partition("/")
    network = phase_network.load(phase_network.find(asked, model_path), "onnx") if name == "network" else None
    return PhaseSettings(
        name, int(iterations) if iterations else None, interleave=grid == "interleave", network=network
    )


def measure(arguments, folder, instruments, network, ways, title):
    """Measure all ways on the pieces of a folder, and print the tables."""
    import data
    from common import audio
    from inference.channels import representation_of
    from inference.style import slices_with_phase
    from inference.transfer import with_styles

    paths = sorted(path.name for path in (folder / instruments[0]).glob("*.wav"))[: arguments.pieces]
    first, length = (int(seconds * data.SAMPLE_RATE) for seconds in (arguments.start, arguments.seconds))
    recordings = [
        [audio.load_audio(folder / instrument / name)[first : first + length] for instrument in instruments]
        for name in paths
    ]
    scores, seconds = {}, {}
    for index, (source, target) in enumerate(recordings):
        styles = None
        if network.takes_style:  # of another piece
            style = recordings[(index + 1) % len(recordings)][1]
            styles = slices_with_phase(data.stft(style))
            styles = styles if representation_of(network.infer) else styles[..., :1]
        predict_fn = None if arguments.truth_only else with_styles(network.infer, styles)
        for key, values in measure_piece(source, target, predict_fn, ways, seconds).items():
            scores.setdefault(key, []).append(values)
    total = sum(len(source) for source, _ in recordings) / data.SAMPLE_RATE
    about = f"{title}: {len(recordings)} excerpts of {arguments.seconds:g} s"
    for kind in ("predicted", "true"):
        rows = [
            row(way, scores[kind, way], scores[kind, arguments.way[0]], seconds[way] / total)
            for way in ways
            if (kind, way) in scores
        ]
        if rows:
            material.table(f"{about}, {kind} magnitude", rows)


def measure_piece(source, target, predict_fn, ways, seconds):
    """Score all ways on a recording: dict of (kind, way) to dict of metric to value; adds to `seconds` by way."""
    import data
    from inference.channels import representation_of
    from inference.settings import MODEL_PHASE
    from inference.transfer import analyze, resynthesize, transfer_spectrum

    prepared, scores, score = {}, {}, make_score(target)
    for way, phase in ways.items():
        if phase.grids not in prepared:
            spectrum, true_spectrum = analyze(source, phase), analyze(target, phase)
            started, generated = time.process_time(), None
            if predict_fn:
                generated = transfer_spectrum(spectrum, predict_fn, grids=phase.grids)
            prepared[phase.grids] = (
                spectrum,
                data.log_magnitude(true_spectrum),
                generated,
                time.process_time() - started,
            )
        spectrum, true_image, generated, network_seconds = prepared[phase.grids]
        images = {} if phase.name == MODEL_PHASE else {"true": true_image}
        images |= {} if generated is None else {"predicted": generated}
        for kind, image in images.items():
            started = time.process_time()
            audio = resynthesize(image, spectrum, len(source), phase, representation_of(predict_fn))
            taken = network_seconds + time.process_time() - started
            scores[kind, way] = score(audio)
        seconds[way] = seconds.get(way, 0) + taken
    return scores


def make_score(target):
    """Make the function that scores audio against a target."""
    import librosa

    import data
    from evaluation import metrics

    def onset_strength(audio):
        return librosa.onset.onset_strength(y=audio, sr=data.SAMPLE_RATE, hop_length=data.HOP_LENGTH)

    image, pitches, onsets = data.log_magnitude(data.stft(target)), metrics.pitches(target), onset_strength(target)

    def score(audio):
        result = data.log_magnitude(data.stft(audio))
        magnitudes = data.expand_magnitude(result), data.expand_magnitude(image)
        return {
            "mae": metrics.mean_absolute_error(result, image),
            "lsd": metrics.log_spectral_distance(*magnitudes),
            "mrd": metrics.multi_resolution_distance(audio, target),
            "pitches": metrics.pitch_f_measure(metrics.pitches(audio), pitches),
            "onsets": float(np.corrcoef(onset_strength(audio), onsets)[0, 1]),
        }

    return score


def row(way, scores, reference, seconds):
    """Make a row of a table: means, and differences from the reference with their intervals."""
    from evaluation.intervals import bootstrap_interval

    cells = {"way": way}
    for name, (title, digits, _) in METRICS.items():
        values, others = (np.array([piece[name] for piece in each]) for each in (scores, reference))
        cells[title] = f"{np.nanmean(values):.{digits}f}"
        if scores is not reference:
            mean, low, high = bootstrap_interval(values - others, 0)
            cells[title] += f" ({mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}])"
    cells["s per s"] = f"{seconds:.3f}"
    return cells


if __name__ == "__main__":
    main()
