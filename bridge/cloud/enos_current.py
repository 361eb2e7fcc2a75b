"""EnOS: what holds now - the current day's energy, the newest readings, those that a filter leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from bridge.cloud.buckets import MINUTE
from bridge.cloud.cloud import Cloud
from bridge.cloud.current import Newest
from bridge.cloud.enos import BAD_REQUEST, MAX_POINTS, NAMES, QUERY, EnosError, Fields, Parameters, Shape, Version
from bridge.cloud.enos_items import Items, Told, allowed, answer
from bridge.store.series import Asset


class CurrentDay(NamedTuple):
    """A request for the sums since midnight."""

    assets: Sequence[str]
    points: Sequence[str]
    shape: Shape


class Latest(NamedTuple):
    """A request for the newest readings. `window`: no older than so many minutes; `local`: with local times; `keeps` says
    which values are wanted."""

    assets: Sequence[str]
    points: Sequence[str]
    window: int | None
    local: bool
    shape: Shape
    keeps: Callable[[float], bool] | None = None


def asked_current_day(params: Parameters, version: Version) -> CurrentDay:
    """Parameters of electric-power/current-day. Raises EnosError."""
    given, name = Fields(params, version), NAMES["points"][version]
    given.require(("orgId", "assetIds", name))
    return CurrentDay(*given.pairs(name), given.shape())


def asked_latest(params: Parameters, version: Version) -> Latest:
    """Parameters of latest. Raises EnosError."""
    given, name = Fields(params, version), NAMES["points"][version]
    if given.text("action"):
        raise EnosError(BAD_REQUEST, "param action is invalid")  # v2.1 deletes by it: that is not to be had here
    given.require(("orgId", "assetIds", name))
    return _latest(given, name)


def asked_filter(params: Parameters, version: Version) -> Latest:
    """Parameters of latest/filter. Raises EnosError."""
    given, name = Fields(params, version), NAMES["point"][version]
    given.require(("orgId", "assetIds", name, "operator", "valueFilter"))
    keeps = _filter(given.text("operator").lower(), given.text("valueFilter").split(","))
    return _latest(given, name)._replace(keeps=keeps)


async def current_day(cloud: Cloud, asked: CurrentDay, principal: Any) -> Told:
    """The answer's body, and whose readings it is made of. v2.0 has the newest minute as its time, v2.1 the local midnight.
    Raises EnosError."""
    assets, denied = allowed(cloud, asked.assets, principal)
    totals = await cloud.today(assets, asked.points)
    midnight = asked.shape.version == "v2.1"
    items = Items(asked.shape, cloud.settings.localtime_style, utc=False)
    found = (
        (each.asset, f"sum({each.point})", each.midnight if midnight else each.timestamp - each.timestamp % MINUTE, each.value)
        for each in totals
    )  # fmt: skip
    midnights = {each.asset: each.midnight for each in totals}
    spans = [(asset, midnights[asset.name], cloud.clock()) for asset in assets if asset.name in midnights]
    return answer(asked.shape.version, denied, _written(cloud, assets, items, found)), spans


async def latest(cloud: Cloud, asked: Latest, principal: Any) -> Told:
    """The answer's body, which tells the time of each reading itself. Raises EnosError."""
    assets, denied = allowed(cloud, asked.assets, principal)
    since = -math.inf if asked.window is None else cloud.clock() - asked.window * MINUTE
    newest = await cloud.newest(assets, asked.points)
    items = Items(asked.shape, cloud.settings.localtime_style, utc=False, asked=asked.local)
    found = (tuple(each) for each in newest if each.timestamp >= since and _wanted(asked, each))
    return answer(asked.shape.version, denied, _written(cloud, assets, items, found)), []


def _wanted(asked: Latest, each: Newest) -> bool:
    return asked.keeps is None or asked.keeps(each.value)


def _written(cloud: Cloud, assets: Sequence[Asset], items: Items, found: Iterable[Any]) -> list[bytes]:
    """(asset, key, ms, value), by asset, as items."""
    known = {asset.name: asset for asset in assets}
    return [
        items.write(name, cloud.zone_of(known[name]), [(key, [(at, value)]) for _, key, at, value in rows])
        for name, rows in groupby(found, key=lambda row: row[0])
    ]


def _latest(given: Fields, name: str) -> Latest:
    assets, points = given.pairs(name)
    return Latest(assets, points, given.number("timeWindow"), given.flag("ifWithLocalTime"), given.shape(exact=True))


def _filter(operator: str, words: Sequence[str]) -> Callable[[float], bool]:
    make = _OPERATORS.get(operator)
    if make is None:
        raise EnosError(QUERY, "param operator is invalid")
    count = {"between": (2,), "in": range(1, MAX_POINTS + 1)}.get(operator, (1,))
    values = [_value(word) for word in words]
    if len(values) not in count:
        raise EnosError(QUERY, "param valueFilter is invalid")
    return make(values)


def _value(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EnosError(QUERY, "param valueFilter is invalid")
    return value


_OPERATORS: Mapping[str, Callable[[list[float]], Callable[[float], bool]]] = {
    "eq": lambda told: lambda value: value == told[0],
    "nq": lambda told: lambda value: value != told[0],
    "gt": lambda told: lambda value: value > told[0],
    "lt": lambda told: lambda value: value < told[0],
    "ge": lambda told: lambda value: value >= told[0],
    "le": lambda told: lambda value: value <= told[0],
    "between": lambda told: lambda value: min(told) <= value <= max(told),
    "in": lambda told: frozenset(told).__contains__,
}
