"""Scalars, pictures and audio of a training run for TensorBoard, which is an optional dependency."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from common.cli import UserError
from training.history import Row

_RUNS = {"": "training", "_val": "validation"}  # suffix of the columns, name of the run


def make_logger(folder: Path, metrics: Sequence[str]) -> Callable[[Row, Path], None]:
    """Make the function that logs an epoch.

    Args:
        folder: where the event files go.
        metrics: columns of the history; training and validation become two runs in one chart.

    Returns:
        Function of the epoch's row of the history and the folder of its previews.

    Raises:
        UserError: if TensorBoard is not installed, or TensorFlow cannot write into such a folder.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UserError(f"--tensorboard cannot write into {folder}: its name must be UTF-8") from None
    try:
        import tensorboard  # noqa: F401 (without it, tf.summary fails later and less clearly)
    except ImportError:
        raise UserError("--tensorboard needs TensorBoard: pip install -r requirements-tensorboard.txt") from None
    writers = {}

    def log(row: Row, previews: Path) -> None:
        epoch = row["epoch"]
        if not writers:  # no files before there is something to log
            writers.update({e: tf.summary.create_file_writer(str(folder / name)) for e, name in _RUNS.items()})
        for suffix, writer in writers.items():
            with writer.as_default(step=epoch):
                for name in metrics:
                    if f"{name}{suffix}" in row:
                        tf.summary.scalar(name, row[f"{name}{suffix}"])
        with writers[""].as_default(step=epoch):
            tf.summary.scalar("images_per_second", row["images_per_second"])
            picture = tf.io.decode_png((previews / "spectrogram.png").read_bytes(), channels=3)
            tf.summary.image("spectrogram", picture[tf.newaxis])
            for path in sorted(previews.glob("prediction*.wav")):
                audio, sample_rate = tf.audio.decode_wav(path.read_bytes())
                tf.summary.audio(path.stem, audio[tf.newaxis], int(sample_rate))
        for writer in writers.values():
            writer.flush()

    return log
