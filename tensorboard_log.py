"""Scalars, pictures and sounds of a training run for TensorBoard, which is an optional dependency."""

import tensorflow as tf

from cli import UserError

_RUNS = {"": "training", "_val": "validation"}  # ending of the columns, name of the run


def make_logger(folder, metrics):
    """Makes the function that logs an epoch.

    Args:
        folder: where the event files go.
        metrics: names of the columns of the history; training and validation become two runs of one chart.

    Returns:
        Function of the epoch's row of the history and the folder of its samples.

    Raises:
        UserError: if TensorBoard is not installed.
    """
    try:
        import tensorboard  # noqa: F401 (tf.summary fails later, and less clearly, without it)
    except ImportError:
        raise UserError("--tensorboard needs TensorBoard: pip install -r requirements-tensorboard.txt") from None
    writers = {}

    def log(row, samples):
        epoch = row["epoch"]
        if not writers:  # no files before there is something to log
            writers.update({e: tf.summary.create_file_writer(str(folder / name)) for e, name in _RUNS.items()})
        for ending, writer in writers.items():
            with writer.as_default(step=epoch):
                for name in metrics:
                    if f"{name}{ending}" in row:
                        tf.summary.scalar(name, row[f"{name}{ending}"])
        with writers[""].as_default(step=epoch):
            tf.summary.scalar("images_per_second", row["images_per_second"])
            picture = tf.io.decode_png((samples / "spectrogram.png").read_bytes(), channels=3)
            tf.summary.image("spectrogram", picture[tf.newaxis])
            for path in sorted(samples.glob("prediction*.wav")):
                audio, sample_rate = tf.audio.decode_wav(path.read_bytes())
                tf.summary.audio(path.stem, audio[tf.newaxis], int(sample_rate))
        for writer in writers.values():
            writer.flush()

    return log
