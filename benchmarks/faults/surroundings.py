"""Two runs at once, odd names and kinds of files, and odd surroundings of a process."""

import functools
import os
import shutil
import time

import processes
import samples
from samples import MODEL, ORIGIN, TARGET
from trial import Case

_AT_ONCE = (
    *("render_notes", "synthesis", "features", "train", "train_generator", "train_multitarget"),
    *("prediction", "prediction_multitarget", "evaluation"),
)
_ALONE = ("render_notes", "synthesis", "features", "train_generator", "prediction", "evaluation")  # a process for each

_NAMES = {
    "spaces": "two  words ",
    "Unicode": "Prélude 音楽 🎹",
    "decomposed Unicode": "Pre\u0301lude",
    "Latin-1 bytes": os.fsdecode(b"Pr\xe9lude"),
    "newline": "two\nlines",
    "tab": "a\tb",
    "escape": "a\x1b[31mb",
    "leading dash": "-dash",
    "a flag": "--overwrite",
    "200 characters": "x" * 200,
    "240 characters": "x" * 240,
    "251 bytes": "é" * 125 + "x",
    "dollar": "$HOME a$\\frac$b",
    "colon": "Prelude:No1",
    "brackets": "m[1]",
    "wildcards": "a*b?",
    "percent": "100 %s %d {0}",
    "hash": "a#b",
    "quotes": 'it\'s "quoted"',
    "markup": "<b>bold&amp;",
    "comma": "a,b=c",
    "dots": "a..b.",
    "backslash": "a\\b",
    "a slice": "first_000",
}
_FOLDERS = (
    *("spaces", "Unicode", "Latin-1 bytes", "newline", "a flag", "240 characters", "dollar", "colon", "brackets"),
    *("wildcards", "percent", "quotes", "markup", "backslash"),
)
_KINDS = ("dead link", "looping link", "FIFO", "folder", "link to a file", "link to a folder", "socket", "device")
_ENVIRONMENTS = ("LC_ALL=C", "no HOME", "empty environment", "closed stdin", "closed stdout", "closed stderr")
_PIPES = ("a pipe that closes", "a full device")


def cases():
    for job in _AT_ONCE:
        for number in range(2 if job.startswith(("train", "eval")) else 4):
            yield Case("two at once", f"{job} and {job} {number}", functools.partial(_twice_case, job, number))
    for number in range(3):
        title = f"two models to one output {number}"
        yield Case("two at once", title, functools.partial(_two_models_case, number))
    for name in _NAMES:
        yield Case("names", f"pieces with {name}", functools.partial(_pieces_case, name))
    for name in _FOLDERS:
        yield Case("names", f"folders with {name}", functools.partial(_folders_case, name))
    for kind in _KINDS:
        yield Case("kinds of files", f"a {kind} among the inputs", functools.partial(_kinds_case, kind))
    for job in _ALONE:
        for name in (*_ENVIRONMENTS, *_PIPES):
            yield Case("surroundings", f"{job} with {name}", functools.partial(_surroundings_case, job, name))


# ---- two at once


def _twice_case(job, number, trial):
    out = trial.folder / "out"
    command = trial.world.jobs[job](out)
    delay = number and trial.rng.uniform(0, trial.world.undisturbed[job][1])

    def later():
        time.sleep(delay)
        return processes.run(*command, trial.folder / "second")

    second, first = processes.at_once(later, lambda: trial.run(*command))
    trial.log.append(str(second))
    for outcome in (first, second):
        trial.fail(outcome.problem([str(trial.folder)]))
    if first.status and second.status:
        trial.fail(f"both failed: {first}; {second}")
    trial.must_succeed(*command)
    trial.must_equal_undisturbed(job, out)


def _two_models_case(number, trial):
    """Convert a recording with two models to one file: it must be what one of them makes, whole."""
    other = trial.folder / "other"
    samples.copy(trial.world.folder / "model", other)
    samples.scale_weights(other / "generator.weights.h5", 0.5)
    source = trial.world.folder / "audios" / ORIGIN / "first.wav"

    def words(model, name):
        return "predict.py", ("--model", model, "--input", source, "--output", trial.folder / name, "--overwrite")

    models = (trial.world.folder / "model", other)
    expected = []
    for index, model in enumerate(models):
        trial.must_succeed(*words(model, f"{index}.wav"), what="alone")
        expected.append((trial.folder / f"{index}.wav").read_bytes())
    second, first = processes.at_once(
        lambda: processes.run(*words(other, "out.wav"), trial.folder / "second"),
        lambda: trial.run(*words(models[0], "out.wav")),
    )
    for outcome in (first, second):
        trial.fail(outcome.problem())
    if first.status and second.status:
        trial.fail("both failed")
    elif (trial.folder / "out.wav").read_bytes() not in expected:
        trial.fail("the output is of neither model")
    trial.fail(samples.leftovers(trial.folder))


# ---- names and kinds of files


