"""What no single type can say: addresses, time zones, prefixes, and settings that exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bridge.certificates import Files, has_private_key, server_context, validity
from bridge.config.lines import Path
from bridge.config.settings import Config, HttpListener, Listener, Tls
from bridge.config.sinks import check_sink_files, check_sinks, is_url
from bridge.config.values import is_loopback, parse_address, parse_listen
from bridge.errors import ConfigError
from schemas.points import FAMILIES

Report = Callable[[Path, str, str], None]


def check(config: Config, report: Report) -> None:
    """Report everything that is wrong between or inside well-typed settings."""
    _listeners(config, report)
    _external(config, report)
    _commands(config, report)
    _topics(config, report)
    _devices(config, report)
    check_sinks(config.mirror.sinks, report)
    _webhooks(config, report)
    _cloud(config, report)
    _belimo(config, report)
    _enos(config, report)
    _statistics(config, report)


def check_files(config: Config, report: Report) -> None:
    """Report what is wrong with the files that settings name: only the service itself has to be able to read them."""
    for at, key, listener in _further(config):
        tls = listener.tls
        if not tls.certificate:
            continue
        files = Files(tls.certificate, tls.key, tls.ca, tls.client_certificate, tls.identity)
        try:
            wrong = validity(server_context(files, "mqtt"), files)[0]
        except ConfigError as error:
            name = next((name for name in ("key", "ca") if error.where == getattr(tls, name)), "certificate")
            report((*at, "tls", name), f'{key}.tls.{name} is "{error.where}", which {error.what}', error.hint)
        else:
            if wrong:
                what = f'{key}.tls.certificate is "{tls.certificate}", which {wrong}'
                report((*at, "tls", "certificate"), what, "one that clients accept today")
    check_sink_files(config.mirror.sinks, report)
    if config.enos.private_key:
        try:
            has_private_key(config.enos.private_key)
        except ConfigError as error:
            report(("enos", "private_key"), f'enos.private_key is "{error.where}", which {error.what}', error.hint)


def _listeners(config: Config, report: Report) -> None:
    seen: set[str] = set()
    if config.broker.listen:
        _listens(config, ("broker",), "broker", config.broker.listen, "127.0.0.1:1883", seen, report)
    _listens(config, ("http",), "http", config.http.listen, "127.0.0.1:8080", seen, report)
    for at, key, listener in _further(config):
        _listens(config, at, key, listener.listen, "0.0.0.0:8883 or unix:/run/ems-bridge.sock", seen, report)
        _tls(at, key, listener.tls, report)
        if config.broker.allow_anonymous and listener.proxy_protocol:
            what = f"{key}.proxy_protocol and broker.allow_anonymous are true"
            report((*at, "proxy_protocol"), what, "who comes by a proxy has to log in")


def _listens(config: Config, at: Path, key: str, listen: str, usual: str, seen: set[str], report: Report) -> None:
    try:
        where = parse_listen(listen) if len(at) > 1 else parse_address(listen)
    except ValueError as error:
        report((*at, "listen"), f"{key}.listen: {error}", f"HOST:PORT, such as {usual}")
        return
    fixed = isinstance(where, File) or where[1] != 0
    if fixed and str(where) in seen:
        report((*at, "listen"), f'{key}.listen is "{listen}" again', "each address once")
    seen.add(str(where))
    if config.broker.allow_anonymous and not isinstance(where, File) and not is_loopback(where[0]):
        what = f'{key}.listen is "{listen}" and broker.allow_anonymous is true'
        report((*at, "listen"), what, "without passwords a listener binds loopback only, such as 127.0.0.1")


def _tls(at: Path, key: str, tls: Tls, report: Report) -> None:
    if not tls.certificate:
        for name in ("key", "ca"):
            if getattr(tls, name):
                report((*at, "tls", name), f"{key}.tls has a {name} and no certificate", "tls.certificate as well")
        if tls.client_certificate != "none":
            what = f'{key}.tls.client_certificate is "{tls.client_certificate}"'
            report((*at, "tls", "client_certificate"), what, "tls.certificate and tls.ca as well")
    elif tls.client_certificate != "none" and not tls.ca:
        what = f'{key}.tls.client_certificate is "{tls.client_certificate}"'
        report((*at, "tls", "client_certificate"), what, "tls.ca as well: who signs clients' certificates")
    elif tls.ca and tls.client_certificate == "none":
        report((*at, "tls", "ca"), f"{key}.tls.ca is never asked", 'client_certificate = "optional" or "required"')


def _further(config: Config) -> list[tuple[Path, str, Listener | HttpListener]]:
    """Each listener of an array: its path, its name in messages, itself."""
    both: dict[str, tuple[Listener | HttpListener, ...]] = {
        "broker": config.broker.listeners,
        "http": config.http.listeners,
    }
    return [
        ((section, "listeners", index), f"{section}.listeners[{index}]", listener)
        for section, listeners in both.items()
        for index, listener in enumerate(listeners)
    ]


def _external(config: Config, report: Report) -> None:
    broker, at = config.broker, ("broker", "external")
    external = broker.external
    if broker.mode == "external" and not external.url:
        report(
            ("broker", "mode"), 'broker.mode is "external"', "broker.external.url as well: mqtt://HOST or mqtts://HOST"
        )
    elif external.url and not is_url(external.url, ("mqtt", "mqtts")):
        what = f'broker.external.url is "{external.url}"'
        report((*at, "url"), what, "mqtt:// or mqtts:// with a host; user name and password have keys of their own")
    if external.password and not external.username:
        report((*at, "password"), "broker.external has a password and no user name", "broker.external.username as well")
    if external.key and not external.certificate:
        report((*at, "key"), "broker.external has a key and no certificate", "broker.external.certificate as well")
    if broker.mode == "external":
        for name in ("listeners", "plugins"):
            if getattr(broker, name):
                what = f'broker.{name} and broker.mode = "external" are both there'
                report(("broker", name), what, "the other broker listens, and decides who may come in")


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


def _timezone(section: str, name: str, report: Report) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a directory gives OSError
        report((section, "timezone"), f'{section}.timezone is "{name}"', "an IANA time zone, such as Europe/Berlin")


def _statistics(config: Config, report: Report) -> None:
    if config.statistics.timezone:
        _timezone("statistics", config.statistics.timezone, report)
    for index, period in enumerate(config.statistics.periods):
        if period.end <= period.start:
            what = f'statistics.periods[{index}] goes from "{period.start}" to "{period.end}"'
            report(
                ("statistics", "periods", index, "end"), what, "an end after the start; over midnight it is two periods"
            )


def _devices(config: Config, report: Report) -> None:
    _timezone("devices", config.devices.timezone, report)
    for family in config.devices.signs:
        if family not in FAMILIES:
            report(
                ("devices", "signs", family), f'devices.signs: no part is "{family}"', "one of " + ", ".join(FAMILIES)
            )


def _webhooks(config: Config, report: Report) -> None:
    seen = set()
    for index, webhook in enumerate(config.webhooks):
        at: Path = ("webhooks", index)
        if webhook.name in seen:
            report((*at, "name"), f'webhooks[{index}].name is "{webhook.name}" again', "each name once")
        seen.add(webhook.name)
        if not is_url(webhook.url, ("http", "https")):
            what = f'webhooks[{index}].url is "{webhook.url}"'
            report((*at, "url"), what, "http:// or https:// with a host; the secret goes to secret")
        if not webhook.events:
            report((*at, "events"), f"webhooks[{index}].events is empty", "one event or more, or no such key for all")


def _cloud(config: Config, report: Report) -> None:
    url = config.cloud.database
    if url and not url.startswith(("postgresql://", "postgres://")):
        report(
            ("cloud", "database"),
            "cloud.database is no PostgreSQL URL",
            "postgresql://user@host/name, or postgresql:///name?host=/run/postgresql for a socket",
        )


def _belimo(config: Config, report: Report) -> None:
    seen = set()
    for index, client in enumerate(config.belimo.clients):
        at: Path = ("belimo", "clients", index)
        key = f"belimo.clients[{index}]"
        if client.id in seen:
            report((*at, "id"), f'{key}.id is "{client.id}" again', "each id once")
        seen.add(client.id)
        if client.account and not client.secret:
            report((*at, "account"), f"{key} has an account and no secret", "anybody could be it: a secret as well")
        for uri in client.redirect_uris:
            if not urlsplit(uri).scheme or "#" in uri:
                hint = "a whole address without #, such as https://dashboard.example/back"
                report((*at, "redirect_uris"), f'{key}.redirect_uris has "{uri}"', hint)


def _enos(config: Config, report: Report) -> None:
    seen = set()
    for index, app in enumerate(config.enos.apps):
        if app.key in seen:
            report(("enos", "apps", index, "key"), f'enos.apps[{index}].key is "{app.key}" again', "each key once")
        seen.add(app.key)
