#!/usr/bin/env python3
"""Measure how good each phase is for the magnitudes that a network predicts, by target instrument, and its time.

The audio of the result is analyzed again and compared with the true target: by the mean absolute error on [-1, 1]; by
the spectral convergence (the norm of the difference of magnitudes over that of the target's); and, for transients, by
the correlation of the onset strength (librosa's) with the target's. Further columns hold the same for the true target's
own magnitude.

Example:
  python benchmarks/bench_phases.py --model keyboard_acoustic_2_guitar_acoustic --audios_path audios
"""

import argparse
import functools
import time
from pathlib import Path

import material
import numpy as np

SETTINGS = [
    ("input", 1),
    *((name, n) for name in ("griffinlim_input", "admm") for n in (4, 8, 16, 64)),
    ("griffinlim", 32),
]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, nargs="+", help="names or folders of models; multitarget ones too")
    parser.add_argument("--audios_path", required=True, type=Path, help="what the models' slices were made from")
    parser.add_argument("--pieces", type=int, default=8, help="how many of the validation pieces")
    parser.add_argument("--seconds", type=float, default=20)
    return parser.parse_args()


def main():
    arguments = parse_arguments()

    from common import pretrained
    from common.device import start_tensorflow

    device_name = start_tensorflow()
    import data
    from common import audio
    from common.weights import load_generator
    from inference.keras_network import make_predict_fn
    from inference.style import choose_slices

    def load(instrument, piece):
        return audio.load_audio(arguments.audios_path / instrument / f"{piece}.wav")

    length = int(arguments.seconds * data.SAMPLE_RATE)
    for name in arguments.model:
        generator, config = load_generator(pretrained.find(name))
        origin = config["origin"] if isinstance(config["origin"], str) else config["origin"][0]
        targets = [config["target"]] if isinstance(config["target"], str) else config["target"]
        validation_pieces = config["data"]["validation_pieces"]
        for target in targets:
            styles = None
            if config["model"]["n_inputs"] == 2:
                log_magnitude = data.log_magnitude(data.stft(load(target, validation_pieces[-1])))
                styles = data.to_network(choose_slices(log_magnitude)[0])
            predict_fn = make_predict_fn(generator, styles)
            pieces = validation_pieces[: arguments.pieces]
            recordings = [(load(origin, piece)[:length], load(target, piece)[:length]) for piece in pieces]
            rows = [measure(*settings, predict_fn, recordings) for settings in SETTINGS]
            title = f"{target}: {len(recordings)} validation pieces of {arguments.seconds:g} s"
            material.table(f"{title}, {Path(name).name}, on {device_name}", rows)


def measure(name, iterations, predict_fn, recordings):
    """Convert recordings (source, target) with a phase; return their mean scores, a row of the table."""
    import data
    from inference.settings import PhaseSettings, TransferSettings
    from inference.transfer import transfer_audio

    settings = TransferSettings(PhaseSettings(name, iterations))
    # All slices in one batch, so that a function can return the target's own in place of a network.
    whole = settings._replace(overlap=0, batch_size=10**6)
    predicted_scores, true_scores, seconds, n_samples = [], [], 0.0, 0
    for source, target in recordings:
        started = time.perf_counter()
        result = transfer_audio(source[np.newaxis], data.SAMPLE_RATE, predict_fn, settings)[0]
        seconds += time.perf_counter() - started
        n_samples += len(source)
        predicted_scores.append(score(result, target))
        true_fn = functools.partial(slices_of, data.log_magnitude(data.stft(target)))
        result = transfer_audio(source[np.newaxis], data.SAMPLE_RATE, true_fn, whole)[0]
        true_scores.append(score(result, target))
    mae, convergence, transients = np.mean(predicted_scores, axis=0)
    true_mae, true_convergence, _ = np.mean(true_scores, axis=0)
    return {
        "phase": name,
        "iterations": iterations if name != "input" else "",
        "MAE": f"{mae:.4f}",
        "spectral convergence": f"{convergence:.3f}",
        "transients": f"{transients:.3f}",
        "s a minute": f"{60 * seconds * data.SAMPLE_RATE / n_samples:.2f}",
        "MAE, true magnitude": f"{true_mae:.4f}",
        "convergence, true magnitude": f"{true_convergence:.3f}",
    }


def score(audio, target):
    """Compute the mean absolute error, the spectral convergence, and the correlation of onset strengths."""
    import librosa

    import data

    spectrum, true_spectrum = data.stft(audio), data.stft(target)
    mae = 2 * np.abs(data.log_magnitude(spectrum) - data.log_magnitude(true_spectrum)).mean()
    magnitude, true_magnitude = (np.abs(each[: data.N_BINS]) for each in (spectrum, true_spectrum))
    convergence = np.linalg.norm(magnitude - true_magnitude) / np.linalg.norm(true_magnitude)
    onsets = [
        librosa.onset.onset_strength(y=signal, sr=data.SAMPLE_RATE, hop_length=data.HOP_LENGTH)
        for signal in (audio, target)
    ]
    return mae, convergence, np.corrcoef(*onsets)[0, 1]


def slices_of(log_magnitude, sources):
    """Cut a log-magnitude into as many slices as there are sources, in the range of the network."""
    import data

    width = data.SLICE_FRAMES
    padded = np.pad(log_magnitude, ((0, 0), (0, width)))
    slices = [padded[:, width * k : width * (k + 1), np.newaxis] for k in range(len(sources))]
    return data.to_network(np.stack(slices))


if __name__ == "__main__":
    main()
