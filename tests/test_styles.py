"""Which slices tell a style: drawn in training, chosen from a recording in prediction."""

import collections
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ORIGIN, OTHER, TARGET

import data
from cli import UserError
from examples import Examples
from styles import StylePool, choose_slices

PIECES = ("a", "b", "c", "d", "e", "f")
NAMES = [(instrument, piece, index) for instrument in (ORIGIN, TARGET, OTHER) for piece in PIECES for index in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Slices that tell what they are in their first value: 0.5 + number / 2048, which float16 holds exactly.

    Of each target, the slices 3 are silent but for that, and the slices 4 end before the middle.
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


def make_examples(folder, couples, **changes):
    settings = {"batch_size": 4, "steps_per_epoch": None, "validation_split": 0.34, "seed": 0, "with_style": True}
    return Examples([folder], couples, **{**settings, **changes})


def read(batches):
    """Rows of source, style and target, each as (instrument, piece, index), and the target's index."""
    rows = []
    for *columns, indices in batches:
        numbers = [np.round((data.from_network(column[:, 0, 0, 0].numpy()) - 0.5) * 2048) for column in columns]
        named = [[NAMES[int(number)] for number in column] for column in numbers]
        rows += zip(*named, indices.numpy().tolist(), strict=True)
    return rows


def test_styles_are_other_sounding_music_of_the_target(folder):
    examples = make_examples(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER), (TARGET, OTHER), (OTHER, OTHER)])
    assert not examples.train_pieces & examples.validation_pieces
    sides = [(examples.train_pieces, [examples.train_batches(epoch, 0) for epoch in range(4)])]
    sides.append((examples.validation_pieces, [examples.validation_batches()]))
    seen = set()
    for pieces, epochs in sides:
        for source, style, target, index in (row for batches in epochs for row in read(batches)):
            assert style[0] == target[0] == examples.targets[index]
            assert source[1:] == target[1:]
            assert style[1] != source[1]
            assert {style[1], source[1]} <= pieces
            assert style[2] not in (3, 4)  # silent, near-silent
            seen.add(style)
    assert len([style for style in seen if style[1] in examples.train_pieces]) == 2 * 4 * 3  # all that sound come up


def test_couples_come_up_equally_often(folder):
    couples = [(ORIGIN, TARGET), (ORIGIN, OTHER), (TARGET, OTHER)]
    examples = make_examples(folder, couples, validation_split=0, batch_size=3)
    counts = collections.Counter((source[0], target[0]) for source, _, target, _ in read(examples.train_batches(0, 0)))
    assert counts == dict.fromkeys(couples, len(PIECES) * 5)


def test_epochs_are_the_seeds_and_go_on_in_the_middle(folder):
    couples = [(ORIGIN, TARGET), (ORIGIN, OTHER)]
    examples = make_examples(folder, couples)
    epoch = read(examples.train_batches(1, 0))
    assert read(make_examples(folder, couples).train_batches(1, 0)) == epoch
    assert read(examples.train_batches(1, 4)) == epoch[16:]
    assert read(examples.train_batches(2, 0)) != epoch
    assert read(make_examples(folder, couples, seed=1).train_batches(1, 0)) != epoch
    assert read(examples.validation_batches()) == read(examples.validation_batches())


def test_unchanged_errors_are_told_by_target(folder):
    examples = make_examples(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER)])
    errors = examples.unchanged_errors()
    of_targets = [errors[f"gen_mae_{name}_val"] for name in (TARGET, OTHER)]
    assert errors["gen_mae_val"] == pytest.approx(np.mean(of_targets))
    assert of_targets[0] != pytest.approx(of_targets[1], rel=0.01)


def test_cases_show_each_target_with_a_style_of_another_piece(folder):
    cases = make_examples(folder, [(ORIGIN, TARGET), (ORIGIN, OTHER)]).cases()
    assert [case.target for case in cases] == [TARGET, OTHER]
    for case in cases:
        style = Path(case.style_path)
        assert style.parent.name == case.target
        assert not style.name.startswith(f"{case.piece}_")
        assert Path(case.source_path).name == Path(case.target_path).name


def test_a_style_needs_another_piece(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("[!abc]_*.npy"):
        path.unlink()
    examples = make_examples(tmp_path, [(ORIGIN, TARGET)])
    assert len(examples.train.pieces) == 15
    assert examples.validation is None  # three pieces are too few for two sides with styles
    for path in tmp_path.rglob("[bc]_*.npy"):
        path.unlink()
    with pytest.raises(UserError, match=r"1 training pieces hold slices of guitar_acoustic that sound.* it takes 2"):
        make_examples(tmp_path, [(ORIGIN, TARGET)])


def test_pool_draws_all_others_alike():
    pieces = ["a"] * 2 + ["b"] * 5 + ["c"] * 1
    paths = [f"{piece}{number}" for number, piece in enumerate(pieces)]
    pool = StylePool(pieces, paths, np.ones(8))
    drawn = pool.draw(np.array(["b"] * 3000), np.random.default_rng(0))
    names, counts = np.unique(drawn, return_counts=True)
    assert names.tolist() == ["a0", "a1", "c7"]
    assert counts.min() > 900
    for piece in ("0", "bb", "z"):  # one that the pool does not hold draws from all
        assert len(set(pool.draw(np.array([piece] * 500), np.random.default_rng(0)).tolist())) == 8


def recording(*parts):
    """Log-magnitude of parts of (frames, value)."""
    return np.concatenate([np.full((256, frames), value, np.float32) for frames, value in parts], axis=1)


def seconds(frames):
    return frames * data.HOP_LENGTH / data.SAMPLE_RATE


def test_the_fullest_part_is_chosen_and_always_the_same():
    image = recording((300, 0), (400, 0.45), (300, 0.6), (500, 0.5), (700, 0))
    for _ in range(2):
        chosen, begins = choose_slices(image)
        assert chosen.shape == (1, *data.SLICE_SHAPE)
        assert begins == pytest.approx([seconds(700)])
        assert (chosen == np.float32(0.6)).all()


def test_several_parts_do_not_overlap_and_are_never_silent():
    image = recording((100, 0), (300, 0.6), (600, 0), (300, 0.5), (50, 0))
    chosen, begins = choose_slices(image, 10)
    assert len(chosen) == len(begins) < 10
    assert all(np.diff(sorted(begins)) >= seconds(255.9))
    assert all(data.sounding(part[..., 0]).any() for part in chosen)
    assert begins[0] == pytest.approx(seconds(100))


@pytest.mark.parametrize("frames", [1, 40, 255])
def test_a_short_style_is_repeated(frames):
    sound = np.random.default_rng(0).uniform(0.5, 0.9, (256, frames)).astype(np.float32)
    chosen, begins = choose_slices(np.concatenate([recording((30, 0)), sound, recording((60, 0))], axis=1))
    assert begins == pytest.approx([seconds(30)])
    np.testing.assert_array_equal(chosen[0, ..., 0], np.tile(sound, 256)[:, :256])


def test_the_start_can_be_set():
    image = recording((1000, 0.6), (512, 0.5), (300, 0))
    chosen, begins = choose_slices(image, 2, start=seconds(1000))
    assert begins == pytest.approx([seconds(1000), seconds(1256)])
    assert (chosen == 0.5).all()
    with pytest.raises(ValueError, match="is silent"):
        choose_slices(image, start=seconds(1512))
    with pytest.raises(ValueError, match=r"ends after 21\.0"):
        choose_slices(image, start=30)
    with pytest.raises(ValueError, match="is silent"):
        choose_slices(recording((400, 0.3)))
