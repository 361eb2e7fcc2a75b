"""Are the time series in PostgreSQL whole. Reads only, beside a bridge that may run."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from bridge.errors import StoreError
from bridge.store.dialect import Postgres
from bridge.store.postgres_session import Session, connect, label
from bridge.store.verify import SERIES, problems


def verify_postgres(where: Postgres) -> list[str]:
    """Every problem found in the schema, one line each; empty when it is clean."""
    try:
        name = label(where)
        session = connect(where, "ems-bridge verify")
    except (psycopg.Error, StoreError) as error:
        return [f"PostgreSQL cannot be opened: {error}"]
    try:
        return [f"{name}: {problem}" for problem in _problems(session)]
    except psycopg.Error as error:
        return [f"{name}: cannot be read: {error}"]
    finally:
        session.close()


def _problems(session: Session) -> Iterator[str]:
    session.only_reads()
    for check in SERIES:
        yield from problems(check, session.stream(check.query))
