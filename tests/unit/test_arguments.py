"""Each script says in one line which of the flags that it needs is missing, or which does not fit."""

import importlib
import sys

import pytest
from conftest import one_line

from training.arguments import make_run_settings
from training.loss_weights import LossWeights

AUDIO = {"--input": "in.wav", "--output": "out.wav"}
TRAINING = {"--dataset_path": "features", "--origin": "keyboard_acoustic", "--target": "guitar_acoustic"}
NEEDED = {
    "render_notes": {"--builtin": None, "--nsynth_path": "notes"},
    "synthesize_audios": {"--nsynth_path": "notes", "--midi_path": "midi", "--audios_path": "audios"},
    "compute_features": {"--audios": "audios", "--features": "features"},
    "train": TRAINING,
    "train_multitarget": TRAINING,
    "train_generator": TRAINING,
    "train_phase": TRAINING,
    "predict": {"--model": "m", **AUDIO},
    "predict_multitarget": {"--model": "m", "--style": "style.wav", **AUDIO},
    "evaluate": {"--model": "m", "--audios_path": "audios", "--output": "out"},
}


def parse(monkeypatch, name, flags):
    words = [word for flag, value in flags.items() for word in (flag, value) if word is not None]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    return importlib.import_module(name).parse_arguments()


@pytest.mark.parametrize("name", NEEDED)
def test_each_flag_that_a_script_needs_is_asked_for(name, monkeypatch, capsys):
    parse(monkeypatch, name, NEEDED[name])
    for missing in NEEDED[name]:
        with pytest.raises(SystemExit) as stop:
            parse(monkeypatch, name, {flag: value for flag, value in NEEDED[name].items() if flag != missing})
        assert stop.value.code == 2
        assert missing in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("flag", ["--style_start", "--style_weights"])
@pytest.mark.parametrize("value", ["-1", "-0.5", "inf", "nan", "soon"])
def test_starts_and_weights_of_styles_are_finite_and_not_negative(monkeypatch, capsys, flag, value):
    with pytest.raises(SystemExit) as stop:
        parse(monkeypatch, "predict_multitarget", {**NEEDED["predict_multitarget"], flag: value})
    assert stop.value.code == 2
    assert flag in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--disc_lr", "3"),
        ("--disc_filters", "3"),
        ("--l1_weight", "3"),
        ("--feature_matching", "3"),
        ("--r1", "3"),
        ("--disc_style", None),
        ("--disc_band", None),
        ("--noise", None),
    ],
)
def test_what_needs_a_discriminator_is_refused_without_one(monkeypatch, capsys, flag, value):
    for name, alone in (("train_generator", {}), ("train_multitarget", {"--generator_alone": None})):
        words = {**TRAINING, **alone, flag: value}
        with pytest.raises(SystemExit) as stop:
            parse(monkeypatch, name, words)
        assert stop.value.code == 2
        assert flag in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "flag", ["--l1_weight", "--feature_matching", "--linear_weight", "--mean_weight", "--level_weight", "--r1"]
)
@pytest.mark.parametrize("value", ["-1", "inf", "nan", "much"])
def test_a_weight_is_a_number_of_at_least_0(monkeypatch, capsys, flag, value):
    with pytest.raises(SystemExit) as stop:
        parse(monkeypatch, "train", {**TRAINING, flag: value})
    assert stop.value.code == 2
    assert flag in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["train", "train_multitarget"])
def test_weights_and_the_discriminators_width_are_recorded(monkeypatch, name):
    settings = make_run_settings(parse(monkeypatch, name, {**TRAINING, "--base_filters": "16"}))
    assert settings.loss_weights == LossWeights(l1=100.0, feature_matching=0.0, linear=0.0, r1=0.0)
    # As in a run of a version without the flag: what it did not record counts as its default.
    assert settings.disc_filters == settings.recorded["disc_filters"] == settings.defaults["disc_filters"] == 16
    weights = {"--l1_weight": "1", "--feature_matching": "2", "--linear_weight": "3", "--r1": "4"}
    settings = make_run_settings(parse(monkeypatch, name, {**TRAINING, **weights, "--disc_filters": "8"}))
    assert settings.loss_weights[:4] == (1, 2, 3, 4)
    assert settings.loss_weights[4:] == LossWeights()[4:]
    assert settings.disc_filters == settings.recorded["disc_filters"] == 8
    assert {flag: settings.recorded[flag] for flag in ("l1_weight", "feature_matching", "linear_weight", "r1")} == {
        "l1_weight": 1, "feature_matching": 2, "linear_weight": 3, "r1": 4
    }  # fmt: skip


@pytest.mark.parametrize("name", ["train", "train_generator", "train_multitarget"])
def test_the_width_of_a_generator_has_a_limit_if_there_is_one(monkeypatch, name):
    words = {**TRAINING, "--base_filters": "24"}
    assert make_run_settings(parse(monkeypatch, name, words)).width == {"base_filters": 24}
    settings = make_run_settings(parse(monkeypatch, name, {**words, "--max_filters": "128"}))
    assert settings.width == {"base_filters": 24, "max_filters": 128}
    assert settings.recorded["max_filters"] == 128


@pytest.mark.parametrize("value", ["0", "32", "128", "many"])
def test_a_limit_of_filters_must_limit_the_inner_layers_alone(monkeypatch, capsys, value):
    with pytest.raises(SystemExit) as stop:
        parse(monkeypatch, "train", {**TRAINING, "--base_filters": "16", "--max_filters": value})
    assert stop.value.code == 2
    assert "--max_filters" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["train", "train_generator", "train_multitarget"])
def test_a_phase_is_none_by_default_and_has_weights(monkeypatch, name):
    assert make_run_settings(parse(monkeypatch, name, TRAINING)).phase is None
    weights = {"--phase": "angle", "--phase_weight": "5", "--consistency_weight": "6"}
    settings = make_run_settings(parse(monkeypatch, name, {**TRAINING, **weights}))
    assert settings.phase == settings.recorded["phase"] == "angle"
    assert settings.loss_weights == LossWeights(phase=5.0, consistency=6.0)


def test_a_generator_alone_has_the_linear_weight(monkeypatch):
    settings = make_run_settings(parse(monkeypatch, "train_generator", {**TRAINING, "--linear_weight": "2"}))
    assert settings.loss_weights == LossWeights(linear=2.0)
    assert settings.disc_filters is None
