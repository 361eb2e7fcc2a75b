"""A strategy tried on a simulated site: the site runs with it and without it, faster than real time, and both are compared.

    found = evaluate({"feature": "streaming_overdemand", "action": "create", "data": {...}}, days=30)
    print(found.change.cost, found.with_strategy.months)

What is tried goes to a simulated EMS as the commands that a platform would send, so it is checked and obeyed as they are.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas import kinds
from schemas.errors import Invalid
from schemas.explain import explain
from simulator.device import Device
from simulator.identity import DeviceSpec, Identity, SubDevice
from simulator.meter import BLOCK_H, BLOCK_S, Meter
from simulator.site import GATEWAY, LOAD, MAX_STEP_S, PV, STORAGE, Spec, State, advance, begin, demand_limit, local_time
from simulator.site_file import SiteFile, site_of

MAX_DAYS = 3_660
MOST_COMMANDS = 64
BLOCKS = 96
"""Quarter hours of a day."""
_DAY_S = 86_400.0
_SAME_KW = 0.1
_DEVICE = "EMS1"
_PLACES = {"gateway_kw": GATEWAY, "load_kw": LOAD, "pv_kw": PV, "storage_kw": STORAGE}

_BY_KEY = {"over_demand_condition": ("streaming_overdemand", "create"), "settings": ("charge", "create")}
_GUESSED = (
    *(("charge_percentage", "set"), ("pcs_control", "set"), ("bms_control", "set"), ("condition_control", "set")),
    *(("safety", "set"), ("air_strategy", "set"), ("reactive_power_control", "set"), ("voltage_control", "set")),
)


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command of a strategy; `sub_device_id` is the cabinet that it is for, 1 and on (None: the EMS)."""

    feature: str
    action: str
    data: Any = None
    sub_device_id: int | None = None


class Month(Struct, frozen=True, kw_only=True):
    """The highest quarter hour that began in a local month (`2025-06`), kW, and what part of the month the run had."""

    month: str
    peak_kw: float
    share: float


class Outcome(Struct, frozen=True, kw_only=True):
    """What a run came to. Energies are kWh; `self_consumption` is the share of the PV's energy that did not flow back,
    `self_sufficiency` the share of the load that was not imported; money is in the site's currency, `cost` is energy and demand
    less what was fed back. `over_limit` counts quarter hours that drew more than the demand limit with the
    strategy."""

    months: list[Month]
    over_limit: int
    imported_kwh: float
    exported_kwh: float
    load_kwh: float
    pv_kwh: float
    curtailed_kwh: float
    self_consumption: float
    self_sufficiency: float
    charged_kwh: float
    discharged_kwh: float
    full_cycles: float
    soc_end: float
    soh_end: float
    energy_cost: float
    demand_cost: float
    export_revenue: float
    cost: float


class Change(Struct, frozen=True, kw_only=True):
    """With the strategy less without it."""

    peak_kw: float
    imported_kwh: float
    exported_kwh: float
    self_consumption: float
    full_cycles: float
    cost: float


class Series(Struct, frozen=True, kw_only=True):
    """Means of the quarter hours from `start_s` (epoch seconds) on: kW, the state of charge at their end, and the limits of what
    may be drawn and fed back that stood in them, inf where there was none."""

    start_s: float
    gateway_kw: Sequence[float]
    load_kw: Sequence[float]
    pv_kw: Sequence[float]
    storage_kw: Sequence[float]
    soc: Sequence[float]
    demand_limit_kw: Sequence[float]
    export_limit_kw: Sequence[float]


class Evaluation(Struct, frozen=True, kw_only=True, rename={"with_strategy": "with", "without_strategy": "without"}):
    """Both runs, and what is different."""

    start: str
    days: int
    currency: str
    seed: int
    commands: list[str]
    with_strategy: Outcome
    without_strategy: Outcome
    change: Change


def evaluate(
    strategy: Any,
    site: SiteFile | Mapping[str, Any] | None = None,
    days: int = 30,
    *,
    root: str = "$",
    watch: Callable[[Series, Series], None] | None = None,
) -> Evaluation:
    """Run `site` (None: the default one of site_file.py) for `days` with and without `strategy`: a command's data, {feature,
    action, data}, or a list of them. `watch` is given the quarter hours with it and without. Raise Invalid, with a JSON path that
    begins at `root`; ValueError for days that are none."""
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days are 1 to {MAX_DAYS}, not {days}")
    here = site if isinstance(site, SiteFile) else site_of(site or {})
    commands = commands_of(strategy, root)
    spec = here.spec()
    bound, free = _device(here, spec), _device(here, spec)
    for n, command in enumerate(commands):
        _tell(bound, command, here.start_s, _place(strategy, root, n), n)
    runs = _Run(bound.site, here), _Run(free.site, here)
    for n in range(days * BLOCKS):
        for run in runs:
            run.block(here.start_s + (n + 1) * BLOCK_S)
    if watch is not None:
        watch(runs[0].series(), runs[1].series())
    limits = runs[0].series().demand_limit_kw
    with_outcome, without_outcome = (run.outcome(days, limits) for run in runs)
    return Evaluation(
        start=here.start.isoformat(),
        days=days,
        currency=here.prices.currency,
        seed=here.seed,
        commands=[f"{command.feature}/{command.action}" for command in commands],
        with_strategy=with_outcome,
        without_strategy=without_outcome,
        change=_change(with_outcome, without_outcome),
    )


