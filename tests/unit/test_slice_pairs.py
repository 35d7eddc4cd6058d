import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import ORIGIN, TARGET, write_slices

from common.cli import UserError
from dataset import slice_pairs

INSTRUMENT_PAIRS = [(ORIGIN, TARGET)]


def save(path, value=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full((256, 256, 1), value, dtype=np.float16))


def names(paths):
    return [Path(path).name for path in paths]


def test_pairs_are_matched_by_piece_and_index(tmp_path):
    # The folder's own name holds the origin's, and the two listings differ.
    folder = tmp_path / ORIGIN
    for name in ("b_001", "a_000", "a_001", "keyboard_acoustic_piece_000"):
        save(folder / ORIGIN / f"{name}.npy")
    for name in ("a_001", "keyboard_acoustic_piece_000", "b_001", "c_000"):
        save(folder / TARGET / f"{name}.npy")
    (pairs,), notices = slice_pairs.find_pairs([folder], INSTRUMENT_PAIRS)
    assert names(pairs.sources) == names(pairs.targets) == ["a_001.npy", "b_001.npy", "keyboard_acoustic_piece_000.npy"]
    assert {Path(path).parent.name for path in pairs.sources} == {ORIGIN}
    assert {Path(path).parent.name for path in pairs.targets} == {TARGET}
    assert len(notices) == 2
    assert "1 slices of keyboard_acoustic have no partner of guitar_acoustic" in notices[0]


def test_other_files_and_damaged_slices_are_left_out(tmp_path):
    save(tmp_path / ORIGIN / "a_000.npy")
    save(tmp_path / ORIGIN / "a_001.npy")
    save(tmp_path / TARGET / "a_000.npy")
    (tmp_path / TARGET / "a_001.npy").write_bytes((tmp_path / TARGET / "a_000.npy").read_bytes()[:70_000])
    (tmp_path / ORIGIN / ".DS_Store").write_bytes(b"x")
    (tmp_path / ORIGIN / ".partial-a_002.npy").write_bytes(b"x")
    (tmp_path / TARGET / "notes.txt").write_bytes(b"x")
    (pairs,), notices = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    assert names(pairs.sources) == ["a_000.npy"]
    assert any("1 files are no float16 slices" in notice for notice in notices)


def test_nothing_to_pair_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        slice_pairs.find_pairs([tmp_path / "nowhere"], INSTRUMENT_PAIRS)
    save(tmp_path / ORIGIN / "a_000.npy")
    with pytest.raises(UserError, match="no slices of guitar_acoustic; it holds keyboard_acoustic"):
        slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    save(tmp_path / TARGET / "b_000.npy")
    with pytest.raises(UserError, match="has a partner"):
        slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)


def test_a_piece_is_on_one_side_of_the_split_in_all_data_sets(tmp_path):
    pieces = {f"piece{number:02d}": 3 for number in range(20)}
    folders = [write_slices(tmp_path / "first", pieces), write_slices(tmp_path / "second", pieces)]
    (pairs,), _ = slice_pairs.find_pairs(folders, INSTRUMENT_PAIRS)
    assert len(pairs) == 120
    train_pieces, validation_pieces = slice_pairs.split_pieces(pairs.pieces, 0.1, seed=0)
    train, validation = pairs.of(train_pieces), pairs.of(validation_pieces)
    assert len(validation_pieces) == 2
    assert len(validation) == 12
    assert len(train) + len(validation) == len(pairs)
    assert not set(train.pieces) & set(validation.pieces)
    assert {name[:7] for name in names(train.sources)}.isdisjoint({name[:7] for name in names(validation.sources)})


def test_split_is_a_seeded_order_that_new_pieces_do_not_change():
    pieces = [f"piece{number}" for number in range(40)]
    assert slice_pairs.split_pieces(pieces, 0.25, 1) == slice_pairs.split_pieces(pieces[::-1], 0.25, 1)
    assert slice_pairs.split_pieces(pieces, 0.25, 1) != slice_pairs.split_pieces(pieces, 0.25, 2)
    _, before = slice_pairs.split_pieces(pieces, 0.25, 1)
    _, after = slice_pairs.split_pieces([*pieces, "new"], 0.25, 1)
    assert len(before & after) >= 9


@pytest.mark.parametrize(
    ("count", "fraction", "expected"), [(1, 0.1, 0), (2, 0.1, 1), (2, 0.99, 1), (30, 0.1, 3), (9, 0, 0)]
)
def test_split_sizes(count, fraction, expected):
    train, validation = slice_pairs.split_pieces([str(number) for number in range(count)], fraction, 0)
    assert (len(train), len(validation)) == (count - expected, expected)


