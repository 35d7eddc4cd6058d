#!/usr/bin/env python3
"""Write the card (README.md) of a shipped model: how it was trained, its scores, its limits.

Example:
  python docs/training/write_card.py --model pretrained/keyboard_acoustic_2_string_acoustic
      --scores work/scores/keyboard_acoustic_2_string_acoustic
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shipped import TEST_SETS, lower_limits, number, read_rows, slices_of_an_epoch

import data
from common import storage
from common.audio import load_audio
from common.stored_generator import find_generator, is_adversarial, read_convolutions
from inference.onnx_network import make_infer
from inference.style import choose_slices
from inference.transfer import transfer_log_magnitude, with_styles

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = {"guitar_acoustic": "guitar", "string_acoustic": "strings", "synth_lead_synthetic": "synth lead"}
MEASURES = {
    "mae": ("MAE", 4),
    "frechet_distance": ("Fréchet distance", 2),
    "texture_error": ("texture error", 3),
    "level_error": ("level error (dB)", 2),
    "pattern": ("pattern", 3),
    "contrast": ("contrast (dB)", 1),
    "pitch_f_measure": ("pitches kept", 3),
    "notes_f": ("notes", 3),
}
FLAGS = ("lr", "gen_lr", "disc_lr", "disc_filters", "schedule", "ema", "select", "batch_size", "dropout")
FLAGS += ("validation_split",)
WEIGHTS = ("l1_weight", "linear_weight", "mean_weight", "level_weight", "feature_matching", "r1")


def read_summaries(scores):
    """Read what evaluate.py wrote for the test sets: dict of name of the test set to rows, the truth left out."""
    found = {}
    for folder, name in TEST_SETS.items():
        path = scores / folder / "summary.csv"
        if path.is_file():
            found[name] = read_rows(path)
    return found


def system(row, name):
    """Name a system from the view of a model's card."""
    with_disc = name.removesuffix("_generator")
    known = {f"{with_disc}_generator": "trained by the error alone", with_disc: "trained with a discriminator"}
    return {**known, name: "**this model**"}.get(row["system"], row["system"])


def score_tables(summaries, name, targets):
    """Render the scores: the main measures of each test set, and texture and level on the unseen keyboard."""
    measured = next(iter(summaries.values()))[0]
    measures = {column: value for column, value in MEASURES.items() if column in measured}
    lines = [f"| keyboard | target | system | {' | '.join(title for title, _ in measures.values())} |"]
    lines.append("|" + "---|" * (len(measures) + 3))
    for keyboard, rows in summaries.items():
        for row in rows:
            cells = [number(row, column, digits) for column, (_, digits) in measures.items()]
            title = f"{row['pieces']} pieces, {keyboard}"
            lines.append(f"| {title} | {NAMES[row['target']]} | {system(row, name)} | {' | '.join(cells)} |")
    parts = ["\n".join(lines)]
    unseen = next(iter(summaries.values()))
    for kind, text, digits in (("texture", "Texture by octave; 1 is right", 2), ("level", "Level by octave, in dB", 1)):
        lows = lower_limits(unseen[0], kind)
        lines = [
            f"| target | system | {' | '.join(f'from {low} Hz' for low in lows)} |",
            "|" + "---|" * (len(lows) + 2),
        ]
        for row in unseen:
            if row["system"] in ("input unchanged", "fixed equalizer"):
                continue
            cells = [number(row, f"{kind}_{low}", digits) for low in lows]
            lines.append(f"| {NAMES[row['target']]} | {system(row, name)} | {' | '.join(cells)} |")
        parts.append(f"{text} (unseen keyboard, finished audio):\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def log_magnitude(instrument, piece="melody"):
    return data.log_magnitude(data.stft(load_audio(EXAMPLES / instrument / f"{piece}.wav")))


def melody_table(folder, targets):
    """Convert the melody of docs/examples, and render its mean absolute errors."""
    stored, source = find_generator(folder), log_magnitude("keyboard_acoustic")
    infer = make_infer(stored)
    lines = ["| melody, target | unchanged input | this model |", "|---|---|---|"]
    for target in targets:
        styles = None
        if stored.size["n_inputs"] == 2:
            styles = data.to_network(choose_slices(log_magnitude(target, "style"))[0])
        true = log_magnitude(target)
        generated = transfer_log_magnitude(source, with_styles(infer, styles))
        errors = [2 * abs(image - true).mean() for image in (source, generated)]
        lines.append(f"| melody, {target} | {errors[0]:.4f} | **{errors[1]:.4f}** |")
    return "\n".join(lines)


def flags_of(arguments):
    """Render the flags of a run, without the weights that are 0 or do not apply."""
    values = {flag: arguments[flag] for flag in FLAGS if arguments.get(flag) is not None}
    values |= {flag: arguments[flag] for flag in WEIGHTS if arguments.get(flag)}
    if arguments.get("generator_alone"):  # flags that do not apply have their defaults
        values = {flag: value for flag, value in values.items() if flag not in ("disc_lr", "l1_weight")}
    words = [
        f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}" for flag, value in values.items()
    ]
    switches = [
        f"--{flag}"
        for flag in ("augment", "generator_alone", "disc_style", "disc_band", "noise")
        if arguments.get(flag)
    ]
    width = [f"--{flag} {arguments[flag]}" for flag in ("base_filters", "max_filters") if arguments.get(flag)]
    return " ".join([*width, *words, *switches])