def _pieces_case(name, trial):
    """Give a piece an odd name, and go from MIDI to the report."""
    world, here, piece = trial.world.folder, trial.folder, _NAMES[name]
    trial.tried = 4
    samples.copy(world / "midi" / "first.mid", here / "midi" / "first.mid")
    samples.copy(world / "midi" / "second.mid", here / "midi" / f"{piece}.mid")
    words = ("--nsynth_path", world / "notes", "--midi_path", here / "midi", "--audios_path", here / "audios")
    outcome = trial.must("synthesize_audios.py", (*words, "--instruments", ORIGIN, TARGET))
    if not _check_made(trial, outcome, here / "audios" / ORIGIN, piece, "first", ".wav"):
        return
    for instrument in (ORIGIN, TARGET):  # whether or not the synthesis took the name
        target = here / "audios" / instrument / f"{piece}.wav"
        if not target.exists():
            samples.copy(world / "audios" / instrument / "second.wav", target)
    outcome = trial.must("compute_features.py", ("--audios", here / "audios", "--features", here / "features"))
    _check_made(trial, outcome, here / "features" / ORIGIN, piece, "first", "_000.npy")
    words = ("--model", world / "model", "--input", here / "audios" / ORIGIN, "--output", here / "converted")
    outcome = trial.must("predict.py", words)
    _check_made(trial, outcome, here / "converted", piece, "first", ".wav")
    words = ("--model", world / "model", "--audios_path", here / "audios", "--output", here / "scores")
    outcome = trial.must("evaluate.py", (*words, "--seconds", 2, "--excerpt", 1))
    report = here / "scores" / "report.html"
    if outcome.status == 0 and (not report.exists() or "<b>bold" in report.read_text(errors="replace")):
        trial.fail("no report, or a name in it that is not escaped")
    trial.fail(samples.leftovers(here))


def _check_made(trial, outcome, folder, piece, good, ending):
    """Check that a good item was made, and an odd one, too, unless it was refused; tell whether the good one was."""
    there = os.path.exists(folder / f"{good}{ending}")
    if not there:
        trial.fail(f"a good file beside it was not made: {outcome}")
    if outcome.status == 0 and not os.path.exists(folder / f"{piece}{ending}"):
        trial.fail(f"exit status 0, and {folder.parent.name}/{folder.name} lacks the piece")
    return there


def _folders_case(name, trial):
    """Write everything into a folder with an odd name; where it can be made, all must work."""
    world, here = trial.world, trial.folder / _NAMES[name]
    trial.tried = 6
    here.mkdir()
    models = here / "models"
    steps = [world.jobs[job](here) for job in ("synthesis", "features", "train_generator")]
    steps = [(script, (*words, "--epochs", 1) if "train" in script else words) for script, words in steps]
    steps.append(steps[-1])  # "all epochs are done already"
    source = here / "audios" / ORIGIN
    words = ("--model", models / f"{MODEL}_generator", "--input", source, "--output", here / "converted")
    steps.append(("predict.py", words))
    words = ("--model", models / f"{MODEL}_generator", "--audios_path", here / "audios", "--output", here / "scores")
    steps.append(("evaluate.py", (*words, "--seconds", 2, "--excerpt", 1)))
    for script, words in steps:
        if script == "compute_features.py":
            words = ("--audios", here / "audios", *words[2:])
        trial.must_succeed(script, words, what="with this name")
    for path in (here / "converted" / "first.wav", here / "scores" / "report.html"):
        trial.fail(None if path.exists() else f"{path.name} was not made")
    trial.fail(samples.leftovers(here))


def _kinds_case(kind, trial):
    world, here = trial.world.folder, trial.folder
    trial.tried = 3
    for folder, name, ending in (("midi", "first", ".mid"), (f"audios/{ORIGIN}", "first", ".wav")):
        samples.copy(world / folder / f"{name}{ending}", here / folder / f"{name}{ending}")
        _make_kind(kind, here / folder / f"odd{ending}", world / folder / f"second{ending}")
    words = ("--nsynth_path", world / "notes", "--midi_path", here / "midi", "--audios_path", here / "made")
    trial.must("synthesize_audios.py", (*words, "--instruments", ORIGIN, TARGET))
    trial.must("compute_features.py", ("--audios", here / "audios", "--features", here / "features"))
    words = ("--model", world / "model", "--input", here / "audios" / ORIGIN, "--output", here / "converted")
    trial.must("predict.py", words)
    for path in (f"made/{ORIGIN}/first.wav", f"features/{ORIGIN}/first_000.npy", "converted/first.wav"):
        trial.fail(None if (here / path).exists() else f"{path} was not made")


def _make_kind(kind, path, good):
    import socket

    if kind == "dead link":
        path.symlink_to("nowhere")
    elif kind == "looping link":
        path.symlink_to(path.name)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a file":
        path.symlink_to(good)
    elif kind == "link to a folder":
        path.symlink_to(good.parent)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        short = os.path.relpath(path)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(short if len(short) < 100 else str(path)[:100])


# ---- surroundings


def _surroundings_case(job, name, trial):
    out = trial.folder / "out"
    command = trial.world.jobs[job](out)
    plain = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    options = {"env": plain}
    if name == "LC_ALL=C":
        options["env"] = {**plain, "LC_ALL": "C", "LANG": "C"}
    elif name == "no HOME":
        options["env"] = {key: value for key, value in plain.items() if key != "HOME"}
    elif name == "empty environment":
        options["env"] = {}
    elif name.startswith("closed"):
        stream = name.removeprefix("closed ")
        number = ("stdin", "stdout", "stderr").index(stream)
        options |= {stream: None, "preexec_fn": functools.partial(os.close, number)}
    elif name == "a pipe that closes":
        reader, options["stdout"] = os.pipe()
        os.close(reader)
    else:
        options["stdout"] = os.open("/dev/full", os.O_WRONLY)
    outcome = processes.run_new(*command, **options)
    trial.log.append(f"{command}\n  {outcome}")
    if isinstance(options.get("stdout"), int):
        os.close(options["stdout"])
    if name in _PIPES:
        silent = name == "a pipe that closes" and outcome.status == 1 and not outcome.stderr.strip()
        trial.fail(None if silent else outcome.problem())
        trial.must_succeed(*command)
    else:
        trial.fail(outcome.problem() or (f"did not succeed: {outcome}" if outcome.status else None))
    trial.must_equal_undisturbed(job, out)
    shutil.rmtree(out, ignore_errors=True)
