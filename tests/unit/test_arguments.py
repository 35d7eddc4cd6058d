"""Each script says in one line which of the flags that it needs is missing."""

import importlib
import sys

import pytest
from conftest import one_line

AUDIO = {"--input": "in.wav", "--output": "out.wav"}
TRAINING = {"--dataset_path": "features", "--origin": "keyboard_acoustic", "--target": "guitar_acoustic"}
NEEDED = {
    "render_notes": {"--builtin": None, "--nsynth_path": "notes"},
    "synthesize_audios": {"--nsynth_path": "notes", "--midi_path": "midi", "--audios_path": "audios"},
    "compute_features": {"--audios": "audios", "--features": "features"},
    "train": TRAINING,
    "train_multitarget": TRAINING,
    "train_generator": TRAINING,
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
