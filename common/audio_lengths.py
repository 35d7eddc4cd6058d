"""What audio files say of their length, to tell those that were cut off."""

import os
import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import av.container

# Lines of libsndfile's log about the chunk of samples, or all of the file, that is shorter than its header says.
_SHORT_CHUNK = re.compile(r"^\s*(?:data|SSND|Data Size|Data size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes that programs write which cannot go back and fill in the true one (FFmpeg, SoX, arecord).
_OPEN_SIZES = range(2**31 - 2**16, 2**31 + 2**16), range(2**32 - 2**16, 2**63)


def stated_ratio(log: str) -> float:
    """Return how many times as long as it is an uncompressed file says that it is: 1 if it is whole.

    Args:
        log: what libsndfile logged when it opened the file.
    """
    for stated, found in _SHORT_CHUNK.findall(log):
        if int(stated) > int(found) > 0 and not any(int(stated) in sizes for sizes in _OPEN_SIZES):
            return int(stated) / int(found)
    return 1.0


def stream_seconds(container: "av.container.InputContainer") -> float:
    """Return the length of a file's audio in seconds, as the file gives it; 0.0 if it does not."""
    stream = container.streams.audio[0]
    if stream.codec_context.name.startswith("pcm_") and stream.frames:  # FFmpeg adapts the duration to the file's size
        return stream.frames / stream.rate
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:  # a video may be longer than its sound
        return container.duration / 1_000_000
    return 0.0


def counts_frames(file: IO[bytes]) -> bool:
    """Tell whether an MP3 file begins with a count of its frames ("Xing" or "Info", of LAME and others; "VBRI")."""
    _, first_frame = _read_first_frame(file)
    return any(name in first_frame for name in (b"Xing", b"Info", b"VBRI"))


def lacks_bytes(file: IO[bytes]) -> bool:
    """Tell whether an MP3 file is shorter than the bytes that its header ("Xing" or "Info") counts.

    A tag of 128 bytes at the end (ID3v1) may have been counted and removed since.
    """
    start, first_frame = _read_first_frame(file)
    header = re.search(rb"(?:Xing|Info)(.{4})", first_frame, re.DOTALL)
    if not header or not header[1][3] & 2:  # the flag of the count of bytes
        return False
    position = header.end() + (4 if header[1][3] & 1 else 0)  # after the count of frames
    stated = int.from_bytes(first_frame[position : position + 4], "big")
    return file.seek(0, os.SEEK_END) - start < stated - 128


def _read_first_frame(file: IO[bytes]) -> tuple[int, bytes]:
    """Return where the first frame of an MP3 file begins, after a tag (ID3v2), and its first 200 bytes."""
    file.seek(0)
    header = file.read(10)
    start = 0
    if header[:3] == b"ID3" and len(header) == 10:
        start = 10 + sum((byte & 127) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    return start, file.read(200)


def has_last_page(file: IO[bytes]) -> bool:
    """Tell whether an Ogg file ends with a page that is whole and has the flag of the last one (RFC 3533)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2 * 65_536))  # a page has 65,307 bytes at most
    end = file.read()
    start = end.rfind(b"OggS")
    page = end[start:]
    if start < 0 or len(page) < 27 or not page[5] & 4:
        return False
    n_segments = page[26]
    return len(page) >= 27 + n_segments + sum(page[27 : 27 + n_segments])
