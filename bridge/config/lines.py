"""Where each key of a TOML file stands: the standard reader gives values without lines.

Only files that `tomllib` has accepted are scanned, so the scanner may trust their grammar.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_KEY = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")


def key_lines(text: str) -> dict[Path, int]:
    """Line (from 1) of every table header and key of `text`; array items count from 0.

    Keys inside an inline table or an array have no line of their own: ask for the nearest parent.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    at, line = 0, 1
    while at < len(text):
        char = text[at]
        if char == "\n":
            at, line = at + 1, line + 1
        elif char in " \t\r":
            at += 1
        elif char == "#":
            at = _end_of_line(text, at)
        elif char == "[":
            many = text.startswith("[[", at)
            names, at = _dotted(text, at + 1 + many)
            table = _resolve(names, counts, append=many)
            found.setdefault(table, line)
            at = _end_of_line(text, at)
        else:
            names, at = _dotted(text, at)
            for depth in range(1, len(names) + 1):
                found.setdefault((*table, *names[:depth]), line)
            end = _end_of_value(text, at + 1)
            line += text.count("\n", at, end)
            at = end
    return found


def line_of(found: dict[Path, int], path: Path) -> int:
    """Line of `path` or of its nearest parent; 1 when there is none."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return 1


def _dotted(text: str, at: int) -> tuple[tuple[str, ...], int]:
    names: list[str] = []
    while match := _KEY.match(text, at):
        names.append(next(group for group in match.groups() if group is not None))
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(names), at


def _resolve(names: tuple[str, ...], counts: dict[Path, int], *, append: bool) -> Path:
    """The header's path, with the index of the newest item after each array of tables."""
    path: Path = ()
    for depth, name in enumerate(names, 1):
        path = (*path, name)
        if append and depth == len(names):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _end_of_value(text: str, at: int) -> int:
    """Where the value that starts at `at` ends: the newline outside every string and bracket."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            at = _end_of_string(text, at)
            continue
        if char == "#":
            at = _end_of_line(text, at)
            continue
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "\n" and depth <= 0:
            return at
        at += 1
    return at


def _end_of_string(text: str, at: int) -> int:
    quote = text[at]
    mark = quote * 3 if text.startswith(quote * 3, at) else quote
    at += len(mark)
    while at < len(text):
        if quote == '"' and text[at] == "\\":
            at += 2
        elif text.startswith(mark, at):
            at += len(mark)
            while len(mark) == 3 and text[at : at + 1] == quote:  # up to two quotes may stand before the closing three
                at += 1
            return at
        else:
            at += 1
    return at
