"""What the other two train scripts do differently, and what all of them show and log."""

import shutil
import sys

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    ORIGIN,
    OTHER,
    TARGET,
    history,
    losses,
    one_line,
    read_json,
    run_script,
    start_script,
    train_arguments,
    wait_for,
    write_slices,
)
from PIL import Image, ImageSequence

import data
import predict
import predict_multitarget
import train
import train_generator
import train_multitarget
from common.bands import OCTAVES

pytestmark = pytest.mark.usefixtures("shallow_networks")
MULTITARGET = f"{ORIGIN}_2_any"
GENERATOR = f"{ORIGIN}_2_{TARGET}_generator"


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    return write_slices(tmp_path_factory.mktemp("features"), {"a": 5, "b": 5, "c": 4, "d": 4})


def multitarget_arguments(dataset_path, folder, **changes):
    return train_arguments(dataset_path, folder, **{"target": [OTHER, TARGET], **changes})


@pytest.fixture(scope="module")
def multitarget(dataset_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("multitarget")
    words = multitarget_arguments(dataset_path, folder, deterministic=True)
    run_script("train_multitarget.py", *words, check=0)
    return folder


def test_multitarget_history_tells_each_target(multitarget):
    rows = history(multitarget, MULTITARGET)
    assert len(rows) == 2
    for row in rows:
        for ending in ("", "_val"):
            of_targets = [float(row[f"gen_mae_{target}{ending}"]) for target in (TARGET, OTHER)]
            assert float(row[f"gen_mae{ending}"]) == pytest.approx(np.mean(of_targets), rel=1e-3)  # balanced
            assert of_targets[0] != of_targets[1]
    config = read_json(multitarget / "models" / MULTITARGET / "config.json")
    assert config["model"]["n_inputs"] == 2
    assert config["target"] == [TARGET, OTHER]
    for target in (TARGET, OTHER):
        place = multitarget / "output" / MULTITARGET
        assert (place / "002" / f"prediction_{target}.npy").is_file()
        assert (multitarget / "models" / MULTITARGET / "plots" / f"gen_mae_{target}_history.png").is_file()


def test_killed_multitarget_run_goes_on_to_the_same_history(multitarget, dataset_path, tmp_path):
    words = multitarget_arguments(dataset_path, tmp_path, deterministic=True, checkpoint_minutes=1e-6)
    process = start_script("train_multitarget.py", *words)
    model = tmp_path / "models" / MULTITARGET
    wait_for(lambda: (model / "history.csv").exists(), process)
    process.kill()
    process.communicate()
    result = run_script("train_multitarget.py", *words, check=0)
    assert "resuming after epoch" in result.stdout
    assert losses(tmp_path, MULTITARGET) == losses(multitarget, MULTITARGET)


def test_other_targets_in_the_same_folder_are_refused(call_script, multitarget, dataset_path):
    before = (multitarget / "models" / MULTITARGET / "generator.weights.h5").read_bytes()
    words = multitarget_arguments(dataset_path, multitarget, deterministic=True, target=TARGET)
    status, _, stderr = call_script(train_multitarget, *words)
    assert status == 2
    assert "target was" in one_line(stderr)
    assert (multitarget / "models" / MULTITARGET / "generator.weights.h5").read_bytes() == before
    # The same ones in another order, with a comma, are the same.
    words = multitarget_arguments(dataset_path, multitarget, deterministic=True, target=f"{TARGET},{OTHER}")
    assert call_script(train_multitarget, *words)[0] == 0


def test_any_to_any_leaves_instruments_themselves_out_unless_asked(call_script, dataset_path, tmp_path, monkeypatch):
    words = multitarget_arguments(
        dataset_path, tmp_path, origin=[ORIGIN, TARGET], target=[ORIGIN, TARGET], epochs=1, steps_per_epoch=1
    )
    status, stdout, _ = call_script(train_multitarget, *words)
    assert status == 0
    assert "any_2_any: 18 training slices of 2 pieces" in stdout  # 9 slices in two directions
    monkeypatch.setattr(sys, "argv", ["train_multitarget.py", *map(str, words), "--same"])
    arguments = train_multitarget.parse_arguments()
    instrument_pairs = train_multitarget.make_instrument_pairs(arguments.origin, arguments.target, arguments.same)
    assert sorted(instrument_pairs) == [(o, t) for o in (TARGET, ORIGIN) for t in (TARGET, ORIGIN)]
    words = multitarget_arguments(dataset_path, tmp_path, target=ORIGIN)
    status, _, stderr = call_script(train_multitarget, *words)
    assert status == 2
    assert "--same" in one_line(stderr)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, (1e-5, 5e-6)),
        ({"lr": 3e-4}, (3e-4, 3e-4)),
        ({"gen_lr": 2e-4}, (2e-4, 5e-6)),
        ({"lr": 3e-4, "disc_lr": 1e-4}, (3e-4, 1e-4)),
    ],
)
def test_multitarget_rates(monkeypatch, tmp_path, flags, expected):
    words = multitarget_arguments("features", tmp_path, **{"gen_lr": None, "disc_lr": None, **flags})
    monkeypatch.setattr(sys, "argv", ["train_multitarget.py", *map(str, words)])
    arguments = train_multitarget.parse_arguments()
    assert (arguments.gen_lr, arguments.disc_lr) == expected


