"""A checked question -> the answer, read from runs, alarms, events and registers (docs/statistics.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.cloud import Cloud
from bridge.cloud.power import portions
from bridge.cloud.quality import Span
from bridge.cloud.registers import last_of_minutes
from bridge.cloud.rollups import ROLLED_MS
from bridge.cloud.statistics import Run, Times, Window, intervals, times
from bridge.cloud.statistics_asked import CHARGE, Asked
from bridge.cloud.statistics_follow import FAULT, RUNNING, Follower
from bridge.cloud.statistics_tariff import DAY, LONGEST, NANO, Period, Reading, Rolled, Tariff, amounts, money, used
from bridge.cloud.zones import zone
from bridge.store.chunks import USED
from bridge.store.equipment import Equipment, Look
from bridge.store.series import COUNTER, Asset, Scan
from schemas.points import DRAWN

FIELDS: dict[str, tuple[str, ...]] = {
    CHARGE: ("charge_amount",),
    "follow": ("follow_numbers",),
    "record": ("use_numbers", "service_times", "service_time"),
    "sample": ("sample_times",),
    "status": ("break_time", "break_times"),
    "training": ("training_times", "approved_times"),
}
"""Resource -> its numbers, in the order of the answer."""
WORDS = frozenset({CHARGE, "record", "sample"})
"""Resources whose numbers are strings in charts."""
DEVICES_PER_READ = 8
"""Devices that one visit to a reader's thread answers, so that other questions come in between."""

Numbers = tuple[int, ...]
"""Of one resource, in the order of FIELDS; a charge in billionths."""
Found = dict[str, Numbers]
"""Label -> numbers."""


class Rules(NamedTuple):
    """`timezone` empty: each device's own. `price` holds outside the periods."""

    timezone: str = ""
    price: float = 0.0
    periods: tuple[Period, ...] = ()
    energy: tuple[str, ...] = DRAWN
    hold_ms: int = 3_600_000


class Told(NamedTuple):
    """An answer; `behind` stored messages were not looked at yet; `spans` are the assets and times whose readings it used."""

    body: dict[str, Any]
    behind: int
    spans: list[Span]


class Statistics:
    """Answers over one store of equipment and one of series."""

    def __init__(self, cloud: Cloud, equipment: Equipment, rules: Rules) -> None:
        self.equipment = equipment
        self.follower = Follower(equipment, rules.hold_ms)
        self._cloud = cloud
        self._rules = rules
        self._fixed = zone(rules.timezone) if rules.timezone else None

    async def answer(self, asked: Asked) -> Told:
        """Who may see the equipment was asked before."""
        behind = await self.follower.catch_up() if {"record", "status"} & {*asked.resources} else 0
        found: dict[str, dict[str, Found]] = {resource: {} for resource in asked.resources}
        told = [each for each in asked.resources if each != CHARGE]
        windows = {device: asked.window(self._zone(device)) for device in asked.equipment}
        for some in _portions(asked.equipment, DEVICES_PER_READ):
            if told:
                look = partial(
                    _look, {device: windows[device] for device in some}, told, self._cloud.clock(), self._rules
                )
                for device, resource, numbers in await self.equipment.read(look):
                    found[resource][device] = numbers
        spans: list[Span] = []
        if CHARGE in found:
            async with self._cloud.turns:
                found[CHARGE] = await self._charges(windows, spans)
        write = _charts if asked.unit else _dashboard
        return Told({resource: write(resource, found[resource]) for resource in asked.resources}, behind, spans)

    def _zone(self, device: str) -> ZoneInfo:
        if self._fixed is not None:
            return self._fixed
        name = self._cloud.timezone_of(device)
        return zone(name) if name else self._cloud.zone

    async def _charges(self, windows: Mapping[str, Window], spans: list[Span]) -> dict[str, Found]:
        """Device -> label -> charge; tells `spans` what it read."""
        assets: defaultdict[str, list[Asset]] = defaultdict(list)
        for asset in self._cloud.series.assets.values():
            if asset.device in windows:
                assets[asset.device].append(asset)
        found: dict[str, Found] = {}
        for device, window in windows.items():
            point = next((p for p in self._rules.energy if any(_counts(each, p) for each in assets[device])), None)
            if point is None:
                continue
            tariff = Tariff(self._rules.price, self._rules.periods, window.zone)
            sums: defaultdict[str, int] = defaultdict(int)
            for asset in assets[device]:
                if _counts(asset, point):
                    spans += [(asset, *span) for span in window.ranges]
                    read = partial(_charge, asset, point, tariff, window)
                    for label, amount in (await self._cloud.series.read(read)).items():
                        sums[label] += amount
            found[device] = {label: (amount,) for label, amount in sums.items()}
        return found


def _counts(asset: Asset, point: str) -> bool:
    known = asset.points.get(point)
    return known is not None and known[1] == COUNTER


def _charge(asset: Asset, point: str, tariff: Tariff, window: Window, scan: Scan) -> dict[str, int]:
    """Label -> what one register's energy cost."""
    sums: defaultdict[str, int] = defaultdict(int)
    for low, high in window.ranges:
        low = max(low, asset.first_at - asset.first_at % ROLLED_MS)
        high = min(high, asset.last_at - asset.last_at % ROLLED_MS + ROLLED_MS)
        if low < high:
            one = Window([(low, high)], window.zone, window.unit)
            for label, amount in amounts(used(_register(scan, asset.number, point, low, high)), tariff, one).items():
                sums[label] += amount
    return sums


