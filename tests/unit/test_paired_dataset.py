"""Batches with styles: which slices a data set draws."""

import collections
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ORIGIN, OTHER, TARGET

import data
from common.cli import UserError
from dataset.paired_dataset import DatasetSettings, PairedDataset

PIECES = ("a", "b", "c", "d", "e", "f")
NAMES = [(instrument, piece, index) for instrument in (ORIGIN, TARGET, OTHER) for piece in PIECES for index in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Slices whose first value is 0.5 + number / 2048, which float16 holds exactly, so that they can be identified.

    In each target, slices 3 are silent but for that value, and slices 4 sound only before the middle.
    """
    folder = tmp_path_factory.mktemp("features")
    for number, (instrument, piece, index) in enumerate(NAMES):
        image = np.full(data.SLICE_SHAPE, 0.6 if instrument == OTHER else 0.5, np.float16)
        if instrument != ORIGIN and index >= 3:
            image[:, 0 if index == 3 else 100 :] = 0
        image[0, 0] = 0.5 + number / 2048
        (folder / instrument).mkdir(exist_ok=True)
        np.save(folder / instrument / f"{piece}_{index:03d}.npy", image)
    return folder


def make_dataset(folder, instrument_pairs, **changes):
    settings = DatasetSettings([folder], instrument_pairs, batch_size=4, validation_split=0.34, with_style=True)
    return PairedDataset(settings._replace(**changes))


def read(batches):
    """Rows of source, style and target, each as (instrument, piece, index), and the target's index."""
    rows = []
    for *columns, indices in batches:
        numbers = [np.round((data.from_network(column[:, 0, 0, 0].numpy()) - 0.5) * 2048) for column in columns]
        named = [[NAMES[int(number)] for number in column] for column in numbers]
        rows += zip(*named, indices.numpy().tolist(), strict=True)
    return rows


@pytest.mark.slow
def test_styles_are_other_sounding_music_of_the_target(folder):
    dataset = make_dataset(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER), (TARGET, OTHER), (OTHER, OTHER)])
    assert not dataset.train_pieces & dataset.validation_pieces
    sides = [(dataset.train_pieces, [dataset.train_batches(epoch, 0) for epoch in range(4)])]
    sides.append((dataset.validation_pieces, [dataset.validation_batches()]))
    styles = set()
    for pieces, epochs in sides:
        for source, style, target, index in (row for batches in epochs for row in read(batches)):
            assert style[0] == target[0] == dataset.targets[index]
            assert source[1:] == target[1:]
            assert style[1] != source[1]
            assert {style[1], source[1]} <= pieces
            assert style[2] not in (3, 4)  # silent, and mostly silent
            styles.add(style)
    assert len([style for style in styles if style[1] in dataset.train_pieces]) == 2 * 4 * 3  # all that sound are drawn


def test_instrument_pairs_are_equally_frequent(folder):
    instrument_pairs = [(ORIGIN, TARGET), (ORIGIN, OTHER), (TARGET, OTHER)]
    dataset = make_dataset(folder, instrument_pairs, validation_split=0, batch_size=3)
    counts = collections.Counter((source[0], target[0]) for source, _, target, _ in read(dataset.train_batches(0, 0)))
    assert counts == dict.fromkeys(instrument_pairs, len(PIECES) * 5)


@pytest.mark.slow
def test_epochs_depend_on_the_seed_and_resume_at_any_step(folder):
    instrument_pairs = [(ORIGIN, TARGET), (ORIGIN, OTHER)]
    dataset = make_dataset(folder, instrument_pairs)
    epoch = read(dataset.train_batches(1, 0))
    assert read(make_dataset(folder, instrument_pairs).train_batches(1, 0)) == epoch
    assert read(dataset.train_batches(1, 4)) == epoch[16:]
    assert read(dataset.train_batches(2, 0)) != epoch
    assert read(make_dataset(folder, instrument_pairs, seed=1).train_batches(1, 0)) != epoch
    assert read(dataset.validation_batches()) == read(dataset.validation_batches())


def test_unchanged_errors_are_computed_by_target(folder):
    dataset = make_dataset(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER)])
    errors = dataset.unchanged_errors()
    of_targets = [errors[f"gen_mae_{name}_val"] for name in (TARGET, OTHER)]
    assert errors["gen_mae_val"] == pytest.approx(np.mean(of_targets))
    assert of_targets[0] != pytest.approx(of_targets[1], rel=0.01)


def test_previews_show_each_target_with_a_style_of_another_piece(folder):
    previews = make_dataset(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER)]).preview_slices()
    assert [(preview.origin, preview.target) for preview in previews] == [(ORIGIN, TARGET), (ORIGIN, OTHER)]
    for preview in previews:
        style = Path(preview.style_path)
        assert style.parent.name == preview.target
        assert not style.name.startswith(f"{preview.piece}_")
        assert Path(preview.source_path).name == Path(preview.target_path).name


def test_a_style_needs_another_piece(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("[!abc]_*.npy"):
        path.unlink()
    dataset = make_dataset(tmp_path, [(ORIGIN, TARGET)])
    assert len(dataset.train.pieces) == 15
    assert dataset.validation is None  # three pieces are too few for two sides with styles
    for path in tmp_path.rglob("[bc]_*.npy"):
        path.unlink()
    with pytest.raises(UserError, match=r"1 training pieces hold slices of guitar_acoustic that sound.* it takes 2"):
        make_dataset(tmp_path, [(ORIGIN, TARGET)])
