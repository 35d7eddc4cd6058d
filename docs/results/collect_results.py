#!/usr/bin/env python3
"""Collect the pictures and recordings of a training run, for a model that ships.

Of the model's folder: the curves. With --samples, of the run's output folder: the recordings (as FLAC) and the picture
of the best epoch, and the animation. With --audios, the recordings are 15 s of a piece that the model converts now, and
recordings.png shows the first seconds.

Examples:
  python docs/results/collect_results.py --model pretrained/keyboard_acoustic_2_guitar_acoustic_generator
      --samples work/output/keyboard_acoustic_2_guitar_acoustic_generator
  python docs/results/collect_results.py --model pretrained/keyboard_acoustic_2_guitar_acoustic
      --audios work/test/11 --piece mozart_331_3
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common import storage

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
SECONDS, SECONDS_OF_PICTURE = 15, 5


def write_flac(path, samples, rate):
    soundfile.write(path, samples, rate, subtype="PCM_16")


def convert(model, targets, audios, piece, output):
    """Convert the beginning of a piece; write it, the true targets and the conversions."""

    def read(instrument):
        with soundfile.SoundFile(audios / instrument / f"{piece}.wav") as file:
            return file.read(SECONDS * file.samplerate), file.samplerate

    write_flac(output / "input.flac", *read("keyboard_acoustic"))
    for target in targets:
        suffix = f"_{target}" if len(targets) > 1 else ""
        write_flac(output / f"target{suffix}.flac", *read(target))
        words = ["predict.py"]
        if len(targets) > 1:
            style = REPOSITORY / "docs" / "examples" / target / "style.wav"
            words = ["predict_multitarget.py", "--style", style]
        with tempfile.TemporaryDirectory() as folder:
            converted = Path(folder) / "prediction.wav"
            words += ["--model", model, "--input", output / "input.flac", "--output", converted]
            subprocess.run([sys.executable, *map(str, words)], cwd=REPOSITORY, check=True)
            write_flac(output / f"prediction{suffix}.flac", *soundfile.read(converted))


def draw(targets, output):
    """Draw the beginning of the recordings: the input, and of each target the true one and the prediction."""
    recordings = ["input=input.flac"]
    for target in targets:
        suffix = f"_{target}" if len(targets) > 1 else ""
        recordings += [f"{target}=target{suffix}.flac", f"{target}, predicted=prediction{suffix}.flac"]
    script = REPOSITORY / "docs" / "examples" / "draw_spectrograms.py"
    words = ["--output", "recordings.png", "--seconds", str(SECONDS_OF_PICTURE), *recordings]
    subprocess.run([sys.executable, script, *words], cwd=output, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder of a model that ship_model.py wrote")
    parser.add_argument("--samples", type=Path, help="folder of the run's previews, if it has any")
    parser.add_argument("--audios", type=Path, help="folder of <instrument>/<piece>.wav, to convert a piece of")
    parser.add_argument("--piece", help="name of the piece")
    arguments = parser.parse_args()
    if (arguments.audios is None) != (arguments.piece is None):
        parser.error("--audios and --piece need each other")
    for folder, name in ((arguments.model, "config.json"), (arguments.samples, "prediction.gif")):
        if folder and not (folder / name).is_file():
            parser.error(f"{folder} must hold {name}")

    config = storage.read_json(arguments.model / "config.json")
    output = HERE / arguments.model.resolve().name
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    pictures = list(arguments.model.glob("plots/*.png"))
    if arguments.samples:
        epoch = arguments.samples / f"{config['training']['best_epoch']:03d}"
        pictures += [arguments.samples / "prediction.gif", epoch / "spectrogram.png"]
        for path in sorted([*arguments.samples.glob("*.wav"), *epoch.glob("*.wav")]):
            samples, rate = soundfile.read(path, dtype="int16")
            soundfile.write(output / f"{path.stem}.flac", samples, rate)
    if arguments.audios:
        targets = config["target"] if isinstance(config["target"], list) else [config["target"]]
        convert(arguments.model.resolve(), targets, arguments.audios, arguments.piece, output)
        draw(targets, output)
    for path in pictures:
        shutil.copy(path, output)
    print(f"{output}: {sum(path.stat().st_size for path in output.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
