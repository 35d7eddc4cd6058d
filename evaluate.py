#!/usr/bin/env python3
"""Measures models on pairs of recordings, beside three baselines, and makes a page to listen and look.

The pairs are the validation pieces of a data set, found again as audio through its features.json, or a folder of
<instrument>/<piece>.wav. The baselines are the input unchanged, the input with the mean spectral difference of the
training pairs (a fixed equaliser), and the true magnitude with the input's phase. <output>/ gets report.html,
summary.md, summary.csv, scores.csv (by piece) and the excerpts that the page plays. The run can be stopped: the same
command goes on.

example:
  python evaluate.py --model models/keyboard_acoustic_2_guitar_acoustic --dataset_path features --output evaluation
"""

from pathlib import Path

import cli
import files
from cli import UserError
from device import add_gpu_argument, start_tensorflow
from prediction import PHASES

RECORD_NAME = "evaluation.json"


def parse_arguments():
    parser = cli.ArgumentParser(__doc__)
    add = parser.add_argument
    add("--model", required=True, nargs="+", help="names of models, models' folders, or files of generator weights")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset_path", nargs="+", help="folders that compute_features.py wrote")
    source.add_argument("--audios_path", help="folder of <instrument>/<piece>.wav")
    add("--output", required=True, help="folder to write to")
    add("--origin", type=cli.instrument_name, help="only from this instrument (default: all that the models know)")
    add("--target", type=cli.instrument_name, help="only to this instrument (default: all that the models know)")
    add(
        "--phase",
        nargs="+",
        type=cli.words(phase_name),
        default=[["griffinlim_input"]],
        help=f"phases to compare (default: griffinlim_input; of {' '.join(PHASES)})",
    )
    add("--phase_iterations", type=cli.positive_int, help="of phases that are estimated (default: 8; griffinlim: 32)")
    add("--overlap", type=int, choices=range(129), default=32, metavar="0-128", help="frames that slices share")
    add("--pieces", type=cli.positive_int, help="at most so many pieces")
    add("--seconds", type=cli.positive_float, default=60.0, help="at most so much of each piece")
    add("--listen", type=cli.natural, default=3, help="pieces to listen to in the report")
    add("--excerpt", type=cli.positive_float, default=8.0, help="seconds of each to listen to")
    add("--seed", type=cli.natural, default=0, help="of random phases and of the intervals")
    add_gpu_argument(parser)
    add("--overwrite", action="store_true", help="replace an evaluation with other settings")
    arguments = parser.parse_args()
    arguments.phase = cli.flatten(arguments.phase)
    return arguments


def phase_name(text):
    """An argparse type: one of the phases."""
    if text not in PHASES:
        raise ValueError
    return text