def test_fingerprint_depends_on_the_slices_but_not_on_the_folder(tmp_path):
    pieces = {"a": 2, "b": 1}
    (one,), _ = slice_pairs.find_pairs([write_slices(tmp_path / "one", pieces)], INSTRUMENT_PAIRS)
    (moved,), _ = slice_pairs.find_pairs([write_slices(tmp_path / "moved", pieces)], INSTRUMENT_PAIRS)
    (other,), _ = slice_pairs.find_pairs([write_slices(tmp_path / "other", {"a": 3})], INSTRUMENT_PAIRS)
    assert slice_pairs.fingerprint(one.sources, one.targets) == slice_pairs.fingerprint(moved.sources, moved.targets)
    assert slice_pairs.fingerprint(one.sources, one.targets) != slice_pairs.fingerprint(other.sources, other.targets)


def test_slices_in_another_order_are_refused(tmp_path):
    for instrument in (ORIGIN, TARGET):
        (tmp_path / instrument).mkdir()
        np.save(tmp_path / instrument / "a_000.npy", np.zeros((1, 256, 256), np.float16).T)
    with pytest.raises(UserError, match=r"no float16 slices .* compute_features\.py makes them again"):
        slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)


def record(folder, counts):
    entries = {f"{name}/{piece}": {"slices": n} for name in (ORIGIN, TARGET) for piece, n in counts.items()}
    (folder / "features.json").write_text(json.dumps({"settings": {}, "entries": entries}))


def test_only_slices_that_are_listed_belong(tmp_path):
    write_slices(tmp_path, {"a": 3, "gone": 2})
    (pairs,), notices = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)  # without a list, all belong
    assert len(pairs) == 5
    assert notices == []
    record(tmp_path, {"a": 2})
    (pairs,), notices = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    assert names(pairs.sources) == ["a_000.npy", "a_001.npy"]
    assert sum("3 slices are not listed in features.json" in notice for notice in notices) == 2
    record(tmp_path, {})
    with pytest.raises(UserError, match="not listed"):
        slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)


@pytest.mark.parametrize(
    "content",
    [
        '{"entries": []}',
        '{"entries": {"keyboard_acoustic/a": 3}}',
        '{"entries": {"keyboard_acoustic/a": {"slices": "3"}}}',
        '{"entries": {"keyboard_acoustic/a": {}}}',
        "[" * 100_000,
    ],
    ids=["list", "entry", "type", "missing", "deep"],
)
def test_a_damaged_list_is_one_clear_error(tmp_path, content):
    write_slices(tmp_path, {"a": 1})
    (tmp_path / "features.json").write_text(content)
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        slice_pairs.recording_path(tmp_path, ORIGIN, "a")


def test_files_of_the_right_size_and_other_contents_are_left_out(tmp_path):
    write_slices(tmp_path, {"a": 7})
    image = np.zeros((256, 256, 1), np.float16)
    others = [image.astype(np.int16), np.asfortranarray(image.reshape(1, 256, 256).T), image.reshape(128, 512, 1)]
    for index, other in enumerate(others):
        np.save(tmp_path / ORIGIN / f"a_{index:03d}.npy", other)
    size = (tmp_path / ORIGIN / "a_006.npy").stat().st_size
    (tmp_path / ORIGIN / "a_003.npy").write_bytes(b"x" * size)
    (tmp_path / ORIGIN / "a_004.npy").write_bytes(pickle.dumps([1]).ljust(size))
    (tmp_path / ORIGIN / "a_005.npy").unlink()
    (tmp_path / ORIGIN / "a_005.npy").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / ORIGIN / "a_007.npy")
    (pairs,), notices = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    assert names(pairs.sources) == ["a_006.npy"]
    assert any("7 files are no float16 slices" in notice and "a_000.npy, …" in notice for notice in notices)


@pytest.mark.parametrize("piece", ["two\nlines", "caf\udce9", "Prelude:No1"])
def test_pieces_may_have_any_name(tmp_path, piece):
    write_slices(tmp_path, {piece: 2, "a": 1})
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    train, validation = slice_pairs.split_pieces(pairs.pieces, 0.5, 0)
    assert train | validation == {piece, "a"}
    assert slice_pairs.fingerprint(pairs.sources, pairs.targets)
