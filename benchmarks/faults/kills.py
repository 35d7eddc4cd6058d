"""SIGKILL at random and at aimed moments: the same command goes on, as if nothing had happened."""

import functools

from trial import Case

_KILLS_IN_A_RUN = 8
_TRAINING_RUNS = {"train": 3, "train_generator": 2, "train_multitarget": 2}
_OTHER_RUNS = {"render_notes": 2, "synthesis": 2, "features": 2, "prediction": 1, "evaluation": 1}
_ROOM = 1.1  # of an undisturbed run's time, within which a kill falls

# Files at whose appearance a run is killed, below the output folder of a job.
_TRAINING_AIMS = (
    "models/*/config.json",
    "models/*/checkpoints/ckpt-1*",
    "models/*/checkpoints/state.json",
    "models/*/checkpoints/ckpt-3.index",
    "models/*/history.csv",
    "models/*/last/.partial-*",
    "models/*/last/generator.weights.h5",
    "models/*/.partial-*",
    "models/*/generator.weights.h5",
    "models/*/plots/*",
    "output/*/001/prediction.npy",
    "output/*/prediction.gif",
    "output/*/002/*",
)
_AIMS = {
    "train": _TRAINING_AIMS,
    "train_generator": _TRAINING_AIMS[1::2],
    "train_multitarget": _TRAINING_AIMS[::2],
    "render_notes": ("notes/render_notes.json", "notes/.partial-*", "notes/guitar*"),
    "synthesis": ("audios/synthesis.json", "audios/*/.partial-*", "audios/guitar_acoustic/second.wav"),
    "features": ("features/features.json", "features/*/.partial-*", "features/*/third_000.npy"),
    "prediction": ("converted/.partial-*", "converted/second.wav"),
    "evaluation": ("scores/evaluation.json", "scores/audio/*/*/*", "scores/.partial-*", "scores/report.html"),
}


def cases():
    for what, runs in (("training", _TRAINING_RUNS), ("other scripts", _OTHER_RUNS)):
        for job, count in runs.items():
            quick = job in ("synthesis", "features")
            for number in range(count):
                yield Case(f"kills: {what}, random", f"{job} {number}", functools.partial(_random_kills, job), quick)
            for pattern in _AIMS[job]:
                function = functools.partial(_aimed_kill, job, pattern)
                yield Case(f"kills: {what}, aimed", f"{job} at {pattern}", function)


def _random_kills(job, trial):
    command = trial.world.jobs[job](trial.folder / "out")
    length = _ROOM * trial.world.undisturbed[job][1]
    trial.tried = 0
    for _ in range(_KILLS_IN_A_RUN):
        moment = trial.rng.uniform(0, length)
        outcome = trial.run(*command, kill_when=lambda seconds, moment=moment: seconds > moment)
        trial.tried += outcome.killed
        if not outcome.killed:
            trial.fail(outcome.problem() or (str(outcome) if outcome.status else None))
            break  # it ended before its time
    _finish(trial, job, command)


def _aimed_kill(job, pattern, trial):
    out = trial.folder / "out"
    command = trial.world.jobs[job](out)
    delay = trial.rng.choice([0, 0, 0.003, 0.02])
    seen = []

    def is_time(seconds):
        if not seen and any(out.glob(pattern)):
            seen.append(seconds)
        return bool(seen) and seconds >= seen[0] + delay

    outcome = trial.run(*command, kill_when=is_time)
    if not outcome.killed:  # too fast to be hit
        trial.fail(outcome.problem())
    _finish(trial, job, command)


def _finish(trial, job, command):
    trial.must_succeed(*command)
    trial.must_equal_undisturbed(job, trial.folder / "out")
