"""Whatever reads what others wrote: a value, or a refusal with its reason and place; never another exception.

Messages of every kind by every door, topics, bodies and queries of the HTTP API, of the vendor's and of EnOS, batches of
readings, gzip, server-sent events, webhooks, Retry-After, the PROXY header, the configuration, command lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import random
import time
import urllib.parse
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp.test_utils import make_mocked_request

from bridge.broker import proxy
from bridge.cli import main
from bridge.client import sse, webhooks
from bridge.cloud import body as bodies
from bridge.cloud import enos, enos_routes, rows
from bridge.cloud.cloud import Settings as CloudSettings
from bridge.config import read as configuration
from bridge.errors import BridgeError, Refused
from bridge.http import bodies as typed
from bridge.http.app import ROUTES
from bridge.http.times import milliseconds
from bridge.mirror import rows as outbox
from bridge.mirror.retry import retry_after
from bridge.mirror.signature import sign
from bridge.store.outbox import OutboxLine
from fuzz import jsons
from schemas import kinds, readings
from schemas.errors import LONGEST_DETAIL, LONGEST_PATH, Invalid
from schemas.examples import examples
from schemas.kind import Kind
from schemas.topics import CustomPrefix, Topics

REASONS = {"not_json", "invalid", "bad_timestamp", "unknown_type"}
BODIES = [route.body for route in ROUTES if isinstance(route.body, type)]
QUERIES = [(route.query, route.dialect is not None) for route in ROUTES]
WORDS = (
    "",
    "0",
    "1",
    "-1",
    "9" * 30,
    "1.5",
    "1e400",
    "nan",
    "inf",
    "null",
    "true",
    "x",
    "EMS001",
    "é",
    "%00",
    "\0",
    "a,b",
    "sum(p)",
    "avg(p),max(q)",
    "2024-01-01 00:00:00",
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00+99:99",
    "0000-00-00",
    "\ud800",
    "5" * 5000,
)
SUFFIXES = sorted({suffix for kind in kinds.KINDS for suffix in (kind.suffix, *kind.also)})
ENOS = (
    "orgId",
    "modelId",
    "assetIds",
    "measurepointsWithLogic",
    "interval",
    "startTime",
    "endTime",
    "pageSize",
    "accessKey",
    "localTimeAccuracy",
    "x",
    "pointIds",
    "pointId",
    "operator",
    "valueFilter",
    "orderBy",
    "timeWindow",
    "status",
    "itemFormat",
    "localTimeFormat",
    "withQuality",
    "autoInterpolate",
    "interpolation",
    "action",
)
ROW = {
    "asset": "EMS001.meter.1",
    "timestamp": 1_705_980_251_899,
    "point": "p",
    "value": 1.5,
    "unit": "kW",
    "kind": "gauge",
}
WIDE = {
    "asset": "EMS001",
    "timestamp": "2024-01-01T00:00:00Z",
    "values": {"p": 1, "q": None},
    "units": {"p": "kW"},
    "kinds": {"p": "counter"},
    "device": "EMS001",
    "timezone": "Europe/Berlin",
}
NOW = 1_705_980_300_000


def message(chance: random.Random, _home: Path) -> None:
    """A device's payload and a platform's, of any kind, on any topic of it."""
    kind = chance.choice(kinds.KINDS)
    payload = jsons.text(chance, jsons.changed(chance, chance.choice(examples(kind)).payload))
    suffix = kind.suffix if chance.random() < 0.9 else chance.choice(SUFFIXES)
    found = _refused(lambda: kinds.resolve(suffix, payload))
    if found is not None:
        _check_message(*found, payload)
    _refused(lambda: kind.decode(payload))
    _refused(lambda: kind.decode_strict(payload))
    try:
        data = json.loads(payload)["data"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return
    _refused(lambda: kind.data_strict(data))


def _check_message(kind: Kind, read: Any, payload: bytes) -> None:
    again = _refused(lambda: kinds.roundtrip(kind, payload))
    if again is not None:  # an unknown key may hold a number that Python's floats cannot
        assert same(msgspec.json.decode(payload), json.loads(again)), "the round trip changed a value"
    for path in _refused(lambda: kinds.unknown_keys(kind, payload)) or ():
        assert path.startswith("$"), path
    for _asset, values in _assets(readings.extract(kind, read)):
        assert all(math.isfinite(value) for value in values.values()), values


def _assets(found: Any) -> list[tuple[str, dict[str, float]]]:
    return [(each[0], each[-1]) for each in found]


def same(raw: Any, again: Any) -> bool:
    """Equal as JSON values: a number is the double that it means where a double is meant."""
    if isinstance(raw, dict) and isinstance(again, dict):
        return list(raw) == list(again) and all(same(raw[key], again[key]) for key in raw)
    if isinstance(raw, list) and isinstance(again, list):
        return len(raw) == len(again) and all(map(same, raw, again))
    if isinstance(raw, bool) or isinstance(again, bool) or not isinstance(raw, int | float):
        return raw is again or (type(raw) is type(again) and raw == again)
    return isinstance(again, int | float) and (raw == again or float(raw) == float(again))


def _refused(read: Callable[[], Any]) -> Any:
    """What it gives; None for an Invalid that says why."""
    try:
        return read()
    except Invalid as error:
        _check_invalid(error)
        return None


def _check_invalid(error: Invalid) -> None:
    assert error.reason in REASONS, error.reason
    assert error.detail, "a refusal without words"
    assert not error.path or error.path.startswith("$"), error.path
    assert len(error.path) <= LONGEST_PATH, "the path is too long"
    assert len(error.detail) <= LONGEST_DETAIL, "the detail is too long"
    str(error).encode()


def topic(chance: random.Random, _home: Path) -> None:
    parts = [
        "v1",
        "v2",
        "wudun",
        "user",
        "PK",
        "",
        "EMS001",
        "report",
        "regular",
        "post",
        "+",
        "#",
        "é\0",
        "x" * 3000,
        "$SYS",
        "site",
    ]
    word = "/".join(chance.choice(parts) for _ in range(chance.randrange(1, 9)))
    if chance.random() < 0.5:
        word = f"{chance.choice(('v1', 'v2', 'site'))}/wudun/PK/{word}/{chance.choice(SUFFIXES)}"
    custom = CustomPrefix(word[: chance.randrange(40)], "o")
    try:
        topics = Topics([custom, CustomPrefix("site/a", "b")])
    except ValueError:
        topics = Topics()
    found = topics.parse(word)
    assert found is None or found.topic == word


def body(chance: random.Random, _home: Path) -> None:
    """A body of the native API or of the vendor's."""
    model = chance.choice(BODIES)
    names = {
        field.encode_name: chance.choice(jsons.ODD) for field in msgspec.structs.fields(model) if chance.random() < 0.8
    }
    payload = jsons.text(chance, jsons.changed(chance, names))
    _told(lambda: typed.decode(payload, model))