def check(strategy: Any, site: Mapping[str, Any], root: str = "$", site_root: str = "$") -> None:
    """Raise Invalid if `evaluate` would: everything but the runs."""
    try:
        here = site_of(site)
    except Invalid as wrong:
        raise Invalid(wrong.reason, site_root + wrong.path[1:], wrong.detail) from None
    device = _device(here, here.spec())
    for n, command in enumerate(commands_of(strategy, root)):
        _tell(device, command, here.start_s, _place(strategy, root, n), n)


def commands_of(strategy: Any, root: str = "$") -> list[Command]:
    """The commands of a strategy. Raise Invalid."""
    if not isinstance(strategy, list):
        return [_command(strategy, root)]
    if not 1 <= len(strategy) <= MOST_COMMANDS:
        raise Invalid("invalid", root, f"{len(strategy)} commands; expected 1 to {MOST_COMMANDS}")
    return [_command(each, f"{root}[{n}]") for n, each in enumerate(strategy)]


def _command(said: Any, where: str) -> Command:
    if not isinstance(said, dict):
        raise Invalid("invalid", where, "expected an object: a command's data, or {feature, action, data}")
    if "feature" in said or "action" in said:
        try:
            return msgspec.convert(said, Command)
        except msgspec.ValidationError as error:
            raise explain(error, Command, where) from None
    for key, (feature, action) in _BY_KEY.items():
        if key in said:
            return Command(feature=feature, action=action, data=said)
    for feature, action in _GUESSED:
        kind = kinds.command(feature, action)
        if said and kind is not None and set(said) <= set(getattr(kind.data, "__struct_fields__", ())):
            return Command(feature=feature, action=action, data=said)
    raise Invalid(
        "invalid", where, "no data of a command that is known without its name; expected {feature, action, data}"
    )


def _place(strategy: Any, root: str, n: int) -> str:
    """The JSON path of a command's data."""
    where = f"{root}[{n}]" if isinstance(strategy, list) else root
    said = strategy[n] if isinstance(strategy, list) else strategy
    return f"{where}.data" if "feature" in said else where


def _device(site: SiteFile, spec: Spec) -> Device:
    """An EMS on that site, as it is delivered."""
    cabinets = tuple(SubDevice(n + 1, f"CAB{n + 1}", f"cabinet {n + 1}", "", "") for n in range(site.storage.cabinets))
    identity = Identity("site", "site", "", site.place.longitude, site.place.latitude, "192.168.1.1", "", cabinets)
    device = Device(DeviceSpec(_DEVICE, seed=site.seed), identity, spec, site.start_s, BLOCK_S)
    plan = msgspec.structs.replace(device.site.plan, regulation=False)
    device.site = begin(spec, site.start_s, site.storage.soc, plan)
    return device


def _tell(device: Device, command: Command, now: float, where: str, n: int) -> None:
    kind = kinds.command(command.feature, command.action)
    if kind is None:
        path = where.removesuffix(".data") + ".feature"
        raise Invalid("invalid", path, f"there is no command {command.feature}/{command.action}")
    head = {
        "mid": f"00000000-0000-4000-8000-{n:012d}",
        "type": kind.type,
        "device_uid": _DEVICE,
        "timestamp": int(now * 1000),
    }
    if command.data is not None:
        head["data"] = command.data
    if command.sub_device_id is not None:
        head["sub_device_id"] = command.sub_device_id
    try:
        payload = msgspec.json.encode(head)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid("invalid", where, f"not JSON: {error}") from None
    try:
        kind.decode(payload)
    except Invalid as wrong:
        inside = wrong.path.startswith("$.data")
        raise Invalid(wrong.reason, where + wrong.path[len("$.data") :] if inside else where, wrong.detail) from None
    posts = device.handle(f"v1/wudun/PK1/{_DEVICE}/{kind.suffix}", payload, now)
    answer = json.loads(posts[0][1])
    if answer["code"] != 200:
        raise Invalid("invalid", where, f"{command.feature}/{command.action} is refused: {answer['msg']}")


