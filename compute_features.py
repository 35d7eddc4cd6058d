#!/usr/bin/env python3
"""Cut audio into log-magnitude slices, the images that the networks see.

Every WAV, FLAC or OGG file in --audios/<instrument>/ becomes <features>/<instrument>/<piece>_<index>.npy: float16,
(256, 256, 1), in [0, 1], 2.97 s each. Other files are ignored. --phase makes slices that also hold the phase, for
train_phase.py alone: (256, 256, 2).

Example:
  python compute_features.py --audios audios --features features
"""

import argparse
from pathlib import Path

from common import cli, cluster
from common.workers import Workers


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    parser.add_argument("--audios", "--audios_path", dest="audios_path", required=True, help="folder of audio")
    parser.add_argument("--features", "--features_path", dest="features_path", required=True, help="folder to write to")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--jobs", type=cli.positive_int, help="files at a time (default: one a core)")
    cluster.add_scheduler_argument(who)
    parser.add_argument("--phase", action="store_true", help="also store the phase, for train_phase.py")
    parser.add_argument("--overwrite", action="store_true", help="replace slices that exist")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()

    from dataset.slicing import compute_features

    return compute_features(
        Path(arguments.audios_path),
        Path(arguments.features_path),
        Workers(arguments.jobs, arguments.scheduler),
        arguments.overwrite,
        arguments.phase,
    )


if __name__ == "__main__":
    cli.run(main)
