#!/usr/bin/env python3
"""Write a generator in a format of other programs: ONNX, LiteRT (TensorFlow Lite) or SavedModel.

A README.md beside it has the shapes, the ranges and the formula of the images. LiteRT and SavedModel are compared with
the generator before they are kept. ONNX needs no TensorFlow (requirements-predict.txt).

Example:
  python export.py --model keyboard_acoustic_2_guitar_acoustic --format onnx --output exported
"""

import argparse
from pathlib import Path

from common import cli, pretrained
from common.device import start_tensorflow

FORMATS = ("onnx", "litert", "savedmodel")


def parse_arguments() -> argparse.Namespace:
    parser = cli.ArgumentParser(__doc__)
    add = parser.add_argument
    add("--model", required=True, help="name of a model, model folder, or a .h5 file of generator weights")
    add("--format", required=True, choices=FORMATS, help="format to write")
    add(
        "--weights",
        choices=("float32", "float16"),
        default="float32",
        help="how ONNX stores the weights: float16 halves the file",
    )
    add("--output", default="exported", help="folder to write to")
    add("--overwrite", action="store_true", help="replace an export that is there")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from common.stored_generator import find_generator
    from inference.export import export

    if arguments.weights == "float16" and arguments.format != "onnx":
        raise cli.UserError(f"--weights float16 is for --format onnx, not {arguments.format}")
    if Path(arguments.output).is_file():
        raise cli.UserError(f"--output {arguments.output} is a file; it must be a folder")
    stored = find_generator(pretrained.find(arguments.model))
    if arguments.format != "onnx":
        start_tensorflow(-1)
    half = arguments.weights == "float16"
    path = export(stored, arguments.format, Path(arguments.output), arguments.overwrite, half)
    print(f"{path} written, with a README.md beside it")
    return 0


if __name__ == "__main__":
    cli.run(main)
