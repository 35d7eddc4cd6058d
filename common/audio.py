"""Audio files as streams: whatever libsndfile or FFmpeg (through PyAV) reads, and what libsndfile writes."""

import contextlib
import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import data
from common import audio_lengths

if TYPE_CHECKING:
    import soundfile

PEAK_LEVEL = data.decibels_to_gain(-1)  # -1 dBFS: the peak that what is scaled gets
BLOCK_SAMPLES = 1 << 18  # 6 s at 44.1 kHz; of more than two channels less, so that a block takes 2 MiB at most
LARGEST_WAV = 2**32 - 2**16  # bytes of samples
RATES = 4_000, 768_000  # Hz; beyond, it is a damaged header, and resampling would take gigabytes
MOST_CHANNELS = 32
LOUDEST = 100.0  # 40 dB above full scale; beyond, the samples are damaged, or integers that were stored as they are
EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")  # that can be written
INPUT_EXTENSIONS = (
    *EXTENSIONS,
    *(".aif", ".aiff", ".aac", ".au", ".caf", ".m4a", ".m4b", ".mp2", ".mp4", ".oga", ".opus", ".w64", ".webm", ".wma"),
)

_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}  # as stored; others take 4 at most
_UNKNOWN_LENGTH = 1 << 48  # samples; libsndfile gives such a number where a header leaves it open
_TOLERANCE = 0.25  # s; the times of compressed formats count the encoder's delay or do not
_TIMED_FORMATS = ("mov", "matroska", "asf", "caf")  # FFmpeg's names of containers that know their length

_MPEG_FORMATS = ("MP3", "MPEG")  # libsndfile's names of them

_silence = threading.Lock()


class AudioError(ValueError):
    """A file is not a recording that can be used. The text continues the file's name."""


