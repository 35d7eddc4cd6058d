#!/usr/bin/env python3
"""Draw recordings side by side as the network sees them: log-magnitude spectrograms on one color scale.

Example:
  python docs/examples/draw_spectrograms.py --output melody.png keyboard=keyboard.wav guitar=guitar.wav
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import data
from common import audio, plots


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=Path, help="PNG file")
    parser.add_argument("--seconds", type=float, default=1e9, help="length of the part of each that is drawn")
    parser.add_argument("recordings", nargs="+", help="title=file", metavar="TITLE=FILE")
    arguments = parser.parse_args()
    named = [word.partition("=")[::2] for word in arguments.recordings]
    for title, path in named:
        if not Path(path).is_file():
            parser.error(f"{path or title} is not a file; each recording must be title=file")
    n_samples = int(arguments.seconds * data.SAMPLE_RATE)
    images = [data.log_magnitude(data.stft(audio.load_audio(path)[:n_samples])) for _, path in named]
    n_frames = min(image.shape[1] for image in images)
    titles = (title for title, _ in named)
    row = {title: image[:, :n_frames] for title, image in zip(titles, images, strict=True)}
    plots.save_spectrograms(arguments.output, [row])


if __name__ == "__main__":
    main()
