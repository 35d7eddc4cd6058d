from pathlib import Path

import numpy as np
import pytest

from common.cli import UserError
from common.weights import save_model
from model import Discriminator, Generator
from training import model_folder
from training.history import FILE_NAME, History, read_history

CONFIG = {
    "model": {"base_filters": 4, "n_inputs": 1},
    "data": {"slices": 3, "fingerprint": "a", "content": "c"},
    "arguments": {"dropout": 0.5, "init_from": None, "epochs": 3},
}


def changed(section, **values):
    return {**CONFIG, section: {**CONFIG[section], **values}}


def check(old, new, defaults=None):
    model_folder._check_same_run(Path("models/m"), old, new, defaults or {})


def test_a_run_is_the_same_if_all_that_matters_is():
    check(CONFIG, CONFIG)
    check(CONFIG, changed("arguments", epochs=9))
    check(changed("arguments", removed_flag=1), CONFIG)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("model", {"base_filters": 8}, "base_filters was 4, is 8"),
        ("data", {"content": "d"}, "the contents of the training slices have changed"),
        ("data", {"fingerprint": "b"}, "the names of the training slices have changed"),
        ("data", {"slices": 4}, "slices was 3, is 4"),
        ("arguments", {"dropout": 0.0}, "dropout was 0.5, is 0.0"),
    ],
)
def test_what_differs_is_named(section, values, message):
    with pytest.raises(UserError, match=message):
        check(CONFIG, changed(section, **values))


def test_flags_that_a_version_did_not_know_were_as_they_are_by_default():
    old = {**CONFIG, "arguments": {"epochs": 3}}
    check(old, CONFIG, {"dropout": 0.5, "init_from": None})
    with pytest.raises(UserError, match=r"dropout was 0\.5, is 0\.25"):
        check(old, changed("arguments", dropout=0.25), {"dropout": 0.5})
    old = {**CONFIG, "data": {"slices": 3, "fingerprint": "a"}}  # did not describe the contents
    check(old, CONFIG)


def test_spellings_of_one_path_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "start").mkdir()
    (tmp_path / "other").mkdir()
    old = changed("arguments", init_from="start")
    check(old, changed("arguments", init_from=str(tmp_path / "start")))
    check(old, changed("arguments", init_from="other/../start/"))
    with pytest.raises(UserError, match="init_from"):
        check(old, changed("arguments", init_from="other"))


def test_a_damaged_configuration_is_one_clear_error():
    with pytest.raises(UserError, match="arguments must be an object"):
        check({**CONFIG, "arguments": [1]}, CONFIG)


def test_the_model_is_that_of_the_best_epoch_and_last_that_of_the_last(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(model_folder, "save_model", lambda folder, networks, config: saved.append((folder, config)))
    monkeypatch.setattr(model_folder, "copy_model", lambda _, folder, names: saved.append((folder, saved[-1][1])))
    history = History(tmp_path, ("gen_mae",), "gen_mae", [])
    for epoch, error in enumerate((0.3, 0.1, 0.2), 1):
        history.rows.append({"epoch": epoch, "gen_mae": 0.5 / epoch, "gen_mae_val": error})
        model_folder.save_models(tmp_path, {}, {"model": {}}, history)
    assert [folder for folder, _ in saved] == [tmp_path / "last", tmp_path] * 2 + [tmp_path / "last"]
    assert saved[3][1]["training"] == {"epoch": 2, "best_epoch": 2, "gen_mae_val": 0.1}
    assert saved[4][1]["training"] == {"epoch": 3, "best_epoch": 2, "gen_mae_val": 0.1}


def test_the_best_epoch_is_that_of_the_selected_metric(tmp_path):
    rows = [
        {"epoch": 1, "gen_mae": 0.3, "gen_mae_val": 0.1},  # of a version that did not measure the sound
        {"epoch": 2, "gen_mae": 0.2, "gen_mae_val": 0.2, "sound_val": 0.4},
        {"epoch": 3, "gen_mae": 0.1, "gen_mae_val": 0.3, "sound_val": 0.3},
        {"epoch": 4, "gen_mae": 0.2, "gen_mae_val": 0.4, "sound_val": 0.5},
    ]
    assert History(tmp_path, ("gen_mae",), "gen_mae", rows).best["epoch"] == 1
    assert History(tmp_path, ("gen_mae",), "sound", rows).best["epoch"] == 3
    assert History(tmp_path, ("gen_mae",), None, rows).best["epoch"] == 3


@pytest.mark.parametrize("content", [None, b"", b"epoch,gen_mae\n1,0.5\n", b"\xff\0\0", b"epoch,gen_mae\n1,0.5\n2,x\n"])
def test_a_lost_cut_or_damaged_history_is_one_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(UserError, match=r"history\.csv"):
        read_history(tmp_path, 2)
    assert read_history(tmp_path, 0) == []


def test_the_table_of_an_earlier_version_gives_the_rows_of_its_first_epochs(tmp_path):
    (tmp_path / FILE_NAME).write_text("epoch,gen_mae,gen_mae_val,seconds\n1,0.5,0.25,3\n2,0.4,,2.5\n3,0.3,0.2,2\n")
    rows = read_history(tmp_path, 2)
    assert rows == [
        {"epoch": 1, "gen_mae": 0.5, "gen_mae_val": 0.25, "seconds": 3.0},
        {"epoch": 2, "gen_mae": 0.4, "seconds": 2.5},
    ]
    assert all(isinstance(row["epoch"], int) for row in rows)


@pytest.mark.parametrize("filters", [1, 2, 4])
def test_initial_weights_are_of_a_discriminator_of_the_same_width(tmp_path, filters):
    save_model(tmp_path, {"discriminator": Discriminator(filters)}, {"model": {}})
    same = Discriminator(filters)
    model_folder.load_initial(tmp_path, {"discriminator": same})
    with pytest.raises(
        UserError, match=f"--init_from .* of {filters} filters, not of 8: add --disc_filters {filters}$"
    ):
        model_folder.load_initial(tmp_path, {"discriminator": Discriminator(8)})


def test_a_discriminator_that_sees_the_style_begins_with_one_that_does_not(tmp_path, capsys):
    first, same = Discriminator(4), Discriminator(4, with_style=True)
    save_model(tmp_path, {"discriminator": first}, {"model": {}})
    drawn = same.weights[0].numpy()
    model_folder.load_initial(tmp_path, {"discriminator": same})
    assert "does not see the style" in capsys.readouterr().out
    np.testing.assert_array_equal(same.weights[0][:, :, :2], first.weights[0])
    np.testing.assert_array_equal(same.weights[0][:, :, 2:], drawn[:, :, 2:])
    for ours, theirs in zip(same.weights[1:], first.weights[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"with_style": True}, {"n_channels": (3, 3)}])
