"""Malformed weights, configurations and registries of models."""

import functools
import json
import shutil

import damage
import numpy as np
import processes
import samples
from samples import ORIGIN, TARGET
from trial import Case

_SOURCES = ("common", "dataset", "evaluation", "inference", "synthesis", "training")


def cases():
    yield from _weights_cases()
    yield from _config_cases()
    yield from _registry_cases()


# ---- weights and configurations


def _weights_cases():
    for function in damage.GENERAL:
        for number in range(3):
            title = f"weights {function.__name__} {number}"
            yield Case("malformed weights", title, functools.partial(_weights_case, _damage_file(function)))
    for name, change in _WEIGHTS.items():
        yield Case("malformed weights", f"weights {name}", functools.partial(_weights_case, change))


def _damage_file(function):
    def change(path, rng):
        path.write_bytes(function(path.read_bytes(), rng))

    return change


def _weights_case(change, trial):
    model = trial.folder / "model"
    samples.copy(trial.world.folder / "model", model)
    change(model / "generator.weights.h5", trial.rng)
    _predict_case(trial, model, ["generator.weights.h5", "config.json", str(model)])
    if trial.case.name.removeprefix("weights ") in _REFUSED and (trial.folder / "out.wav").exists():
        trial.fail("was accepted")


def _predict_case(trial, model, culprits):
    import soundfile

    source, output = trial.world.folder / "formats" / "music.wav", trial.folder / "out.wav"
    outcome = trial.must("predict.py", ("--model", model, "--input", source, "--output", output), culprits)
    if outcome.status == 0:
        audio, _ = soundfile.read(output)
        if not np.isfinite(audio).all() or np.mean(np.abs(audio) > 0.99) > 0.5 or not audio.any():
            trial.fail("exit status 0, and the output is silent, at full scale or not finite")
    elif output.exists():
        trial.fail("an output in spite of an error")


def _edit(function):
    """Make a change of one dataset of an HDF5 file: `function(file, name)`."""

    def change(path, rng):
        import h5py

        with h5py.File(path, "r+") as file:
            names = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            names = [name for name in names if file[name].ndim == 4]
            function(file, names[rng.integers(len(names))])

    return change


def _fill(value):
    def function(file, name):
        file[name][...] = value

    return _edit(function)


def _replace(**options):
    def function(file, name):
        del file[name]
        if options:
            file.create_dataset(name, **options)

    return _edit(function)


def _external_link(file, name):
    import h5py

    other = file.filename + ".other"
    with h5py.File(other, "w") as target:
        target["secret"] = file[name][()]
    del file[name]
    file[name] = h5py.ExternalLink(other, "secret")


def _external_storage(file, name):
    values = file[name][()]
    other = file.filename + ".raw"
    values.tofile(other)
    del file[name]
    file.create_dataset(name, values.shape, values.dtype, external=[(other, 0, values.nbytes)])


