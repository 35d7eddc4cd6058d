"""The scripts as users run them, in the README's order, and what they refuse."""

import os
import shutil

import numpy as np
import pytest
import soundfile
from conftest import INSTRUMENTS, ORIGIN, TARGET, one_line, run_script, snapshot

SCRIPTS = (
    "render_notes.py",
    "synthesize_audios.py",
    "compute_features.py",
    "train.py",
    "train_multitarget.py",
    "train_generator.py",
    "predict.py",
    "predict_multitarget.py",
    "evaluate.py",
    "export.py",
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, midi_path):
    """Run the scripts in the README's order, from built-in tones and MIDI to a trained model."""
    folder = tmp_path_factory.mktemp("pipeline")
    notes_path = folder / "notes"
    render = ("--instruments", f"{ORIGIN}=0,{TARGET}=24", "--pitches", "48-84", "--velocities", 50, 100)
    run_script("render_notes.py", "--builtin", "--nsynth_path", notes_path, *render, check=0)
    synthesize = (
        "--nsynth_path",
        notes_path,
        "--midi_path",
        midi_path,
        "--audios_path",
        folder / "audios",
        *INSTRUMENTS,
    )
    run_script("synthesize_audios.py", *synthesize, check=0)
    run_script("compute_features.py", "--audios", folder / "audios", "--features", folder / "features", check=0)
    train = ("--dataset_path", folder / "features", "--origin", ORIGIN, "--target", TARGET)
    sizes = ("--base_filters", 4, "--epochs", 1, "--batch_size", 2)
    run_script("train.py", *train, *sizes, cwd=folder, check=0, new=True)
    return folder


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_what_the_script_does_with_an_example(name):
    result = run_script(name, "--help", check=0, new=True)
    assert f"python {name}" in result.stdout
    assert "default" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("name", SCRIPTS)
def test_missing_and_unknown_flags_are_one_line_and_exit_2(name):
    for arguments in ((), ("--no_such_flag", "1")):
        result = run_script(name, *arguments)
        assert result.returncode == 2
        assert name in one_line(result.stderr)


def test_pipeline_ends_in_audio_like_its_input(pipeline):
    source = pipeline / "audios" / ORIGIN / "first.wav"
    model = pipeline / "models" / f"{ORIGIN}_2_{TARGET}"  # in the working directory
    words = ("--model", model, "--input", source, "--output", "new/folder/out.wav")
    run_script("predict.py", *words, cwd=pipeline, check=0, new=True)
    audio, rate = soundfile.read(pipeline / "new" / "folder" / "out.wav")
    expected, _ = soundfile.read(source)
    assert rate == 44_100
    assert audio.shape == expected.shape
    assert np.abs(audio).max() > 1e-3


def test_pipeline_pairs_have_the_same_names_and_lengths(pipeline):
    for name in ("first", "second", "third", "fourth"):
        infos = [soundfile.info(pipeline / "audios" / instrument / f"{name}.wav") for instrument in (ORIGIN, TARGET)]
        assert infos[0].frames == infos[1].frames
        assert {(info.samplerate, info.channels, info.subtype) for info in infos} == {(44_100, 1, "PCM_16")}
        slices = [sorted(p.name for p in (pipeline / "features" / i).glob(f"{name}_*")) for i in (ORIGIN, TARGET)]
        assert slices[0] == slices[1]
        assert len(slices[0]) == 3
    image = np.load(pipeline / "features" / ORIGIN / "first_000.npy")
    assert (image.shape, image.dtype) == ((256, 256, 1), np.float16)
    assert 0 <= image.min() < image.max() <= 1


def test_folders_are_converted_and_models_listed(pipeline, tmp_path):
    model = pipeline / "models" / f"{ORIGIN}_2_{TARGET}"
    folder = pipeline / "audios" / ORIGIN
    result = run_script("predict.py", "--model", model, "--input", folder, "--output", tmp_path, check=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folder.iterdir())
    assert result.stdout.count("1 channels, 44100 Hz, on the CPU") == 4
    assert "pretrained" in run_script("predict.py", "--list_models", check=0).stdout
    wrong = ("predict.py", "--model", "no_such_model", "--input", folder, "--output", tmp_path / "new")
    assert "no model's name" in one_line(run_script(*wrong, check=2).stderr)


def test_previews_are_picture_and_audio(pipeline):
    folder = pipeline / "output" / f"{ORIGIN}_2_{TARGET}"
    assert (folder / "001" / "spectrogram.png").read_bytes().startswith(b"\x89PNG")
    lengths = {soundfile.info(path).frames for path in (folder / "input.wav", folder / "001" / "prediction.wav")}
    assert len(lengths) == 1


