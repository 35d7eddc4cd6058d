"""Full and read-only disks: one line, and the same command goes on once there is room."""

import contextlib
import functools
import os
import resource
import subprocess
import sys
from pathlib import Path

import samples
from trial import Case

JOBS = (
    *("render_notes", "synthesis", "features", "train", "train_generator", "train_multitarget"),
    *("prediction", "prediction_multitarget", "evaluation"),
)
_FRACTIONS = (0.02, 0.4, 0.9)  # of the room that a job needs


def cases():
    can_mount = sys.platform == "linux" and os.geteuid() == 0
    if not can_mount:
        print("full and read-only disks need root on Linux: limits of file sizes stand for full disks", file=sys.stderr)
    for job in JOBS:
        for fraction in _FRACTIONS:
            title = f"{job} with {fraction:.0%} of the room"
            function = _full_case if can_mount else _limited_case
            yield Case("full disks", title, functools.partial(function, job, fraction))
        if can_mount:
            yield Case("read-only disks", f"{job} on a read-only disk", functools.partial(_read_only_case, job))


@contextlib.contextmanager
def _disk(folder, options):
    """Mount a disk in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


def unmount_below(folder):
    """Unmount what a campaign that was ended left mounted."""
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        if line.split()[1].startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


def _remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True, capture_output=True)


def _full_case(job, fraction, trial):
    size = max(4096, int(fraction * trial.world.undisturbed[job][2]))
    with _disk(trial.folder / "disk", f"size={size}") as disk:
        command = trial.world.jobs[job](disk / "out")
        outcome = trial.must(*command)
        trial.fail(None if outcome.status else "exit status 0 on a full disk")
        trial.fail(samples.leftovers(disk) if job not in trial.world.training else None)
        _remount(disk, "size=1g")
        _finish(trial, job, command, disk / "out")


def _limited_case(job, fraction, trial):
    """Limit the size of files: what a process can do to itself without rights."""
    limit = max(1, int(fraction * trial.world.undisturbed[job][3]))
    command = trial.world.jobs[job](trial.folder / "out")
    outcome = trial.must(*command, limits=[(resource.RLIMIT_FSIZE, limit)])
    trial.fail(None if outcome.status else "exit status 0 in spite of the limit")
    _finish(trial, job, command, trial.folder / "out")


def _read_only_case(job, trial):
    with _disk(trial.folder / "disk", "size=1g") as disk:
        command = trial.world.jobs[job](disk / "out")
        _remount(disk, "ro")
        outcome = trial.must(*command)
        trial.fail(None if outcome.status else "exit status 0 on a read-only disk")
        _remount(disk, "rw")
        _finish(trial, job, command, disk / "out")


def _finish(trial, job, command, out):
    trial.must_succeed(*command)
    trial.must_equal_undisturbed(job, out)
