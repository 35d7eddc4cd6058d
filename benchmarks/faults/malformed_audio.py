"""Malformed recordings."""

import functools
import re
import wave

import damage
import numpy as np
import samples
from samples import ORIGIN, RATE, TARGET
from trial import Case

_SAYS_SHORT = re.compile(r"short|cut|trunc|incomplete|missing|ends|declare|promise|damaged|lack|fewer|less than", re.I)


def cases():
    for script, extensions in (
        ("features", (".wav", ".flac", ".ogg")),
        ("prediction", (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff")),
    ):
        quick = script == "features"
        for extension in extensions:
            for name, function in damage.general():
                make = functools.partial(_damaged_file, extension, function)
                title = f"music{extension} {name} to {script}"
                yield Case("malformed audio", title, functools.partial(_audio_case, script, make), quick)
        for name, write in _special_audio().items():
            make = functools.partial(_special_file, write)
            yield Case("malformed audio", f"{name} to {script}", functools.partial(_audio_case, script, make), quick)
    for function in damage.GENERAL:
        name = f"evaluation of music.wav {function.__name__}"
        yield Case("malformed audio", name, functools.partial(_evaluation_case, function))


def _damaged_file(extension, function, trial, folder):
    """Write a damaged copy of a good recording; return its path and whether a message must say that it is short."""
    data = trial.world.formats()[extension].read_bytes()
    path = folder / f"bad{extension}"
    path.write_bytes(function(data, trial.rng))
    return path, function is damage.truncate


def _special_file(write, trial, folder):
    path = folder / "bad.wav"
    write(path)
    return path, False


def _special_audio():
    """Return functions that write unusual recordings, by name. Those named `refused …` must not be converted."""
    import soundfile

    audio = samples.music()

    def pcm(rate, path, channels=1, n_samples=2000):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            values = (20_000 * audio[: n_samples * channels]).astype(np.int16)
            file.writeframes(values.tobytes())

    def floats(change, path):
        values = audio.copy()
        change(values)
        soundfile.write(path, values, RATE, subtype="FLOAT")

    def put(value, values):
        values[1000:1010] = value

    def scale(factor, values):
        values *= factor

    special = {f"rate {rate}": functools.partial(pcm, rate) for rate in (1, 3, 50, 999, 10**6, 2**31 - 1)}
    special |= {
        f"refused {value} among the samples": functools.partial(floats, functools.partial(put, value))
        for value in (np.nan, np.inf, 1e30, 3e38)
    }
    special |= {"refused samples of 1e30": functools.partial(floats, functools.partial(scale, np.float32(1e30)))}
    special |= {"samples of 1e-30": functools.partial(floats, functools.partial(scale, np.float32(1e-30)))}
    special |= {f"{count} samples": functools.partial(pcm, RATE, n_samples=count) for count in (1, 2, 511)}
    special |= {f"{count} channels": functools.partial(pcm, RATE, channels=count, n_samples=900) for count in (8, 64)}
    return special


def _audio_case(script, make, trial):
    folder = trial.folder / "audios" / ORIGIN
    folder.mkdir(parents=True)
    path, is_cut = make(trial, folder)
    if script == "features":
        samples.copy(trial.world.folder / "audios" / ORIGIN / "first.wav", folder / "good.wav")
        words = ("--audios", folder.parent, "--features", trial.folder / "features")
        outcome = trial.must("compute_features.py", words, [path.name])
        found = trial.folder / "features" / ORIGIN
        expected = trial.world.folder / "features" / ORIGIN / "first_000.npy"
        if not (found / "good_000.npy").exists() or (found / "good_000.npy").read_bytes() != expected.read_bytes():
            trial.fail(f"a good file beside it was not cut: {outcome}")
        _check_slices(trial, path, sorted(found.glob("bad_*.npy")), outcome)
    else:
        output = trial.folder / "out.wav"
        words = ("--model", trial.world.folder / "model", "--input", path, "--output", output)
        outcome = trial.must("predict.py", words, [path.name])
        _check_prediction(trial, path, output, outcome)
    if outcome.status == 0 and trial.case.name.startswith("refused"):
        trial.fail("was accepted")
    if outcome.status == 0 and is_cut and not _SAYS_SHORT.search(outcome.stdout + outcome.stderr):
        trial.fail("cut, and converted without a word")
    trial.fail(samples.leftovers(trial.folder))


def reference(path):
    """Read a recording as libsndfile does: samples [shape=(n_samples, n_channels)] and rate, or None."""
    import soundfile

    try:
        return soundfile.read(path, always_2d=True)
    except (soundfile.LibsndfileError, MemoryError):
        return None


def _check_slices(trial, path, slices, outcome):
    if outcome.status or not slices:
        trial.fail("slices of a recording that was refused" if slices else None)
        trial.fail("no slices, and no word" if not outcome.status else None)
        return
    images = np.stack([np.load(slice_path) for slice_path in slices]).astype(np.float32)
    if not np.isfinite(images).all() or images.min() < 0 or images.max() > 1:
        trial.fail("slices outside [0, 1]")
    known = reference(path)
    if known and len(known[0]):
        audio, rate = known
        seconds = len(slices) * 256 * 512 / RATE
        if not seconds - 3 < len(audio) / rate < seconds + 0.1:
            trial.fail(f"{len(slices)} slices of {len(audio) / rate:.2f} s")
        if np.sqrt((audio**2).mean()) > 0.01 and images.max() == 0:
            trial.fail("silent slices of a recording that sounds")


def _check_prediction(trial, path, output, outcome):
    converted_in_part = outcome.status == 1 and "what there is was converted" in outcome.stderr
    if outcome.status and not converted_in_part:
        trial.fail("an output of a recording that was refused" if output.exists() else None)
        return
    if not output.exists():
        trial.fail("converted, it is said, and no output")
        return
    converted, rate = reference(output)
    if not np.isfinite(converted).all() or np.mean(np.abs(converted) > 0.99) > 0.5:
        trial.fail("the output is not finite, or at full scale")
    known = reference(path)
    if known:
        if (len(known[0]), known[1]) != (len(converted), rate):
            trial.fail(f"{len(known[0])} samples at {known[1]} Hz became {len(converted)} at {rate} Hz")
        if np.sqrt((known[0] ** 2).mean()) > 0.01 and not converted.any():
            trial.fail("a silent output of a recording that sounds")


def _evaluation_case(function, trial):
    audios = trial.folder / "audios"
    for name in (ORIGIN, TARGET):
        for piece in ("first", "second"):
            samples.copy(trial.world.folder / "audios" / name / f"{piece}.wav", audios / name / f"{piece}.wav")
    path = audios / ORIGIN / "second.wav"
    path.write_bytes(function(path.read_bytes(), trial.rng))
    words = ("--model", trial.world.folder / "model", "--audios_path", audios, "--output", trial.folder / "scores")
    outcome = trial.must("evaluate.py", (*words, "--seconds", 3, "--excerpt", 1), ["second"])
    if outcome.status == 0 and not (trial.folder / "scores" / "report.html").exists():
        trial.fail("exit status 0, and no report")
