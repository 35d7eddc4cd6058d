"""What audio files say of their length, to tell those that were cut off."""

import os
import re
from typing import IO

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


def counts_frames(file: IO[bytes]) -> bool:
    """Tell whether an MP3 file begins with a count of its frames ("Xing" or "Info", of LAME and others; "VBRI")."""
    file.seek(0)
    header = file.read(10)
    start = 0
    if header[:3] == b"ID3" and len(header) == 10:
        start = 10 + sum((byte & 127) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    first_frame = file.read(200)
    return any(name in first_frame for name in (b"Xing", b"Info", b"VBRI"))


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