def query(chance: random.Random, _home: Path) -> None:
    model, loose = chance.choice(QUERIES)
    names = [*model.__struct_encode_fields__, "x", "page_size", "é"]
    pairs = [(chance.choice(names), _word(chance)) for _ in range(chance.randrange(5))]
    path = "/?" + urllib.parse.urlencode(pairs, errors="surrogatepass")
    value = _told(lambda: typed.query(make_mocked_request("GET", path), model, loose))
    for field in getattr(value, "__struct_fields__", ()):
        found = getattr(value, field)
        assert not isinstance(found, float) or math.isfinite(found), f"{field} is {found}"
    _told(lambda: milliseconds(_word(chance), "start"))


def _word(chance: random.Random) -> str:
    word = chance.choice(WORDS)
    if chance.random() < 0.2:
        return "".join(
            chr(chance.choice((0, 9, 32, 43, 45, 48, 57, 84, 90, 160, 233, 1632, 0x1F600))) for _ in range(6)
        )
    return word if chance.random() < 0.8 else word + chance.choice(WORDS)


def _told(read: Callable[[], Any]) -> Any:
    """What it gives; None for a Refused that says why, with a message that can be sent."""
    try:
        return read()
    except Refused as error:
        _check_refused(error)
        return None


def _check_refused(error: Refused) -> None:
    assert error.code, "a refusal without a code"
    assert error.detail, "a refusal without words"
    msgspec.json.encode([error.code, error.path, error.detail])


def enos_query(chance: random.Random, _home: Path) -> None:
    good = {
        "orgId": "o",
        "assetIds": "A,B",
        "measurepointsWithLogic": "sum(p)",
        "interval": "5",
        "startTime": "2019-06-01 00:00:00",
        "endTime": "2019-06-02 00:00:00",
        "pointIds": "p,q",
        "pointId": "p",
        "operator": "in",
        "valueFilter": "1,2",
    }
    operation, version = chance.choice(enos_routes.OPERATIONS), chance.choice(enos_routes.VERSIONS)
    for _ in range(chance.randrange(4)):
        good[chance.choice(ENOS)] = _word(chance)
    form = chance.randrange(4)
    if form == 0:
        params = _told(lambda: enos_routes.pairs(urllib.parse.urlencode(good, errors="surrogatepass")))
    elif form == 1:
        params = _told(lambda: enos_routes._json(jsons.text(chance, jsons.changed(chance, good))))
    elif form == 2:
        params = _told(lambda: enos_routes._multipart(*_multipart(chance, good)))
    else:
        params = {name: [value] * chance.choice((1, 2)) for name, value in good.items()}
    try:
        operation.ask(CloudSettings(lenient_interval=chance.random() < 0.5), params or {}, version)
    except enos.EnosError as error:
        json.loads(enos.envelope(error.status, error.text, version=version))


