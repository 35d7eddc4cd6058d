"""What a network makes of the same slice and the same music after each epoch, to look at and to listen to."""

from pathlib import Path

import numpy as np
import soundfile

import data
import dataset
import files
import plots
from cli import UserError
from transfer import make_generate, transfer_mono

SAMPLE_SLICES = 5  # 15 s of music


def make_sampler(folder, generator, pairs, origin, target, audio_path=None):
    """Chooses what to show, and makes the function that shows it after each epoch.

    The slice is the loudest one of the first piece; the music is the piece's audio from there on, which
    compute_features.py has noted the place of.

    Args:
        folder: where `<epoch:03d>/spectrogram.png` and `<epoch:03d>/prediction.wav` go, and `input.wav`, `target.wav`.
        generator: the network in training.
        pairs: the validation pairs.
        origin, target: instrument names.
        audio_path: audio to use instead of the piece's own.

    Returns:
        A function of the epoch's number, and a line that says what is missing, or None.

    Raises:
        UserError: if `audio_path` is not audio.
    """
    rows = pairs.of({pairs.pieces[0]})
    sources = dataset.load_slices(rows.sources)
    loudest = int(np.argmax(sources.mean(axis=(1, 2, 3))))
    source, true_target = sources[loudest], dataset.load_slices([rows.targets[loudest]])[0]
    piece, slice_path = rows.pieces[loudest], Path(rows.sources[loudest])

    excerpt, notice = None, None
    start = int(data.SLICE_NAME.fullmatch(slice_path.name)["index"]) * data.SLICE_FRAMES * data.HOP_LENGTH
    if audio_path:
        try:
            excerpt = _excerpt(audio_path, 0)
        except ValueError as error:
            raise UserError(f"--sample_audio {audio_path} {error}") from None
        _write(folder / "input.wav", excerpt)
    else:
        audio = {name: _recorded_audio(slice_path.parents[1], name, piece) for name in (origin, target)}
        if audio[origin]:
            excerpt = _excerpt(audio[origin], start)
            _write(folder / "input.wav", excerpt)
            if audio[target]:
                _write(folder / "target.wav", _excerpt(audio[target], start))
        else:
            notice = f"the audio of {piece} was not found, so epochs show pictures alone; --sample_audio names a file"

    generate = make_generate(generator)

    def sample(epoch):
        place = folder / f"{epoch:03d}"
        predicted = generate(source[np.newaxis])[0]
        images = {f"input: {origin}": source, f"target: {target}": true_target, "prediction": predicted}
        plots.save_spectrograms(
            place / "spectrogram.png",
            {name: data.from_network(image[..., 0]) for name, image in images.items()},
            title=f"{piece}, epoch {epoch}",
        )
        if excerpt is not None:
            _write(place / "prediction.wav", transfer_mono(excerpt, generate))

    return sample, notice


def _recorded_audio(dataset_path, instrument, piece):
    record_path = dataset_path / "features.json"
    if not record_path.is_file():
        return None
    entry = files.read_json(record_path).get("entries", {}).get(f"{instrument}/{piece}", {})
    path = Path(entry.get("path", ""))
    return path if path.is_file() else None


def _excerpt(path, start):
    length = SAMPLE_SLICES * data.SLICE_FRAMES * data.HOP_LENGTH
    return data.load_audio(path)[start : start + length]


def _write(path, audio):
    """Writes 16-bit mono at 44.1 kHz, brought down to full scale where it would clip."""
    with files.replacing(path) as partial:
        soundfile.write(
            partial, audio / max(1.0, float(np.abs(audio).max(initial=0))), data.SAMPLE_RATE, subtype="PCM_16"
        )
