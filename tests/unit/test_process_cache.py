"""What a process loads once for many tasks."""

import pytest

from common.cli import UserError
from common.process_cache import ProcessCache


def test_a_process_loads_once_and_keeps_the_last():
    loaded = []

    def load(path, number):
        loaded.append(path)
        return f"digest of {number}", [number]

    here, there = ProcessCache(load), ProcessCache(load)
    key, value = here.load("a", 1)
    assert here.get(key) is value and loaded == ["a"]
    assert there.get(key) == there.get(key) == [1] and loaded == ["a", "a"]
    other, _ = here.load("b", 2)
    assert there.get(other) == [2]
    assert there.get(key) == [1] and loaded == ["a", "a", "b", "b", "a"]


def test_what_is_another_in_this_process_is_refused():
    key, _ = ProcessCache(lambda path: ("here", 1)).load("notes")
    with pytest.raises(UserError, match="notes on a worker differs"):
        ProcessCache(lambda path: ("there", 1)).get(key)
