"""What the train scripts share besides the loop: their flags, the model's folder, and the way to the loop."""

import shutil
from pathlib import Path

import cli
import files
from cli import UserError
from device import add_gpu_argument

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
# A run may go on with other values of these; any other change needs --restart or another folder.
CHANGEABLE = (
    "checkpoint_minutes",
    "dataset_path",
    "disc_lr",
    "epochs",
    "gen_lr",
    "gpu",
    "jit_compile",
    "lr",
    "models_path",
    "output_path",
    "sample_audio",
    "tensorboard",
)
SCHEDULES = ("constant", "cosine")


def parse_pair_arguments(parser):
    """Parses the flags of a script that trains a model for one pair of instruments."""
    parser.add_argument("--origin", type=cli.instrument_name, required=True, help="instrument to convert from")
    parser.add_argument("--target", type=cli.instrument_name, required=True, help="instrument to convert to")
    add_arguments(parser)
    arguments = parser.parse_args()
    check_arguments(parser, arguments)
    if arguments.origin == arguments.target:
        parser.error(f"argument --target: must differ from --origin {arguments.origin}")
    return arguments


def add_arguments(parser):
    """Adds the flags that all train scripts have."""
    add = parser.add_argument
    add("--dataset_path", nargs="+", required=True, help="folders that compute_features.py wrote")
    add_gpu_argument(parser)
    add("--epochs", type=cli.positive_int, default=100, help="epochs in all")
    add("--epoch_offset", type=int, default=0, help="epochs before the first one, in history and names")
    add("--batch_size", type=int, default=8, help="slices a step; at least 2")
    add("--schedule", choices=SCHEDULES, default="constant", help="learning rates over the run; cosine ends at 0")
    add("--ema", type=cli.share, default=0.0, help="average weights over steps with this decay, such as 0.999")
    add("--init_from", help="folder or name of a model whose weights to begin with")
    add("--dropout", type=cli.share, default=0.5, help="share that the decoder's first three layers drop")
    add("--augment", action="store_true", help="change level, spectrum and noise floor of the sources by chance")
    add("--validation_split", type=cli.share, default=0.1, help="share of the pieces kept to validate")
    add("--base_filters", type=cli.positive_int, default=64, help="filters of the first layers")
    add("--precision", choices=PRECISIONS, default="float32", help="precision of the networks")
    add("--jit_compile", action="store_true", help="compile the steps with XLA")
    add("--steps_per_epoch", type=cli.positive_int, help="at most so many steps an epoch")
    add("--checkpoint_minutes", type=cli.positive_float, default=10.0, help="minutes between checkpoints")
    add("--models_path", default="models", help="folder of models")
    add("--output_path", default="output", help="folder of the samples of each epoch")
    add("--sample_audio", help="audio to play after each epoch (default: a validation piece)")
    add("--tensorboard", action="store_true", help="also log for TensorBoard, in the output folder")
    add("--seed", type=int, default=0, help="decides split, order, styles, first weights and dropout")
    add("--deterministic", action="store_true", help="the same numbers in every run; slower")
    add("--restart", action="store_true", help="remove what the model's folder holds and begin again")
    add(
        "--findlr",
        type=cli.boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="search for learning rates instead of training",
    )
    add("--findlr_start", type=cli.positive_float, default=1e-7, help="the search's first rate")
    add("--findlr_end", type=cli.positive_float, default=1.0, help="the search's last rate")
    add("--findlr_steps", type=cli.positive_int, default=140, help="the search's steps")


def check_arguments(parser, arguments):
    """Ends the script with one line if flags do not fit together."""
    if arguments.batch_size < 2:
        parser.error(
            "argument --batch_size: must be at least 2: over a single slice, batch normalization at the generator's "
            "1 × 1 bottleneck gives the same output for every input"
        )
    if arguments.seed < 0 or arguments.epoch_offset < 0:
        parser.error("arguments --seed and --epoch_offset: must be 0 or above")
    if arguments.sample_audio and not Path(arguments.sample_audio).is_file():
        parser.error(f"argument --sample_audio: {arguments.sample_audio} is not a file")
    if arguments.findlr_start >= arguments.findlr_end:
        parser.error(f"argument --findlr_start: must be below --findlr_end {arguments.findlr_end:g}")
    if arguments.findlr_steps < 10:
        parser.error("argument --findlr_steps: must be at least 10, or there is no slope to see")


