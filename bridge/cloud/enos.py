"""EnOS tsdb-service v2.0: what a request's parameters mean, and the codes and texts of its errors (http_apis.md A.1, A.3). Pure.

The HTTP status is 200 whatever the code: the vendor's own client drops the body of anything else. `msg` holds the code's generic
text, `submsg` the text that the documents list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bridge.cloud.buckets import FUNCTIONS
from bridge.cloud.zones import parse as parse_time

BAD_REQUEST, SERVICE, QUERY = 400, 701, 702
GENERIC = {
    BAD_REQUEST: "Invalid Argument",
    SERVICE: "data service ERROR.",
    QUERY: "An error occurred when execute query in data service.",
}
DAY_MINUTES = 1_440
MAX_POINTS = 3_000
MAX_RESULT = 640_000
"""assets × points × pageSize."""
DEFAULT_PAGE = 1_000

TEXT_TIMES = "Params startTime[] or endTime[] is invalid, and date format of them should be consistent"
TEXT_ORDER = "endTime should not be later than startTime"
TEXT_SIZE = "assetIds size* measurepoints size* pageSize is too large to query, result size may exceed RPC limit"
TEXT_KEY = "Exception: Invalid param accessKey"
TEXT_ALL_DENIED = "All asset authentication failed"
TEXT_SOME_DENIED = "You do not have permission for the following assets"

_EXPRESSION = re.compile(r"(?:([A-Za-z]+)\(\s*([^\s(),]+)\s*\)|([^\s(),]+))")
_SINGLE = ("orgId", "modelId", "interval", "startTime", "endTime", "pageSize", "accessKey", "localTimeAccuracy")
_REQUIRED = ("orgId", "assetIds", "measurepointsWithLogic", "interval", "startTime", "endTime")
_INTEGER = re.compile(r"[+-]?\d{1,30}(?:\.0*)?")


class EnosError(Exception):
    """A request that fails with `status` in the body; `text` is the documented text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Expression(NamedTuple):
    """One measure point as requested: `key` literally, `function` None for a bare point."""

    key: str
    function: str | None
    point: str


class Query(NamedTuple):
    """A request for electric power. `start` and `end` are both wall times (datetime) or both instants (ms); `minutes` 0 asks
    for what is stored; `page` bounds each (asset, expression); `accurate` keeps milliseconds."""

    assets: Sequence[str]
    expressions: Sequence[Expression]
    minutes: int
    start: datetime | int
    end: datetime | int
    page: int
    accurate: bool


def query(params: Mapping[str, Sequence[str]], lenient_interval: bool = False) -> Query:
    """Parameters, by name all values given, checked. Raises EnosError.

    `lenient_interval`: a missing interval is 0 for bare points, else a day, so that the vendor's POST samples run.
    """
    given = {name: _one(name, values) for name, values in params.items() if values}
    for name in _REQUIRED:
        if name not in given and not (name == "interval" and lenient_interval):
            raise EnosError(BAD_REQUEST, f"{name} is required")
    for name in _REQUIRED:
        if not given.get(name, "x").strip():
            raise EnosError(QUERY, f"{name} is empty")
    assets = _list(given["assetIds"], "assetIds")
    expressions = [_expression(text) for text in _list(given["measurepointsWithLogic"], "measurepointsWithLogic")]
    if len(expressions) > MAX_POINTS:
        raise EnosError(QUERY, "param measurepointsWithLogic is invalid")
    minutes = _interval(given.get("interval"), expressions)
    start, end = _times(given["startTime"], given["endTime"])
    page = _integer("pageSize", given.get("pageSize", "").strip() or str(DEFAULT_PAGE))
    if page == 0:
        raise EnosError(QUERY, "param pageSize is invalid")
    if len(assets) * len(expressions) * page > MAX_RESULT:
        raise EnosError(QUERY, TEXT_SIZE)
    return Query(assets, expressions, minutes, start, end, page, _boolean(given.get("localTimeAccuracy", "")))


def envelope(status: int, text: str | None, items: bytes | None = None) -> bytes:
    """The body of an answer; `items` is a JSON array, absent in failures."""
    msg = "success" if status == 0 else GENERIC[status]
    submsg = "null" if text is None else _quoted(text)
    data = b"null" if items is None else b'{"items":' + items + b"}"
    head = f'{{"status":{status},"requestId":null,"msg":{_quoted(msg)},"submsg":{submsg},"data":'
    return head.encode() + data + b"}"


def _one(name: str, values: Sequence[str]) -> str:
    if name not in _SINGLE:
        return ",".join(values)
    if len(set(values)) > 1 or (name in ("orgId", "modelId") and "," in values[0]):
        raise EnosError(QUERY, f"only one {name} is allowed")
    return values[0]


def _list(text: str, name: str) -> list[str]:
    found = list(dict.fromkeys(item for part in text.split(",") if (item := part.strip())))
    if not found:
        raise EnosError(QUERY, f"{name} is empty")
    return found


def _expression(text: str) -> Expression:
    found = _EXPRESSION.fullmatch(text)
    if found is None or (found[1] is not None and found[1] not in FUNCTIONS):
        raise EnosError(QUERY, "param measurepointsWithLogic is invalid")
    return Expression(text, found[1], found[2] or found[3])


def _interval(text: str | None, expressions: Sequence[Expression]) -> int:
    bare = {expression.function is None for expression in expressions}
    minutes = (0 if bare == {True} else DAY_MINUTES) if text is None else _integer("interval", text)
    if minutes > DAY_MINUTES:
        raise EnosError(QUERY, "param interval is invalid")
    if bare != {minutes == 0}:  # 0 asks for stored values, all else needs a function for each point
        raise EnosError(QUERY, "param measurepointsWithLogic is invalid")
    return minutes


def _times(start: str, end: str) -> tuple[datetime | int, datetime | int]:
    try:
        first, last = parse_time(start), parse_time(end)
    except ValueError as error:
        raise EnosError(QUERY, TEXT_TIMES) from error
    if isinstance(first, datetime) != isinstance(last, datetime):
        raise EnosError(QUERY, TEXT_TIMES)
    if not first < last:  # type: ignore[operator]
        raise EnosError(QUERY, TEXT_ORDER)
    return first, last


def _integer(name: str, text: str) -> int:
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise EnosError(QUERY, f"{name} is not a valid integer")
    value = int(text.partition(".")[0])
    if value < 0:
        raise EnosError(QUERY, f"{name} cannot be null or negative")
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("", "true", "false"):
        raise EnosError(QUERY, "param localTimeAccuracy is invalid")
    return word == "true"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
