"""How a row reaches SQLite: named statements, run in three phases of one transaction.

Phase 0 groups inserts by statement, phase 1 runs one by one in the order of arrival, phase 2 groups deletes. A group is one
`executemany`, or, where `bulk` is set, one execution whose only parameter is the JSON array of all rows: a per-row loop in a
worker thread fights the event loop for the GIL. A bulk statement takes no BLOB, but for the last parameter of a row where `body`
is set: the bodies of all rows are one second parameter, and each row of the array ends in offset and size instead. `also` is
run after `sql` with the same array. What is FIRST has no rows: it runs once at the beginning of each transaction that writes.
"""

from __future__ import annotations

from typing import NamedTuple

FIRST, INSERTS, ORDERED, DELETES = -1, 0, 1, 2


class Statement(NamedTuple):
    """SQL with its phase. An ORDERED statement may end in RETURNING: its first row comes back in `Record.results`."""

    sql: str
    phase: int
    bulk: bool = False
    body: bool = False
    also: str = ""