def _register(scan: Scan, number: int, point: str, low: int, high: int) -> Iterator[Reading]:
    """The readings that tell what was used in [low, high): from the one before the day of `low` to the first at or after
    `high`, unless that is so late that it tells nothing of what is before."""
    begin = low - low % DAY
    before = scan.before(number, begin, point)
    if before is not None:
        at, value = before
        yield (at if scan.rolled(number, at, at + 1, point) is None else at + ROLLED_MS - 1), value, None
    for start, end in portions(begin, high + LONGEST + 1):
        for told in _portion(scan, number, point, start, end):
            yield told
            if told[0] >= high:
                return


def _portion(scan: Scan, number: int, point: str, start: int, end: int) -> Iterator[Reading]:
    """Readings of whole days, the last of each minute, as electric power has them; where quarter-hours are kept instead, the last
    of each at its end, and what was used in it."""
    rolled = scan.rolled(number, start, end, point)
    if rolled is not None:
        used_at, energy = (each.tolist() for each in rolled[USED])
        told = dict(zip(used_at, energy, strict=True))  # not of one that has a register's first reading alone
        times, values, firsts = (each.tolist() for each in (*rolled["last"], rolled["first"].values))
        for at, value, first in zip(times, values, firsts, strict=True):
            yield at + ROLLED_MS - 1, value, Rolled(told.get(at, 0.0), first)
        start = times[-1] + ROLLED_MS
    column = last_of_minutes(scan.column(number, start, end, point))
    yield from zip(column.times.tolist(), column.values.tolist(), repeat(None))


def _look(
    windows: Mapping[str, Window], resources: Sequence[str], now: int, rules: Rules, look: Look
) -> list[tuple[str, str, Found]]:
    """(device, resource, its numbers)."""
    found = []
    for device, window in windows.items():
        if not window.ranges:
            continue
        low, high = window.ranges[0][0], window.ranges[-1][1]
        runs: list[list[Run]] = []
        if "record" in resources or "status" in resources:
            near = look.all_runs(device, low - rules.hold_ms, high + rules.hold_ms)
            runs = [[Run(*run) for run in part] for part in near.values()]
        for resource in resources:
            if resource == "record":
                numbers = _record(runs, rules.hold_ms, window)
            elif resource == "status":
                faults = [each for part in runs for each in intervals(part, FAULT, rules.hold_ms)]
                faults += [(at, max(at, until)) for at, until in look.alarms(device, low, high, now)]
                numbers = {label: (lasted.seconds, lasted.begun) for label, lasted in times(faults, window).items()}
            else:
                numbers = _events(resource, look.events(device, resource, low, high), window)
            found.append((device, resource, numbers))
    return found


def _record(runs: Iterable[list[Run]], hold: int, window: Window) -> Found:
    """Runs of single parts, runs of the device, their seconds."""
    parts = [intervals(part, RUNNING, hold) for part in runs]
    uses: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for label, lasted in times(part, window).items():
            uses[label] += lasted.begun
    whole = times((each for part in parts for each in part), window)
    nothing = Times()
    return {
        label: (uses[label], whole.get(label, nothing).begun, whole.get(label, nothing).seconds)
        for label in {*uses, *whole}
    }


def _events(resource: str, events: Iterable[tuple[int, int, int]], window: Window) -> Found:
    sums: dict[str, Numbers] = {}
    for at, count, approved in events:
        label = window.label(at)
        if label is not None:
            one = (count, count * approved) if resource == "training" else (count,)
            sums[label] = _add(sums.get(label), one)
    return sums


def _add(one: Numbers | None, other: Numbers) -> Numbers:
    return other if one is None else tuple(a + b for a, b in zip(one, other, strict=True))


def _portions(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), size):
        yield names[first : first + size]


# How it is written.


def _dashboard(resource: str, found: Mapping[str, Found]) -> dict[str, Any]:
    total: Numbers = (0,) * len(FIELDS[resource])
    detail = []
    for device, labels in found.items():
        numbers = labels.get("")
        if numbers is not None and any(numbers):
            total = _add(total, numbers)
            detail.append({"equipment": device, **_written(resource, numbers, words=True)})
    return {"total": _written(resource, total, words=False), "detail": detail}


def _charts(resource: str, found: Mapping[str, Found]) -> dict[str, Any]:
    sums: dict[str, Numbers] = {}
    for labels in found.values():
        for label, numbers in labels.items():
            sums[label] = _add(sums.get(label), numbers)
    return {
        "detail": [
            {"date": label, **_written(resource, numbers, words=resource in WORDS)}
            for label, numbers in sorted(sums.items())
            if any(numbers)
        ]
    }


def _written(resource: str, numbers: Numbers, *, words: bool) -> dict[str, Any]:
    pairs = zip(FIELDS[resource], numbers, strict=True)
    if resource == CHARGE:
        return {field: money(number) if words else _number(number) for field, number in pairs}
    return {field: str(number) if words else number for field, number in pairs}


def _number(amount: int) -> float:
    return amount // NANO if amount % NANO == 0 else amount / NANO