def test_a_discriminator_of_the_whole_band_begins_with_one_of_patches_but_for_the_last_layer(tmp_path, capsys, options):
    first, band = Discriminator(4), Discriminator(4, whole_band=True, **options)
    save_model(tmp_path, {"discriminator": first}, {"model": {}})
    drawn = band.get_layer("last").get_weights()
    model_folder.load_initial(tmp_path, {"discriminator": band})
    assert "sees patches" in capsys.readouterr().out
    for ours, theirs in zip(band.layers, first.layers, strict=True) if not options else ():
        if ours.name != "last":
            assert all(map(np.array_equal, ours.get_weights(), theirs.get_weights()))
    for name in ("down2_conv", "down4_norm"):
        assert all(map(np.array_equal, band.get_layer(name).get_weights(), first.get_layer(name).get_weights()))
    assert all(map(np.array_equal, band.get_layer("last").get_weights(), drawn))


def test_a_discriminator_of_the_whole_band_is_the_start_of_such_ones_alone(tmp_path, capsys):
    first = Discriminator(4, whole_band=True)
    save_model(tmp_path, {"discriminator": first}, {"model": {}, "arguments": {"disc_band": True}})
    for options in ({}, {"with_style": True}, {"n_channels": (3, 3)}):
        band = Discriminator(4, whole_band=True, **options)
        model_folder.load_initial(tmp_path, {"discriminator": band})
        assert "sees patches" not in capsys.readouterr().out
        assert np.array_equal(band.get_layer("last").get_weights()[0], first.get_layer("last").get_weights()[0])
    with pytest.raises(UserError, match=r"--init_from .* sees the whole band: add --disc_band$"):
        model_folder.load_initial(tmp_path, {"discriminator": Discriminator(4)})


@pytest.mark.parametrize("options", [{}, {"n_inputs": 2}, {"n_channels": (3, 3)}])
def test_a_generator_with_noise_begins_with_one_without_and_as_one(tmp_path, options):
    first, noisy = Generator(4), Generator(4, noise=True, **options)
    save_model(tmp_path, {"generator": first}, {"model": {"base_filters": 4, "n_inputs": 1}})
    model_folder.load_initial(tmp_path, {"generator": noisy})
    for name in ("down2_conv", "up1_conv", "up7_norm"):
        assert all(map(np.array_equal, noisy.get_layer(name).get_weights(), first.get_layer(name).get_weights()))
    if not options:
        image = np.random.default_rng(0).uniform(-1, 1, (2, 256, 256, 1)).astype(np.float32)
        np.testing.assert_array_equal(noisy(image), first(image))


def test_a_generator_with_noise_is_the_start_of_such_ones_alone(tmp_path):
    first = Generator(4, noise=True)
    strength = np.arange(128 * 4).reshape(128, 1, 4)
    first.get_layer("up7_noise").strength.assign(strength)
    save_model(tmp_path, {"generator": first}, {"model": {"base_filters": 4, "n_inputs": 1, "noise": True}})
    for options in ({}, {"n_inputs": 2}, {"n_channels": (3, 3)}):
        noisy = Generator(4, noise=True, **options)
        model_folder.load_initial(tmp_path, {"generator": noisy})
        np.testing.assert_array_equal(noisy.get_layer("up7_noise").strength, strength)
    for options in ({}, {"n_inputs": 2}):
        with pytest.raises(UserError, match=r"--init_from .* draws from noise: add --noise, with a discriminator$"):
            model_folder.load_initial(tmp_path, {"generator": Generator(4, **options)})


@pytest.mark.parametrize("n_channels", [(1, 1), (3, 3)])
def test_a_discriminator_that_sees_the_style_is_the_start_of_such_ones_alone(tmp_path, n_channels):
    first, same = Discriminator(4, with_style=True), Discriminator(4, with_style=True, n_channels=n_channels)
    save_model(tmp_path, {"discriminator": first}, {"model": {}, "arguments": {"disc_style": True}})
    model_folder.load_initial(tmp_path, {"discriminator": same})
    magnitudes = [0, n_channels[0], sum(n_channels)]
    np.testing.assert_array_equal(same.weights[0].numpy()[:, :, magnitudes], first.weights[0])
    with pytest.raises(UserError, match=r"--init_from .* sees the style: add --disc_style$"):
        model_folder.load_initial(tmp_path, {"discriminator": Discriminator(4, n_channels=n_channels)})
