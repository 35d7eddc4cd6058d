"""What tasks need and do not carry: loaded once in each process."""

import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from common.cli import UserError

Value = TypeVar("Value")


class Key(NamedTuple):
    """What a task carries instead of a value.

    Attributes:
        arguments: those of the function that loads the value. The first one is a file or folder, as an absolute path;
            None for a value that comes from no file.
        digest: a hash of what was loaded.
    """

    arguments: tuple
    digest: str


class ProcessCache(Generic[Value]):
    """Keeps the last value that this process has loaded. Threads share it; other processes load it from the key."""

    def __init__(self, load: Callable[..., tuple[str, Value]]) -> None:
        """Take the function that loads: it returns a hash of what it loaded, and the value."""
        self._load = load
        self._lock = threading.Lock()
        self._values: dict[Key, Value] = {}  # one at most: the processes of a cluster serve many runs

    def load(self, *arguments: object) -> tuple[Key, Value]:
        """Load a value, and return its key and the value."""
        digest, value = self._load(*arguments)
        key = Key(arguments, digest)
        self._values = {key: value}
        return key, value

    def get(self, key: Key) -> Value:
        """Return the value of a key that `load` returned, in this process or another.

        Raises:
            UserError: if what would be loaded here is something else.
        """
        with self._lock:
            value = self._values.get(key)
            if value is None:
                found, value = self.load(*key.arguments)
                if found != key:
                    raise UserError(f"{key.arguments[0]} on a worker differs from the one on this machine")
            return value
