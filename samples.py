"""What a network makes of the same slices and the same music after each epoch, to look at and to listen to."""

from pathlib import Path

import numpy as np
import soundfile

import audio_files
import data
import dataset
import files
import plots
from cli import UserError
from transfer import make_generate, transfer_audio

SAMPLE_SLICES = 5  # 15 s of music


def read_excerpt(path):
    """Reads the first 15 s of the audio that `--sample_audio` names; a `UserError` if it is none."""
    try:
        return audio_files.load_audio(path)[: _samples(SAMPLE_SLICES)]
    except ValueError as error:
        raise UserError(f"--sample_audio {path} {error}") from None


def make_sampler(folder, generator, cases, own_excerpt=None):
    """Makes the function that shows after each epoch what the generator makes of some slices, and of the music there.

    Folder and files of an epoch are `<epoch:03d>/spectrogram.png`, `prediction.npy` (the slice, as slice files are) and
    `prediction.wav`. In the folder itself are `input.wav`, `target.wav`, with styles `style.wav`, and `prediction.gif`,
    which shows the epochs so far. Where there are several cases, names end in `_<target>`.

    Args:
        folder: where all of this goes.
        generator: the network in training.
        cases: list of `examples.Case`. The music is the piece's audio from the slice on, which compute_features.py has
            noted the place of.
        own_excerpt: audio to use instead of the pieces' own, float32 array [shape=(n_samples,)].

    Returns:
        A function of the epoch's number to the epoch's folder, and a list of lines that say what is missing.
    """
    shows, notices = [], []
    for case in cases:
        ending = f"_{case.target}" if len(cases) > 1 else ""
        paths = {"input": case.source_path, "style": case.style_path, "target": case.target_path}
        excerpts = {kind: _recorded_audio(path) for kind, path in paths.items() if path}
        if own_excerpt is not None:
            excerpts |= {"input": own_excerpt, "target": None}  # the target does not play that
        elif excerpts["input"] is None:
            notices.append(f"the audio of {case.piece} was not found: pictures alone; --sample_audio names a file")
        for kind, excerpt in excerpts.items():
            if excerpt is not None:
                _write(folder / f"{kind}{ending}.wav", excerpt[: _samples(1)] if kind == "style" else excerpt)
        images = {kind: dataset.load_slices([path]) for kind, path in paths.items() if path}
        shows.append((case, ending, images, make_generate(generator, images.get("style")), excerpts["input"]))

    def sample(epoch):
        place = folder / f"{epoch:03d}"
        rows = []
        for case, ending, images, generate, excerpt in shows:
            predicted = data.from_network(generate(images["input"])[0])
            titles = {"input": f"input: {case.origin}", "style": "style", "target": f"target: {case.target}"}
            row = {titles[kind]: data.from_network(image[0, ..., 0]) for kind, image in images.items()}
            rows.append({**row, "prediction": predicted[..., 0]})
            with files.replacing(place / f"prediction{ending}.npy") as partial:
                np.save(partial, predicted.astype(np.float16))
            if excerpt is not None:
                _write(
                    place / f"prediction{ending}.wav",
                    transfer_audio(excerpt[np.newaxis], data.SAMPLE_RATE, generate)[0],
                )
        plots.save_spectrograms(place / "spectrogram.png", rows, title=f"{cases[0].piece}, epoch {epoch}")
        _animate(folder, [(ending, images) for _, ending, images, *_ in shows], epoch)
        return place

    return sample, notices


def _animate(folder, shows, last):
    """Writes `prediction.gif` from the predictions up to an epoch; input, prediction and target side by side."""
    frames = []
    for epoch in range(1, last + 1):
        paths = [folder / f"{epoch:03d}" / f"prediction{ending}.npy" for ending, _ in shows]
        if not all(path.is_file() for path in paths):
            continue  # of a run with an --epoch_offset, or removed
        rows = []
        for (ending, images), path in zip(shows, paths, strict=True):
            source, target = (data.from_network(images[kind][0, ..., 0]) for kind in ("input", "target"))
            predicted = np.load(path)[..., 0].astype(np.float32)
            name = ending.strip("_") or "target"
            rows.append({"input": source, f"prediction, epoch {epoch}": predicted, name: target})
        frames.append(rows)
    plots.save_animation(folder / "prediction.gif", frames)


def _recorded_audio(slice_path):
    """The audio of a slice and what follows, as far as a sample goes; None if it is not found."""
    slice_path = Path(slice_path)
    name = data.SLICE_NAME.fullmatch(slice_path.name)
    path = dataset.recording(slice_path.parents[1], slice_path.parent.name, name["piece"])
    if path is None:
        return None
    start = int(name["index"]) * _samples(1)
    return audio_files.load_audio(path)[start : start + _samples(SAMPLE_SLICES)]


def _samples(n_slices):
    return n_slices * data.SLICE_FRAMES * data.HOP_LENGTH


def _write(path, audio):
    """Writes 16-bit mono at 44.1 kHz, brought down to full scale where it would clip."""
    with files.replacing(path) as partial:
        soundfile.write(
            partial, audio / max(1.0, float(np.abs(audio).max(initial=0))), data.SAMPLE_RATE, subtype="PCM_16"
        )
