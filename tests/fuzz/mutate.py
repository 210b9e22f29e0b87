"""Damage to bytes and odd values, both drawn from a seeded generator."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

#: whole numbers at the edges of what headers hold
NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**20, 2**31 - 1, 2**31, -(2**31))
LARGE = (2**32 - 1, 2**32, 10**12, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e-320, 1e30, 3.4e38, 1e308, float("nan"), float("inf"), float("-inf"))
#: text that formats, paths, shells, pages or spreadsheets take for something else
TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "a\nb",
        "\r",
        "\x00",
        "\x1b[31m",
        "\ufeff",
        "\u202e",
        "\ud800",
        "é",
        "e\u0301",
        "中文",
        "🧠",
    ),
    *("../../etc/passwd", "/dev/zero", "C:\\x", "a/b", "#3", "x#99999999999999999999", "=1+1", "'; DROP TABLE x; --"),
    *("<script>alert(1)</script>", "{norm}", "{", "%s", "$(id)", "~", "null", "NaN", "1e400", "0x" + "f" * 20),
    *("a" * 300, "a" * 70_000, "é" * 5000, "1" * 5000, "-", "none", "all", "true", "2024-02-30", "12:30:45"),
)


def mutate(data: bytes, rng: Random, *, other: bytes = b"", most: int = 3) -> bytes:
    """A valid file with one to ``most`` kinds of damage; most of it early in the file, where headers are."""
    for _ in range(rng.randint(1, most)):
        data = rng.choice(_DAMAGES)(data, rng, other or data)
    return data


def _place(data: bytes, rng: Random) -> int:
    reach = len(data) if rng.random() < 0.4 else min(len(data), rng.choice((64, 512, 4096)))
    return rng.randrange(reach) if reach else 0


def _flip(data: bytes, rng: Random, other: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if found:
            found[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _number(data: bytes, rng: Random, other: bytes) -> bytes:
    size, code = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    value = rng.choice((*NUMBERS, *LARGE)) % (1 << 8 * size)
    at = _place(data, rng)
    return data[:at] + struct.pack(rng.choice("<>") + code, value) + data[at + size :]


def _cut(data: bytes, rng: Random, other: bytes) -> bytes:
    return data[: rng.choice((_place(data, rng), rng.randint(0, len(data)), max(0, len(data) - 1)))]


def _remove(data: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 300)) :]


def _insert(data: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 100))) + data[at:]


def _fill(data: bytes, rng: Random, other: bytes) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 4, 32, 400))
    return data[:at] + bytes([rng.choice((0, 255, 127, 32))]) * min(size, len(data) - at) + data[at + size :]


def _splice(data: bytes, rng: Random, other: bytes) -> bytes:
    start = rng.randint(0, len(other))
    return data[: _place(data, rng)] + other[start : start + rng.choice((16, 256, 10**9))]


def _repeat(data: bytes, rng: Random, other: bytes) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 16, 200))
    return data[:at] + data[at : at + size] * rng.choice((2, 3, 100)) + data[at:]


def _append(data: bytes, rng: Random, other: bytes) -> bytes:
    return data + rng.choice((b"\x00", other, rng.randbytes(50), bytes(5000)))


_DAMAGES: tuple[Callable[[bytes, Random, bytes], bytes], ...] = (
    *(_flip, _flip, _number, _number, _cut, _remove, _insert, _fill, _splice, _repeat, _append),
)


def odd_value(rng: Random, depth: int = 0) -> object:
    """A value that a document may hold, but that nobody expects: of any type, size and nesting."""
    kind = rng.randrange(10 if depth < 3 else 6)
    if kind < 2:
        return rng.choice((*NUMBERS, *LARGE, 10**30, 10**4000, -(10**4000)))
    if kind == 2:
        return rng.choice(FLOATS)
    if kind == 3:
        return rng.choice((True, False, None))
    if kind < 6:
        return rng.choice(TEXTS)
    if kind < 8:
        return [odd_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 3, 50)))]
    return {rng.choice((*TEXTS[:40], *NUMBERS)): odd_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 5)))}


def edit(document: object, rng: Random) -> object:
    """A document with one place changed: a value replaced, removed, doubled, moved or wrapped, or a key added."""
    if isinstance(document, dict) and document and rng.random() < 0.85:
        key = rng.choice(list(document))
        deed = rng.random()
        if deed < 0.62:
            return {**document, key: edit(document[key], rng)}
        if deed < 0.76:
            return {**document, key: odd_value(rng)}
        if deed < 0.86:
            return {name: value for name, value in document.items() if name != key}
        if deed < 0.93:
            return {**document, rng.choice((*TEXTS[:40], 1, None, True)): odd_value(rng)}
        return {**document, key: document[rng.choice(list(document))]}
    if isinstance(document, list) and document and rng.random() < 0.85:
        at = rng.randrange(len(document))
        deed = rng.random()
        if deed < 0.65:
            return [*document[:at], edit(document[at], rng), *document[at + 1 :]]
        if deed < 0.8:
            return [*document[:at], odd_value(rng), *document[at + 1 :]]
        return document * rng.choice((0, 2, 3, 30)) if deed < 0.9 else document[:at]
    return rng.choice((odd_value(rng), [document], {"name": document}, odd_value(rng)))
