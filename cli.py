"""What all scripts share at the shell: arguments, errors of one line, exit statuses, progress, parallel jobs."""

import argparse
import os
import re
import sys
import time

INSTRUMENTS = ("keyboard_acoustic", "guitar_acoustic", "string_acoustic", "synth_lead_synthetic")


class UserError(Exception):
    """The call or its input is wrong. The text names the file or flag, what is wrong and what would be right."""


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring and whose errors are one line and exit status 2."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=_HelpFormatter, allow_abbrev=False)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        # A default of None or False says nothing that the help does not.
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def run(main):
    """Runs a script's `main` and exits: 0 done, 1 something failed along the way, 2 the call or its input is wrong."""
    program = os.path.basename(sys.argv[0])
    try:
        status = main() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f"{program}: stopped; what is whole is kept", file=sys.stderr)
        status = 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"{program}: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def positive_int(text):
    """An argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def natural(text):
    """An argparse type: an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return value


def positive_float(text):
    """An argparse type: a finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be a number above 0")
    return value


def share(text):
    """An argparse type: a number from 0 up to, but not, 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0 and below 1")
    return value


def boolean(text):
    """An argparse type: true or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text.lower() == "true"


def instrument_name(text):
    """An argparse type: an instrument as NSynth names it, `<family>_<source>`."""
    if not re.fullmatch(r"[a-z]+(_[a-z]+)+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be <family>_<source>, such as keyboard_acoustic")
    return text


def words(item_type):
    """An argparse type for lists that take several words and also one word with commas; see `flatten`."""

    def parse(text):
        return [item_type(item) for item in text.split(",") if item]

    parse.__name__ = getattr(item_type, "__name__", "value")
    return parse


def flatten(lists):
    """Joins what `words` parsed from each word of a list argument and drops repetitions, keeping the order."""
    return list(dict.fromkeys(item for items in lists for item in items))


class Bar:
    """How far long work is: a tqdm bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, total, unit):
        self._total, self._unit, self._done, self._bar = total, unit, 0, None
        self._started = self._shown = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=f" {unit}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def update(self, amount=1):
        self._done += amount
        if self._bar is not None:
            self._bar.update(amount)
        elif time.monotonic() - self._shown >= 10:
            self._shown = time.monotonic()
            seconds = self._shown - self._started
            print(f"{self._done:.0f} of {self._total:.0f} {self._unit}, {seconds:.0f} s", file=sys.stderr, flush=True)

    def write(self, line):
        """Prints a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(line)
        else:
            print(line, flush=True)


def progress(items, total, unit):
    """Yields from `items`, with a `Bar`."""
    with Bar(total, unit) as bar:
        for item in items:
            yield item
            bar.update()


def in_parallel(function, calls, jobs, unit):
    """Yields `function(*call)` for each call as it is finished, in any order, over `jobs` threads.

    Threads, as nearly all the work is done in NumPy, soxr and libsndfile, which leave Python to others meanwhile: they
    start at once and share what is in memory.
    """
    import joblib

    jobs = min(jobs or joblib.cpu_count(), max(1, len(calls)))
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", prefer="threads")
    yield from progress(parallel(joblib.delayed(function)(*call) for call in calls), len(calls), unit)


def report_failures(failures, what):
    """Says at the end of a run what failed, by file. Returns the exit status: 1 if anything did, otherwise 0."""
    for name, reason in sorted(failures):
        print(f"failed: {name}: {reason}", file=sys.stderr)
    if failures:
        print(f"{len(failures)} {what} failed", file=sys.stderr)
    return 1 if failures else 0
