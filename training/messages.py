"""What a run that stops says: why, what is kept, and how to resume."""

import re
import shlex
import sys
from pathlib import Path

from common.device_names import read_cluster


def resume_hint() -> str:
    """Return the command that resumes this run; --restart would begin again."""
    words = [word for word in sys.argv if word != "--restart"]
    where = " (on every machine)" if read_cluster() else ""
    return f"to resume{where}: {shlex.join(['python', *words])}"


def diverged_message(number: int, place: Exception, latest: Path | None) -> str:
    """Say that epoch `number` was stopped at a place by a value that is not finite, after checkpoint `latest`."""
    kept = "the last good checkpoint is kept" if latest else "no checkpoint was written yet"
    return (
        f"stopped: a loss or a weight became NaN or infinite at epoch {number}, {place}; {kept}, "
        "and the same command with lower learning rates resumes from there"
    )


def lost_message(error: Exception) -> str:
    """Say that this worker stopped as another one could not be reached."""
    lines = str(error).splitlines() or [""]
    named = [line.partition("aborted by: ")[2] for line in lines if "aborted by: " in line]
    reason = re.sub(r"\s+", " ", named[0] if named else lines[0])[:200]
    return (
        f"stopped: another worker ended or cannot be reached ({reason}); the last checkpoint is kept; {resume_hint()}"
    )
