#!/usr/bin/env python3
"""Collect the pictures and recordings of a training run, for a model that ships.

Of the run's output folder: the recordings (as FLAC) and the picture of the best epoch, and the animation; of the
model's folder: the curves.

Example:
  python docs/results/collect_results.py --model pretrained/keyboard_acoustic_2_guitar_acoustic
      --samples work/output/keyboard_acoustic_2_guitar_acoustic_generator
"""

import argparse
import shutil
import sys
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common import storage

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder of a model that ship_model.py wrote")
    parser.add_argument("--samples", required=True, type=Path, help="folder of the run's previews")
    arguments = parser.parse_args()
    for folder, name in ((arguments.model, "config.json"), (arguments.samples, "prediction.gif")):
        if not (folder / name).is_file():
            parser.error(f"{folder} must hold {name}")

    config = storage.read_json(arguments.model / "config.json")
    epoch = arguments.samples / f"{config['training']['best_epoch']:03d}"
    output = HERE / arguments.model.resolve().name
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for path in sorted([*arguments.samples.glob("*.wav"), *epoch.glob("*.wav")]):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(output / f"{path.stem}.flac", samples, rate)
    for path in (arguments.samples / "prediction.gif", epoch / "spectrogram.png", *arguments.model.glob("plots/*.png")):
        shutil.copy(path, output)
    print(f"{output}: {sum(path.stat().st_size for path in output.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
