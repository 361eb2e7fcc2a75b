"""What `/dashboard` and `/charts` are asked: parameters in any of their encodings -> Asked. Pure (docs/statistics.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from bridge.cloud.statistics import EARLIEST, LATEST, Range, Said, Unit, Window, moment
from bridge.cloud.zones import parse
from bridge.errors import Refused

CHARGE = "charge"
DASHBOARD = (CHARGE, "follow", "record", "sample", "status", "training")
CHARTS = (CHARGE, "record", "sample", "status", "training")
NAMES = ("equipment", "resource", "time", "unit")
MAX_PARAMETERS = 4_000
MAX_EQUIPMENT = 1_000
MAX_TIMES = 400
BODY_BYTES = 4 << 10
"""Of a body on a GET."""

Values = dict[str, list[str]]

_NAME = re.compile(r"(\w+)(?:\[(\d{0,6})\])?")
_DAY = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?")


class Wrong(Refused):
    """A parameter is not what it should be; `path` names it."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__("invalid", detail, f"?{name}")


class Asked(NamedTuple):
    """A checked question. `spans` are (from, to) of ranges; None is without end."""

    equipment: tuple[str, ...]
    resources: tuple[str, ...]
    spans: tuple[tuple[Said | None, Said | None], ...]
    unit: Unit | None

    def ranges(self, zone: ZoneInfo) -> list[Range]:
        """Its ranges in a zone."""
        return [
            (
                EARLIEST if low is None else moment(low.first, zone),
                LATEST if high is None or high.end is None else moment(high.end, zone),
            )
            for low, high in self.spans
        ]

    def window(self, zone: ZoneInfo) -> Window:
        """The same, cut into its units."""
        return Window(self.ranges(zone), zone, self.unit)


def values(query: str, body: bytes) -> Values:
    """All parameters by name: repeated, `k[]`, `k[0]`, or JSON as the value of one; a body is a JSON object or a form. What a
    body says counts before what the query says. Raises Wrong."""
    found = _pairs(query)
    text = body.strip()
    if text.startswith(b"{"):
        found |= _object(text)
    elif text:
        try:
            found |= _pairs(text.decode())
        except UnicodeDecodeError as error:
            raise Wrong("", "the body is not UTF-8") from error
    return found


def asked(found: Values, resources: tuple[str, ...], units: bool) -> Asked:
    """The question. Raises Wrong."""
    equipment = _some(found, "equipment", MAX_EQUIPMENT)
    wanted = _some(found, "resource", MAX_PARAMETERS)
    for each in wanted:
        if each not in resources:
            raise Wrong("resource", f"{each[:40]!r}: one of {', '.join(resources)}")
    unit: Unit | None = None
    if units:
        given = found.get("unit", [])
        if given not in (["day"], ["month"]):
            raise Wrong("unit", "day or month")
        unit = "day" if given == ["day"] else "month"
    return Asked(equipment, wanted, _spans(found.get("time", [])), unit)


def _some(found: Values, name: str, limit: int) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(found.get(name, ())))
    if not given:
        raise Wrong(name, "one or more are needed")
    if len(given) > limit:
        raise Wrong(name, f"at most {limit}")
    return given


# Times.


def _spans(given: list[str]) -> tuple[tuple[Said | None, Said | None], ...]:
    if not given:
        raise Wrong("time", 'such as ["bt", "2020-01-01 00:00:00", "2020-01-01 23:59:59"]')
    operator, *operands = given if given[0] in _OPERATORS else ["eq", *given]
    low, high = _OPERATORS[operator]
    if not low <= len(operands) <= high:
        raise Wrong("time", f"{operator} takes {low} to {high} times, not {len(operands)}")
    said = [_said(each) for each in operands]
    if operator == "bt":
        if _later(said[0], said[1]):
            raise Wrong("time", "bt takes the earlier time first")
        return ((said[0], said[1]),)
    first = said[0]
    if operator == "gt":
        return () if first.end is None else ((Said(first.end, None), None),)
    if operator == "lt":
        return ((None, Said(first.first, first.first)),)
    if operator == "ge":
        return ((first, None),)
    return ((None, first),) if operator == "le" else tuple((each, each) for each in said)


_OPERATORS = {"bt": (2, 2), "gt": (1, 1), "ge": (1, 1), "lt": (1, 1), "le": (1, 1), "eq": (1, 1), "in": (1, MAX_TIMES)}
"""Operator -> how many times it takes."""


def _later(one: Said, other: Said) -> bool:
    """Whether one begins after the other; a wall time and an instant are only compared where they are used."""
    if isinstance(one.first, int) or isinstance(other.first, int):
        return isinstance(one.first, int) and isinstance(other.first, int) and one.first > other.first
    return one.first > other.first


def _said(text: str) -> Said:
    """`YYYY-MM-DD HH:MM:SS` or ISO 8601 with an offset is that second, a date that day, `YYYY-MM` that month."""
    text = text.strip()
    try:
        day = _DAY.fullmatch(text)
        if day is None:
            first = parse(text)
            if isinstance(first, int):
                return Said(first - first % 1000, first - first % 1000 + 1000)
            return Said(first, _plus(first, timedelta(seconds=1)))
        year, month, date = (int(part) if part else None for part in day.groups())
        first = datetime(year or 0, month or 0, date or 1)  # noqa: DTZ001 - a wall clock
        if date is not None:
            return Said(first, _plus(first, timedelta(days=1)))
        following = _plus(first, timedelta(days=32))
        return Said(first, following and following.replace(day=1))
    except ValueError as error:
        wanted = "YYYY-MM-DD HH:MM:SS, a date, a month, or ISO 8601 with an offset"
        raise Wrong("time", f"{text[:40]!r} is no time: {wanted}") from error


def _plus(wall: datetime, more: timedelta) -> datetime | None:
    try:
        return wall + more
    except OverflowError:
        return None


# Encodings.


def _pairs(text: str) -> Values:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="replace")
    except ValueError as error:
        raise Wrong("", f"more than {MAX_PARAMETERS} parameters") from error
    placed: dict[str, list[tuple[int, str]]] = {}
    for key, value in pairs:
        known = _NAME.fullmatch(key)
        if known is None or known[1] not in NAMES:
            continue
        among = placed.setdefault(known[1], [])
        number = int(known[2]) if known[2] else len(among)
        among.append((number, value))
    return {
        name: [word for _, value in sorted(among, key=lambda each: each[0]) for word in _decoded(name, value)]
        for name, among in placed.items()
    }


def _decoded(name: str, text: str) -> list[str]:
    """A value that is JSON, or is what it is. No equipment and no time begins like JSON."""
    if not text.lstrip().startswith(("[", '"', "{")):
        return [text]
    return _words(name, _json(name, text.encode()))


def _object(text: bytes) -> Values:
    given = _json("", text)
    return {name: _words(name, value) for name, value in given.items() if name in NAMES and value is not None}


def _json(name: str, text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Wrong(name, "not JSON") from error


def _words(name: str, value: Any) -> list[str]:
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    found = []
    for each in items:
        if isinstance(each, bool) or not isinstance(each, str | int):
            raise Wrong(name, "a string, or an array of strings")
        found.append(str(each))
    return found
