"""EnOS tsdb-service v2.0 and v2.1: what a request's parameters mean, and the codes and texts of its errors (http_apis.md A.1
to A.3). Pure.

The HTTP status is 200 whatever the code: the vendor's own client drops the body of anything else. `msg` holds the code's
generic text, `submsg` the text that the documents list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from bridge.cloud.buckets import FUNCTIONS
from bridge.cloud.zones import parse as parse_time

Version = Literal["v2.0", "v2.1"]
Parameters = Mapping[str, Sequence[str]]
"""Name -> all values given."""

BAD_REQUEST, UNAUTHORIZED, TOO_MANY, SIGNATURE, DENIED, SERVICE, QUERY = 400, 401, 429, 497, 498, 701, 702
GENERIC = {
    BAD_REQUEST: "Invalid Argument",
    UNAUTHORIZED: "Unauthorized",
    TOO_MANY: "Too Many Requests",
    SIGNATURE: "Invalid timestamp or signature",
    DENIED: "Permission denied",
    SERVICE: "data service ERROR.",
    QUERY: "An error occurred when execute query in data service.",
}
DAY_MINUTES = 1_440
MAX_POINTS = 3_000
"""Of aggregated data; of all other requests it bounds assets × points."""
MAX_RESULT = 640_000
"""assets × points × pageSize."""
DEFAULT_PAGE = 1_000

TEXT_TIMES = "Params startTime[] or endTime[] is invalid, and date format of them should be consistent"
TEXT_ORDER = "endTime should not be later than startTime"
TEXT_SIZE = "assetIds size* measurepoints size* pageSize is too large to query, result size may exceed RPC limit"
TEXT_KEY = "Exception: Invalid param accessKey"
TEXT_MODEL = "assetIds or measurepoint does not match the model"
TEXT_ALL_DENIED = "All asset authentication failed"
TEXT_SOME_DENIED = "You do not have permission for the following assets"

_EXPRESSION = re.compile(r"(?:([A-Za-z]+)\(\s*([^\s(),]+)\s*\)|([^\s(),]+))")
_POINT = re.compile(r"[^\s(),]+")
_SINGLE = {
    *(
        "orgId",
        "modelId",
        "measurepoint",
        "pointId",
        "interval",
        "startTime",
        "endTime",
        "pageSize",
        "accessKey",
        "orderBy",
    ),
    *(
        "localTimeAccuracy",
        "localTimeFormat",
        "itemFormat",
        "withQuality",
        "timeWindow",
        "ifWithLocalTime",
        "ifWithUnknown",
    ),
    *("autoInterpolate", "interpolation", "boundaryType", "operator", "action"),
}
"""Parameters of which one is allowed; the others are lists."""
_ONE = {"orgId", "modelId", "measurepoint", "pointId"}
"""Those of which even a list in one value is too many."""
NAMES: Mapping[str, Mapping[Version, str]] = {
    "expressions": {"v2.0": "measurepointsWithLogic", "v2.1": "pointIdsWithLogic"},
    "points": {"v2.0": "measurepoints", "v2.1": "pointIds"},
    "point": {"v2.0": "measurepoint", "v2.1": "pointId"},
}
"""What each version calls the measure points; the other one's word is understood too."""
_INTEGER = re.compile(r"[+-]?\d{1,30}(?:\.0*)?", re.ASCII)


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


class Shape(NamedTuple):
    """How items are written. `iso` has the zone's offset in local times; `items` is itemFormat; `quality` adds the quality,
    which nobody knows; `exact` keeps the milliseconds of timestamps, `accurate` those of local times as well."""

    version: Version = "v2.0"
    iso: bool = False
    items: int = 0
    quality: bool = False
    exact: bool = False
    accurate: bool = False


class Query(NamedTuple):
    """A request for aggregated data. `start` and `end` are both wall times (datetime) or both instants (ms); `minutes` 0 asks
    for what is stored; `page` bounds each (asset, expression); `normalized` keeps every point by the minute, and knows no
    increments."""

    assets: Sequence[str]
    expressions: Sequence[Expression]
    minutes: int
    start: datetime | int
    end: datetime | int
    page: int
    shape: Shape = Shape()
    normalized: bool = False

    @property
    def accurate(self) -> bool:
        """Whether milliseconds are kept."""
        return self.shape.accurate


def query(
    params: Parameters, lenient_interval: bool = False, version: Version = "v2.0", normalized: bool = False
) -> Query:
    """Parameters of aggregated data, checked. Raises EnosError.

    `lenient_interval`: a missing interval is 0 for bare points, else a day, so that the vendor's POST samples run.
    """
    given = Fields(params, version)
    name = NAMES["expressions"][version]
    required = ("orgId", "assetIds", name, "interval", "startTime", "endTime")
    given.require(required, {"interval"} if lenient_interval else ())
    assets = given.names("assetIds")
    expressions = [_expression(text, name) for text in given.names(name)]
    if len(expressions) > MAX_POINTS:
        raise EnosError(QUERY, f"param {name} is invalid")
    minutes = _interval(given, expressions, name)
    start, end = given.times()
    page = given.page(len(assets) * len(expressions))
    return Query(assets, expressions, minutes, start, end, page, given.shape(), normalized)