def run(arguments, running_on, name, couples, rate_flags, make_networks, make_steps, metrics, n_inputs=1):
    """Trains, or searches for learning rates.

    Args:
        arguments: the script's.
        running_on: what `device.start_tensorflow` says.
        name: of the model and its folders.
        couples: list of (origin, target).
        rate_flags: dict of network to the name of its learning rate's flag.
        make_networks: function without arguments to dict of name to `keras.Model`, with `generator` at least.
        make_steps: function of (networks, optimizers) to a training step and a validation step.
        metrics: names of what the steps measure, the one that decides about the best epoch first.
        n_inputs: images that the generator sees; with 2 the second is a style.

    Returns:
        The script's exit status.
    """
    import keras

    import training
    from examples import Examples
    from model import versions

    model_path, output_path = Path(arguments.models_path) / name, Path(arguments.output_path) / name
    examples = Examples(
        arguments.dataset_path,
        couples,
        arguments.batch_size,
        arguments.steps_per_epoch,
        arguments.validation_split,
        arguments.seed,
        with_style=n_inputs == 2,
        augmented=arguments.augment,
    )
    print(*examples.notices, sep="\n", end="\n" if examples.notices else "")
    rates = {network: getattr(arguments, flag) for network, flag in rate_flags.items()}

    initial = find_initial(arguments.init_from, rate_flags, n_inputs) if arguments.init_from else None
    decay_steps = arguments.epochs * examples.steps if arguments.schedule == "cosine" else None

    def start(network_names=tuple(rates), decay_steps=None):
        """Networks as a run begins with them, the same each time, and optimizers for some of them."""
        keras.utils.set_random_seed(arguments.seed)
        networks = make_networks()
        if initial:
            load_initial(initial, networks)
        optimizers = {
            key: training.make_optimizer(rates[key], networks[key], arguments.precision, decay_steps)
            for key in network_names
        }
        return networks, optimizers

    if arguments.findlr:
        import lr_finder

        print(f"{name}: searching for learning rates on {running_on}")
        return lr_finder.find(model_path / "lr_finder", arguments, examples, rate_flags, start)

    from samples import make_sampler, read_excerpt

    # What can be refused is, before anything is written or, with --restart, removed.
    excerpt = read_excerpt(arguments.sample_audio) if arguments.sample_audio else None
    log = None
    if arguments.tensorboard:
        import tensorboard_log

        log = tensorboard_log.make_logger(output_path / "tensorboard", metrics)
    not_of_the_run = ("restart", "findlr", "findlr_start", "findlr_end", "findlr_steps")
    config = {
        "model": {"base_filters": arguments.base_filters, "n_inputs": n_inputs},
        "origin": arguments.origin,
        "target": arguments.target,
        "data": examples.describe(),
        "arguments": {key: value for key, value in vars(arguments).items() if key not in not_of_the_run},
        "versions": versions(),
    }
    networks, optimizers = start(decay_steps=decay_steps)
    prepare_folder(model_path, config, arguments.restart)
    config["equalisers"] = examples.equalisers()
    n_slices, n_pieces = len(examples.train.pieces), len(examples.train_pieces)
    print(f"{name}: {n_slices} training slices of {n_pieces} pieces, on {running_on}")
    if examples.validation:
        config["unchanged"] = examples.unchanged_errors()
        errors = ", ".join(f"{metric} {value:.4f}" for metric, value in config["unchanged"].items())
        print(
            f"{len(examples.validation.pieces)} validation slices of {len(examples.validation_pieces)} pieces; "
            f"the unchanged input has {errors}"
        )
    else:
        print("no piece is left to validate with; the training error decides which epoch is best")

    sample, notices = make_sampler(output_path, networks["generator"], examples.cases(), excerpt)
    print(*notices, sep="\n", end="\n" if notices else "")

    def after_epoch(row):
        place = sample(row["epoch"])
        if log:
            log(row, place)

    train_step, validation_step = make_steps(networks, optimizers)
    return training.train(
        model_path,
        config,
        networks,
        optimizers,
        train_step,
        validation_step,
        metrics=metrics,
        train_batches=examples.train_batches,
        validation_batches=examples.validation_batches if examples.validation else None,
        steps_per_epoch=examples.steps,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        epoch_offset=arguments.epoch_offset,
        checkpoint_minutes=arguments.checkpoint_minutes,
        jit_compile=arguments.jit_compile,
        ema=arguments.ema,
        after_epoch=after_epoch,
    )


