"""What no single key of [[mirror.sinks]] can say."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from bridge.certificates import ClientFiles, client_context
from bridge.config.lines import Path
from bridge.config.mirror import Sink, SinkAuth, SinkEnos, SinkInflux, SinkTemplate, SinkTls
from bridge.errors import ConfigError
from bridge.templates import TemplateError, batch_template, row_template

Report = Callable[[Path, str, str], None]

LOCAL_SINK = "local"
"""The sink name that `[mirror] local` takes for itself."""

NEEDS = {
    "bearer": (),
    "basic": ("username",),
    "api_key": ("key",),
    "oauth2": ("token_url", "client_id"),
    "enos": ("token_url", "client_id", "client_secret"),
}
"""What a type of auth cannot do without."""


def check_sinks(sinks: tuple[Sink, ...], report: Report) -> None:
    """Report everything that is wrong between or inside well-typed sinks."""
    seen = {LOCAL_SINK}
    for index, sink in enumerate(sinks):
        at: Path = ("mirror", "sinks", index)
        key = f"mirror.sinks[{index}]"
        if sink.name in seen:
            hint = "`local` is [mirror] local's own" if sink.name == LOCAL_SINK else "each name once"
            report((*at, "name"), f'{key}.name is "{sink.name}" again', hint)
        seen.add(sink.name)
        if not is_url(sink.url, ("http", "https")):
            report((*at, "url"), f'{key}.url is "{sink.url}"', "http:// or https:// with a host; secrets go to token")
        _auth(sink, at, key, report)
        _tls(sink, at, key, report)
        _filter(sink, at, key, report)
        _format(sink, at, key, report)


def check_sink_files(sinks: tuple[Sink, ...], report: Report) -> None:
    """Report what is wrong with the files that sinks name."""
    for index, sink in enumerate(sinks):
        tls = sink.tls
        if tls == SinkTls():
            continue
        key = f"mirror.sinks[{index}].tls"
        try:
            client_context(ClientFiles(tls.ca, tls.certificate, tls.key), key)
        except ConfigError as error:
            name = error.where.rpartition(".")[2]
            report(("mirror", "sinks", index, "tls", name), f"{key}.{name}: {error.what}", error.hint)


def is_url(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether it has a scheme of these, a host, and no password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and port != 0 and parts.username is None


def _auth(sink: Sink, at: Path, key: str, report: Report) -> None:
    auth = sink.auth
    needed = NEEDS[auth.type]
    for name in needed:
        if not getattr(auth, name):
            report((*at, "auth", "type"), f'{key}.auth.type is "{auth.type}"', f"{key}.auth.{name} as well")
    if auth.token_url and not is_url(auth.token_url, ("http", "https")):
        what = f'{key}.auth.token_url is "{auth.token_url}"'
        report((*at, "auth", "token_url"), what, "http:// or https:// with a host; secrets have keys of their own")
    if sink.token and auth.type != "bearer":
        report((*at, "token"), f'{key} has a token, and auth.type is "{auth.type}"', "one of them")
    if auth.type == "bearer" and auth != SinkAuth():
        report((*at, "auth"), f'{key}.auth has keys, and its type is "bearer"', "its type as well, such as basic")
    if ":" in auth.username:
        report((*at, "auth", "username"), f"{key}.auth.username has a colon", "a name without")
    for place, value in _words(sink).items():
        if not value.isprintable():
            what = f"{key}.{'.'.join(place)} has a line break or another character that is not printed"
            report((*at, *place), what, "one line of text")


def _words(sink: Sink) -> dict[tuple[str, ...], str]:
    """What goes into headers and forms."""
    names = ("username", "password", "key", "client_id", "client_secret", "scope", "audience")
    words: dict[tuple[str, ...], str] = {("auth", name): getattr(sink.auth, name) for name in names}
    return {("token",): sink.token, ("template", "content_type"): sink.template.content_type, **words}


def _tls(sink: Sink, at: Path, key: str, report: Report) -> None:
    tls = sink.tls
    if tls.key and not tls.certificate:
        report((*at, "tls", "key"), f"{key}.tls has a key and no certificate", f"{key}.tls.certificate as well")
    if tls != SinkTls() and not any(url.startswith("https:") for url in (sink.url, sink.auth.token_url)):
        report((*at, "tls"), f'{key}.tls is there, and url is "{sink.url}"', "an https:// address")


def _filter(sink: Sink, at: Path, key: str, report: Report) -> None:
    for name in ("devices", "owners", "assets", "points"):
        if "" in getattr(sink.filter, name):
            report((*at, "filter", name), f"{key}.filter.{name} has an empty pattern", "patterns such as *.meter.*")


def _format(sink: Sink, at: Path, key: str, report: Report) -> None:
    for name, empty in (("influx", SinkInflux()), ("enos", SinkEnos()), ("template", SinkTemplate())):
        if sink.format != name and getattr(sink, name) != empty:
            report((*at, name), f'{key}.{name} is there, and format is "{sink.format}"', f'format = "{name}"')
    if sink.format == "influx":
        _influx(sink, at, key, report)
    elif sink.format == "enos" and not parse_qs(urlsplit(sink.url).query).get("orgId"):
        hint = "…/connect-service/v2.1/integration?action=postMeasurepoint&orgId=…"
        report((*at, "url"), f'{key}.url is "{sink.url}", which has no orgId', hint)
    elif sink.format == "template":
        _template(sink, at, key, report)


def _influx(sink: Sink, at: Path, key: str, report: Report) -> None:
    query = parse_qs(urlsplit(sink.url).query)
    if not (query.get("db") or query.get("bucket")):
        hint = "…/write?db=… of InfluxDB 1, or …/api/v2/write?org=…&bucket=…"
        report((*at, "url"), f'{key}.url is "{sink.url}", which has no db and no bucket', hint)
    if query.get("precision", ["ms"]) != ["ms"]:
        report((*at, "url"), f'{key}.url is "{sink.url}"', "precision=ms, or none")
    for name in ("asset", "device", "time", ""):
        if name in sink.influx.tags:
            report((*at, "influx", "tags"), f'{key}.influx.tags has "{name}"', "a name that no line has already")


def _template(sink: Sink, at: Path, key: str, report: Report) -> None:
    template = sink.template
    if not template.row:
        report((*at, "format"), f'{key}.format is "template"', f"{key}.template.row as well")
    for name, read in (("row", row_template), ("batch", batch_template)):
        text: str = getattr(template, name)
        if text:
            try:
                read(text)
            except TemplateError as error:
                hint = "JSON with {places}: docs/mirror.md"
                report((*at, "template", name), f"{key}.template.{name}: {error}", hint)