class Fields:
    """The parameters of one request by the names of its version; each is checked when it is asked for. Raises EnosError."""

    def __init__(self, params: Parameters, version: Version) -> None:
        self.version = version
        other: Version = "v2.1" if version == "v2.0" else "v2.0"
        words = {names[other]: names[version] for names in NAMES.values()}
        own = {words.get(name, name): values for name, values in params.items() if values}
        own |= {name: values for name, values in params.items() if values and name not in words}
        self._given = {name: _one(name, values) for name, values in own.items()}

    def require(self, names: Iterable[str], but: Iterable[str] = ()) -> None:
        """All of them are there, but those that may be missing, and none is empty."""
        missing = next((name for name in names if name not in self._given and name not in but), None)
        if missing is not None:
            raise EnosError(BAD_REQUEST, f"{missing} is required")
        empty = next((name for name in names if not self._given.get(name, "x").strip()), None)
        if empty is not None:
            raise EnosError(QUERY, f"{empty} is empty")

    def text(self, name: str) -> str:
        """The value, "" where there is none."""
        return self._given.get(name, "").strip()

    def names(self, name: str) -> list[str]:
        """What commas part, each once."""
        found = list(dict.fromkeys(item for part in self._given[name].split(",") if (item := part.strip())))
        if not found:
            raise EnosError(QUERY, f"{name} is empty")
        return found

    def pairs(self, name: str) -> tuple[list[str], list[str]]:
        """assetIds, and the bare points of parameter `name`; not too many together."""
        assets, points = self.names("assetIds"), self.names(name)
        if not all(map(_POINT.fullmatch, points)):
            raise EnosError(QUERY, f"param {name} is invalid")
        if len(assets) * len(points) > MAX_POINTS:
            raise EnosError(QUERY, TEXT_SIZE)
        return assets, points

    def number(self, name: str) -> int | None:
        """A whole number, not negative; None where nothing is said."""
        text = self.text(name)
        return _integer(name, text) if text else None

    def flag(self, name: str, default: bool = False) -> bool:
        """`True`, `false`, …; `default` where nothing is said."""
        word = self.text(name).lower()
        if word not in ("", "true", "false"):
            raise EnosError(QUERY, f"param {name} is invalid")
        return word == "true" if word else default

    def times(self) -> tuple[datetime | int, datetime | int]:
        """startTime and endTime."""
        return _times(self._given["startTime"], self._given["endTime"])

    def page(self, pairs: int) -> int:
        """pageSize, which with so many pairs of asset and point is not too large."""
        page = self.number("pageSize")
        page = DEFAULT_PAGE if page is None else page
        if page == 0:
            raise EnosError(QUERY, "param pageSize is invalid")
        if pairs * page > MAX_RESULT:
            raise EnosError(QUERY, TEXT_SIZE)
        return page

    def shape(self, exact: bool = False) -> Shape:
        """How the answer is wanted."""
        accurate, quality = self.flag("localTimeAccuracy"), self.flag("withQuality")
        iso = self._choice("localTimeFormat", 1) == 1
        return Shape(self.version, iso, self._choice("itemFormat", 2), quality, exact, accurate)

    def _choice(self, name: str, most: int) -> int:
        number = self.number(name) or 0
        if number > most:
            raise EnosError(QUERY, f"param {name} is invalid")
        return number


def envelope(status: int, text: str | None, items: bytes | None = None, version: Version = "v2.0") -> bytes:
    """The body of an answer; `items` is a JSON array, absent in failures."""
    submsg = "null" if text is None else _quoted(text)
    data = b"null" if items is None else b'{"items":' + items + b"}"
    if version == "v2.1":
        head = f'{{"code":{status},"msg":{_quoted(GENERIC[status] if status else "OK")},"submsg":{submsg},"data":'
    else:
        msg = GENERIC[status] if status else "success"
        head = f'{{"status":{status},"requestId":null,"msg":{_quoted(msg)},"submsg":{submsg},"data":'
    return head.encode() + data + b"}"


def _one(name: str, values: Sequence[str]) -> str:
    if name not in _SINGLE:
        return ",".join(values)
    if len(set(values)) > 1 or (name in _ONE and "," in values[0]):
        raise EnosError(QUERY, f"only one {name} is allowed")
    return values[0]


def _expression(text: str, name: str) -> Expression:
    found = _EXPRESSION.fullmatch(text)
    if found is None or (found[1] is not None and found[1] not in FUNCTIONS):
        raise EnosError(QUERY, f"param {name} is invalid")
    return Expression(text, found[1], found[2] or found[3])


def _interval(given: Fields, expressions: Sequence[Expression], name: str) -> int:
    bare = {expression.function is None for expression in expressions}
    minutes = given.number("interval")
    if minutes is None:
        minutes = 0 if bare == {True} else DAY_MINUTES
    if minutes > DAY_MINUTES:
        raise EnosError(QUERY, "param interval is invalid")
    if bare != {minutes == 0}:  # 0 asks for stored values, all else needs a function for each point
        raise EnosError(QUERY, f"param {name} is invalid")
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
    if not _INTEGER.fullmatch(text):
        raise EnosError(QUERY, f"{name} is not a valid integer")
    value = int(text.partition(".")[0])
    if value < 0:
        raise EnosError(QUERY, f"{name} cannot be null or negative")
    return value


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
