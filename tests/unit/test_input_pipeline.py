import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, write_slices

import data
from common import failures
from common.cli import UserError
from dataset import input_pipeline, slice_pairs, slicing

INSTRUMENT_PAIRS = [(ORIGIN, TARGET)]


def test_batches_are_the_files_in_the_networks_range(tmp_path):
    write_slices(tmp_path, {"a": 3, "b": 2})
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    order = np.array([4, 0, 2, 1, 3])
    batches = list(input_pipeline.batches((pairs.sources, pairs.targets), 2, order))
    assert [len(source) for source, _ in batches] == [2, 2, 1]
    for column, paths in enumerate((pairs.sources, pairs.targets)):
        read = np.concatenate([batch[column].numpy() for batch in batches])
        expected = np.stack([np.load(paths[index]).astype(np.float32) * 2 - 1 for index in order])
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected)
    assert len(list(input_pipeline.batches((pairs.sources, pairs.targets), 2, drop_remainder=True))) == 2


def test_epoch_orders_come_from_the_seed():
    first = input_pipeline.epoch_order([50], 3, 7)
    np.testing.assert_array_equal(first, input_pipeline.epoch_order([50], 3, 7))
    assert sorted(first) == list(range(50))
    assert (first != input_pipeline.epoch_order([50], 4, 7)).any()
    assert (first != input_pipeline.epoch_order([50], 3, 8)).any()


def test_epochs_go_through_all_instrument_pairs_equally_often():
    order = input_pipeline.epoch_order([5, 20, 11], 0, 0)
    assert len(order) == 60
    numbers = np.searchsorted([5, 25], order, side="right")
    for turn in numbers.reshape(-1, 3):  # however early an epoch is cut off
        assert sorted(turn) == [0, 1, 2]
    assert len({tuple(turn) for turn in numbers.reshape(-1, 3)}) > 1
    counts = np.bincount(order, minlength=36)
    assert (counts[:5] == 4).all()  # the smallest one, several times
    assert (counts[5:25] == 1).all()
    assert set(counts[25:]) == {1, 2}


def test_count_steps():
    assert input_pipeline.count_steps(22_875, 8, None) == 2859  # the published run's
    assert input_pipeline.count_steps(100, 8, 5) == 5
    with pytest.raises(UserError, match="fewer than --batch_size"):
        input_pipeline.count_steps(7, 8, None)


def test_unchanged_errors_are_those_of_each_slice(tmp_path):
    write_slices(tmp_path, {"a": 3})
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    images = [input_pipeline.load_slices(column) for column in (pairs.sources, pairs.targets)]
    expected = np.abs(images[0] - images[1]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(input_pipeline.unchanged_errors(pairs.sources, pairs.targets), expected, rtol=1e-5)


def test_sounding_fractions_count_frames_above_60_dB_below_full_scale(tmp_path):
    image = np.zeros((256, 256, 1), np.float16)
    image[10, :64] = data.compress_magnitude(np.array([1.1e-3]))
    image[20, 64:] = data.compress_magnitude(np.array([0.9e-3]))
    for name, fraction in (("a", 0.25), ("b", 0.0), ("c", 1.0)):
        np.save(tmp_path / f"{name}.npy", image if fraction == 0.25 else np.full_like(image, fraction))
        np.testing.assert_allclose(data.sounding(np.load(tmp_path / f"{name}.npy")[..., 0]).mean(), fraction)
    paths = [str(tmp_path / f"{name}.npy") for name in "abc"]
    np.testing.assert_allclose(input_pipeline.sounding_fractions(paths), [0.25, 0, 1])


def test_integers_are_passed_through_with_their_slices(tmp_path):
    write_slices(tmp_path, {"a": 3})
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    _, numbers = next(iter(input_pipeline.batches((pairs.sources, [7, 8, 9]), 2, np.array([2, 0, 1]))))
    assert numbers.dtype == "int32"
    assert numbers.numpy().tolist() == [9, 7]


def test_training_reads_the_spectrograms_that_were_cut(tmp_path):
    # A chirp: it would show if bins and frames were exchanged on the way.
    time = np.arange(6 * 44_100) / 44_100
    audio = (0.3 * np.sin(2 * np.pi * (200 * time + 300 * time**2))).astype(np.float32)
    for instrument in (ORIGIN, TARGET):
        (tmp_path / instrument).mkdir()
        soundfile.write(tmp_path / f"{instrument}.wav", audio, 44_100, subtype="FLOAT")
        slicing.compute_slices("chirp", tmp_path / f"{instrument}.wav", tmp_path / instrument)
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    (source, target) = next(input_pipeline.batches((pairs.sources, pairs.targets), 2).as_numpy_iterator())
    expected = data.log_magnitude(data.stft(audio))[:, :512]
    for image in (source, target):
        np.testing.assert_allclose(np.concatenate(image[..., 0], axis=1), data.to_network(expected), atol=2e-3)


@pytest.mark.parametrize("value", [1.001, -1e-7, np.nan, -np.nan, np.inf, -np.inf])
def test_values_that_no_slice_has_are_never_trained_on(tmp_path, value):
    write_slices(tmp_path, {"a": 2})
    path = tmp_path / ORIGIN / "a_001.npy"
    image = np.load(path)
    image[200, 100, 0] = value
    np.save(path, image)
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    for read in (
        lambda: list(input_pipeline.checked(input_pipeline.batches((pairs.sources, pairs.targets), 2))),
        lambda: input_pipeline.load_slices(pairs.sources),
        lambda: input_pipeline.sounding_fractions(pairs.sources),
    ):
        with pytest.raises(input_pipeline.SliceError) as caught:
            read()
        line = failures.describe(caught.value)
        assert line == f"{path}: {line.partition(': ')[2]}"
        assert "no float16 slice of (256, 256, 1) in [0, 1]" in line


def test_zeros_with_a_sign_are_zeros(tmp_path):
    np.save(tmp_path / "a.npy", np.full((256, 256, 1), -0.0, np.float16))
    assert (input_pipeline.load_slices([str(tmp_path / "a.npy")]) == -1).all()


def test_a_slice_that_is_cut_off_or_vanishes_is_named(tmp_path):
    write_slices(tmp_path, {"a": 2})
    paths = [str(tmp_path / ORIGIN / f"a_00{index}.npy") for index in range(2)]
    (tmp_path / ORIGIN / "a_000.npy").write_bytes(b"cut")
    (tmp_path / ORIGIN / "a_001.npy").unlink()
    for path in paths:
        with pytest.raises(failures.expected()) as caught:
            input_pipeline.load_slices([path])
        assert failures.describe(caught.value).startswith(path)


def test_slices_may_have_names_that_are_not_utf8(tmp_path):
    write_slices(tmp_path, {"caf\udce9": 2})
    (pairs,), _ = slice_pairs.find_pairs([tmp_path], INSTRUMENT_PAIRS)
    assert len(list(input_pipeline.batches((pairs.sources, pairs.targets), 2))) == 1
