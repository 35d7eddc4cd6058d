"""Damage to files, by seed: functions of (bytes, random generator) that return bytes."""

import numpy as np

HEADER = 64  # bytes that count as a file's header


def truncate(data, rng):
    return data[: int(len(data) * rng.uniform(0.02, 0.98))]


def truncate_header(data, rng):
    return data[: int(rng.integers(1, HEADER))]


def flip_header(data, rng):
    return _flip(data, rng, 0, min(HEADER, len(data)), int(rng.integers(1, 5)))


def flip_body(data, rng):
    return _flip(data, rng, min(HEADER, len(data) // 2), len(data), int(rng.integers(1, 20)))


def large_sizes(data, rng):
    """Set four bytes of the header to a number that is 0 or very large."""
    first = 4 * int(rng.integers(0, HEADER // 4))
    value = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"][rng.integers(4)]
    return data[:first] + value + data[first + 4 :]


def text(data, rng):
    return b"<!doctype html><title>404</title> Not found.\n" * int(rng.integers(1, 40))


def empty(data, rng):
    return b""


def noise(data, rng):
    return rng.bytes(max(1, min(len(data), 20_000)))


def zeros(data, rng):
    return bytes(len(data))


def shifted(data, rng):
    return data[int(rng.integers(1, HEADER)) :]


def hole(data, rng):
    """Set a block of the body to zeros, as a power cut leaves it."""
    first = int(rng.integers(min(HEADER, len(data) // 2), len(data)))
    last = min(len(data), first + 4096)
    return data[:first] + bytes(last - first) + data[last:]


def latin_1(data, rng):
    first = int(rng.integers(0, max(1, len(data) - 1)))
    return data[:first] + b"\xe9\xff" + data[first + 2 :]


def _flip(data, rng, first, last, count):
    changed = np.frombuffer(data, np.uint8).copy()
    if last > first:
        positions = rng.integers(first, last, count)
        changed[positions] ^= (1 << rng.integers(0, 8, count)).astype(np.uint8)
    return changed.tobytes()


GENERAL = (truncate, truncate_header, flip_header, flip_body, large_sizes, text, empty, noise, zeros, shifted, hole)


def general(repeats=2):
    """List (name, function) of the general kinds of damage, `repeats` of those in which chance plays a part."""
    for function in GENERAL:
        for number in range(repeats if function not in (empty, zeros) else 1):
            yield f"{function.__name__} {number}", function


def json_values():
    """JSON texts that stand where an object is expected, by name."""
    deep = 100_000
    return {
        "empty": "",
        "cut": '{"settings": {"a',
        "list": "[1, 2, 3]",
        "number": "17",
        "null": "null",
        "text": '"text"',
        "object": "{}",
        "nan": '{"settings": NaN, "entries": Infinity}',
        "deep": "[" * deep + "]" * deep,
        "deep object": '{"a":' * deep + "1" + "}" * deep,
        "long number": '{"settings": ' + "9" * 10_000 + "}",
        "surrogate": '{"settings": {"\\ud800": 1}, "entries": {"\\udfff": {}}}',
        "twice": '{"settings": {}, "entries": {}}{"settings": {}, "entries": {}}',
        "utf-16": "\ufeff{}",
    }


def json_mutants(value, rng, count):
    """Make JSON values by replacing a random inner value of `value` with one of another type or range.

    Yields:
        Pairs of a description and a value.
    """
    import copy

    strange = (None, True, -1, 0, 2**63, 1e308, float("nan"), "", "../../x", "\ud800", [], {}, [[]], {"a": None})
    places = list(_places(value))
    for _ in range(count):
        place = places[rng.integers(len(places))]
        new = strange[rng.integers(len(strange))]
        changed = copy.deepcopy(value)
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        if rng.random() < 0.2:
            del parent[place[-1]]
            yield f"no {'.'.join(map(str, place))}", changed
        else:
            parent[place[-1]] = new
            yield f"{'.'.join(map(str, place))} = {new!r:.12}", changed


def _places(value, place=()):
    """List the keys and indices that lead to each inner value, at most four of a list."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from _places(inner, (*place, key))