def test_a_generator_for_several_targets_may_learn_alone(call_script, dataset_path, tmp_path):
    changes = {"gen_lr": None, "disc_lr": None, "lr": 1e-3, "epochs": 2, "select": "sound"}
    words = multitarget_arguments(dataset_path, tmp_path, **changes)
    status, stdout, stderr = call_script(train_multitarget, *words, "--generator_alone")
    assert status == 0, stderr
    best = min(history(tmp_path, f"{MULTITARGET}_generator"), key=lambda row: float(row["sound_val"]))
    assert f"best epoch: {best['epoch']} (sound_val {float(best['sound_val']):.4f})" in stdout
    assert all(0 < float(best[f"texture_{low}_val"]) < 10 for low, _ in OCTAVES)
    assert all(abs(float(best[f"level_{low}_val"])) < 60 for low, _ in OCTAVES)
    model = tmp_path / "models" / f"{MULTITARGET}_generator"
    assert sorted(path.name for path in model.glob("*.h5")) == ["generator.weights.h5"]
    rows = history(tmp_path, f"{MULTITARGET}_generator")
    assert "disc_loss" not in rows[0]
    assert float(rows[1]["gen_mae"]) < float(rows[0]["gen_mae"])
    of_targets = [float(rows[1][f"gen_mae_{target}_val"]) for target in (TARGET, OTHER)]
    assert float(rows[1]["gen_mae_val"]) == pytest.approx(np.mean(of_targets), rel=1e-3)
    status, _, stderr = call_script(train_multitarget, *words, "--generator_alone", "--disc_lr", 1e-3)
    assert status == 2
    assert "--disc_lr: there is no discriminator" in one_line(stderr)


