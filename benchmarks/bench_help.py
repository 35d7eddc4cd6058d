#!/usr/bin/env python3
"""Measure how long each script takes to answer --help."""

import material

SCRIPTS = ("render_notes.py", "synthesize_audios.py", "compute_features.py", "train.py", "predict.py")


def main():
    rows = []
    for name in SCRIPTS:
        seconds = material.median(lambda name=name: material.run(name, "--help")[0], 5)
        rows.append({"script": name, "--help (s)": f"{seconds:.2f}"})
    material.table("Answering --help", rows)


if __name__ == "__main__":
    main()
