from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, write_slices

import compute_features
import data
import dataset
from cli import UserError

COUPLE = [(ORIGIN, TARGET)]


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
    (pairs,), notices = dataset.find_pairs([folder], COUPLE)
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
    (pairs,), notices = dataset.find_pairs([tmp_path], COUPLE)
    assert names(pairs.sources) == ["a_000.npy"]
    assert any("1 files are no float16 slices" in notice for notice in notices)


def test_nothing_to_pair_is_a_clear_line(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        dataset.find_pairs([tmp_path / "nowhere"], COUPLE)
    save(tmp_path / ORIGIN / "a_000.npy")
    with pytest.raises(UserError, match="no slices of guitar_acoustic; it holds keyboard_acoustic"):
        dataset.find_pairs([tmp_path], COUPLE)
    save(tmp_path / TARGET / "b_000.npy")
    with pytest.raises(UserError, match="has a partner"):
        dataset.find_pairs([tmp_path], COUPLE)


def test_a_piece_is_on_one_side_of_the_split_in_all_data_sets(tmp_path):
    pieces = {f"piece{number:02d}": 3 for number in range(20)}
    folders = [write_slices(tmp_path / "first", pieces), write_slices(tmp_path / "second", pieces)]
    (pairs,), _ = dataset.find_pairs(folders, COUPLE)
    assert len(pairs) == 120
    train_pieces, validation_pieces = dataset.split_pieces(pairs.pieces, 0.1, seed=0)
    train, validation = pairs.of(train_pieces), pairs.of(validation_pieces)
    assert len(validation_pieces) == 2
    assert len(validation) == 12
    assert len(train) + len(validation) == len(pairs)
    assert not set(train.pieces) & set(validation.pieces)
    assert {name[:7] for name in names(train.sources)}.isdisjoint({name[:7] for name in names(validation.sources)})


def test_split_is_a_seeded_order_that_new_pieces_do_not_upset():
    pieces = [f"piece{number}" for number in range(40)]
    assert dataset.split_pieces(pieces, 0.25, 1) == dataset.split_pieces(pieces[::-1], 0.25, 1)
    assert dataset.split_pieces(pieces, 0.25, 1) != dataset.split_pieces(pieces, 0.25, 2)
    _, before = dataset.split_pieces(pieces, 0.25, 1)
    _, after = dataset.split_pieces([*pieces, "new"], 0.25, 1)
    assert len(before & after) >= 9


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(1, 0.1, 0), (2, 0.1, 1), (2, 0.99, 1), (30, 0.1, 3), (9, 0, 0)]
)
def test_split_sizes(count, share, expected):
    train, validation = dataset.split_pieces([str(number) for number in range(count)], share, 0)
    assert (len(train), len(validation)) == (count - expected, expected)


def test_batches_are_the_files_in_the_networks_range(tmp_path):
    write_slices(tmp_path, {"a": 3, "b": 2})
    (pairs,), _ = dataset.find_pairs([tmp_path], COUPLE)
    order = np.array([4, 0, 2, 1, 3])
    batches = list(dataset.batches((pairs.sources, pairs.targets), 2, order))
    assert [len(source) for source, _ in batches] == [2, 2, 1]
    for column, paths in enumerate((pairs.sources, pairs.targets)):
        read = np.concatenate([batch[column].numpy() for batch in batches])
        expected = np.stack([np.load(paths[index]).astype(np.float32) * 2 - 1 for index in order])
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected)
    assert len(list(dataset.batches((pairs.sources, pairs.targets), 2, drop_remainder=True))) == 2


def test_epoch_orders_come_from_the_seed():
    first = dataset.epoch_order([50], 3, 7)
    np.testing.assert_array_equal(first, dataset.epoch_order([50], 3, 7))
    assert sorted(first) == list(range(50))
    assert (first != dataset.epoch_order([50], 4, 7)).any()
    assert (first != dataset.epoch_order([50], 3, 8)).any()


def test_epochs_go_through_all_couples_in_equal_shares():
    order = dataset.epoch_order([5, 20, 11], 0, 0)
    assert len(order) == 60
    couples = np.searchsorted([5, 25], order, side="right")
    for turn in couples.reshape(-1, 3):  # however early an epoch is cut off
        assert sorted(turn) == [0, 1, 2]
    assert len({tuple(turn) for turn in couples.reshape(-1, 3)}) > 1
    counts = np.bincount(order, minlength=36)
    assert (counts[:5] == 4).all()  # the smallest couple, again and again
    assert (counts[5:25] == 1).all()
    assert set(counts[25:]) == {1, 2}


