"""Audio files as streams: whatever libsndfile or FFmpeg (through PyAV) reads, and what libsndfile writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import data

if TYPE_CHECKING:
    import soundfile

PEAK_LEVEL = data.decibels_to_gain(-1)  # -1 dBFS: the peak that what is scaled gets
BLOCK_SAMPLES = 1 << 18  # 6 s at 44.1 kHz
LARGEST_WAV = 2**32 - 2**16  # bytes of samples
EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")  # that can be written
INPUT_EXTENSIONS = (
    *EXTENSIONS,
    *(".aif", ".aiff", ".aac", ".au", ".caf", ".m4a", ".m4b", ".mp2", ".mp4", ".oga", ".opus", ".w64", ".webm", ".wma"),
)


class Reader:
    """An audio file that is read in blocks, by libsndfile or, where that cannot, by FFmpeg.

    Attributes:
        sample_rate: Hz.
        n_channels: number of channels.
        subtype: libsndfile's name of how samples are stored, or None.
        expected_samples: samples that the file says it holds, for progress; it may be wrong.
        n_samples: samples read so far; after `blocks` has ended, those that there are.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ValueError: if it is not audio.
        """
        import soundfile

        self.n_samples, self._path = 0, path
        try:
            self._file = soundfile.SoundFile(path)
        except soundfile.LibsndfileError as error:
            self._file, reason = None, error.error_string.strip().rstrip(".")
        if self._file:
            self.sample_rate, self.n_channels = self._file.samplerate, self._file.channels
            self.subtype, self.expected_samples = self._file.subtype, self._file.frames
        else:
            self._open_with_ffmpeg(reason)

    def _open_with_ffmpeg(self, reason: str) -> None:
        import av

        try:
            self._container = av.open(str(self._path))
            self._stream = self._container.streams.audio[0]
            self.sample_rate, self.n_channels = self._stream.rate, self._stream.channels
            if not self.sample_rate or not self.n_channels:  # FFmpeg went by the file's name alone
                raise IndexError
        except (av.FFmpegError, IndexError, UnicodeDecodeError):  # the last of metadata
            raise ValueError(f"not an audio file that can be read ({reason})") from None
        seconds = float(self._stream.duration * self._stream.time_base) if self._stream.duration else 0.0
        self.subtype, self.expected_samples = None, round(seconds * self.sample_rate)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        (self._file or self._container).close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Read the file in blocks.

        Yields:
            float32 arrays [shape=(n_channels, n_samples)], in [-1, 1] unless the file is floating point.

        Raises:
            ValueError: if the file is damaged, or holds values that are not numbers.
        """
        for block in self._soundfile_blocks() if self._file else self._ffmpeg_blocks():
            if not np.isfinite(block).all():
                raise ValueError("holds samples that are not numbers (NaN or infinity)")
            self.n_samples += block.shape[1]
            yield block

    def _soundfile_blocks(self) -> Iterator[np.ndarray]:
        import soundfile

        while True:
            try:
                block = self._file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise ValueError(f"is damaged after {self.n_samples / self.sample_rate:.1f} s ({error})") from None
            if not len(block):
                return
            yield np.ascontiguousarray(block.T)

    def _ffmpeg_blocks(self) -> Iterator[np.ndarray]:
        import av

        resampler = av.AudioResampler(format="fltp")  # planar float; rate and layout stay
        try:
            for frame in self._container.decode(self._stream):
                for converted in resampler.resample(frame):
                    yield converted.to_ndarray()
        except av.FFmpegError as error:
            raise ValueError(f"is damaged after {self.n_samples / self.sample_rate:.1f} s ({error})") from None


def load_audio(path: Path) -> np.ndarray:
    """Read a whole file, mixed to mono and resampled to 44.1 kHz.

    Returns:
        float32 array [shape=(n_samples,)].

    Raises:
        ValueError: if it is not audio, damaged, or empty.
    """
    with Reader(path) as reader:
        parts = [block.mean(axis=0) for block in reader.blocks()]
        if not parts:
            raise ValueError("holds no samples")
        return data.resample(np.concatenate(parts), reader.sample_rate, data.SAMPLE_RATE)


def open_to_write(
    path: Path, sample_rate: int, n_channels: int, subtype: str | None, n_samples: int = 0
) -> "soundfile.SoundFile":
    """Open an audio file to write.

    A WAV file holds 4 GiB at most; one that may become larger is written as RF64 (EBU Tech 3306), which readers of WAV
    know.

    Args:
        path: the file; its extension decides about the format.
        sample_rate: Hz.
        n_channels: number of channels.
        subtype: libsndfile's name of how samples are stored; None for the format's default.
        n_samples: samples that are expected, to choose between WAV and RF64.

    Raises:
        ValueError: if the format cannot hold the audio (MP3 has its own few rates, and two channels at most).
    """
    import soundfile

    width = 8 if subtype == "DOUBLE" else 4  # bytes of a sample at most
    large = path.suffix.lower() == ".wav" and n_samples * n_channels * width > LARGEST_WAV
    try:
        return soundfile.SoundFile(path, "w", sample_rate, n_channels, subtype, format="RF64" if large else None)
    except (soundfile.LibsndfileError, ValueError) as error:
        format_name = path.suffix[1:].upper()
        reason = getattr(error, "error_string", error)
        raise ValueError(
            f"has {n_channels} channels at {sample_rate} Hz, which {format_name} cannot hold ({reason}); .wav can"
        ) from None


def subtypes(extension: str) -> list[str]:
    """List libsndfile's names of how the samples of a format, such as ".wav", can be stored."""
    import soundfile

    return sorted(soundfile.available_subtypes(extension[1:].upper()))