def n_parameters(folder):
    """Count the weights of a model."""
    convolutions = [layer for part in read_convolutions(find_generator(folder)) for layer in part]
    arrays = [(one.kernel, one.bias, one.noise, *(one.normalization or ())) for one in convolutions]
    return sum(array.size for layer in arrays for array in layer if array is not None)


def n_slices(config):
    """Return how many slices a run has seen."""
    return config["training"]["epoch"] * slices_of_an_epoch(config)


def training_table(config, folder):
    """Render how the model was trained."""
    arguments = config["arguments"]
    with open(folder / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    best = history[config["training"]["best_epoch"] - 1]
    epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
    several = config["model"]["n_inputs"] == 2
    score = f"`gen_mae_val` {float(best['gen_mae_val']):.4f}"
    if is_adversarial(config):
        script = "train_multitarget.py" if several else "train.py"
        what = f"`{script}`: a U-Net against a PatchGAN discriminator"
        score = f"`sound_val` {float(best['sound_val']):.3f}, {score}"
    else:
        script = "train_multitarget.py --generator_alone" if several else "train_generator.py"
        what = f"`{script}`: mean absolute error alone, no discriminator"
    if unchanged := config.get("unchanged"):
        score += f"; the unchanged input has {unchanged['gen_mae_val']:.4f}"
    rows = {
        "script": what,
        "flags": f"`{flags_of(arguments)}`",
        "initial weights": BEGINNING,
        "length": f"{epochs} of {slices_of_an_epoch(config):,} slices, {duration(config, history)}",
        "last epoch" if config.get("script") else "best epoch": f"{best['epoch']}: {score}",
    }
    if config.get("script"):
        rows["script"] = f"`{config['script']}`, which does as {what}"
        if is_adversarial(config):
            rows["initial weights"] = ON_GPU.format(arguments["warm_steps"])
        if arguments.get("heard"):
            rows["flags"] += f"; {arguments['heard']:.0%} of the loss is that of the picture of the finished audio"
    if mixed := config.get("mixed"):
        noise = f" --noise {mixed['noise']:g}" if mixed.get("noise", 1) != 1 else ""
        rows["afterwards"] = f"mixed with `{mixed['with']}` by `interpolate.py --weight {mixed['weight']:g}{noise}`"
    if earlier := config.get("earlier"):
        rows["initial weights"] = describe_earlier(earlier)
        if earlier["arguments"]["base_filters"] < arguments["base_filters"]:
            rows["initial weights"] += NARROWER
        if is_adversarial(config):
            rows["initial weights"] += ". The discriminator is a new one, which first learned alone"
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def describe_earlier(earlier):
    """Say from which run the weights came that a run began with."""
    where = f", {on_machine(earlier['machine'])}" if "machine" in earlier else ""
    run = f"those of an earlier run of {n_slices(earlier):,} slices{where} (`earlier.csv`)"
    goes_back = "those of `…_generator`" if is_adversarial(earlier) else BEGINNING
    return f"{run}: `{flags_of(earlier['arguments'])}`. That one goes back to {goes_back}"


def on_machine(machine):
    """Name the GPU of a run."""
    return f"on one {machine['gpu']} beside {machine['models_at_once'] - 1} other models (PyTorch {machine['torch']})"


def duration(config, history):
    """Say how long a run took, and where."""
    if machine := config.get("machine"):
        return on_machine(machine)
    return f"{sum(float(row['seconds']) for row in history) / 60:.0f} minutes on one core"


ON_GPU = "those of `…_generator`, with a new discriminator, which learned alone for the first {} steps"
NARROWER = ". The filters that it lacks are [new ones](../../docs/training/README.md#on-a-gpu-in-minutes)"
BEGINNING = "a model of the [runs before](../../docs/training/earlier.md)"
SLICES = 1_300_000  # more than any shipped model has seen of its targets, all runs together
WITH_DISCRIMINATOR = "It was trained with a discriminator."
WITH_NOISE = """
It draws from [noise](../../docs/method.md#noise-for-the-generator), the low digits of its input."""
WITH_PHASE = """
`phase/` has a network of the phase, for `--phase network` ([phases](../../docs/phases.md#what-helps))."""
ALONE = """It was trained by its mean absolute error alone.
[{other}](../{other}/README.md)
was trained with a discriminator, and sounds less smoothed."""
LIMITS = """* **The texture is that of the instrument, not that of the recording.** A discriminator brings back what
  an error alone smooths away. What is random in the target comes out as another random texture, which raises the MAE.
* **Noise.** There is some noise between partials, and where the input is silent or reverberates.
* **The level** is wrong by 1 to 5 dB in some octaves (table above).
"""
LIMITS_ALONE = """* **It sounds smoothed.** A mean absolute error prefers a smooth average to a realistic texture.
* **It is too quiet** in all octaves (table above).
"""

CARD = """# {name}

Converts any keyboard to {what}.

It is a Pix2Pix generator for spectrograms of {parameters:.1f} million parameters ({width}),
stored as float16.
{kind}

```console
{command}
```

## Training

Made as [docs/training](../../docs/training/README.md#the-shipped-models) describes it, with SoundFonts and Classical
Music MIDI, not with NSynth.

{training}

`config.json` has all settings, `history.csv` and `plots/` the course.

## Scores

`evaluate.py` on 12 s of each piece, phase `griffinlim_input`, on the grid that `predict.py` takes by default (models
with a discriminator: [the finer one](../../docs/phases.md#the-same-noise-on-both-grids)), SoundFont notes. No training
used these pieces, nor the unseen keyboard ([which shares recordings](../../docs/training/README.md#data-today) with a
keyboard of the first training).
[method.md](../../docs/method.md#evaluation) has the measures. Less is better, except for pitches and notes; for the
contrast, 0 is right.

{scores}

The melody of [docs/examples](../../docs/examples/README.md), MAE:

{melody}

## Limits

{limits}* It has learned {learned} from
  [fewer than {slices:,} slices](../../docs/training/README.md#the-shipped-models).
* Onsets of fast repetitions run together. It was trained with keyboards only.

## License

MIT, like the repository. {targets} from MuseScore General (MIT; its strings are CC0), the keyboards from
FluidR3 GM, FluidR3Mono and MuseScore General (MIT) and csound-soundfont (public domain); the runs before had targets of
csound-soundfont, and one electric piano of TimGM6mb (GPL 2). The pieces are from Classical Music MIDI (Bernd Krueger,
CC BY-SA 3.0 DE). The weights contain none of these recordings.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder of a model that ship_model.py wrote")
    parser.add_argument("--scores", required=True, type=Path, help="folder of <test set> of its evaluations")
    arguments = parser.parse_args()
    folder, summaries = arguments.model.resolve(), read_summaries(arguments.scores)
    if not summaries:
        parser.error(f"argument --scores: {arguments.scores} must hold 11/summary.csv")
    config = storage.read_json(folder / "config.json")
    several, adversarial = isinstance(config["target"], list), is_adversarial(config)
    targets = config["target"] if several else [config["target"]]
    script, style = "predict.py", ""
    if several:
        script, style = "predict_multitarget.py", "\\\n    --style docs/examples/string_acoustic/style.wav "
    kind = WITH_DISCRIMINATOR if adversarial else ALONE.format(other=folder.name.removesuffix("_generator"))
    card = CARD.format(
        name=folder.name,
        what="guitar, strings or synth lead, as a style recording says" if several else NAMES[targets[0]],
        parameters=n_parameters(folder) / 1e6,
        width=f"`{flags_of({key: config['model'].get(key) for key in ('base_filters', 'max_filters')})}`",
        command=f"$ python {script} --model {folder.name} --input piano.mp3 {style}--output converted.wav",
        training=training_table(config, folder),
        scores=score_tables(summaries, folder.name, targets),
        melody=melody_table(folder, targets),
        learned="the instruments of its targets" if several else "the instrument of its target",
        slices=SLICES,
        targets="The targets are" if several else "The target is",
        kind=kind
        + (WITH_NOISE if config["model"].get("noise") else "")
        + (WITH_PHASE if (folder / "phase").is_dir() else ""),
        limits=LIMITS if adversarial else LIMITS_ALONE,
    )
    with storage.atomic_write(folder / "README.md") as partial:
        partial.write_text(card)
    print(folder / "README.md")


if __name__ == "__main__":
    main()
