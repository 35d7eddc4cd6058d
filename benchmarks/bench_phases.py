#!/usr/bin/env python3
"""What each phase makes of the magnitudes that a network predicts, by target instrument, and how long it takes.

The audio that comes out is analysed again and compared with the true target: the mean absolute error on [-1, 1]; the
spectral convergence (the norm of the difference of magnitudes over that of the target's); transients: the correlation
of the onset strength (librosa's) with the target's. Beside it, the same with the true target's own magnitude.

example:
  python benchmarks/bench_phases.py --model models/keyboard_acoustic_2_guitar_acoustic --audios_path audios
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, nargs="+", help="folders of models; multitarget ones too")
    parser.add_argument("--audios_path", required=True, type=Path, help="what the models' slices were made from")
    parser.add_argument("--pieces", type=int, default=8, help="how many of the validation pieces")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()

    from device import start_tensorflow

    running_on = start_tensorflow()
    import librosa

    import audio_files
    import data
    from model import load_generator
    from styles import choose_slices
    from transfer import make_generate, transfer_audio

    length = int(arguments.seconds * data.SAMPLE_RATE)

    def load(instrument, piece):
        return audio_files.load_audio(arguments.audios_path / instrument / f"{piece}.wav")

    def onsets(audio):
        return librosa.onset.onset_strength(y=audio, sr=data.SAMPLE_RATE, hop_length=data.HOP_LENGTH)

    def scores(audio, target):
        ours, true = (data.stft(signal) for signal in (audio, target))
        mae = 2 * np.abs(data.log_magnitude(ours) - data.log_magnitude(true)).mean()
        ours, true = (np.abs(spectrum[: data.N_BINS]) for spectrum in (ours, true))
        convergence = np.linalg.norm(ours - true) / np.linalg.norm(true)
        return mae, convergence, np.corrcoef(onsets(audio), onsets(target))[0, 1]

    def own_slices(image, sources):
        width = data.SLICE_FRAMES
        image = np.pad(image, ((0, 0), (0, width)))
        slices = [image[:, width * k : width * (k + 1), np.newaxis] for k in range(len(sources))]
        return data.to_network(np.stack(slices))

    for path in arguments.model:
        generator, config = load_generator(path)
        origin = config["origin"] if isinstance(config["origin"], str) else config["origin"][0]
        targets = [config["target"]] if isinstance(config["target"], str) else config["target"]
        pieces = config["data"]["validation_pieces"][: arguments.pieces]
        for target in targets:
            if config["model"]["n_inputs"] == 2:
                style = data.log_magnitude(data.stft(load(target, config["data"]["validation_pieces"][-1])))
                generate = make_generate(generator, data.to_network(choose_slices(style)[0]))
            else:
                generate = make_generate(generator)
            audio = [(load(origin, piece)[:length], load(target, piece)[:length]) for piece in pieces]
            rows = []
            for name, iterations in SETTINGS:
                of_network, of_truth, seconds = [], [], 0.0
                for source, true in audio:
                    settings = {"phase": name, "phase_iterations": iterations}
                    started = time.perf_counter()
                    result = transfer_audio(source[np.newaxis], data.SAMPLE_RATE, generate, **settings)[0]
                    seconds += time.perf_counter() - started
                    of_network.append(scores(result, true))
                    # All slices in one batch, so that a "network" can be the target's own.
                    truth = functools.partial(own_slices, data.log_magnitude(data.stft(true)))
                    whole = {**settings, "overlap": 0, "batch_size": 10**6}
                    result = transfer_audio(source[np.newaxis], data.SAMPLE_RATE, truth, **whole)[0]
                    of_truth.append(scores(result, true))
                network, oracle = np.mean(of_network, axis=0), np.mean(of_truth, axis=0)
                rows.append(
                    {
                        "phase": name,
                        "iterations": iterations if name != "input" else "",
                        "MAE": f"{network[0]:.4f}",
                        "spectral convergence": f"{network[1]:.3f}",
                        "transients": f"{network[2]:.3f}",
                        "s a minute": f"{60 * seconds / (len(audio) * arguments.seconds):.2f}",
                        "MAE, true magnitude": f"{oracle[0]:.4f}",
                        "convergence, true magnitude": f"{oracle[1]:.3f}",
                    }
                )
            pieces_told = f"{len(audio)} held-back pieces of {arguments.seconds:g} s"
            material.table(f"{target}: {pieces_told}, {Path(path).name}, on {running_on}", rows)


if __name__ == "__main__":
    main()
