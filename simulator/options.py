"""What `ems-sim run` is asked to do: options of the command line over those of a scenario file, checked in one place."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints
from urllib.parse import unquote, urlsplit

import msgspec

from schemas.explain import explain
from schemas.topics import Topics
from simulator.dialect import DIALECTS, PLAIN, Dialect
from simulator.faults import Fault, assign, parse_faults
from simulator.identity import VERSIONS, DeviceSpec, Version, device_specs, with_credentials
from simulator.scenario import Login, Phase, Scenario, expectation, stages

SCHEMES = ("wudun", "user")
MAX_DEVICES = 60_000
"""One address has some 28,000 to 64,000 client ports; more devices need more machines."""
EARLIEST_S = 365 * 86_400.0
"""No simulated clock starts before 1971, however long and fast the run is."""
BACK_S = 365 * 86_400.0
"""How far back an accelerated run without an end starts, so that its timestamps stay in the past for long."""


_VERSIONS: dict[str, Version] = {version: version for version in VERSIONS}


class Wrong(ValueError):
    """An option that cannot be: `where` names it (`--faults`, `fleet.toml: faults`)."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where


class Given(NamedTuple):
    """Options by name, as both the command line and a scenario file may give them. None: not given."""

    broker: str | None = None
    devices: int | None = None
    scheme: str | list[str] | None = None
    version: str | list[str] | None = None
    interval: float | None = None
    seed: int | None = None
    faults: str | list[str] | None = None
    time_scale: float | None = None
    duration: float | None = None
    credentials: str | None = None
    prefix: str | None = None
    product_key: str | None = None
    tenant: str | None = None
    ramp: float | None = None
    keep_alive: int | None = None
    dialect: str | None = None


class Asked(NamedTuple):
    """What only a scenario file may say."""

    phase: list[Phase] = []  # noqa: RUF012 - never changed
    expect: list[str] = []  # noqa: RUF012
    platform: Login = Login()
    settle: float = 10.0


class Options(NamedTuple):
    """A run: what `Fleet` needs, and for how long (seconds of real time; None: until stopped)."""

    broker: tuple[str, int]
    specs: list[DeviceSpec]
    interval_s: float
    faults: tuple[Fault, ...]
    time_scale: float
    start: float
    duration_s: float | None
    ramp_per_s: float
    keep_alive_s: int
    seed: int
    scenario: Scenario
    dialect: Dialect | None


def options(given: Given, scenario: Path | None) -> Options:
    """The run that is asked for. Raise Wrong."""
    where = {name: f"--{name.replace('_', '-')}" for name in Given._fields}
    more = Asked()
    if scenario is not None:
        read, more = read_scenario(scenario)
        where |= {name: f"{scenario}: {name}" for name in Asked._fields}
        for name in read:
            if getattr(given, name) is None:
                where[name] = f"{scenario}: {name}"
        given = given._replace(**{name: value for name, value in read.items() if getattr(given, name) is None})
    return _Checked(given, where).options(more)


def read_scenario(path: Path) -> tuple[dict[str, Any], Asked]:
    """The options of a scenario file, by name, of the right types, and what only a file may say. Raise Wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text)
    except OSError as error:
        raise Wrong("--scenario", f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Wrong("--scenario", f"{path}: no TOML: {error}") from None
    types = get_type_hints(Given) | get_type_hints(Asked)
    for name, value in found.items():
        if name not in types:
            raise Wrong(f"{path}: {name}", f"unknown option; there are {', '.join(types)}")
        try:
            found[name] = msgspec.convert(value, types[name])
        except msgspec.ValidationError as error:
            wrong = explain(error, types[name], name)
            raise Wrong(f"{path}: {wrong.path}", wrong.detail) from None
    if "credentials" in found:
        found["credentials"] = str(path.parent / found["credentials"])
    more = Asked(**{name: found.pop(name) for name in Asked._fields if name in found})
    return found, more


def parse_broker(url: str, schemes: Sequence[str] = ("mqtt", "tcp")) -> tuple[str, int, str | None, str | None]:
    """Host, port, user and password of a broker's address. ValueError says what would be right."""
    try:
        parts = urlsplit(url if "//" in url else f"mqtt://{url}")
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in schemes or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is no broker address; use {schemes[0]}://HOST:PORT")
    usual = 8883 if parts.scheme == "mqtts" else 1883
    user, password = (None if word is None else unquote(word) for word in (parts.username, parts.password))
    return parts.hostname, usual if port is None else port, user, password


