"""InfluxDB line protocol: one line an asset and instant, its points as fields, and what /write says about them. Pure.

A row is one reading; neighbours of the same asset and instant share a line, so that a refused reading can leave its line and
the others go again. All values are floats: a field has one type in InfluxDB for ever. The same line again changes nothing
there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from math import isfinite
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from bridge.mirror.answers import EXCERPT, Answer, Partial, Refusal, by_status
from bridge.mirror.rows import Foreign, Row, parts, size
from bridge.mirror.sink import InfluxConfig
from bridge.store.outbox import OutboxLine

HOUR_MS: Final = 3_600_000
"""No shard is shorter, and each begins on a full hour: what InfluxDB says of lines of one hour it says of all of them."""

AROUND: Final = 15
"""Bytes of a line beside its head and its fields: a time, two spaces."""
REASON: Final = 10_000
"""Characters in which a reason is looked for."""
LAST_MS: Final = 9_223_372_036_854
"""The year 2262. What lies behind is no time to InfluxDB, and it says so only when nothing else is wrong."""

_CONFLICT = re.compile(r'field type conflict: input field "((?:[^"\\]|\\.)*)" on measurement .* dropped=(\d+)')
_BEYOND = re.compile(r"partial write: points beyond retention policy dropped=(\d+)")
_decode = msgspec.json.Decoder(dict[str, object]).decode


class Influx(Foreign):
    """The shape of requests to /write and /api/v2/write."""

    content_type = "text/plain; charset=utf-8"
    reads = False
    answer_bytes = 4 << 20
    """InfluxDB repeats every line that it could not read."""

    def __init__(self, config: InfluxConfig) -> None:
        self._measurement = _escaped(config.measurement, ", ")
        tags = dict(sorted(config.tags.items()))
        self._tags = "".join(f",{_escaped(name)}={_escaped(value)}" for name, value in tags.items() if value)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._fields: dict[str, str] = {}

    def rows(self, line: OutboxLine) -> list[Row]:
        """One a value; InfluxDB knows no NaN and no infinity."""
        return [
            Row(line.seq, line.device, asset, at, point, f"{self._field(point)}={value!r}".encode(), kept=value)
            for asset, at, values in parts(line.samples)
            for point, value in values.items()
            if isfinite(value)
        ]

    def size(self, rows: Sequence[Row]) -> int:
        """Fields, and what is around those of each line."""
        heads = [self._head(row.asset, row.device) for row in {_line_of(row): row for row in rows}.values()]
        return size(rows) + sum(len(head) + AROUND for head in heads)

    def body(self, rows: Sequence[Row]) -> bytes:
        """Lines."""
        return b"\n".join(self._lines(rows)) + b"\n"

    def answer(self, status: int, text: str, wait: float, rows: Sequence[Row]) -> Answer:
        """A partial write is understood where InfluxDB tells enough of it; else it is cut like any other refusal."""
        if status not in (400, 422):
            return by_status(status, text, wait)
        message = _message(text)
        found = None
        if message is not None and "partial write" in message:
            found = self._unparsed(message, rows)
            if found is None and all(0 <= row.timestamp < LAST_MS for row in rows):
                found = self._conflict(message[:REASON], rows) or _beyond(message[:REASON], rows)
        refusal = Refusal(status, (message or text)[:EXCERPT])
        if found is None or len(found[1]) >= len(rows):
            return refusal
        return Partial(*found, refusal)

    def _conflict(self, message: str, rows: Sequence[Row]) -> tuple[list[int], list[int]] | None:
        """The point that has another type there. Its whole line was dropped: the other fields go again; and so does
        everything when other lines were dropped as well, for they are not named."""
        match = _CONFLICT.search(message)
        if match is None or rows[0].timestamp // HOUR_MS != _last_hour(rows):
            return None
        names = {match[1], match[1].replace('\\"', '"').replace("\\\\", "\\")}
        lines = _lines_of(rows)
        bad = {number for number, row in enumerate(rows) if row.point in names}
        dropped = {lines[number] for number in bad}
        counted = int(match[2]) == len(dropped)
        others = (number for number in range(len(rows)) if number not in bad)
        return sorted(bad), [number for number in others if not counted or lines[number] in dropped]

    def _unparsed(self, message: str, rows: Sequence[Row]) -> tuple[list[int], list[int]] | None:
        """Lines that are named, when all those are ours; one of several readings goes again as several lines."""
        named = {
            part.partition("unable to parse '")[2].partition("': ")[0]
            for part in message.split("\n")
            if "unable to parse '" in part
        }
        bad: list[int] = []
        again: list[int] = []
        ours = [span for span in self._spans(rows) if span[2].decode() in named]
        if len({line for _, _, line in ours}) == len(named):
            for start, end, _ in ours:
                (bad if end - start == 1 else again).extend(range(start, end))
        return (bad, again) if bad or again else None

    def _spans(self, rows: Sequence[Row]) -> list[tuple[int, int, bytes]]:
        found: list[tuple[int, int, bytes]] = []
        start = 0
        for _, group in groupby(rows, _line_of):
            held = list(group)
            found.append((start, start + len(held), self._line(held)))
            start += len(held)
        return found

    def _lines(self, rows: Sequence[Row]) -> list[bytes]:
        return [self._line(list(group)) for _, group in groupby(rows, _line_of)]

    def _line(self, rows: Sequence[Row]) -> bytes:
        first = rows[0]
        fields = b",".join([row.body for row in rows])
        return b"%s %s %d" % (self._head(first.asset, first.device), fields, first.timestamp)

    def _head(self, asset: str, device: str) -> bytes:
        head = self._heads.get((asset, device))
        if head is None:
            own = "".join(
                f",{name}={_escaped(value)}" for name, value in (("asset", asset), ("device", device)) if value
            )
            head = (self._measurement + own + self._tags).encode()
            if len(self._heads) > 10_000:
                self._heads.clear()
            self._heads[asset, device] = head
        return head

    def _field(self, point: str) -> str:
        field = self._fields.get(point)
        if field is None:
            if len(self._fields) > 10_000:
                self._fields.clear()
            field = self._fields[point] = _escaped(point)
        return field


def in_milliseconds(url: str) -> str:
    """The address with the precision of our times."""
    parts = urlsplit(url)
    if "precision" in parse_qs(parts.query):
        return url
    return parts._replace(query=f"{parts.query}&precision=ms".lstrip("&")).geturl()


def _beyond(message: str, rows: Sequence[Row]) -> tuple[list[int], list[int]] | None:
    """Lines older than what the retention policy keeps: the oldest, so many as are counted."""
    match = _BEYOND.search(message)
    if match is None:
        return None
    lines = _lines_of(rows)
    times = dict(zip(lines, (row.timestamp for row in rows), strict=True))
    order = sorted(times, key=lambda line: times[line])
    count = int(match[1])
    if count > len(order) or (count < len(order) and times[order[count - 1]] == times[order[count]]):
        return None
    gone = set(order[:count])
    return [number for number, line in enumerate(lines) if line in gone], []


def _lines_of(rows: Sequence[Row]) -> list[int]:
    """The line that each row stands in."""
    groups = enumerate(groupby(rows, _line_of))
    return [number for number, (_, group) in groups for _ in group]


def _line_of(row: Row) -> tuple[int, str, int]:
    """A report's values of one asset and instant; another report's, or twice the same, are a line of their own."""
    return row.seq, row.asset, row.timestamp


def _last_hour(rows: Sequence[Row]) -> int:
    """The hour of all rows; -1 when there are several."""
    hours = {row.timestamp // HOUR_MS for row in rows}
    return hours.pop() if len(hours) == 1 else -1


def _message(text: str) -> str | None:
    """`error` of 1.x, `message` of 2.x; None for what is no whole JSON."""
    try:
        found = _decode(text)
    except (ValueError, RecursionError):
        return None
    message = found.get("error") or found.get("message")
    return message if isinstance(message, str) else None


def _escaped(text: str, special: str = ",= ") -> str:
    """A name or a tag's value. A line break would end the line; at the end of a name a backslash would escape what
    follows."""
    text = text.replace("\r", " ").replace("\n", " ").rstrip("\\")
    for mark in special:
        text = text.replace(mark, "\\" + mark)
    return text
