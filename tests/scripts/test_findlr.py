"""The searches for learning rates of the train scripts: --findlr."""

import sys

import numpy as np
import pytest
from conftest import ORIGIN, TARGET, one_line, run_script, train_arguments, write_slices

import train
import train_generator
import train_multitarget

pytestmark = pytest.mark.usefixtures("shallow_networks")


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), {"a": 5, "b": 5, "c": 4, "d": 4})


@pytest.fixture(scope="module")
def finder_run(dataset_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finder")
    model = folder / "models" / f"{ORIGIN}_2_{TARGET}"
    model.mkdir(parents=True)
    (model / "generator.weights.h5").write_bytes(b"precious")
    words = train_arguments(dataset_path, folder, findlr=True, findlr_start=1e-5, findlr_steps=30)
    return folder, model, run_script("train.py", *words, check=0)


def test_finder_leaves_tables_pictures_and_flags_and_no_training_state(finder_run):
    folder, model, result = finder_run
    assert (model / "generator.weights.h5").read_bytes() == b"precious"
    written = {path for path in folder.rglob("*") if path.is_file()}
    searches = [model / "lr_finder" / name for name in ("gen_mae", "disc_loss", "gen_loss")]
    tables = {search.with_suffix(ending) for search in searches for ending in (".csv", ".png")}
    assert written == {model / "generator.weights.h5", *tables}
    flags = result.stdout.splitlines()[-1].removeprefix("to paste: ").split()
    assert flags[::2] == ["--gen_lr", "--disc_lr"]
    assert all(1e-5 <= float(rate) <= 1 for rate in flags[1::2])


def test_finder_searches_begin_with_the_same_weights_and_batch(finder_run):
    _, model, _ = finder_run
    tables = {
        name: np.loadtxt(model / "lr_finder" / f"{name}.csv", delimiter=",", skiprows=1)
        for name in ("gen_mae", "disc_loss", "gen_loss")
    }
    np.testing.assert_allclose(tables["gen_mae"][:, 0], np.geomspace(1e-5, 1, 30)[: len(tables["gen_mae"])])
    generator_first, joint_first = tables["gen_mae"][0, 1], tables["gen_loss"][0, 1]
    assert joint_first == pytest.approx(100 * generator_first + np.log(2), rel=0.02)


@pytest.mark.parametrize("module", [train_generator, train_multitarget])
def test_the_other_scripts_search_too(call_script, dataset_path, tmp_path, module):
    rates = {"gen_lr": None, "disc_lr": None}
    words = train_arguments(dataset_path, tmp_path, **rates, findlr="true", findlr_start=1e-4, findlr_steps=25)
    status, stdout, _ = call_script(module, *words)
    assert status == 0
    names = {path.stem for path in tmp_path.rglob("lr_finder/*.csv")}
    flags = stdout.splitlines()[-1].split()[2::2]
    if module is train_generator:
        assert (names, flags) == ({"gen_mae"}, ["--lr"])
    else:
        assert (names, flags) == ({"gen_mae", "disc_loss", "gen_loss"}, ["--gen_lr", "--disc_lr"])
    assert not list(tmp_path.rglob("checkpoints"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"findlr": "perhaps"}, "must be true or false"),
        ({"findlr_start": 2}, "--findlr_start: must be below"),
        ({"findlr_steps": 5}, "--findlr_steps: must be at least 10"),
    ],
)
def test_wrong_searches_are_one_line_and_exit_2(call_script, dataset_path, tmp_path, changes, told):
    status, _, stderr = call_script(train, *train_arguments(dataset_path, tmp_path, **changes))
    assert status == 2
    assert told in one_line(stderr)


@pytest.mark.parametrize(("flag", "meant"), [([], False), (["--findlr"], True), (["--findlr", "false"], False)])
def test_findlr_alone_means_true(monkeypatch, tmp_path, flag, meant):
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, train_arguments("features", tmp_path)), *flag])
    assert train.parse_arguments().findlr is meant