class _RawFile(io.BufferedReader):
    """A file for FFmpeg, which asks for places that a damaged file names and that there are not."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place; return -1, as FFmpeg expects it, if that cannot be."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


class _OutputFile(io.FileIO):
    """A file for libsndfile that keeps the error of a write: encoders tell less of it, and nothing as they close."""

    error: OSError | None = None

    def write(self, samples: bytes) -> int:
        """Write all of some bytes; return fewer than there are if that fails."""
        n_written = 0
        try:
            while n_written < len(samples):
                n_written += super().write(memoryview(samples)[n_written:])
        except OSError as error:
            self.error = error
        return n_written

    def raise_error(self) -> None:
        """Raise the error of a write that failed."""
        if self.error:
            raise self.error


class Reader:
    """An audio file that is read in blocks, by libsndfile or, where that cannot, by FFmpeg.

    Attributes:
        sample_rate: Hz.
        n_channels: number of channels.
        subtype: libsndfile's name of how samples are stored, or None.
        expected_samples: samples that the file says it holds, for progress; it may be wrong.
        n_samples: samples read so far; after `blocks` has ended, those that there are.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        """Open a file.

        Raises:
            AudioError: if it is not audio, or its rate or number of channels is none of a recording.
            OSError: if it cannot be opened.
        """
        self.n_samples, self._path, self._file, self._container = 0, Path(path), None, None
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO waits for its other end
            raise AudioError("is not a regular file; it must be a recording")
        self._raw = _RawFile(io.FileIO(path))  # its errors are clearer than libsndfile's
        try:
            self._open()
            self._check()
        except BaseException:
            self.close()
            raise
        self._block_samples = 2 * BLOCK_SAMPLES // max(2, self.n_channels)

    def _open(self) -> None:
        import soundfile

        try:
            with silent_libraries():
                self._file = soundfile.SoundFile(self._path if os.name == "nt" else os.fsencode(self._path))
        except (soundfile.LibsndfileError, TypeError) as error:  # a TypeError: .raw has no header
            reason = getattr(error, "error_string", "no header").strip().rstrip(".")
            self._open_with_ffmpeg(re.sub(r"^Error opening .*: ", "", reason) or "unknown format")
            return
        self.sample_rate, self.n_channels = self._file.samplerate, self._file.channels
        self.subtype, self.expected_samples = self._file.subtype, self._file.frames
        if self.expected_samples > _UNKNOWN_LENGTH:
            self.expected_samples = 0

    def _open_with_ffmpeg(self, reason: str) -> None:
        try:
            import av
        except ImportError:
            raise AudioError(f"not an audio file that can be read without PyAV ({reason}): pip install av") from None

        try:
            # The file is handed over open: FFmpeg takes a colon in a name for a protocol. Without protocols, playlists
            # and the like cannot make it open other files.
            self._container = av.open(self._raw, options={"protocol_whitelist": ""})
            self._stream = self._container.streams.audio[0]
            if self._stream.codec_context is None:
                raise AudioError(f"not an audio file that can be read (no decoder; {reason})")
            self.sample_rate, self.n_channels = self._stream.rate, self._stream.channels
            if not self.sample_rate or not self.n_channels:  # FFmpeg went by the file's name alone
                raise IndexError
        except (av.FFmpegError, IndexError, UnicodeDecodeError):  # the last of metadata
            raise AudioError(f"not an audio file that can be read ({reason})") from None
        self.subtype = None
        self.expected_samples = round(audio_lengths.stream_seconds(self._container) * self.sample_rate)

    def _check(self) -> None:
        lowest, highest = RATES
        if not lowest <= self.sample_rate <= highest:
            raise AudioError(f"has a rate of {self.sample_rate} Hz; it must be from {lowest} to {highest}")
        if self.n_channels > MOST_CHANNELS:
            raise AudioError(f"has {self.n_channels} channels; there must be {MOST_CHANNELS} at most")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        for opened in (self._file, self._container, self._raw):
            if opened:
                opened.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Read the file in blocks.

        Yields:
            float32 arrays [shape=(n_channels, n_samples)], in [-1, 1] unless the file is floating point.

        Raises:
            AudioError: if the file is damaged, or holds values that are no samples.
        """
        for block in self._soundfile_blocks() if self._file else self._ffmpeg_blocks():
            peak = np.abs(block).max(initial=0)
            if not np.isfinite(peak):
                raise AudioError("holds samples that are not numbers (NaN or infinity)")
            if peak > LOUDEST:
                raise AudioError(f"holds samples of {peak:.3g}; full scale is 1, and {LOUDEST:g} the most that is read")
            self.n_samples += block.shape[1]
            yield block

    def _soundfile_blocks(self) -> Iterator[np.ndarray]:
        import soundfile

        silence = silent_libraries if self._file.format in _MPEG_FORMATS else contextlib.nullcontext
        while True:
            try:
                with silence():
                    block = self._file.read(self._block_samples, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._damaged(self.n_samples, error.error_string) from None
            if not len(block):
                return
            yield np.ascontiguousarray(block.T)

    def _ffmpeg_blocks(self) -> Iterator[np.ndarray]:
        """Gather FFmpeg's frames, often of 1,024 samples, into blocks."""
        import av

        resampler = av.AudioResampler(format="fltp", layout=self._stream.layout, rate=self.sample_rate)  # planar float
        parts, n_gathered = [], 0
        try:
            for frame in self._container.decode(self._stream):
                for converted in resampler.resample(frame):
                    parts.append(converted.to_ndarray())
                    n_gathered += converted.samples
                if n_gathered >= self._block_samples:
                    yield np.concatenate(parts, axis=1)
                    parts, n_gathered = [], 0
        except av.FFmpegError as error:
            raise self._damaged(self.n_samples + n_gathered, error.strerror) from None
        if parts:
            yield np.concatenate(parts, axis=1)

    def _damaged(self, n_samples: int, reason: str) -> AudioError:
        reason = reason.strip().rstrip(".") or "it cannot be decoded"
        return AudioError(f"is damaged after {n_samples / self.sample_rate:.1f} s ({reason})")

    def cut_off(self) -> str | None:
        """Tell whether the file ends too early, after `blocks` has ended and before it is closed.

        Returns:
            A message that continues the file's name; None if it is whole, or does not say how long it is.
        """
        read = f"ends after {self.n_samples / self.sample_rate:.2f} s"
        if (self._file.format if self._file else self._container.format.name).lower() == "ogg":
            return None if audio_lengths.has_last_page(self._raw) else f"{read}, without an end: it was cut off"
        if self._file and self._file.format in _MPEG_FORMATS and audio_lengths.lacks_bytes(self._raw):
            return f"{read}, and has fewer bytes than it says: it was cut off"
        stated, tolerance = self._stated_samples()
        if self.n_samples + tolerance * self.sample_rate >= stated:
            return None
        return f"{read}, and says that it holds {stated / self.sample_rate:.2f} s: it was cut off"

    def _stated_samples(self) -> tuple[float, float]:
        """Return the samples that the file says it holds, 0 if it does not, and how far that may be off (s)."""
        if not self._file:
            known = self._container.format.name.split(",")[0] in _TIMED_FORMATS
            return self.expected_samples if known else 0, _TOLERANCE
        if self._file.format in _MPEG_FORMATS:  # without a count of frames, the length is a guess by the bit rate
            return self.expected_samples if audio_lengths.counts_frames(self._raw) else 0, _TOLERANCE
        return self.expected_samples * audio_lengths.stated_ratio(self._file.extra_info), 0


