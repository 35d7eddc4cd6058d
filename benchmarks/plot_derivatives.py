#!/usr/bin/env python3
"""Draw the derivatives of a phase: of the input, as a network predicts them, and of the target (docs/phases.md).

Example:
  python benchmarks/plot_derivatives.py --phase_network models/N --audios_path test/11 --target guitar_acoustic \
      --piece haydn_8_3 --output docs/results/phase_derivatives.png
"""

import argparse
from pathlib import Path

import material  # noqa: F401 (finds the repository)
import numpy as np


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase_network", required=True, type=Path, help="folder of train_phase.py")
    parser.add_argument("--audios_path", required=True, type=Path, help="folder of <instrument>/<piece>.wav")
    parser.add_argument("--origin", default="keyboard_acoustic")
    parser.add_argument("--target", required=True)
    parser.add_argument("--piece", required=True)
    parser.add_argument("--start", type=float, default=5, help="seconds")
    parser.add_argument("--output", required=True, type=Path, help="PNG file to write")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    import data
    import phase_gradient
    from common import audio, plots
    from inference import phase_network

    first = int(arguments.start * data.SAMPLE_RATE)
    spectra = [
        data.stft(
            audio.load_audio(arguments.audios_path / name / f"{arguments.piece}.wav")[first : first + 256 * 512 - 512]
        )[: data.N_BINS]
        for name in (arguments.origin, arguments.target)
    ]
    source, target = (data.to_network(data.log_magnitude(spectrum)) for spectrum in spectra)
    of_source, of_target = (
        phase_gradient.as_channels(*phase_gradient.padded_derivatives(np.angle(spectrum))) for spectrum in spectra
    )
    infer = phase_network.load(arguments.phase_network, "onnx")
    predicted = infer(phase_gradient.network_input(target, source, of_source)[np.newaxis].astype(np.float32))[0]
    shown = {"input": of_source, "predicted": predicted, "target": of_target}
    rows = [
        {
            f"{title}, {name}": np.arctan2(image[:96, :128, sine], image[:96, :128, sine - 1])
            for title, image in shown.items()
        }
        for name, sine in (("frequency", 1), ("delay", 3))
    ]
    plots.save_derivatives(arguments.output, rows)


if __name__ == "__main__":
    main()