@pytest.fixture(scope="module")
def generator_run(dataset_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    words = train_arguments(dataset_path, folder, gen_lr=None, disc_lr=None, lr=1e-3, tensorboard=True)
    run_script("train_generator.py", *words, check=0)
    return folder


def test_generator_alone_holds_no_discriminator(generator_run):
    model = generator_run / "models" / GENERATOR
    rows = history(generator_run, GENERATOR)
    assert [key for key in rows[0] if "loss" in key] == []
    assert float(rows[-1]["gen_mae"]) < float(rows[0]["gen_mae"])
    assert not [path for path in generator_run.rglob("*") if "disc" in path.name]
    assert "disc" not in (model / "config.json").read_text()
    names = [name for name, _ in tf.train.list_variables(str(model / "checkpoints"))]
    assert not [name for name in names if "disc" in name]
    assert [name for name in names if name.startswith("generator/")]
    assert {path.name for path in (model / "plots").iterdir()} == {"gen_mae_history.png", "sound_history.png"}


def test_generator_alone_goes_on(call_script, generator_run, dataset_path, tmp_path):
    shutil.copytree(generator_run, tmp_path, dirs_exist_ok=True)
    words = train_arguments(dataset_path, tmp_path, gen_lr=None, disc_lr=None, lr=5e-4, epochs=3)
    status, stdout, _ = call_script(train_generator, *words)
    assert status == 0
    assert "learning rate was 0.001 and is 0.0005" in stdout
    assert losses(tmp_path, GENERATOR)[:2] == losses(generator_run, GENERATOR)
    assert len(losses(tmp_path, GENERATOR)) == 3
    status, _, stderr = call_script(train_generator, *words, "--gen_lr", "1e-3")
    assert status == 2
    assert "--gen_lr" in one_line(stderr)


def drawn(image):
    """The colors that log-magnitude [shape=(256, 256)] has in the animation."""
    shades = np.round(np.clip(image[::-1], 0, 1) * 253) / 253
    return matplotlib.colormaps["magma"](shades, bytes=True)[..., :3]


def test_animation_has_a_frame_an_epoch_and_constant_colors(generator_run):
    folder = generator_run / "output" / GENERATOR
    with Image.open(folder / "prediction.gif") as animation:
        frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]
    assert len(frames) == 2
    panels = [[frame[14:, x : x + 256] for x in (0, 260, 520)] for frame in frames]
    for epoch, (source, predicted, target) in enumerate(panels, 1):
        image = np.load(folder / f"{epoch:03d}" / "prediction.npy")
        assert (image.shape, image.dtype) == (data.SLICE_SHAPE, np.float16)
        assert np.abs(predicted.astype(int) - drawn(image[..., 0].astype(np.float32))).max() <= 4
        np.testing.assert_array_equal(source, panels[0][0])
        np.testing.assert_array_equal(target, panels[0][2])
    assert (panels[0][1] != panels[1][1]).any()


def test_animation_grows_with_a_run_that_goes_on(call_script, multitarget, dataset_path, tmp_path):
    shutil.copytree(multitarget, tmp_path, dirs_exist_ok=True)
    words = multitarget_arguments(dataset_path, tmp_path, deterministic=True, epochs=4)
    assert call_script(train_multitarget, *words)[0] == 0
    with Image.open(tmp_path / "output" / MULTITARGET / "prediction.gif") as animation:
        assert animation.n_frames == 4
        assert animation.size == (3 * 260 - 4, 2 * 274 - 4)  # a row for each target


def test_plots_are_drawn_again_by_any_run(call_script, multitarget, dataset_path, tmp_path):
    shutil.copytree(multitarget, tmp_path, dirs_exist_ok=True)
    plots = tmp_path / "models" / MULTITARGET / "plots"
    names = {path.name for path in plots.iterdir()}
    assert names >= {f"{metric}_history.png" for metric in ("gen_mae", "disc_loss", "gen_loss")}
    shutil.rmtree(plots)
    words = multitarget_arguments(dataset_path, tmp_path, deterministic=True)
    assert call_script(train_multitarget, *words)[0] == 0
    assert {path.name for path in plots.iterdir()} == names