def test_fingerprint_tells_data_sets_apart_but_not_their_places(tmp_path):
    pieces = {"a": 2, "b": 1}
    (one,), _ = dataset.find_pairs([write_slices(tmp_path / "one", pieces)], COUPLE)
    (moved,), _ = dataset.find_pairs([write_slices(tmp_path / "moved", pieces)], COUPLE)
    (other,), _ = dataset.find_pairs([write_slices(tmp_path / "other", {"a": 3})], COUPLE)
    assert dataset.fingerprint(one.sources, one.targets) == dataset.fingerprint(moved.sources, moved.targets)
    assert dataset.fingerprint(one.sources, one.targets) != dataset.fingerprint(other.sources, other.targets)


def test_count_steps():
    assert dataset.count_steps(22_875, 8, None) == 2859  # the published run's
    assert dataset.count_steps(100, 8, 5) == 5
    with pytest.raises(UserError, match="fewer than --batch_size"):
        dataset.count_steps(7, 8, None)


def test_unchanged_errors_are_those_of_each_slice(tmp_path):
    write_slices(tmp_path, {"a": 3})
    (pairs,), _ = dataset.find_pairs([tmp_path], COUPLE)
    images = [dataset.load_slices(column) for column in (pairs.sources, pairs.targets)]
    expected = np.abs(images[0] - images[1]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(dataset.unchanged_errors(pairs), expected, rtol=1e-5)


def test_sounding_shares_count_frames_above_60_dB_below_full_scale(tmp_path):
    image = np.zeros((256, 256, 1), np.float16)
    image[10, :64] = data.amplitude_to_db(np.array([1.1e-3]))
    image[20, 64:] = data.amplitude_to_db(np.array([0.9e-3]))
    for name, share in (("a", 0.25), ("b", 0.0), ("c", 1.0)):
        np.save(tmp_path / f"{name}.npy", image if share == 0.25 else np.full_like(image, share))
        np.testing.assert_allclose(data.sounding(np.load(tmp_path / f"{name}.npy")[..., 0]).mean(), share)
    paths = [str(tmp_path / f"{name}.npy") for name in "abc"]
    np.testing.assert_allclose(dataset.sounding_shares(paths), [0.25, 0, 1])


def test_numbers_are_handed_on_with_their_slices(tmp_path):
    write_slices(tmp_path, {"a": 3})
    (pairs,), _ = dataset.find_pairs([tmp_path], COUPLE)
    _, numbers = next(iter(dataset.batches((pairs.sources, [7, 8, 9]), 2, np.array([2, 0, 1]))))
    assert numbers.dtype == "int32"
    assert numbers.numpy().tolist() == [9, 7]


def test_training_reads_the_spectrograms_that_were_cut(tmp_path):
    # A chirp: it would show if bins and frames were exchanged on the way.
    time = np.arange(6 * 44_100) / 44_100
    audio = (0.3 * np.sin(2 * np.pi * (200 * time + 300 * time**2))).astype(np.float32)
    for instrument in (ORIGIN, TARGET):
        (tmp_path / instrument).mkdir()
        soundfile.write(tmp_path / f"{instrument}.wav", audio, 44_100, subtype="FLOAT")
        compute_features.compute_slices((instrument, "chirp"), tmp_path / f"{instrument}.wav", tmp_path / instrument)
    (pairs,), _ = dataset.find_pairs([tmp_path], COUPLE)
    (source, target) = next(dataset.batches((pairs.sources, pairs.targets), 2).as_numpy_iterator())
    expected = data.log_magnitude(data.stft(audio))[:, :512]
    for image in (source, target):
        np.testing.assert_allclose(np.concatenate(image[..., 0], axis=1), data.to_network(expected), atol=2e-3)


def test_slices_in_another_order_are_refused(tmp_path):
    for instrument in (ORIGIN, TARGET):
        (tmp_path / instrument).mkdir()
        np.save(tmp_path / instrument / "a_000.npy", np.zeros((1, 256, 256), np.float16).T)
    with pytest.raises(UserError, match=r"compute_features\.py --overwrite"):
        dataset.find_pairs([tmp_path], COUPLE)