class _Checked:
    """Turns what was given into a run; every complaint names its option."""

    def __init__(self, given: Given, where: Mapping[str, str]) -> None:
        self._given = given
        self._where = where

    def options(self, more: Asked) -> Options:
        given = self._given
        seed = 1 if given.seed is None else given.seed
        host, port, username, password = self._broker()
        specs = [
            spec._replace(username=spec.username or username, password=spec.password or password, prefix=self._prefix())
            for spec in self._specs(seed)
        ]
        scale = self._number("time_scale", 1.0, 0.001, 1000.0)
        scenario = self._scenario(more, [spec.uid for spec in specs], seed)
        duration = scenario.ends or None if given.duration is None else self._number("duration", 0.0, 0.001, 1e8)
        return Options(
            broker=(host, port),
            specs=specs,
            interval_s=self._number("interval", 60.0, 0.01, 86_400.0),
            faults=self._faults([spec.uid for spec in specs], seed),
            time_scale=scale,
            start=_start(scale, duration),
            duration_s=duration,
            ramp_per_s=self._number("ramp", 200.0, 0.1, 10_000.0),
            keep_alive_s=int(self._number("keep_alive", 60, 1, 65_535)),
            seed=seed,
            scenario=scenario,
            dialect=self._dialect(),
        )

    def _scenario(self, more: Asked, uids: list[str], seed: int) -> Scenario:
        name = "phase"
        try:
            found = stages(more.phase, uids, seed)
            name = "expect"
            expectations = [expectation(text) for text in more.expect]
        except ValueError as error:
            raise self._wrong(name, str(error)) from None
        if not 0 <= more.settle <= 86_400:
            raise self._wrong("settle", f"{more.settle} is outside 0 to 86400")
        return Scenario(found, expectations, more.platform, more.settle)

    def _dialect(self) -> Dialect | None:
        word = self._given.dialect or PLAIN
        if word not in DIALECTS:
            raise self._wrong("dialect", f"{word!r} is none of {', '.join(DIALECTS)}")
        return DIALECTS[word]

    def _wrong(self, name: str, what: str) -> Wrong:
        return Wrong(self._where[name], what)

    def _number(self, name: str, default: float, low: float, high: float) -> float:
        value = getattr(self._given, name)
        if value is None:
            return default
        if not low <= value <= high:
            raise self._wrong(name, f"{value} is outside {low:g} to {high:g}")
        return float(value)

    def _words(self, name: str, default: str) -> list[str]:
        value = getattr(self._given, name)
        words = value.split(",") if isinstance(value, str) else value or [default]
        return [word.strip() for word in words if word.strip()]

    def _choices(self, name: str, allowed: Sequence[str]) -> list[str]:
        words = self._words(name, {"scheme": "wudun", "version": "v2"}[name])
        for word in words:
            if word not in allowed:
                raise self._wrong(name, f"{word!r} is none of {', '.join(allowed)}")
        if not words:
            raise self._wrong(name, f"names nothing; there are {', '.join(allowed)}")
        return words

    def _broker(self) -> tuple[str, int, str | None, str | None]:
        url = self._given.broker
        if url is None:
            raise self._wrong("broker", "required, as in --broker mqtt://127.0.0.1:1883")
        try:
            return parse_broker(url)
        except ValueError as error:
            raise self._wrong("broker", str(error)) from None

    def _specs(self, seed: int) -> list[DeviceSpec]:
        given = self._given
        schemes = self._choices("scheme", SCHEMES)
        versions = [_VERSIONS[word] for word in self._choices("version", VERSIONS)]
        count = given.devices
        if count is not None and not 1 <= count <= MAX_DEVICES:
            raise self._wrong("devices", f"{count} is outside 1 to {MAX_DEVICES}")
        if given.credentials is not None:
            rows = self._credentials(Path(given.credentials))
            try:
                return with_credentials(rows, count, schemes=schemes, versions=versions, seed=seed)
            except ValueError as error:
                raise self._wrong("credentials", str(error)) from None
        if count is None:
            raise self._wrong("devices", "required without --credentials, as in --devices 100")
        product_key, tenant = self._owner("product_key", "PK1"), self._owner("tenant", "T1")
        return device_specs(
            count, schemes=schemes, versions=versions, product_key=product_key, tenant=tenant, seed=seed
        )

    def _owner(self, name: str, default: str) -> str:
        value: str | None = getattr(self._given, name)
        if value is None:
            return default
        try:
            Topics().prefix("wudun", 1, value)
        except ValueError:
            raise self._wrong(name, f"{value!r} cannot be a part of a topic: no /, +, # and NUL, not empty") from None
        return value

    def _prefix(self) -> str | None:
        prefix = self._given.prefix
        if prefix is None:
            return None
        if not prefix.strip("/") or any(sign in prefix for sign in "+#\0"):
            raise self._wrong("prefix", f"{prefix!r} is no topic prefix: without +, # and NUL, not empty")
        return prefix.rstrip("/")

    def _credentials(self, path: Path) -> list[dict[str, object]]:
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise self._wrong("credentials", f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise self._wrong("credentials", f"{str(path)!r}: {error}") from None
        rows = []
        for n, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rows.append(msgspec.json.decode(line, type=dict[str, object]))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise self._wrong("credentials", f"{path}:{n}: no JSON object: {error}") from None
        if not rows:
            raise self._wrong("credentials", f"{path} names no device")
        return rows

    def _faults(self, uids: list[str], seed: int) -> tuple[Fault, ...]:
        try:
            faults = parse_faults(",".join(self._words("faults", "")))
            assign(faults, len(uids), seed, uids)
        except ValueError as error:
            raise self._wrong("faults", str(error)) from None
        return faults


def _start(scale: float, duration: float | None) -> float:
    """Simulated start: now; for an accelerated run so far back that its timestamps end in the present, or stay in the
    past."""
    now = time.time()
    if scale <= 1.0:
        return now
    return max(EARLIEST_S, now - (BACK_S if duration is None else duration * (scale - 1.0)))