@pytest.mark.parametrize(
    ("channels", "rate", "extension"), [(2, 48_000, "wav"), (1, 22_050, "flac"), (2, 44_100, "ogg")]
)
def test_predict_keeps_channels_rate_and_length(pipeline, tmp_path, channels, rate, extension):
    time = np.arange(rate) / rate
    audio = np.stack([0.3 * np.sin(2 * np.pi * 440 * (k + 1) * time) for k in range(channels)], axis=1)
    soundfile.write(tmp_path / "in.wav", audio, rate)
    model = pipeline / "models" / f"{ORIGIN}_2_{TARGET}" / "generator.weights.h5"
    output = tmp_path / f"out.{extension}"
    run_script("predict.py", "--model", model, "--input", tmp_path / "in.wav", "--output", output, check=0)
    info = soundfile.info(output)
    assert (info.channels, info.samplerate) == (channels, rate)
    assert info.frames == rate


def test_predict_refuses_before_it_writes(pipeline, tmp_path):
    model = pipeline / "models" / f"{ORIGIN}_2_{TARGET}"
    soundfile.write(tmp_path / "in.wav", np.zeros(1000), 44_100)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 44_100)
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "out.wav").write_bytes(b"precious")
    cases = [
        (model, "in.wav", "in.wav", "is an input"),
        (model, "nowhere.wav", "new.wav", "is not a file"),
        (model, "text.wav", "new.wav", "not an audio file"),
        (model, "empty.wav", "new.wav", "holds no samples"),
        (model, "in.wav", "new.xyz", "must end in"),
        (tmp_path / "no_model", "in.wav", "new.wav", "--model"),
    ]
    for weights, source, output, message in cases:
        result = run_script("predict.py", "--model", weights, "--input", source, "--output", output, cwd=tmp_path)
        assert result.returncode == 2
        assert message in one_line(result.stderr)
    assert not (tmp_path / "new.wav").exists()
    words = ("predict.py", "--model", model, "--input", "in.wav", "--output", "out.wav")
    assert "skipped: out.wav exists" in run_script(*words, cwd=tmp_path, check=0).stdout
    assert (tmp_path / "out.wav").read_bytes() == b"precious"


def test_repeated_synthesis_does_nothing_and_other_settings_are_refused(pipeline, midi_path):
    arguments = (
        "--nsynth_path",
        pipeline / "notes",
        "--midi_path",
        midi_path,
        "--audios_path",
        pipeline / "audios",
        *INSTRUMENTS,
    )
    before = {path: time for path, time in snapshot(pipeline / "audios").items() if path.suffix == ".wav"}
    run_script("synthesize_audios.py", *arguments, check=0)
    result = run_script("synthesize_audios.py", *arguments, "--transpose", 2)
    assert result.returncode == 2
    assert "transpose 0 then, 2 now" in one_line(result.stderr)
    assert {path: time for path, time in snapshot(pipeline / "audios").items() if path.suffix == ".wav"} == before


def test_synthesis_repeats_what_a_killed_run_left(pipeline, midi_path, tmp_path):
    shutil.copytree(pipeline / "audios", tmp_path / "audios")
    reference = (tmp_path / "audios" / TARGET / "second.wav").read_bytes()
    (tmp_path / "audios" / TARGET / "second.wav").unlink()
    (tmp_path / "audios" / TARGET / ".partial-second.wav").write_bytes(reference[:1000])
    arguments = ("--nsynth_path", pipeline / "notes", "--midi_path", midi_path, "--audios_path", tmp_path / "audios")
    run_script("synthesize_audios.py", *arguments, *INSTRUMENTS, check=0)
    assert (tmp_path / "audios" / TARGET / "second.wav").read_bytes() == reference
    assert not list((tmp_path / "audios").rglob(".partial*"))


def test_synthesis_does_not_depend_on_jobs_or_on_the_other_files(pipeline, midi_path, tmp_path):
    (tmp_path / "midi").mkdir()
    shutil.copy(midi_path / "third.mid", tmp_path / "midi")
    arguments = (
        "--nsynth_path",
        pipeline / "notes",
        "--midi_path",
        tmp_path / "midi",
        "--audios_path",
        tmp_path / "audios",
    )
    run_script("synthesize_audios.py", *arguments, *INSTRUMENTS, "--jobs", 1, check=0)
    for instrument in (ORIGIN, TARGET):
        alone = (tmp_path / "audios" / instrument / "third.wav").read_bytes()
        assert alone == (pipeline / "audios" / instrument / "third.wav").read_bytes()


def test_nothing_to_do_is_one_clear_line(tmp_path):
    (tmp_path / "empty").mkdir()
    cases = [
        ("compute_features.py", ("--audios", "nowhere", "--features", "f"), "is not a folder"),
        ("compute_features.py", ("--audios", "empty", "--features", "f"), "holds no <instrument>/<piece>"),
        ("synthesize_audios.py", ("--nsynth_path", "n", "--midi_path", "empty", "--audios_path", "a"), "holds no .mid"),
        ("synthesize_audios.py", ("--nsynth_path", "n", "--midi_path", "x", "--audios_path", "a"), "not a folder"),
        ("train.py", ("--dataset_path", "empty", "--origin", ORIGIN, "--target", TARGET), "holds no slices"),
    ]
    for name, arguments, message in cases:
        result = run_script(name, *arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert message in one_line(result.stderr)
    assert os.listdir(tmp_path / "empty") == []
