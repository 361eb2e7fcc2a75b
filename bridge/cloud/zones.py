"""Wall clocks and instants: the two time forms of EnOS, days that have 23 or 25 hours, and how local time is written.

Instants are integers, milliseconds since 1970 UTC. Wall times are naive datetimes of a zone.
A wall time that a zone skips means the instant of the skip; one that comes twice means its first coming. So equal wall times
are equal instants whether they begin or end a range, and neighbouring ranges neither overlap nor leave a hole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Style = Literal["seed", "plain"]

QUARTER_MS = 900_000
QUARTERS = 10_000
"""Quarter-hours whose texts are kept at once: three months."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock
_MS = timedelta(milliseconds=1)
_LOCAL = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+\- ]\d\d:?\d\d)", re.ASCII)


def zone(name: str) -> ZoneInfo:
    """The IANA zone. Raises ValueError when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone") from error


def parse(text: str) -> datetime | int:
    """`YYYY-MM-DD HH:MM:SS` gives a wall time, ISO 8601 with an offset an instant in ms. Raises ValueError for all else.

    An offset's plus may arrive as a space (unescaped in a URL) or as a literal `%2B` (http_apis.md A.1).
    """
    text = text.strip().replace("%2B", "+").replace("%2b", "+")
    local = _LOCAL.fullmatch(text)
    if local:
        return datetime(*(int(part) for part in local.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - a wall clock
    iso = _ISO.fullmatch(text)
    if not iso:
        raise ValueError(f"{text!r} is neither YYYY-MM-DD HH:MM:SS nor ISO 8601 with an offset")
    day, clock, fraction, offset = iso.groups()
    naive = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the offset follows
    return wall_ms(naive) + int((fraction or "0").ljust(3, "0")[:3]) - _offset_ms(offset)


def wall_ms(wall: datetime) -> int:
    """Milliseconds of a wall time as if its zone were UTC."""
    return (wall.replace(tzinfo=None) - EPOCH) // _MS


def instant(wall: datetime, where: ZoneInfo) -> int:
    """The instant of a wall time in a zone, ms (see the top of this file for times that a zone skips or has twice)."""
    early = _offset_at_wall(wall, where, 0)
    late = _offset_at_wall(wall, where, 1)
    first = wall_ms(wall) - early
    if late <= early:  # ordinary, or twice: `early` is the offset of the first coming
        return first
    return change(where, wall_ms(wall) - late, first)


def local(at: int, where: ZoneInfo) -> datetime:
    """The wall time of an instant, without tzinfo. Raises OverflowError outside the years 1 to 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    return moment.astimezone(where).replace(tzinfo=None)


def write(at: int, where: ZoneInfo, style: Style, milliseconds: bool) -> str:
    """An instant as EnOS writes local time: `seed` 6/11/2019 6:35:00 PM, `plain` 2019-06-11 18:35:00; `.123` after the
    seconds when `milliseconds`."""
    wall = local(at, where)
    fraction = f".{wall.microsecond // 1000:03d}" if milliseconds else ""
    if style == "plain":
        return f"{wall:%Y-%m-%d %H:%M:%S}{fraction}"
    hour, half = wall.hour % 12 or 12, "AM" if wall.hour < 12 else "PM"
    return f"{wall.month}/{wall.day}/{wall.year} {hour}:{wall:%M:%S}{fraction} {half}"


def offset_at(at: int, where: ZoneInfo) -> int:
    """What a zone's clock is ahead of UTC at an instant, ms."""
    return wall_ms(local(at, where)) - at


def change(where: ZoneInfo, low: int, high: int) -> int:
    """The first instant in (low, high] whose offset is the one at `high`."""
    offset = offset_at(high, where)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(middle, where) == offset:
            high = middle
        else:
            low = middle
    return high


def clock(where: ZoneInfo, style: Style | Literal["iso"], milliseconds: bool) -> Callable[[int], str]:
    """`write` or `write_iso` for many instants: what a quarter-hour has in common is made once."""
    known: dict[int, tuple[str, int, str] | None] = {}

    def text(at: int) -> str:
        number, rest = divmod(at, QUARTER_MS)
        if number not in known:
            if len(known) >= QUARTERS:
                known.clear()
            known[number] = _quarter(number * QUARTER_MS, where, style)
        parts = known[number]
        if parts is None:
            return write_iso(at, where, milliseconds) if style == "iso" else write(at, where, style, milliseconds)
        before, minute, after = parts
        seconds, rest = divmod(rest, 1000)
        fraction = f".{rest:03d}" if milliseconds else ""
        return f"{before}{minute + seconds // 60:02d}:{seconds % 60:02d}{fraction}{after}"

    return text


def _quarter(at: int, where: ZoneInfo, style: Style | Literal["iso"]) -> tuple[str, int, str] | None:
    """What stands before the minutes in the texts of a quarter-hour, its first minute, and what stands behind the seconds;
    None where the zone's clock changes in it, or is not whole quarter-hours from UTC."""
    offset = offset_at(at, where)
    if offset % QUARTER_MS or offset_at(at + QUARTER_MS - 1, where) != offset:
        return None
    text = write_iso(at, where, False) if style == "iso" else write(at, where, style, False)
    before, minute, after = text.split(":", 2)
    return f"{before}:", int(minute), after[2:]


def write_iso(at: int, where: ZoneInfo, milliseconds: bool) -> str:
    """An instant as a zone's local time with its offset, 2019-06-11T18:35:00+08:00."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    return moment.astimezone(where).isoformat(timespec="milliseconds" if milliseconds else "seconds")


def _offset_ms(text: str) -> int:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} is no offset")
    sign = -1 if text[0] == "-" else 1
    return sign * (hours * 60 + minutes) * 60_000


def _offset_at_wall(wall: datetime, where: ZoneInfo, fold: int) -> int:
    found = wall.replace(tzinfo=where, fold=fold).utcoffset()
    return 0 if found is None else found // _MS
