"""Folders of slices: what belongs to them, what is made again, and what one bad file costs."""

import errno
import json
import os

import numpy as np
import pytest
import soundfile
from conftest import ORIGIN, TARGET, read_json

import data
from common import storage
from common.cli import UserError
from common.workers import Workers
from dataset import slice_pairs, slicing

PAIRS = [(ORIGIN, TARGET)]


@pytest.fixture
def folder(tmp_path):
    """Audio of two pieces, "a" of two slices and "b" of one, in audios/; slices go to features/."""
    rng = np.random.default_rng(0)
    for instrument in (ORIGIN, TARGET):
        (tmp_path / "audios" / instrument).mkdir(parents=True)
        for piece, seconds in (("a", 5), ("b", 1)):
            samples = 0.1 * rng.standard_normal(seconds * 44_100)
            soundfile.write(tmp_path / "audios" / instrument / f"{piece}.wav", samples, 44_100)
    return tmp_path


def compute(folder, overwrite=False):
    return slicing.compute_features(folder / "audios", folder / "features", Workers(1), overwrite)


def names(folder, instrument=ORIGIN):
    return sorted(path.name for path in (folder / "features" / instrument).iterdir())


def remove_piece(folder, piece):
    for instrument in (ORIGIN, TARGET):
        (folder / "audios" / instrument / f"{piece}.wav").unlink()


def test_overwriting_leaves_no_slices_of_pieces_that_are_gone(folder):
    assert compute(folder) == 0
    np.save(folder / "features" / ORIGIN / "mine_000.npy", np.zeros(data.SLICE_SHAPE, np.float16))
    remove_piece(folder, "b")
    assert compute(folder, overwrite=True) == 0
    assert names(folder) == ["a_000.npy", "a_001.npy", "mine_000.npy"]  # a stranger's file is not touched
    assert sorted(read_json(folder / "features" / "features.json")["entries"]) == [f"{TARGET}/a", f"{ORIGIN}/a"]


def test_strangers_are_reported_and_not_trained_on(folder, capsys):
    compute(folder)
    for instrument in (ORIGIN, TARGET):
        np.save(folder / "features" / instrument / "mine_000.npy", np.zeros(data.SLICE_SHAPE, np.float16))
    capsys.readouterr()
    assert compute(folder) == 0
    assert "2 slices are not listed in features.json" in capsys.readouterr().out
    (pairs,), _ = slice_pairs.find_pairs([folder / "features"], PAIRS)
    assert set(pairs.pieces) == {"a", "b"}


def test_slices_of_audio_that_is_gone_stay_and_are_reported(folder, capsys):
    compute(folder)
    remove_piece(folder, "b")
    capsys.readouterr()
    assert compute(folder) == 0
    assert "2 files are not below --audios any more" in capsys.readouterr().out
    assert names(folder) == ["a_000.npy", "a_001.npy", "b_000.npy"]


@pytest.mark.parametrize("damage", [lambda content: content[:70_000], lambda content: b"x" * len(content)])
def test_damaged_slices_are_made_again(folder, damage):
    compute(folder)
    path = folder / "features" / ORIGIN / "a_001.npy"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert compute(folder) == 0
    assert path.read_bytes() == content


def test_a_piece_is_listed_only_when_all_its_slices_are_of_one_recording(folder, monkeypatch):
    compute(folder)
    samples, rate = soundfile.read(folder / "audios" / ORIGIN / "a.wav")
    soundfile.write(folder / "audios" / ORIGIN / "a.wav", samples[: 4 * rate] / 2, rate)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(slicing, "compute_slices", die)
    with pytest.raises(KeyboardInterrupt):
        compute(folder)
    (pairs,), _ = slice_pairs.find_pairs([folder / "features"], PAIRS)
    assert set(pairs.pieces) == {"b"}


