"""Are the files of a data directory whole, and what must hold between their rows, in PostgreSQL too. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bridge.store.chunks import DAY_BITS, DAYS, is_whole, values_of
from schemas.notices import OPEN

SHOWN = 20
"""Problems of one sort that are listed; the rest are counted."""
_OPEN = str(OPEN)

LEDGER: tuple[tuple[str, str], ...] = (
    (
        "command {} has the state {} but its audit ends with {}",
        "SELECT c.mid, c.state, e.state FROM commands c JOIN command_events e ON e.id ="
        " (SELECT max(id) FROM command_events WHERE mid = c.mid) WHERE e.state <> c.state",
    ),
    (
        "command {} has no audit",
        "SELECT mid FROM commands WHERE mid NOT IN (SELECT mid FROM command_events)",
    ),
    (
        "command {} had {} outcomes",
        f"SELECT mid, count(*) FROM command_events WHERE state NOT IN {_OPEN} AND state NOT LIKE 'late_%'"
        " GROUP BY mid HAVING count(*) > 1",
    ),
    (
        "command {} answered late {} times",
        "SELECT mid, count(*) FROM command_events WHERE state LIKE 'late_%' GROUP BY mid HAVING count(*) > 1",
    ),
    (
        "command {} is {} but has no time of its outcome, or has one too early",
        f"SELECT mid, state FROM commands WHERE (state IN {_OPEN}) <> (settled_at IS NULL)",
    ),
    (
        "the latest {} of device {} points to a stored message that is not there",
        "SELECT suffix, device FROM latest WHERE seq NOT IN (SELECT seq FROM reports)",
    ),
    (
        "stored message {} is not JSON",
        "SELECT seq FROM reports WHERE NOT json_valid(body)",
    ),
    (
        "outbox line {} is not JSON",
        "SELECT seq FROM outbox WHERE NOT json_valid(samples)",
    ),
    (
        "queued message {} of session {} has no text",
        "SELECT message, session FROM mqtt_queue WHERE message NOT IN (SELECT id FROM mqtt_messages)",
    ),
)
"""(words, query): each row that a query gives is a problem."""


class Check(NamedTuple):
    """Each row of `query` that is not `good` is a problem."""

    words: str
    query: str
    good: Callable[[tuple[Any, ...]], bool] = lambda _row: False


def _is_sample(body: str) -> bool:
    try:
        values_of(body)
    except msgspec.DecodeError:
        return False
    return True


SERIES = (
    Check(
        "a sample of asset number {} at {} is not JSON",
        "SELECT asset, ts, body FROM samples",
        lambda row: _is_sample(row[2]),
    ),
    Check(
        "samples of asset number {} have no asset",
        "SELECT DISTINCT asset FROM samples WHERE asset NOT IN (SELECT id FROM assets)",
    ),
    Check(
        "chunk {} has no column",
        f"SELECT id FROM chunks WHERE id >> {DAY_BITS} NOT IN (SELECT number FROM columns)",
    ),
    Check(
        "the chunk of {} of asset number {} of day {} is damaged",
        f"SELECT c.point, c.asset, k.id & {DAYS - 1}, k.id, k.body FROM chunks k JOIN columns c"
        f" ON c.number = k.id >> {DAY_BITS}",
        lambda row: is_whole(*row[3:]),
    ),
)
"""Of the time series, in SQLite or PostgreSQL."""
FILES = {"bridge.db": tuple(Check(*each) for each in LEDGER), "series.db": SERIES}


def verify(directory: Path) -> list[str]:
    """Every problem found in the databases of `directory`, one line each; empty when it is clean."""
    return [
        f"{name}: {problem}" for name in FILES if (directory / name).is_file() for problem in _file(directory / name)
    ]


def _file(path: Path) -> Iterator[str]:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        yield f"cannot be opened: {error}"
        return
    try:
        broken = [text for (text,) in connection.execute(f"PRAGMA integrity_check({SHOWN})") if text != "ok"]
        yield from broken
        yield from (
            f"row {row} of {table} refers to nothing"
            for table, row, *_ in connection.execute("PRAGMA foreign_key_check")
        )
        if not broken:
            for check in FILES[path.name]:
                yield from problems(check, connection.execute(check.query))
    except sqlite3.Error as error:
        yield f"cannot be read: {error}"
    finally:
        connection.close()


def problems(check: Check, rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """What is wrong with the rows of a check, in words."""
    for count, row in enumerate(row for row in rows if not check.good(row)):
        if count == SHOWN:
            yield f"and more: {check.words}"
            return
        yield check.words.format(*row)