def test_tensorboard_gets_scalars_pictures_and_sounds(call_script, generator_run, dataset_path, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = {}
    for name in ("training", "validation"):
        events = accumulator.EventAccumulator(str(generator_run / "output" / GENERATOR / "tensorboard" / name))
        found[name] = events.Reload()
    column = [float(row["gen_mae_val"]) for row in history(generator_run, GENERATOR)]
    logged = [
        (event.step, float(tf.make_ndarray(event.tensor_proto))) for event in found["validation"].Tensors("gen_mae")
    ]
    assert logged == [(step, pytest.approx(value)) for step, value in enumerate(column, 1)]
    assert {"gen_mae", "images_per_second", "spectrogram"} <= set(found["training"].Tags()["tensors"])
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    words = train_arguments(dataset_path, tmp_path, tensorboard=True)
    status, _, stderr = call_script(train, *words)
    assert status == 2
    assert "requirements-tensorboard.txt" in one_line(stderr)
    assert not (tmp_path / "models").exists()


def write_tone(path, seconds, frequency=440.0, level=0.3, rest=0.0):
    import soundfile

    time = np.arange(int(seconds * 44_100)) / 44_100
    audio = level * np.sin(2 * np.pi * frequency * time) * (time >= rest)
    soundfile.write(path, audio, 44_100)
    return path


def test_prediction_with_a_style(call_script, multitarget, tmp_path):
    model = multitarget / "models" / MULTITARGET
    source = write_tone(tmp_path / "in.wav", 1)
    high = write_tone(tmp_path / "high.wav", 5, 3000, rest=1)
    short = write_tone(tmp_path / "short.wav", 0.5, 200)

    def predicted(name, *words):
        flags = ("--model", model, "--input", source, "--output", tmp_path / name)
        status, stdout, stderr = call_script(predict_multitarget, *flags, *words)
        assert (status, stderr) == (0, "")
        return (tmp_path / name).read_bytes(), stdout

    first, stdout = predicted("1.wav", "--style", high)
    begin = float(stdout.split(f"{high} from ")[1].split()[0])
    assert 0.98 < begin < 2.1  # the slice lies within the tone
    assert predicted("2.wav", "--style", high)[0] == first
    assert predicted("3.wav", "--style", short)[0] != first
    _, stdout = predicted("4.wav", "--style", high, "--style_start", 1.5)
    assert "from 1.50 s" in stdout
    _, stdout = predicted("5.wav", "--style", high, "--style_slices", 4)
    assert "holds 1 slices that sound, not 4" in stdout

    assert predicted("6.wav", "--style", high, short, "--style_weights", 2, 0)[0] == first
    mixed, stdout = predicted("7.wav", "--style", high, short, "--style_weights", 0.7, 0.3)
    assert f"style, 70%: {high} from " in stdout
    assert f"style, 30%: {short} from 0.00 s" in stdout
    assert predicted("8.wav", "--style", short, high, "--style_weights", 3, 7)[0] == mixed
    others = {first, (tmp_path / "3.wav").read_bytes(), predicted("9.wav", "--style", high, short)[0]}
    assert len(others | {mixed}) == 4


def test_styles_that_cannot_be_are_one_line_and_exit_2(call_script, multitarget, generator_run, tmp_path):
    multitarget_model = multitarget / "models" / MULTITARGET
    generator_model = generator_run / "models" / GENERATOR
    source = write_tone(tmp_path / "in.wav", 1)
    silent = write_tone(tmp_path / "silent.wav", 4, level=1e-5)
    (tmp_path / "text.wav").write_text("no audio")
    flags = ("--input", source, "--output", tmp_path / "out.wav")
    cases = [
        ((predict_multitarget, "--model", multitarget_model, "--style", silent), "silent.wav is silent"),
        ((predict_multitarget, "--model", multitarget_model, "--style", tmp_path / "text.wav"), "not an audio file"),
        ((predict_multitarget, "--model", multitarget_model, "--style", "nowhere.wav"), "is not a file"),
        ((predict_multitarget, "--model", multitarget_model, "--style", source, "--style_start", 2), "ends after"),
        ((predict_multitarget, "--model", multitarget_model, "--style", source, "--style_start", -1), "--style_start"),
        ((predict_multitarget, "--model", generator_model, "--style", source), "takes no style"),
        ((predict, "--model", multitarget_model), "predict_multitarget.py"),
    ]
    for (module, *words), told in cases:
        status, _, stderr = call_script(module, *words, *flags)
        assert status == 2
        assert told in one_line(stderr)
    assert not (tmp_path / "out.wav").exists()
    assert call_script(predict, "--model", generator_model, *flags)[0] == 0