def _multipart(chance: random.Random, good: dict[str, str]) -> tuple[str, bytes]:
    edge = chance.choice(("b", "", "x" * 100, 'b"', "é"))
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in good.items()
    ]
    data = ("".join(parts) + f"--{edge}--\r\n").encode("utf-8", "replace")
    return f"multipart/form-data; boundary={edge}", jsons._broken(chance, data) if chance.random() < 0.4 else data


def ingestion(chance: random.Random, _home: Path) -> None:
    made = [jsons.text(chance, jsons.changed(chance, chance.choice((ROW, WIDE)))) for _ in range(chance.randrange(4))]
    shape = chance.randrange(4)
    media = "application/json"
    if shape == 0:
        media, data = "application/x-ndjson", chance.choice((b"\n", b"\r\n", b"\n\n")).join(made)
    elif shape == 1:
        data = b"[" + b",".join(made) + b"]"
    elif shape == 2:
        data = b'{"readings":[' + b",".join(made) + b"]}"
    else:
        data = made[0] if made else b""
    lines = _told(lambda: rows.split(data, media))
    if lines is not None:
        parsed = asyncio.run(rows.parse(lines, {}, lambda device: device != "no", NOW))
        assert parsed.accepted + parsed.rejected == len(lines)
        assert all(error["detail"] for error in parsed.errors)
        msgspec.json.encode(parsed.errors).decode()