def load_audio(path: str | os.PathLike, n_samples: int | None = None) -> np.ndarray:
    """Read a file, mixed to mono and resampled to 44.1 kHz.

    Args:
        path: the file.
        n_samples: samples at 44.1 kHz to read from the start; what follows them is not read. None for all of the file.

    Returns:
        float32 array [shape=(n_samples,)]; less if the file ends before.

    Raises:
        AudioError: if it is not audio, damaged, cut off, or empty.
        OSError: if it cannot be opened.
    """
    with Reader(path) as reader:
        rate = reader.sample_rate
        # The filter of the resampler spans far less than the 0.1 s that are read in addition.
        wanted = None if n_samples is None else -(-n_samples * rate // data.SAMPLE_RATE) + rate // 10
        parts, is_whole = [], True
        for block in reader.blocks():
            parts.append(block.mean(axis=0))
            if wanted is not None and reader.n_samples >= wanted:
                is_whole = False
                break
        if not parts:
            raise AudioError("holds no samples")
        if is_whole and (reason := reader.cut_off()):
            raise AudioError(reason)
        return data.resample(np.concatenate(parts)[:wanted], rate, data.SAMPLE_RATE)[:n_samples]


@contextlib.contextmanager
def open_to_write(
    path: Path, sample_rate: int, n_channels: int, subtype: str | None, n_samples: int = 0
) -> Iterator["soundfile.SoundFile"]:
    """Open an audio file to write.

    A WAV file holds 4 GiB at most; a larger one is written as RF64 (EBU Tech 3306), which readers of WAV know.

    Args:
        path: the file; its extension decides about the format.
        sample_rate: Hz.
        n_channels: number of channels.
        subtype: libsndfile's name of how samples are stored; None for the format's default.
        n_samples: samples that will be written, to choose between WAV and RF64.

    Raises:
        AudioError: if the format cannot hold the audio (MP3 has its own few rates, and two channels at most).
        OSError: if the file cannot be written, whatever libsndfile makes of it.
    """
    import soundfile

    format_name = path.suffix[1:].upper()
    if format_name == "WAV":
        width = _SAMPLE_BYTES.get(subtype or soundfile.default_subtype("WAV"), 4)
        if n_samples * n_channels * width > LARGEST_WAV:
            format_name = "RF64"
    with _OutputFile(path, "w") as file:
        try:
            writer = soundfile.SoundFile(file, "w", sample_rate, n_channels, subtype, format=format_name)
        except (soundfile.LibsndfileError, ValueError) as error:
            file.raise_error()
            reason = getattr(error, "error_string", error)
            raise AudioError(
                f"has {n_channels} channels at {sample_rate} Hz, which {format_name} cannot hold ({reason}); .wav can"
            ) from None
        try:
            with writer:
                yield writer
        except (soundfile.LibsndfileError, AssertionError):  # soundfile asserts that all was written
            file.raise_error()
            raise
        file.raise_error()


def subtypes(extension: str) -> list[str]:
    """List libsndfile's names of how the samples of a format, such as ".wav", can be stored."""
    import soundfile

    return sorted(soundfile.available_subtypes(extension[1:].upper()))


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep what libraries (libmpg123 for MP3, GLib for SoundFonts) write to stderr by themselves from there.

    They cannot be told to be silent. What other threads write to stderr in these milliseconds is lost.
    """
    with _silence, contextlib.ExitStack() as restore:
        with contextlib.suppress(OSError):  # there is no stderr
            stderr = os.dup(2)
            restore.callback(os.close, stderr)
            restore.callback(os.dup2, stderr, 2)
            null = os.open(os.devnull, os.O_WRONLY)
            restore.callback(os.close, null)
            os.dup2(null, 2)
        yield
