"""EnOS: who may read which assets, and how what was found becomes the items of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from bridge.cloud.buckets import Wall
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import BAD_REQUEST, TEXT_ALL_DENIED, TEXT_SOME_DENIED, EnosError, Shape, Version, envelope
from bridge.cloud.quality import Span
from bridge.cloud.zones import Style, clock, instant
from bridge.store.series import Asset

Pairs = Sequence[tuple[int, float]]
"""(ms, value)"""
Told = tuple[bytes, list[Span]]
"""The body of an answer, and whose readings it is made of."""
encode = msgspec.json.Encoder().encode


class Range(NamedTuple):
    """[start, end) in ms of one asset; `wall` only where it was given in local time."""

    start: int
    end: int
    wall: Wall | None


def allowed(cloud: Cloud, names: Iterable[str], principal: Any) -> tuple[list[Asset], str | None]:
    """The assets that the principal may read, and the text about the others; unknown ones count as such. Raises EnosError
    when there are none."""
    known = cloud.series.assets
    may: dict[str, bool] = {}
    found: list[Asset] = []
    denied: list[str] = []
    for name in names:
        asset = known.get(name)
        if asset is not None and asset.device not in may:
            may[asset.device] = cloud.may_read(principal, asset.device)
        if asset is not None and may[asset.device]:
            found.append(asset)
        else:
            denied.append(name)
    if not found:
        raise EnosError(BAD_REQUEST, TEXT_ALL_DENIED)
    return found, f"{TEXT_SOME_DENIED}: {', '.join(denied)}" if denied else None


def span(start: datetime | int, end: datetime | int, zone: ZoneInfo) -> Range:
    """The range of an asset in that zone."""
    wall = Wall(start, zone) if isinstance(start, datetime) else None
    first, last = (at if isinstance(at, int) else instant(at, zone) for at in (start, end))
    return Range(first, last, wall)


def answer(version: Version, text: str | None, parts: Iterable[bytes]) -> bytes:
    """The body of a success; empty parts bring nothing."""
    return envelope(0, text, b"[" + b",".join(part for part in parts if part) + b"]", version)


Local = str | Callable[[int], str]
"""What an item has of local time: the same for all, or by its instant."""


class Items:
    """Writes the series of assets. Local times are left out where they are not `asked`; `utc`: the range was given as
    instants, for which v2.0 has no local time."""

    def __init__(self, shape: Shape, style: Style, utc: bool, asked: bool = True) -> None:
        self._shape = shape
        self._style: Style = style if shape.version == "v2.0" else "plain"
        self._none = utc and shape.version == "v2.0"
        self._asked = asked
        self._exact = shape.exact or shape.accurate
        self._clocks: dict[str, Callable[[int], str]] = {}

    def write(
        self,
        asset: str,
        zone: ZoneInfo,
        series: Iterable[tuple[str, Pairs]],
        newest_first: bool = False,
        whole: bool = False,
    ) -> bytes:
        """The items of (key, values) of one asset, without the brackets of the array. `whole`: all times are whole seconds."""
        filled = [(key, pairs) for key, pairs in series if pairs]
        if not filled:
            return b""
        head = f'{{"assetId":{encode(asset).decode()}'
        local = self._local(zone)
        if self._shape.items == 2:
            return ",".join(self._columns(head, local, key, pairs) for key, pairs in filled).encode()
        tail = ',"quality":null}' if self._shape.quality else "}"
        if self._shape.items == 1:
            return ",".join(self._rows(head, local, filled, newest_first, tail)).encode()
        exact = whole or self._exact
        return b",".join(self._single(head, local, key, pairs, tail, exact) for key, pairs in filled)

    def _single(self, head: str, local: Local, key: str, pairs: Pairs, tail: str, exact: bool) -> bytes:
        """One item a value, put together from its parts: only numbers and times differ."""
        start, named = f'{head},"timestamp":'.encode(), b"," + encode(key) + b":"
        stamps = pairs if exact else [(at - at % 1000, value) for at, value in pairs]
        text = encode(stamps)[2:-2]  # 1,2.5],[3,4.5
        if isinstance(local, str):
            end = f"{local}{tail}".encode()
            return start + text.replace(b"],[", b"\n").replace(b",", named).replace(b"\n", end + b"," + start) + end
        return b",".join(
            start + each.replace(b",", named) + f"{local(at)}{tail}".encode()
            for each, (at, _) in zip(text.split(b"],["), pairs, strict=True)
        )

    def _rows(
        self, head: str, local: Local, series: Sequence[tuple[str, Pairs]], newest_first: bool, tail: str
    ) -> Iterator[str]:
        """One item an instant, with all its values."""
        rows: dict[int, list[str]] = {}
        text = _each(local)
        for key, pairs in series:
            named = f",{encode(key).decode()}:"
            for (at, _), value in zip(pairs, _numbers(pairs), strict=True):
                rows.setdefault(at, []).append(named + value)
        for at in sorted(rows, reverse=newest_first):
            yield f'{head},"timestamp":{self._stamp(at)}{"".join(rows[at])}{text(at)}{tail}'

    def _columns(self, head: str, local: Local, key: str, pairs: Pairs) -> str:
        """One item a point, with arrays of its values."""
        text = _each(local)
        texts = [text(at).removeprefix(_LOCAL) for at, _ in pairs]
        told = f',"localTime":[{",".join(texts)}]' if self._asked else ""
        quality = f',"dataQuality":[{",".join(["null"] * len(pairs))}]' if self._shape.quality else ""
        stamps = ",".join(str(self._stamp(at)) for at, _ in pairs)
        values = ",".join(_numbers(pairs))
        return (
            f'{head},"pointId":{encode(key).decode()}{told},"timestamp":[{stamps}],"value":[{values}]{quality}}}'
        )  # fmt: skip

    def _stamp(self, at: int) -> int:
        return at if self._exact else at - at % 1000

    def _local(self, zone: ZoneInfo) -> Local:
        if not self._asked:
            return ""
        if self._none:
            return f"{_LOCAL}null"
        if zone.key not in self._clocks:
            self._clocks[zone.key] = clock(zone, "iso" if self._shape.iso else self._style, self._shape.accurate)
        text = self._clocks[zone.key]
        return lambda at: f'{_LOCAL}"{text(at)}"'


_LOCAL = ',"localtime":'


def _each(local: Local) -> Callable[[int], str]:
    return (lambda _at: local) if isinstance(local, str) else local


def _numbers(pairs: Pairs) -> list[str]:
    return encode([value for _, value in pairs])[1:-1].decode().split(",")