def _virtual(file, name):
    import h5py

    other = file.filename + ".other"
    with h5py.File(other, "w") as target:
        target["secret"] = file[name][()]
    layout = h5py.VirtualLayout(file[name].shape, file[name].dtype)
    layout[...] = h5py.VirtualSource(other, "secret", file[name].shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def _loop(file, name):
    import h5py

    del file[name]
    file[name] = h5py.SoftLink("/" + name)


def _legacy(**attributes):
    """Make a file that claims to be of TensorFlow 2.0, with such attributes."""

    def change(path, rng):
        import h5py

        with h5py.File(path, "w") as file:
            group = file.create_group("first")
            group.create_dataset("kernel", shape=attributes.get("shape", (4, 4, 1, 4)), dtype="f4", chunks=True)
            file.attrs["layer_names"] = attributes.get("layers", [b"first"])
            group.attrs["weight_names"] = attributes.get("weights", [b"kernel"])

    return change


_WEIGHTS = {
    "NaN": _fill(np.nan),
    "infinity": _fill(np.inf),
    "1e30": _fill(1e30),
    "-1e5": _fill(-1e5),
    "external link": _edit(_external_link),
    "external storage": _edit(_external_storage),
    "virtual dataset": _edit(_virtual),
    "a link to itself": _edit(_loop),
    "missing": _replace(),
    "huge shape": _replace(shape=(2**40, 4, 4, 4), dtype="f4", chunks=(1024, 4, 4, 4)),
    "huge compressed": _replace(shape=(2**14, 2**14, 4, 1), dtype="f4", chunks=(2**10, 2**10, 1, 1), compression=9),
    "strings": _replace(data=np.full((4, 4, 1, 4), b"text")),
    "integers": _replace(data=np.zeros((4, 4, 1, 4), np.int64)),
    "complex": _replace(data=np.zeros((4, 4, 1, 4), complex)),
    "scalar": _replace(data=np.float32(1)),
    "legacy with one layer": _legacy(),
    "legacy with numbers for names": _legacy(layers=[1, 2]),
    "legacy with a number for names": _legacy(layers=7),
    "legacy with missing weights": _legacy(weights=[b"nothing"]),
    "legacy with a group as weights": _legacy(layers=[b"/"], weights=[b"first"]),
    "legacy with names out of the group": _legacy(weights=[b"../../first/kernel"]),
    "legacy with 2^20 filters": _legacy(shape=(4, 4, 1, 2**20)),
    "legacy with 0 filters": _legacy(shape=(4, 4, 1, 0)),
    "legacy that is not UTF-8": _legacy(layers=[b"\xff\xfe"]),
}
_REFUSED = ("NaN", "infinity", "1e30", "external link", "external storage", "virtual dataset", "strings", "complex")


def _config_cases():
    texts = damage.json_values()
    sizes = (0, -4, 5, 2000, 10**6, 2**63, 1e308, 4.5, True, None, "4", "", [4], {"a": 1}, "١٢")
    for key in ("base_filters", "n_inputs"):
        for value in sizes:
            texts[f"{key} {value!r}"] = json.dumps({"model": {"base_filters": 4, "n_inputs": 1} | {key: value}})
    for value in ([], "text", 3, None, [["base_filters", 4]]):
        texts[f"model {value!r}"] = json.dumps({"model": value})
    for name, text in texts.items():
        title = f"config.json {name} to prediction"
        yield Case("malformed config.json", title, functools.partial(_config_case, text))
    for number in range(12):
        title = f"config.json mutant {number} to evaluation"
        yield Case("malformed config.json", title, functools.partial(_mutant_config_case, number))


def _config_case(text, trial):
    model = trial.folder / "model"
    samples.copy(trial.world.folder / "model", model)
    (model / "config.json").write_text(text, encoding="utf-8")
    _predict_case(trial, model, ["config.json", "generator.weights.h5"])


def _mutant_config_case(number, trial):
    model = trial.folder / "model"
    samples.copy(trial.world.folder / "model", model)
    config = json.loads((model / "config.json").read_text())
    config["equalisers"] = {f"{ORIGIN}/{TARGET}": [0.0] * 256}
    *_, (what, mutant) = damage.json_mutants(config, trial.rng, number + 1)
    trial.log.append(what)
    (model / "config.json").write_text(json.dumps(mutant))
    script, words = trial.world.jobs["evaluation"](trial.folder / "out")
    words = [model if word == trial.world.folder / "model" else word for word in words]
    outcome = trial.must(script, words, ["config.json", str(model), "--dataset_path"])
    if outcome.status == 0 and not (trial.folder / "out" / "scores" / "report.html").exists():
        trial.fail("exit status 0, and no report")


# ---- the registry


def _registry_cases():
    url = "http://127.0.0.1:9/model.h5"  # where nothing answers
    good = {"url": url, "sha256": "0" * 64}
    texts = damage.json_values()
    for name, sources in {
        "unreachable": {"generator.weights.h5": good},
        "path out of the folder": {"../../evil.h5": good},
        "absolute path": {"/tmp/evil.h5": good},
        "number for a URL": {"generator.weights.h5": {**good, "url": 3}},
        "file URL": {"generator.weights.h5": {**good, "url": "file:///etc/passwd"}},
        "no scheme": {"generator.weights.h5": {**good, "url": "model.h5"}},
        "null hash": {"generator.weights.h5": {**good, "sha256": None}},
        "empty hash": {"generator.weights.h5": {**good, "sha256": ""}},
        "md5 hash": {"generator.weights.h5": {**good, "sha256": "md5:0"}},
        "a list": {"generator.weights.h5": [url]},
        "no files": {},
    }.items():
        texts[name] = json.dumps({"far_model": sources})
    texts["a name out of the folder"] = json.dumps({"../../evil": {"generator.weights.h5": good}})
    for name, text in texts.items():
        yield Case("malformed registry", f"registry {name}", functools.partial(_registry_case, text))


def _registry_case(text, trial):
    """Damage the registry of a copy of this repository."""
    copy = trial.folder / "copy"
    for name in _SOURCES:
        shutil.copytree(processes.REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in processes.REPOSITORY.glob("*.py"):
        shutil.copy(path, copy)
    (copy / "pretrained").mkdir()
    (copy / "pretrained" / "registry.json").write_text(text)
    before = {path for path in trial.folder.rglob("*") if "__pycache__" not in path.parts}
    source = trial.world.folder / "formats" / "music.wav"
    words = ("--input", source, "--output", trial.folder / "out.wav", "--model")
    for model in ("far_model", "../../evil"):
        culprits = ["registry.json", "far_model", "evil", "--model"]
        outcome = trial.must("predict.py", (*words, model), culprits, repository=copy)
        trial.fail(None if outcome.status else "exit status 0")
    trial.must("predict.py", (*words, "x", "--list_models"), ["registry.json"], repository=copy)
    after = {path for path in trial.folder.rglob("*") if "__pycache__" not in path.parts}
    written = {path for path in after - before if path.parent != trial.folder}  # but for the logs
    trial.fail("files were written" if written else None)