def test_bad_files_cost_themselves_alone(folder, capsys):
    audios = folder / "audios" / ORIGIN
    (audios / "dead.wav").symlink_to(folder / "nowhere")
    (audios / "loop.wav").symlink_to(audios / "loop.wav")
    os.mkfifo(audios / "pipe.wav")
    (audios / "folder.wav").mkdir()
    (audios / "text.wav").write_text("no audio")
    content = (audios / "a.wav").read_bytes()
    (audios / "half.wav").write_bytes(content[: len(content) // 2])
    soundfile.write(audios / "absurd.wav", np.full(1000, 3e38), 44_100, subtype="FLOAT")
    long = "x" * 245
    (audios / f"{long}.wav").write_bytes(content)
    assert compute(folder) == 1
    lines = capsys.readouterr().err.splitlines()
    bad = ("dead", "loop", "pipe", "folder", "text", "half", "absurd", long)
    assert len(lines) == len(bad) + 1
    for name in bad:
        assert sum(f"{name}.wav: " in line for line in lines) == 1
    assert names(folder) == ["a_000.npy", "a_001.npy", "b_000.npy"]


def test_a_full_disk_is_a_line_for_each_file(folder, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "slice")

    monkeypatch.setattr(slicing.np, "save", full)
    assert compute(folder) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert all("no space left" in line for line in lines[:4])
    assert names(folder) == []


def test_names_may_hold_line_breaks_and_other_bytes(folder):
    pieces = {"a", "b", "two\nlines", "caf\udce9", "Prelude:No1"}
    for instrument in (ORIGIN, TARGET):
        for piece in pieces - {"a", "b"}:
            (folder / "audios" / instrument / f"{piece}.wav").write_bytes(
                (folder / "audios" / instrument / "b.wav").read_bytes()
            )
    assert compute(folder) == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "features" / ORIGIN).iterdir()}
    assert compute(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "features" / ORIGIN).iterdir()} == before
    (pairs,), _ = slice_pairs.find_pairs([folder / "features"], PAIRS)
    assert set(pairs.pieces) == pieces


def test_one_run_at_a_time_and_nothing_half_written_stays(folder):
    compute(folder)
    partial = folder / "features" / ORIGIN / ".partial-a_000.npy"
    partial.write_bytes(b"half")
    with storage.lock(folder / "features"), pytest.raises(UserError, match="in use"):
        compute(folder)
    assert partial.exists()
    assert compute(folder) == 0
    assert not partial.exists()


def test_names_in_the_list_lead_nowhere_else(folder):
    compute(folder)
    path = folder / "features" / "features.json"
    record = read_json(path)
    precious = folder / "precious_000.npy"
    np.save(precious, np.zeros(data.SLICE_SHAPE, np.float16))
    for name in ("../precious", "/../precious", "./../precious", f"../{folder.name}/precious"):
        record["entries"][name] = {"slices": 1}
    path.write_text(json.dumps(record))
    assert compute(folder, overwrite=True) == 0
    assert precious.exists()


@pytest.mark.parametrize("entry", [{}, {"slices": "2"}, {"slices": None}])
def test_a_damaged_list_is_one_clear_error(folder, entry):
    compute(folder)
    path = folder / "features" / "features.json"
    record = read_json(path)
    record["entries"][f"{ORIGIN}/a"] = entry
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        compute(folder)
    assert compute(folder, overwrite=True) == 0


def test_the_record_knows_which_frames_sound(folder):
    samples, rate = soundfile.read(folder / "audios" / ORIGIN / "a.wav")
    samples[len(samples) // 3 :] = 0
    soundfile.write(folder / "audios" / ORIGIN / "a.wav", samples, rate)
    compute(folder)
    paths = [str(folder / "features" / ORIGIN / name) for name in names(folder)]
    recorded = slice_pairs.recorded_sounding(paths)
    assert recorded == [data.sounding(np.load(path)[..., 0]).mean() for path in paths]
    assert 0 < recorded[0] < 1 and recorded[1] == 0
    assert slice_pairs.recorded_sounding([*paths, str(folder / "features" / ORIGIN / "b_001.npy")]) is None
    record = read_json(folder / "features" / "features.json")
    del record["entries"][f"{ORIGIN}/b"]["sounding"]  # of an earlier version
    (folder / "features" / "features.json").write_text(json.dumps(record))
    assert slice_pairs.recorded_sounding(paths) is None
    assert slice_pairs.recorded_sounding(paths[:2]) == recorded[:2]
