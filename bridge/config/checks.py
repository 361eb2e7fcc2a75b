"""What no single type can say: addresses, time zones, prefixes, and settings that exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bridge.config.lines import Path
from bridge.config.settings import Config
from bridge.config.values import is_loopback, parse_address
from schemas.points import FAMILIES

Report = Callable[[Path, str, str], None]

LOCAL_SINK = "local"
"""The sink name that `[mirror] local` takes for itself."""


def check(config: Config, report: Report) -> None:
    """Report everything that is wrong between or inside well-typed settings."""
    _listeners(config, report)
    _commands(config, report)
    _topics(config, report)
    _devices(config, report)
    _sinks(config, report)


def _listeners(config: Config, report: Report) -> None:
    for section, listen in (("broker", config.broker.listen), ("http", config.http.listen)):
        try:
            host, _ = parse_address(listen)
        except ValueError as error:
            usual = 1883 if section == "broker" else 8080
            report((section, "listen"), f"{section}.listen: {error}", f"HOST:PORT, such as 127.0.0.1:{usual}")
            continue
        if config.broker.allow_anonymous and not is_loopback(host):
            what = f'{section}.listen is "{listen}" and broker.allow_anonymous is true'
            report((section, "listen"), what, "without passwords a listener binds loopback only, such as 127.0.0.1")


def _commands(config: Config, report: Report) -> None:
    commands = config.commands
    if commands.hold_s > commands.max_hold_s:
        what = f"commands.hold_s is {commands.hold_s:g}"
        report(("commands", "hold_s"), what, f"at most commands.max_hold_s, {commands.max_hold_s:g}")


def _topics(config: Config, report: Report) -> None:
    seen: set[str] = set()
    for index, custom in enumerate(config.topics.custom):
        at: Path = ("topics", "custom", index, "prefix")
        key, levels = f"topics.custom[{index}].prefix", custom.prefix.split("/")
        if any(not level or "+" in level or "#" in level or "\0" in level for level in levels):
            report(at, f'{key} is "{custom.prefix}"', "levels parted by single slashes, without + and #")
        elif levels[0].startswith("$") or levels[0] == "bridge":
            report(
                at,
                f'{key} is "{custom.prefix}"',
                "a first level other than `bridge` and `$…`: those are the bridge's own",
            )
        elif len(levels) == 3 and levels[0] in ("v1", "v2") and levels[1] in ("wudun", "user"):
            report(at, f'{key} is "{custom.prefix}"', "a prefix that the wudun and user schemes do not cover already")
        elif custom.prefix in seen:
            report(at, f'{key} is "{custom.prefix}" again', "each prefix once")
        seen.add(custom.prefix)


def _devices(config: Config, report: Report) -> None:
    name = config.devices.timezone
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a directory gives OSError
        report(("devices", "timezone"), f'devices.timezone is "{name}"', "an IANA time zone, such as Europe/Berlin")
    for family in config.devices.signs:
        if family not in FAMILIES:
            report(
                ("devices", "signs", family), f'devices.signs: no part is "{family}"', "one of " + ", ".join(FAMILIES)
            )


def _sinks(config: Config, report: Report) -> None:
    seen = {LOCAL_SINK}
    for index, sink in enumerate(config.mirror.sinks):
        at: Path = ("mirror", "sinks", index)
        if sink.name in seen:
            hint = "`local` is [mirror] local's own" if sink.name == LOCAL_SINK else "each name once"
            report((*at, "name"), f'mirror.sinks[{index}].name is "{sink.name}" again', hint)
        seen.add(sink.name)
        if not _is_http(sink.url):
            what = f'mirror.sinks[{index}].url is "{sink.url}"'
            report((*at, "url"), what, "http:// or https:// with a host; secrets go to token")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and parts.username is None
