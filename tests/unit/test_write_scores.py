"""The table of the shipped models' scores: docs/results/write_scores.py."""

import csv
import sys

from conftest import REPOSITORY

from common import storage

sys.path.insert(0, str(REPOSITORY / "docs" / "results"))
import write_scores

PIANO, GUITAR, ANY = "input unchanged", "keyboard_acoustic_2_guitar_acoustic", "keyboard_acoustic_2_any"


def write_evaluation(folder, systems):
    """Write what write_scores.py reads of an evaluation; `systems` are names and F-measures of notes."""
    folder.mkdir(parents=True)
    storage.write_json(folder / "evaluation.json", {"settings": {"seconds": 12}})
    rows = [
        {"target": "guitar_acoustic", "system": name, "pieces": 29, "notes_f": notes}
        | dict.fromkeys(("mae", "mae_low", "mae_high", "texture_150", "level_150"), 0.1)
        for name, notes in systems.items()
    ]
    with open(folder / "summary.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_what_all_evaluations_have_is_one_row_with_notes_and_models_have_the_grid_of_predict(call_script, tmp_path):
    write_evaluation(tmp_path / "scores" / ANY / "11", {PIANO: "", f"{ANY}, griffinlim_input": ""})
    plain, alone = f"{GUITAR}, griffinlim_input", f"{GUITAR}_generator, griffinlim_input"
    of_guitar = {PIANO: 0.8, plain: 0.1, f"{plain}, interleaved": 0.7, alone: 0.6, f"{alone}, interleaved": 0.1}
    write_evaluation(tmp_path / "scores" / GUITAR / "11", of_guitar)
    words = ("--scores", tmp_path / "scores", "--output", tmp_path / "scores.md")
    assert call_script(write_scores, *words)[0] == 0
    main_measures = (tmp_path / "scores.md").read_text().split("\n## ")[1]
    rows = [line.strip("| ").split(" | ") for line in main_measures.splitlines() if line.startswith("| guitar")]
    assert [(system, notes) for _, _, system, *_, notes in rows] == [
        (PIANO, "0.800"),
        ("…_2_any", "–"),
        ("…_2_guitar_acoustic", "0.700"),
        ("…_2_guitar_acoustic_generator", "0.600"),
    ]