class _Run:
    """A site on its way through the days, and what is kept of each quarter hour."""

    def __init__(self, state: State, site: SiteFile) -> None:
        self.state = state
        self._site = site
        self._kept = {name: array("d") for name in _PLACES}
        self._nets = {name: _net(state.meters[place]) for name, place in _PLACES.items()}
        self._soc = array("d")
        self._demand, self._export = array("d"), array("d")
        self._curtailed = 0.0
        self._peaks: dict[str, float] = {}

    def block(self, end: float) -> None:
        """One quarter hour."""
        state, taken = self.state, sum(self.state.meters[GATEWAY].forward)
        month, limit = local_time(state.spec, state.at).strftime("%Y-%m"), demand_limit(state)
        while state.at < end:
            last = state.at
            state = advance(state, min(end, last + MAX_STEP_S))
            self._curtailed += state.curtailed_kw * (state.at - last) / 3600.0
        peak = (sum(state.meters[GATEWAY].forward) - taken) / BLOCK_H
        self._peaks[month] = max(self._peaks.get(month, 0.0), peak)
        for name, place in _PLACES.items():
            net = _net(state.meters[place])
            self._kept[name].append((net - self._nets[name]) / BLOCK_H)
            self._nets[name] = net
        self._soc.append(state.soc)
        self._demand.append(math.inf if limit is None else limit)
        export = state.plan.export_kw
        self._export.append(math.inf if export is None else export)
        self.state = state

    def series(self) -> Series:
        """The quarter hours."""
        return Series(
            start_s=self._site.start_s,
            soc=self._soc,
            demand_limit_kw=self._demand,
            export_limit_kw=self._export,
            **self._kept,
        )

    def outcome(self, days: int, limits: Sequence[float]) -> Outcome:
        """The sums. `limits` are what was not to be drawn."""
        drawn = zip(self._kept["gateway_kw"], limits, strict=True)
        over = sum(kw > limit + _SAME_KW for kw, limit in drawn)
        return _outcome(self.state, self._site, self._peaks, days, self._curtailed, over)


def _outcome(state: State, site: SiteFile, peaks: dict[str, float], days: int, curtailed: float, over: int) -> Outcome:
    gateway, storage, pv, load = (state.meters[place] for place in (GATEWAY, STORAGE, PV, LOAD))
    imported, exported, made = sum(gateway.forward), sum(gateway.reverse), sum(pv.forward)
    used = sum(load.forward)
    prices = site.prices
    shares = _month_shares(site, days)
    energy = math.fsum(kwh * price for kwh, price in zip(gateway.forward, prices.kwh, strict=True))
    demand = math.fsum(kw * shares[month] * prices.demand_kw_month for month, kw in peaks.items())
    revenue = exported * prices.export
    return Outcome(
        months=[Month(month=month, peak_kw=_r(kw), share=_r(shares[month])) for month, kw in peaks.items()],
        over_limit=over,
        imported_kwh=_r(imported),
        exported_kwh=_r(exported),
        load_kwh=_r(used),
        pv_kwh=_r(made),
        curtailed_kwh=_r(curtailed),
        self_consumption=_r(max(0.0, 1.0 - exported / made) if made else 1.0),
        self_sufficiency=_r(max(0.0, 1.0 - imported / used) if used else 1.0),
        charged_kwh=_r(sum(storage.forward)),
        discharged_kwh=_r(sum(storage.reverse)),
        full_cycles=_r(state.dc_discharged_kwh / state.spec.battery.capacity_kwh),
        soc_end=_r(state.soc),
        soh_end=round(state.soh, 6),
        energy_cost=_r(energy),
        demand_cost=_r(demand),
        export_revenue=_r(revenue),
        cost=_r(energy + demand - revenue),
    )


def _month_shares(site: SiteFile, days: int) -> dict[str, float]:
    """Local month -> the part of its days that a run has."""
    found: dict[str, float] = {}
    for n in range(days):
        day = datetime.fromtimestamp(site.start_s + site.place.utc_offset_h * 3600.0 + n * _DAY_S, UTC)
        following = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
        length = (following - day.replace(day=1)).days
        found[day.strftime("%Y-%m")] = found.get(day.strftime("%Y-%m"), 0.0) + 1.0 / length
    return found


def _change(one: Outcome, two: Outcome) -> Change:
    names = ("imported_kwh", "exported_kwh", "self_consumption", "full_cycles", "cost")
    parts = {name: _r(getattr(one, name) - getattr(two, name)) for name in names}
    return Change(peak_kw=_r(peak_of(one) - peak_of(two)), **parts)


def peak_of(outcome: Outcome) -> float:
    """The highest quarter hour of a run."""
    return max(month.peak_kw for month in outcome.months)


def _net(meter: Meter) -> float:
    return math.fsum(meter.forward) - math.fsum(meter.reverse)


def _r(value: float) -> float:
    return round(value, 4) + 0.0