def find_initial(model, names, n_inputs):
    """The folder of the model to begin with, downloaded if need be; says what of the networks begins fresh.

    Args:
        model: folder or name.
        names: of the networks that are to be trained.
        n_inputs: images that their generator sees.

    Raises:
        UserError: if there is no such model.
    """
    import pretrained
    from model import WEIGHTS_ENDING

    path = pretrained.find(model, flag="--init_from")
    if not (path / pretrained.GENERATOR_NAME).is_file():
        raise UserError(f"--init_from {model} is no model's folder; it must hold {pretrained.GENERATOR_NAME}")
    for name in names:
        if not (path / f"{name}{WEIGHTS_ENDING}").is_file():
            print(f"--init_from {model} has no {name}: it begins fresh")
    if n_inputs == 2 and read_n_inputs(path) == 1:
        print(f"--init_from {model} knows no style: what looks at it begins fresh")
    return path


def load_initial(path, networks):
    """Loads the weights of a model's folder into networks; those that it lacks stay as they are."""
    from model import WEIGHTS_ENDING, load_weights, load_weights_but_style

    for name, network in networks.items():
        weights = path / f"{name}{WEIGHTS_ENDING}"
        if name == "generator" and len(network.inputs) == 2 and read_n_inputs(path) == 1:
            load_weights_but_style(network, weights)
        elif weights.is_file():
            load_weights(network, weights)


def read_n_inputs(path):
    """The images that the generator of a model's folder sees, as its configuration tells; None if it does not."""
    from model import CONFIG_NAME

    config_path = path / CONFIG_NAME
    return files.read_json(config_path).get("model", {}).get("n_inputs") if config_path.is_file() else None


def prepare_folder(model_path, config, restart):
    """Makes a model's folder ready for a run that starts or goes on, and writes its `config.json`.

    Args:
        model_path: the folder.
        config: dict that is written; `model`, `data` and `arguments` must be those of the run that is continued.
        restart: whether what is there may be removed.

    Raises:
        UserError: if the folder holds a run with other arguments, or a model that no run can go on from.
    """
    import tensorflow as tf

    from history import FILE_NAME as HISTORY_NAME
    from model import CONFIG_NAME, WEIGHTS_ENDING

    config_path = model_path / CONFIG_NAME
    checkpoints = model_path / "checkpoints"
    weights = sorted(model_path.glob(f"*{WEIGHTS_ENDING}"))
    if restart:
        shutil.rmtree(checkpoints, ignore_errors=True)
        shutil.rmtree(model_path / "last", ignore_errors=True)
        for path in (*weights, model_path / HISTORY_NAME, config_path):
            path.unlink(missing_ok=True)
    elif tf.train.latest_checkpoint(checkpoints):
        if not config_path.is_file():
            raise UserError(
                f"{config_path} is missing, so the run cannot go on: restore it, or --restart to begin again"
            )
        _check_same_run(model_path, files.read_json(config_path), config)
        return
    elif weights:
        raise UserError(
            f"{model_path} holds a trained model and no checkpoint to go on from: "
            "choose another --models_path, or --restart to replace the model"
        )
    files.write_json(config_path, config)


def _check_same_run(model_path, old, new):
    changes = []
    for section in ("model", "data", "arguments"):
        before, now = old.get(section, {}), new[section]
        changes += [
            f"{key} was {before.get(key)}, is {now.get(key)}"
            for key in sorted({*before, *now})
            if before.get(key) != now.get(key) and not (section == "arguments" and key in CHANGEABLE)
        ]
    if changes:
        raise UserError(
            f"{model_path} holds a run that cannot go on with these arguments ({'; '.join(changes)}): "
            "use the old ones, another --models_path, or --restart to begin again"
        )