def find_pairs(arguments, models, couple):
    """The pairs to measure, and the pieces that all of the models kept for validation, of a data set."""
    import evaluation

    if arguments.audios_path:
        pairs, held_back = evaluation.pairs_in_folder(arguments.audios_path, *couple), set()
    else:
        held_back = evaluation.validation_pieces(models)
        pairs = evaluation.pairs_of_dataset(arguments.dataset_path, *couple, held_back)
    if arguments.pieces and arguments.pieces < len(pairs):  # spread over the alphabet, that is over composers
        pairs = [pairs[number * len(pairs) // arguments.pieces] for number in range(arguments.pieces)]
    return pairs, held_back


def make_equaliser(arguments, models, couple, pairs, held_back):
    """The mean spectral difference that the fixed equaliser adds.

    It is that of the data set's training pairs, or what the first model's configuration says of the pairs that it was
    trained with. Where it says nothing, each piece gets the difference of the other pieces.

    Returns:
        Function of the number of a pair to float32 array [shape=(256,)], and a text that says where it comes from.
    """
    import numpy as np

    import evaluation

    known = models[0].config.get("equalisers", {}).get("/".join(couple))
    if arguments.dataset_path:
        difference = evaluation.slices_difference(arguments.dataset_path, *couple, held_back, arguments.seed)
        return lambda _: difference, "the training pairs"
    if known:
        return lambda _: np.array(known, np.float32), f"the training pairs of {models[0].label}"
    if len(pairs) < 2:
        raise UserError(
            f"--audios_path holds one piece, and the configuration of {models[0].label} has no equaliser: that is made "
            "from other pieces; add some"
        )
    differences = [evaluation.mean_difference(pair, arguments.seconds) for pair in pairs]
    total = sum(differences)
    return lambda number: (total - differences[number]) / (len(pairs) - 1), "the other pieces"


def evaluate_piece(pair, number, difference, generates, arguments, folder):
    """Scores every system on one pair, and writes what is to be heard.

    Returns:
        dict of system to dict of metric to float.
    """
    import joblib
    import numpy as np

    import evaluation
    import metrics

    source, target = evaluation.read_pair(pair, arguments.seconds)
    if len(source) == 0:
        raise UserError(f"{pair.source_path} or {pair.target_path} holds no samples")
    settings = {key: getattr(arguments, key) for key in ("overlap", "phase_iterations", "seed")}
    made = list(evaluation.systems(source, target, difference, generates, arguments.phase, settings))
    pitches = metrics.pitches(target)
    scores = joblib.Parallel(n_jobs=-1, prefer="threads")(
        joblib.delayed(evaluation.score)(image, audio, target, pitches) for _, image, audio in made
    )
    if number < arguments.listen:
        part = evaluation.fullest_part(target, arguments.excerpt)
        evaluation.write_excerpts(folder, [np.asarray(audio[part]) for audio in (target, *(a for *_, a in made))])
    return {name: score for (name, *_), score in zip(made, scores, strict=True)}


def evaluate_couple(couple, models, arguments, output, record):
    """Scores every system on all pairs of two instruments, but those that the record holds already.

    Returns:
        `report.Result`.
    """
    import evaluation
    import report

    origin, target = couple
    models = [model for model in models if couple in model.couples]
    pairs, held_back = find_pairs(arguments, models, couple)
    difference, learnt_from = make_equaliser(arguments, models, couple, pairs, held_back)
    generates = evaluation.make_generates(models, couple, pairs, arguments.seconds)
    excerpts, scores = {}, {}
    for number, pair in cli.progress(enumerate(pairs), len(pairs), f"pieces, {origin} to {target}"):
        folder = output / "audio" / f"{origin}_2_{target}" / f"{number:03d}"
        key, made_from = f"{origin}/{target}/{pair.piece}", [[str(path), *files.fingerprint(path)] for path in pair[1:]]
        entry = record.entries.get(key)
        if not entry or entry["audio"] != made_from or (number < arguments.listen and not folder.is_dir()):
            of_piece = evaluate_piece(pair, number, difference(number), generates(number), arguments, folder)
            record.entries[key] = entry = {"audio": made_from, "scores": of_piece}
            record.save()
        scores[pair.piece] = entry["scores"]
        if number < arguments.listen:
            excerpts[pair.piece] = folder
    summary = evaluation.summarise(list(scores.values()), arguments.seed)
    return report.Result(origin, target, scores, summary, excerpts, learnt_from)


def main():
    arguments = parse_arguments()
    for folder in arguments.dataset_path or [arguments.audios_path]:
        if not Path(folder).is_dir():
            flag = "--dataset_path" if arguments.dataset_path else "--audios_path"
            raise UserError(f"{flag} {folder} is not a folder; it must hold <instrument>/<piece>")
    output = Path(arguments.output)
    if output.is_file():
        raise UserError(f"--output {output} is a file; it must be a folder")
    running_on = start_tensorflow(arguments.gpu)

    import evaluation
    import pretrained
    import report

    models = evaluation.load_models(
        [pretrained.find(model) for model in arguments.model], arguments.origin, arguments.target
    )
    couples = list(dict.fromkeys(couple for model in models for couple in model.couples))
    not_of_the_measuring = ("model", "output", "origin", "target", "gpu", "overwrite")
    settings = {
        "models": {model.label: model.sha256 for model in models},
        **{key: value for key, value in vars(arguments).items() if key not in not_of_the_measuring},
    }
    record = files.Record(output / RECORD_NAME, settings, arguments.overwrite)
    results = [evaluate_couple(couple, models, arguments, output, record) for couple in couples]
    told = {
        "models": ", ".join(model.label for model in models),
        "pairs": arguments.audios_path or f"validation pieces of {' '.join(arguments.dataset_path)}",
        "of each piece": f"at most {arguments.seconds:g} s",
        "computed on": running_on,
    }
    report.write(output, results, told)
    print(report.markdown(results))
    print(f"listen and look: {output / 'report.html'}")
    return 0


if __name__ == "__main__":
    cli.run(main)
