"""Malformed slices, and malformed states of training runs."""

import functools
import io

import damage
import numpy as np
import samples
from samples import MODEL, ORIGIN
from trial import Case

_RUN = f"models/{MODEL}_generator"
_STATE_FILES = {  # of a finished run, and whether a run that goes on leaves the file as it is
    f"{_RUN}/checkpoints/state.json": False,
    f"{_RUN}/checkpoints/ckpt-*.index": False,
    f"{_RUN}/checkpoints/ckpt-*.data*": False,
    f"{_RUN}/checkpoints/checkpoint": False,
    f"{_RUN}/config.json": False,
    f"{_RUN}/history.csv": False,
    f"{_RUN}/last/generator.weights.h5": False,
    f"{_RUN}/generator.weights.h5": True,
    f"output/{MODEL}_generator/001/prediction.npy": True,
    f"output/{MODEL}_generator/input.wav": False,
}


def cases():
    yield from _slice_cases()
    yield from _state_cases()


# ---- slices


def _slice_cases():
    for function in damage.GENERAL:
        title = f"slice {function.__name__}"
        yield Case("malformed slices", title, functools.partial(_slice_case, function))
    for name in _SLICES:
        make = functools.partial(_special_slice, name)
        yield Case("malformed slices", f"slice {name}", functools.partial(_slice_case, make))


_SLICES = {
    "int16": lambda image: (1000 * image).astype(np.int16),
    "float32": lambda image: image.astype(np.float32),
    "float64": lambda image: image.astype(np.float64),
    "big endian": lambda image: image.astype(">f2"),
    "Fortran order": np.asfortranarray,
    "shape (256, 256)": lambda image: image[..., 0],
    "shape (1, 256, 256)": lambda image: image.transpose(2, 0, 1),
    "shape (128, 512, 1)": lambda image: image.reshape(128, 512, 1),
    "NaN": lambda image: image * np.float16(np.nan),
    "one NaN": lambda image: np.where(np.arange(image.size).reshape(image.shape) == 300, np.nan, image).astype("f2"),
    "infinity": lambda image: image + np.float16(np.inf),
    "negative": lambda image: image - np.float16(1),
    "60000": lambda image: image + np.float16(60_000),
    "pickle": lambda image: np.array([{"a": 1}], dtype=object),
    "strings": lambda image: image.astype("S4"),
    "complex": lambda image: image.astype(complex),
}


def _special_slice(name, data, rng):
    buffer = io.BytesIO()
    np.save(buffer, _SLICES[name](np.load(io.BytesIO(data))), allow_pickle=True)
    return buffer.getvalue()


def _slice_case(function, trial):
    """Damage one slice: it is refused, or left out and said to be; values within [0, 1] cannot be told from others."""
    features = trial.folder / "features"
    samples.copy(trial.world.folder / "features", features)
    path = features / ORIGIN / "first_000.npy"
    path.write_bytes(function(path.read_bytes(), trial.rng))
    script, words = trial.world.jobs["train_generator"](trial.folder / "out")
    words = [features if word == trial.world.folder / "features" else word for word in words]
    outcome = trial.must(script, (*words, "--epochs", 1), [path.name, str(features)])
    said = any(word in outcome.stdout + outcome.stderr for word in ("left out", "damaged", path.name))
    if outcome.status == 0 and not said and not _is_good_slice(path):
        trial.fail("was trained on without a word")


def _is_good_slice(path):
    try:
        image = np.load(path)
    except (ValueError, OSError, EOFError):
        return False
    in_range = image.dtype == np.float16 and bool((image >= 0).all() and (image <= 1).all())
    return in_range and image.shape == (256, 256, 1) and image.flags.c_contiguous


# ---- states of training runs


def _state_cases():
    for pattern in _STATE_FILES:
        name = pattern.rsplit("/", 1)[1]
        for function in (damage.truncate, damage.flip_body, damage.empty, damage.noise, None):
            title = f"resumed train_generator {name} {function.__name__ if function else 'removed'}"
            title += " of last" if "/last/" in pattern else ""
            yield Case("malformed training states", title, functools.partial(_state_case, pattern, function))


def _state_case(pattern, function, trial):
    """Damage a file of a finished run, and train for another epoch: refused, or equal to an undisturbed run."""
    out = trial.folder / "out"
    samples.copy(trial.world.folder / "finished", out)
    path = next(out.glob(pattern))
    if function:
        path.write_bytes(function(path.read_bytes(), trial.rng))
    else:
        path.unlink()
    outcome = trial.must(*trial.world.jobs["resumed"](out), ["ckpt", "checkpoints", path.name, "models"])
    if outcome.status == 0:
        expected = dict(trial.world.undisturbed["resumed"][0])
        if _STATE_FILES[pattern]:
            expected.pop(str(path.relative_to(out)), None)
            path.unlink(missing_ok=True)
        trial.fail(samples.differences(expected, samples.contents(out)))
    trial.fail(samples.leftovers(out))
