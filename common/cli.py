"""The command line: arguments, errors of one line, exit statuses."""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from common import failures

INSTRUMENTS = ("keyboard_acoustic", "guitar_acoustic", "string_acoustic", "synth_lead_synthetic")


class UserError(Exception):
    """The call or its input is wrong. The text names the file or flag, what is wrong and what would be right."""


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring and whose errors are one line and exit status 2."""

    def __init__(self, doc: str | None) -> None:
        super().__init__(description=doc, formatter_class=_HelpFormatter, allow_abbrev=False)

    def defaults(self) -> dict[str, Any]:
        """Return the default of each flag, by the name of its value."""
        return {action.dest: action.default for action in self._actions if action.dest != "help"}

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise AssertionError  # exit does not return


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        # A default of None or False adds nothing to the help text; one of 0 does.
        plain = action.default is None or action.default is False
        return action.help if plain else super()._get_help_string(action)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a script's `main` and exit: 0 done, 1 something failed along the way, 2 the call or its input is wrong."""
    program = os.path.basename(sys.argv[0])
    _open_standard_streams()
    try:
        status = main() or 0
        sys.stdout.flush()  # here its errors are caught
    except UserError as error:
        print(_one_line(f"{program}: {error}"), file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f"{program}: stopped; finished files are kept", file=sys.stderr)
        status = 1
    except BrokenPipeError:  # the reader of the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails again
        status = 1
    except failures.expected() as error:  # a full disk, a folder without permission to write, a file that vanished
        print(_one_line(f"{program}: {failures.describe(error)}"), file=sys.stderr)
        status = 1
    sys.exit(status)


def _open_standard_streams() -> None:
    """Make stdin, stdout and stderr usable where they are closed, and for all names of files.

    The next files that are opened would get the descriptors of closed ones, and libraries would write messages to them.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal's encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")


def positive_int(text: str) -> int:
    """Parse an integer of at least 1 (an argparse type)."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def non_negative_int(text: str) -> int:
    """Parse an integer of at least 0 (an argparse type)."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0 (an argparse type)."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be a number above 0")
    return value


def non_negative_float(text: str) -> float:
    """Parse a finite number of at least 0 (an argparse type)."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be a number of at least 0")
    return value


def fraction(text: str) -> float:
    """Parse a number from 0 (included) to 1 (excluded) (an argparse type)."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0 and below 1")
    return value


def seed(text: str) -> int:
    """Parse the seed of a random generator, an integer from 0 to 2^32 - 1 (an argparse type)."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} must be from 0 to {2**32 - 1}")
    return value


def boolean(text: str) -> bool:
    """Parse `true` or `false` (an argparse type)."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text.lower() == "true"


def instrument_name(text: str) -> str:
    """Parse an instrument as NSynth names it, `<family>_<source>` (an argparse type)."""
    if not re.fullmatch(r"[a-z]+(_[a-z]+)+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be <family>_<source>, such as keyboard_acoustic")
    return text


def comma_list(item_type: Callable[[str], Any]) -> Callable[[str], list]:
    """Make an argparse type for one word of a list flag, which may hold several values between commas.

    Together with `nargs="+"` and `flatten`, a list flag takes several words, one word with commas, or both.
    """

    def parse(text: str) -> list:
        return [item_type(item) for item in text.split(",") if item]

    parse.__name__ = getattr(item_type, "__name__", "value")  # argparse shows it in its errors
    return parse


def flatten(lists: Iterable[Iterable]) -> list:
    """Join the lists that `comma_list` parsed and drop repetitions; the order stays."""
    return list(dict.fromkeys(item for items in lists for item in items))


def report_failures(failures: Iterable[tuple[str, str]], noun: str) -> int:
    """Print what failed, by file, at the end of a run.

    Args:
        failures: (file, reason) of each.
        noun: what failed, for the last line, such as "MIDI files".

    Returns:
        The exit status: 1 if anything failed, otherwise 0.
    """
    failures = sorted(failures)
    for name, reason in failures:
        print(_one_line(f"failed: {name}: {reason}"), file=sys.stderr)
    if failures:
        print(f"{len(failures)} {noun} failed", file=sys.stderr)
    return 1 if failures else 0


def _one_line(text: str) -> str:
    """Show the line breaks that names of files may hold instead of breaking the line."""
    return "\\n".join(text.splitlines())
