#!/usr/bin/env python3
"""Write scores.md: the tables of the evaluations that docs/training/train_models.sh made.

Example:
  python docs/results/write_scores.py --scores work/scores
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from shipped import TEST_SETS, lower_limits, number, read_rows

from common import storage

HERE = Path(__file__).resolve().parent
PREFIX, EARLIER = "keyboard_acoustic_2_", " (earlier)"
MEASURES = {  # column of summary.csv to heading and digits
    "mae": ("MAE", 4),
    "mae_audio": ("MAE of the audio", 4),
    "spectral_convergence": ("spectral convergence", 3),
    "frechet_distance": ("Fréchet distance", 2),
    "texture_error": ("texture error", 3),
    "level_error": ("level error (dB)", 2),
    "pattern": ("pattern", 3),
    "contrast": ("contrast (dB)", 1),
    "pitch_f_measure": ("pitches kept", 3),
    "notes_f": ("notes", 3),
}
INTRODUCTION = """# Scores of the shipped models

Made by `write_scores.py` from evaluations with `evaluate.py` of {pieces} pieces of Classical Music MIDI that no
training used, {seconds:g} s of each, **with SoundFont notes, not with NSynth**. The models whose names end in
`_generator` were trained by their mean absolute error alone, the others with a discriminator.{earlier} The phase is
`griffinlim_input`, on the grid that `predict.py` takes by default: [the finer
one](../phases.md#the-same-noise-on-both-grids) for models with a discriminator.
[method.md](../method.md#evaluation) has the measures; brackets are 95% intervals. For texture, 1 is right, for level 0
dB, and for the contrast; less is better elsewhere, except for pitches and notes.
"""


def system_name(row):
    """Name a system."""
    return row["system"].replace(PREFIX, "…_2_")


def table(evaluations, columns):
    """Render a table of rows of evaluations, with a line for each system.

    Args:
        evaluations: tuples of target, keyboard and rows.
        columns: dict of column to heading and digits; those with an interval in the rows show it for the MAE alone.
    """
    lines = [f"| target | keyboard | system | {' | '.join(heading for heading, _ in columns.values())} |"]
    lines.append("|" + "---|" * (len(columns) + 3))
    for target, keyboard, rows in evaluations:
        for row in rows:
            cells = [number(row, column, digits) for column, (_, digits) in columns.items()]
            if "mae" in columns:
                cells[0] += f" [{number(row, 'mae_low', 4)}, {number(row, 'mae_high', 4)}]"
            lines.append(f"| {target} | {keyboard} | {system_name(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def merged(evaluations):
    """Merge evaluations of one target and keyboard, as each has the unchanged input and the equalizer again.

    Args:
        evaluations: tuples of target, keyboard and rows.

    Returns:
        Such tuples, in which each system has one row: what all have first, and of the same system the one with notes.
    """
    systems = {}
    for target, keyboard, rows in evaluations:
        of_test = systems.setdefault((target, keyboard), {})
        for row in rows:
            if row.get("notes_f") or row["system"] not in of_test:
                of_test[row["system"]] = row
    return [(*test, sorted(rows.values(), key=lambda row: PREFIX in row["system"])) for test, rows in systems.items()]


def bands(rows, kind, digits):
    """Find the columns of texture or level: dict of column to heading and digits."""
    return {f"{kind}_{low}": (f"from {low} Hz", digits) for low in lower_limits(rows[0], kind)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, required=True, help="folder of <model>/<test set> of evaluations")
    parser.add_argument("--earlier", type=Path, help="such a folder of earlier models, to compare with")
    parser.add_argument("--output", type=Path, default=HERE / "scores.md")
    arguments = parser.parse_args()
    evaluations, settings = [], {}
    for keyboard, name in TEST_SETS.items():
        for path in sorted(arguments.scores.glob(f"{PREFIX}*/{keyboard}/summary.csv")):
            settings = storage.read_json(path.parent / "evaluation.json")["settings"]
            rows = read_rows(path)
            earlier = arguments.earlier and arguments.earlier / path.relative_to(arguments.scores)
            if earlier and earlier.is_file():
                models = [row for row in read_rows(earlier) if PREFIX in row["system"]]
                rows += [{**row, "system": f"{row['system']}{EARLIER}"} for row in models]
            for target in dict.fromkeys(row["target"] for row in rows):
                of_target = [row for row in rows if row["target"] == target]
                evaluations.append((target.removesuffix("_acoustic").removesuffix("_synthetic"), name, of_target))
    if not evaluations:
        parser.error(f"argument --scores: {arguments.scores} must hold {PREFIX}…/3/summary.csv and the like")
    evaluations = merged(evaluations)
    evaluations.sort(key=lambda evaluation: (evaluation[0], list(TEST_SETS.values()).index(evaluation[1])))
    rows = evaluations[0][2]
    parts = [
        INTRODUCTION.format(
            pieces=max(int(rows[0]["pieces"]) for *_, rows in evaluations),
            seconds=settings.get("seconds", 60),
            earlier=" *Earlier*: the models that these replaced." if arguments.earlier else "",
        )
    ]
    measured = {name for *_, rows in evaluations for name in rows[0]}
    measures = {name: value for name, value in MEASURES.items() if name in measured}
    parts += ["## Main measures\n", table(evaluations, measures)]
    parts += ["\n## Texture by octave\n", table(evaluations, bands(rows, "texture", 2))]
    parts += ["\n## Level by octave (dB)\n", table(evaluations, bands(rows, "level", 1))]
    with storage.atomic_write(arguments.output) as partial:
        partial.write_text("\n".join(parts) + "\n")
    print(arguments.output)


if __name__ == "__main__":
    main()