def gzip(chance: random.Random, _home: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    data = packer.compress(chance.randbytes(50) * chance.choice((1, 2000))) + packer.flush()
    data = data * chance.choice((1, 1, 2)) if chance.random() < 0.5 else jsons._broken(chance, data)
    unpack, size = bodies._Gunzip(), 0
    try:
        for at in range(0, len(data), chunk := chance.choice((1, 7, 65_536))):
            size += len(unpack.take(data[at : at + chunk], 10_001 - size))
            if size > 10_000:
                break
    except zlib.error:
        pass
    assert size <= 10_001, "more was unpacked than there was room for"


def stream(chance: random.Random, _home: Path) -> None:
    """Server-sent events, of a bridge or of something else."""
    lines = [
        b"event: reading",
        b"data: " + jsons.text(chance, {"a": 1}),
        b"",
        b": beat",
        b"data",
        b"data:",
        b"x:1",
        b"event:\xff",
        b"",
    ]
    data = chance.choice((b"\n", b"\r\n")).join(chance.choice(lines) for _ in range(12)) + b"\n\n"
    parser = sse.Parser()
    try:
        for at in range(0, len(data), chunk := chance.choice((1, 5, 1000, 65_536)) if len(data) < 2_000 else 4_096):
            list(parser.feed(data[at : at + chunk]))
    except BridgeError:
        pass


def webhook(chance: random.Random, _home: Path) -> None:
    event = {"id": "a", "type": "command", "at": 1, "device": "D", "data": {"a": 1}}
    payload = jsons.text(chance, jsons.changed(chance, event))
    signature = sign("secret", NOW // 1000, payload)
    if chance.random() < 0.3:
        spot = chance.randrange(len(signature))
        signature = (
            signature[:spot]
            + chance.choice(("", ",", "=", "é", "\udcff", "t=", ",v1=\udcff", "9" * 30))
            + signature[spot + 1 :]
        )
    _told(lambda: webhooks.read("secret", signature, payload, now=NOW / 1000))


def line(chance: random.Random, _home: Path) -> None:
    """Lines of the outbox are ours; what stands in them is what devices sent."""
    values = {chance.choice(("p", "é", "")): chance.choice((0.0, -0.0, 1e308, 5e-324, 2.5)) for _ in range(2)}
    samples = msgspec.json.encode([("EMS001.meter.1", chance.choice((0, 1, 2**53)), values)])
    each = OutboxLine(*_line_fields(samples))
    for shape in (outbox.readings, outbox.samples):
        for row in shape(each):
            assert outbox.decode_row(row.body)[0] == "EMS001.meter.1"
    asked = chance.choice(
        (_word(chance), "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo 99999 07:28:00 GMT", "1e999", "-5", "0 Jan 0")
    )
    assert 0 <= retry_after(asked, NOW / 1000) <= 3600


def _line_fields(samples: bytes) -> list[Any]:
    given = {"seq": 1, "device": "EMS001", "samples": samples}
    return [given.get(name, 0) for name in OutboxLine._fields]


def header(chance: random.Random, _home: Path) -> None:
    """A PROXY header, version 1 or 2."""
    data = b"PROXY TCP4 127.0.0.9 10.0.0.1 4711 1883\r\n"
    if chance.random() < 0.5:
        data = (
            b"\r\n\r\n\x00\r\nQUIT\n"
            + bytes((chance.choice((0x20, 0x21, 0x11)), chance.choice((0x11, 0x21, 0x31, 0)), 0, 12))
            + chance.randbytes(12)
        )
    data = jsons._broken(chance, data) if chance.random() < 0.7 else data
    try:
        if proxy.missing(data) <= 0:
            proxy.parse(data)
    except proxy.ProxyError:
        pass


TOML = (
    "[broker]",
    "[http]",
    "[[mirror.sinks]]",
    "[store]",
    "[[broker.listeners]]",
    "[[webhooks]]",
    'listen = "127.0.0.1:0"',
    "listen = 5",
    'url = "http://x/y"',
    'name = "a"',
    "max_wait_s = nan",
    "max_wait_s = inf",
    "login_failures = -1",
    "x = 1979-05-27T07:32:00Z",
    'tls = { certificate = "a" }',
    "tls = []",
    'a.b."c" = 1',
    '"" = {}',
    "'x' = '''",
    'data = """\n',
    "# é",
    "listen = [[[]]]",
    "= 1",
    "login_failures = 99999999999999999999",
    'prefixes = [{ prefix = "#" }]',
    "\u2028 = 1",
    'listen = "[::1]:99999"',
    'listen = "unix:"',
)


def config(chance: random.Random, home: Path) -> None:
    file = home / "fuzz.toml"
    data = chance.choice(("\n", "\r\n")).join(chance.choice(TOML) for _ in range(chance.randrange(8))).encode()
    file.write_bytes(jsons._broken(chance, data) if chance.random() < 0.3 else data)
    names = ("BROKER__LISTEN", "HTTP__MAX_WAIT_S", "STORE", "X", "BROKER__LISTENERS", "")
    environ = {f"EMS_BRIDGE__{chance.choice(names)}": chance.choice(WORDS) for _ in range(chance.randrange(3))}
    for error in configuration.problems(file, environ=environ):
        assert error.what, "a problem without words"
        assert str(error)


NOWHERE = ("--url", "http://127.0.0.1:9", "--key", "k")
COMMANDS = ("send", "dead", "schema", "check")


def command_line(chance: random.Random, home: Path) -> None:
    """Words of a command line, up to where a bridge would be asked: there is none."""
    data = jsons.text(chance, jsons.changed(chance, {"id": 1})).decode("utf-8", "surrogateescape")
    words = [_word(chance).replace("\ud800", "\udcff") for _ in range(2)]  # as Python reads bytes that are no UTF-8
    args = {
        "send": [
            "send",
            words[0] or "D",
            chance.choice(("safety/sync", words[1])),
            data,
            "--timeout",
            words[1] or "1",
            *NOWHERE,
        ],
        "dead": ["dead", chance.choice(("list", "show", "replay", "purge")), "--device", *words, *NOWHERE],
        "schema": ["schema", "jsonschema", *words],
        "check": ["check", "--config", str(home / "fuzz.toml"), *words],
    }[chance.choice(COMMANDS)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main(args)
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 1, 2), (args, code)
    assert code == 0 or said.getvalue().strip(), args
    assert "Traceback" not in said.getvalue(), args


DECODERS: dict[str, tuple[Callable[[random.Random, Path], None], int]] = {
    "message": (message, 60),
    "topic": (topic, 5),
    "body": (body, 10),
    "query": (query, 10),
    "enos": (enos_query, 8),
    "ingestion": (ingestion, 6),
    "gzip": (gzip, 2),
    "sse": (stream, 3),
    "webhook": (webhook, 4),
    "outbox": (line, 3),
    "proxy": (header, 4),
    "config": (config, 2),
    "cli": (command_line, 1),
}
"""Decoder -> (one input for it, its weight)."""


def run(count: int, seed: str, home: Path) -> str:
    """So many inputs; gives a line about them. What fails names its seed and number."""
    began = time.monotonic()
    names = [name for name, (_, weight) in DECODERS.items() for _ in range(weight)]
    for number in range(count):
        one(f"{seed}/{number}", names, home)
    return f"decoders: {count:,} inputs, {time.monotonic() - began:.0f} s"


def one(seed: str, names: list[str], home: Path) -> None:
    chance = random.Random(seed)
    name = chance.choice(names)
    try:
        DECODERS[name][0](chance, home)
    except BaseException as error:
        error.add_note(f"fuzz.decoders, {name}, seed {seed!r}")
        raise
