"""The configuration: every mistake is named with its line; what `check` prints is what `load` reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge.config import Config, effective, load, parse_address, problems
from bridge.config.lines import key_lines
from bridge.config.mirror import Sink
from bridge.config.values import settings, wanted
from bridge.errors import ConfigError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

SINKS = "[[mirror.sinks]]\nname = 'a'\n"
SINK = f"{SINKS}url = 'http://h/'\n"
HOOK = "[[webhooks]]\nname = 'a'\nurl = 'http://h/'\n"
PERIOD = "[[statistics.periods]]\nprice = 1\n"
SECRET = "secret = 'sixteen letters!'\n"
APP = "[[enos.apps]]\nkey = 'app-key-1'\nsecret = 'sixteen-letters-'\naccount = 'a'"

WRONG = [
    ("[broker]\nlsten = 'x'", 2, "unknown key broker.lsten", "broker.listen"),
    ("[brocker]\nlisten = 'x'", 1, "unknown key brocker", "broker"),
    ("[http]\nzzz = 1", 2, "unknown key http.zzz", "max_body_bytes"),
    ("\n\n[broker]\n\nmax_packet_bytes = 'big'", 5, 'broker.max_packet_bytes is "big"', "an integer of at least 1024"),
    ("[broker]\nmax_packet_bytes = 12", 2, "broker.max_packet_bytes is 12", "at least 1024"),
    ("[broker]\nallow_anonymous = 1", 2, "broker.allow_anonymous is 1", "true or false"),
    ("[commands]\ntimeout_s = nan", 2, "commands.timeout_s is nan", "a number above 0"),
    ("[commands]\ntimeout_s = true", 2, "commands.timeout_s is true", "a number above 0"),
    ("[commands]\nhold_s = 9\nmax_hold_s = 5", 2, "commands.hold_s is 9", "at most commands.max_hold_s, 5"),
    ("[broker]\nmode = 'extern'", 2, 'broker.mode is "extern"', 'one of "embedded", "external"'),
    ("[broker]\nmode = 'external'", 2, 'broker.mode is "external"', "broker.external.url as well"),
    ("[broker.external]\nurl = 'tcp://x'", 2, 'broker.external.url is "tcp://x"', "mqtt:// or mqtts://"),
    ("[broker.external]\nurl = 'mqtt://u:p@x'", 2, "broker.external.url is", "keys of their own"),
    ("[broker.external]\npassword = 'x'", 2, "has a password and no user name", "broker.external.username"),
    ("[broker.external]\nkey = 'x'", 2, "has a key and no certificate", "broker.external.certificate"),
    ("[broker.external]\nclient_id = 'a/b'", 2, 'broker.external.client_id is "a/b"', ""),
    ("broker = 3", 1, "broker is 3", "a table"),
    ("[broker]\nlisten = '1883'", 2, "has no port", "HOST:PORT"),
    ("[http]\nlisten = 'localhost:99999'", 2, "'99999' is no port number", "HOST:PORT"),
    ("[http]\nlisten = '::1:8080'", 2, "brackets", "HOST:PORT"),
    ("[broker]\nallow_anonymous = true\nlisten = '0.0.0.0:1883'", 3, "allow_anonymous is true", "loopback"),
    ("[broker]\nallow_anonymous = true\n[http]\nlisten = '192.168.1.4:80'", 4, "allow_anonymous is true", "loopback"),
    ("[devices]\ntimezone = 'Mars/Base'", 2, 'devices.timezone is "Mars/Base"', "Europe/Berlin"),
    ("[devices]\ntimezone = '../../etc/passwd'", 2, "devices.timezone is", "Europe/Berlin"),
    ("[devices.signs]\nmeter = 2", 2, "devices.signs.meter is 2", "one of 1, -1"),
    ("[devices]\nsigns = {pcs = 1, metre = -1}", 2, 'no part is "metre"', "meter"),
    ("[broker]\nplugins = {a = 3}", 2, "broker.plugins.a is a value that is not shown", "a table"),
    ("[topics]\ncustom = [{prefix = 'a/+', owner = 'o'}]", 2, 'topics.custom[0].prefix is "a/+"', "without + and #"),
    ("[[topics.custom]]\nprefix = 'a'\nowner = 'o'\n[[topics.custom]]\nprefix = 'a'\nowner = 'p'", 5, "again", "once"),
    ("[[topics.custom]]\nprefix = 'v1/user/t'\nowner = 'o'", 2, "v1/user/t", "cover already"),
    ("[[topics.custom]]\nprefix = 'bridge/x'\nowner = 'o'", 2, "bridge/x", "the bridge's own"),
    ("[[topics.custom]]\nprefix = 'a'", 1, "topics.custom[0].owner is missing", "a string"),
    ("[statistics]\ntimezone = 'Mars/Base'", 2, 'statistics.timezone is "Mars/Base"', "Europe/Berlin"),
    ("[statistics]\nprice = inf", 2, "statistics.price is inf", "at most 1000000.0"),
    (f"{PERIOD}start = '8:00'", 3, 'statistics.periods[0].start is "8:00"', "a string like"),
    (f"{PERIOD}start = '22:00'\nend = '06:00'", 4, 'goes from "22:00" to "06:00"', "over midnight it is two periods"),
    (f"{PERIOD}start = '24:00'", 1, 'goes from "24:00" to "24:00"', "an end after the start"),
    (f"{PERIOD}months = [0]", 3, "statistics.periods[0].months is an array", "integers, at least 1 and at most 12"),
    (f"{PERIOD}weekdays = ['Mon']", 3, "periods[0].weekdays is an array", "integers, at least 1 and at most 7"),
    ("[[statistics.periods]]\nstart = '08:00'", 1, "statistics.periods[0].price is missing", "a number"),
    ("webhooks = 3", 1, "webhooks is 3", "[[webhooks]]"),
    ("[[webhooks]]\nname = 'a'\nurl = 'http://h/'", 1, "webhooks[0].secret is missing", "at least 16 characters"),
    (f"{HOOK}secret = 'short'", 4, "webhooks[0].secret is a value that is not shown", "at least 16 characters"),
    (f"{HOOK}{SECRET}url2 = ''", 5, "unknown key webhooks[0].url2", "webhooks[0].url"),
    (f"{HOOK}{SECRET}events = ['reading']", 5, "webhooks[0].events is an array", '"command", "dead_letter"'),
    (f"{HOOK}{SECRET}events = []", 5, "webhooks[0].events is empty", "one event or more"),
    (f"{HOOK}{SECRET}devices = 'D1'", 5, 'webhooks[0].devices is "D1"', "an array of strings"),
    (f"{HOOK}{SECRET}{HOOK}{SECRET}", 6, 'webhooks[1].name is "a" again', "each name once"),
    (f"[[webhooks]]\nname = 'a'\nurl = 'h:80'\n{SECRET}", 3, 'webhooks[0].url is "h:80"', "http:// or https://"),
    (f"[[webhooks]]\nname = 'a'\nurl = 'http://u:p@h'\n{SECRET}", 3, "webhooks[0].url is", "the secret goes to secret"),
    ("[[belimo.clients]]\nid = 'a'\n[[belimo.clients]]\nid = 'a'", 4, 'belimo.clients[1].id is "a" again', "once"),
    ("[[belimo.clients]]\nid = 'a'\naccount = 'b'", 3, "an account and no secret", "anybody"),
    ("[[belimo.clients]]\nid = 'a'\nredirect_uris = ['/back']", 3, 'redirect_uris has "/back"', "a whole address"),
    ("[[belimo.clients]]\nid = ''", 2, "belimo.clients[0].id", "not empty"),
    (f"{APP}\n{APP}", 6, 'enos.apps[1].key is "app-key-1" again', "once"),
    ("[[enos.apps]]\nkey = 'a,b'\nsecret = 's'\naccount = 'a'", 2, 'enos.apps[0].key is "a,b"', "like"),
    (
        "[[enos.apps]]\nkey = 'app-key-1'\nsecret = 'hush hush'\naccount = 'a'",
        3,
        "a value that is not shown",
        "at least 16",
    ),
    ("[enos]\nclock_s = 0", 2, "enos.clock_s is 0", "at least 1"),
    ("[enos]\nunverified_poseidon = 'yes'", 2, "enos.unverified_poseidon", "loopback"),
    ("[mirror]\nsinks = 3", 2, "mirror.sinks is 3", "[[mirror.sinks]]"),
    (
        "[[mirror.sinks]]\nname = 'a'\nurl = 'http://h/'\n\n[[mirror.sinks]]\nname = 'a'\nurl = 'http://h/'",
        6,
        "again",
        "once",
    ),
    ("[[mirror.sinks]]\nname = 'local'\nurl = 'http://h/'", 2, '"local" again', "own"),
    ("[[mirror.sinks]]\nname = 'a'\nurl = 'ftp://h/'", 3, 'url is "ftp://h/"', "http:// or https://"),
    ("[[mirror.sinks]]\nname = 'a'\nurl = 'http://u:p@h/'", 3, "url is", "token"),
    ("[[mirror.sinks]]\nname = 'a b'\nurl = 'http://h/'", 2, 'name is "a b"', "like"),
    (f"{SINK}[mirror.sinks.auth]\ntype = 'basic'", 5, 'auth.type is "basic"', "auth.username as well"),
    (f"{SINK}[mirror.sinks.auth]\ntype = 'api_key'", 5, 'auth.type is "api_key"', "auth.key as well"),
    (f"{SINK}[mirror.sinks.auth]\ntype = 'ntlm'", 5, 'auth.type is "ntlm"', 'one of "bearer", "basic"'),
    (f"{SINK}[mirror.sinks.auth]\nusername = 'x'", 4, 'its type is "bearer"', "its type as well"),
    (f"{SINK}[mirror.sinks.auth]\ntype = 'basic'\nusername = 'a:b'", 6, "has a colon", "without"),
    (
        f"{SINK}[mirror.sinks.auth]\ntype = 'api_key'\nkey = \"a\\nb\"",
        6,
        "mirror.sinks[0].auth.key has a line break",
        "one line",
    ),
    (f"{SINK}token = 'a'\nauth = {{type = 'basic', username = 'a'}}", 4, "has a token", "one of them"),
    (f"{SINK}[mirror.sinks.auth]\ntype = 'oauth2'\nclient_id = 'a'\ntoken_url = 'x'", 7, "token_url is", "http://"),
    (f"{SINK}[mirror.sinks.tls]\nca = '/x'", 4, "tls is there", "an https:// address"),
    (f"{SINKS}url = 'https://h/'\n[mirror.sinks.tls]\nkey = '/x'", 5, "a key and no certificate", "as well"),
    (f"{SINK}[mirror.sinks.filter]\nassets = ['']", 5, "filter.assets has an empty pattern", "*.meter.*"),
    (f"{SINK}[mirror.sinks.filter]\nasset = ['a']", 5, "unknown key mirror.sinks[0].filter.asset", "assets"),
    (f"{SINK}[mirror.sinks.influx]\nmeasurement = 'm'", 4, 'influx is there, and format is "readings"', "influx"),
    (f"{SINK}format = 'influx'", 3, "has no db and no bucket", "/write?db="),
    (f"{SINKS}url = 'http://h/write?db=a&precision=s'\nformat = 'influx'", 3, "precision=s", "precision=ms, or none"),
    (
        f"{SINKS}url = 'http://h/write?db=a'\nformat = 'influx'\ninflux = {{tags = {{asset = 'x'}}}}",
        5,
        'tags has "asset"',
        "",
    ),
    (f"{SINK}format = 'enos'", 3, "has no orgId", "orgId="),
    (f"{SINK}format = 'template'", 4, 'format is "template"', "template.row as well"),
    (
        f'{SINK}format = \'template\'\n[mirror.sinks.template]\nrow = \'{{"a": ["{{asst}}", "{{value}}"]}}\'',
        6,
        "mirror.sinks[0].template.row: $.a[0]: {asst} is no place",
        "docs/mirror.md",
    ),
    (
        f"{SINK}format = 'template'\ntemplate = {{row = '\"{{value}}\"', batch = '[]'}}",
        5,
        "mirror.sinks[0].template.batch: {rows} does not stand in it",
        "",
    ),
    (f"{SINK}token_file = '/nowhere/x'", 4, 'token_file is "/nowhere/x", which cannot be read: No such', "alone"),
    (f"{SINK}token_file = 3", 4, "mirror.sinks[0].token_file is 3", "the path of a file"),
    (f"{SINK}token_file = '/dev/null'", 4, "which is empty", "alone"),
    (f"{SINK}token_file = '/dev/null'\ntoken = 'x'", 4, "are both there", "one of them"),
    (f"{SINK}url_file = '/dev/null'", 4, "unknown key mirror.sinks[0].url_file", "did you mean"),
    ("[mirror]\noutbox_max_age_days = 3", 2, "outbox_max_age_days is 3", "at least 7"),
    ("[broker\nlisten = 1", 1, "not TOML", "column"),
    ("[broker]\nlisten = 'a'\nlisten = 'b'", 3, "not TOML", ""),
    ("[broker]\nplugins = ", 2, "not TOML", ""),
    ("x = " + "[" * 5000, 1, "not TOML", ""),
    ("x = " + "9" * 5000, 1, "not TOML", ""),
]


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"), WRONG, ids=[re.sub(r"\s+", " ", row[0][:50]) for row in WRONG]
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(
    tmp_path: Path, text: str, line: int, what: str, hint: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert caught.value.where == f"{path}:{line}"
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = (
        "[broker]\nlsten = 1\nmax_packet_bytes = 1\n[commands]\ntimeout_s = 'x'\n[[mirror.sinks]]\nurl = 'http://h/'\n"
    )
    path = write(tmp_path, text)
    found = problems(path, environ={})
    assert [error.where for error in found] == [f"{path}:{line}" for line in (2, 3, 5, 6)]
    with pytest.raises(ConfigError, match="and 3 more: `ems-bridge check` lists them"):
        load(path, environ={})


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.toml: cannot be read: No such file"):
        load(tmp_path / "nope.toml", environ={})
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[broker]\nlisten = '\xff'")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: is not UTF-8"):
        load(path, environ={})


ENVIRONMENT: list[tuple[dict[str, str], str, Any]] = [
    ({"EMS_BRIDGE__BROKER__LISTEN": "127.0.0.1:0"}, "broker.listen", "127.0.0.1:0"),
    ({"EMS_BRIDGE__BROKER__MAX_PACKET_BYTES": "4096"}, "broker.max_packet_bytes", 4096),
    ({"EMS_BRIDGE__COMMANDS__TIMEOUT_S": "3"}, "commands.timeout_s", 3.0),
    ({"EMS_BRIDGE__CLOUD__LENIENT_INTERVAL": "true"}, "cloud.lenient_interval", True),
    ({"EMS_BRIDGE__DEVICES__SIGNS": "{meter = -1}"}, "devices.signs", {"meter": -1}),
    ({"EMS_BRIDGE__DEVICES__SIGNS__PCS": "-1"}, "devices.signs", {"pcs": -1}),
    (
        {"EMS_BRIDGE__MIRROR__SINKS": "[{name='a', url='http://h/'}]"},
        "mirror.sinks",
        (Sink(name="a", url="http://h/"),),
    ),
    (
        {"EMS_BRIDGE__MIRROR__SINKS__0__NAME": "a", "EMS_BRIDGE__MIRROR__SINKS__0__URL": "http://h/"},
        "mirror.sinks",
        (Sink(name="a", url="http://h/"),),
    ),
    ({"EMS_BRIDGE__BROKER__PLUGINS": '{"x.Y" = {file = "f"}}'}, "broker.plugins", {"x.Y": {"file": "f"}}),
]


@pytest.mark.parametrize(("environ", "key", "value"), ENVIRONMENT)
def test_the_environment_overrides_every_key_with_its_type(environ: dict[str, str], key: str, value: Any) -> None:
    section, name = key.split(".")
    assert getattr(getattr(load(None, environ=environ), section), name) == value


def test_the_environment_changes_one_item_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[[mirror.sinks]]\nname='a'\nurl='http://a/'\n[[mirror.sinks]]\nname='b'\nurl='http://b/'")
    config = load(path, environ={"EMS_BRIDGE__MIRROR__SINKS__1__TOKEN": "s3cret"})
    assert [(sink.url, sink.token) for sink in config.mirror.sinks] == [("http://a/", ""), ("http://b/", "s3cret")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("EMS_BRIDGE__BROKER__LSTEN", "x", "unknown key broker.lsten (did you mean broker.listen?)"),
        ("EMS_BRIDGE__NOPE__KEY", "x", "unknown key nope"),
        ("EMS_BRIDGE__BROKER__INFLIGHT", "many", "'many' is no TOML value (broker.inflight is an integer"),
        ("EMS_BRIDGE__BROKER__INFLIGHT", "0", "broker.inflight is 0 (an integer of at least 1"),
        ("EMS_BRIDGE__MIRROR__SINKS__3__NAME", "x", "no place for mirror.sinks[3].name"),
        ("EMS_BRIDGE__BROKER__LISTEN__X", "1", "broker.listen is a table"),
        ("EMS_BRIDGE__BROKER", "1", "broker is 1 (a table)"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ={name: text})
    assert str(caught.value).startswith(f"{name}: ")
    assert said in str(caught.value)


def test_options_win_over_environment_over_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[http]\nlisten = '127.0.0.1:1'\n[broker]\nlisten = '127.0.0.1:1'\n[store]\ndata = 'one'")
    environ = {"EMS_BRIDGE__HTTP__LISTEN": "127.0.0.1:2", "EMS_BRIDGE__BROKER__LISTEN": "127.0.0.1:2"}
    config = load(path, {"http.listen": "127.0.0.1:3"}, environ=environ)
    assert (config.http.listen, config.broker.listen, config.store.data) == ("127.0.0.1:3", "127.0.0.1:2", "one")


def test_an_option_is_named_as_it_was_typed() -> None:
    with pytest.raises(ConfigError, match=r"^--mqtt: broker\.listen: 'x' has no port"):
        load(None, {"broker.listen": "x"}, environ={}, options={"broker.listen": "--mqtt"})


def test_without_passwords_listeners_that_nobody_named_are_loopback() -> None:
    config = load(None, {"broker.allow_anonymous": True}, environ={})
    assert (config.broker.listen, config.http.listen) == ("127.0.0.1:1883", "127.0.0.1:8080")
    assert load(None, environ={}).broker.listen == "0.0.0.0:1883"


FULL = """
[broker]
listen = "[::1]:1883"
max_packet_bytes = 4096
[broker.plugins."amqtt.plugins.authentication.FileAuthPlugin"]
password_file = "/etc/x"
api_token = "hush"
[devices.signs]
meter = -1
[[topics.custom]]
prefix = "plant/7"
owner = "ö \\" \\\\ \\u007f"
version = 2
[[mirror.sinks]]
name = "a"
url = "https://h/x"
token = "hush"
gzip = false
"""


def test_the_effective_configuration_reads_back_the_same_and_masks_secrets(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL), environ={})
    shown = effective(config)
    assert "hush" not in shown
    again = load(write(tmp_path, shown, "shown.toml"), environ={})
    masked = json.loads(msgspec.json.encode(config).decode().replace("hush", "********"))
    assert json.loads(msgspec.json.encode(again)) == masked
    assert load(write(tmp_path, effective(Config()), "default.toml"), environ={}) == Config()


LINES = """# comment = 1
a = 1
[ "b.c" . d ]
e = \"\"\"
x = 1
[y]
\"\"\"
f.g = ['''
[z]''', # [no]
  "]"]
[[h]]
i = '\\'
[[h]]
i = { j = 1, k = "#" } # x
[h.sub]
l = 2
"""


def test_secrets_from_files(tmp_path: Path) -> None:
    """In the file's words and the environment's; printed as secrets are."""
    (tmp_path / "one").write_text("hush: 1\n", encoding="utf-8")
    (tmp_path / "two").write_text("hush 2", encoding="utf-8")
    text = f"{SINK}auth = {{type = 'basic', username = 'u', password_file = '{tmp_path}/one'}}\n"
    environ = {"EMS_BRIDGE__MIRROR__SINKS__0__SECRET_FILE": f"{tmp_path}/two"}
    config = load(write(tmp_path, text), environ=environ)
    (sink,) = config.mirror.sinks
    assert (sink.auth.password, sink.secret) == ("hush: 1", "hush 2")
    assert "hush" not in effective(config)
    with pytest.raises(ConfigError, match=r"SECRET_FILE: .*cannot be read"):
        load(write(tmp_path, text), environ={"EMS_BRIDGE__MIRROR__SINKS__0__SECRET_FILE": "/nowhere"})


def test_the_example_of_the_mirror_can_be_used(tmp_path: Path) -> None:
    """docs/mirror.md: its files aside."""
    document = DOCUMENT.with_name("mirror.md").read_text(encoding="utf-8")
    text = document.split("```toml\n")[1].split("```")[0]
    text = re.sub(r'_file = "[^"]*"', f'_file = "{write(tmp_path, "hush", "secret")}"', text)
    found = problems(write(tmp_path, text), environ={})
    assert [error.what.partition(":")[0] for error in found] == ["mirror.sinks[3].tls.certificate"]
    assert load(write(tmp_path, text), environ={}).mirror.sinks[1].auth.password == "hush"


def test_lines_of_keys() -> None:
    assert key_lines(LINES) == {
        ("a",): 2,
        ("b.c", "d"): 3,
        ("b.c", "d", "e"): 4,
        ("b.c", "d", "f"): 8,
        ("b.c", "d", "f", "g"): 8,
        ("h", 0): 11,
        ("h", 0, "i"): 12,
        ("h", 1): 13,
        ("h", 1, "i"): 14,
        ("h", 1, "sub"): 15,
        ("h", 1, "sub", "l"): 16,
    }


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:1883", ("::1", 1883)), ("box.local:80", ("box.local", 80))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "host", ":80", "h:", "h:x", "h:-1", "h:65536", "::1:80", "a b:80", "http://h:80", "h:８０"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


def rows() -> list[str]:
    """docs/configuration.md's rows: | `section.key` | default | what is right | meaning |"""
    found = []
    for section, part in settings(Config).items():
        if part.item:
            found += [_row(section, part), *_items(f"{section}[]", part.item)]
        else:
            found += _items(section, part.type)
    return found


def _items(path: str, kind: type[msgspec.Struct]) -> list[str]:
    found = []
    for name, setting in settings(kind).items():
        if isinstance(setting.default, msgspec.Struct):
            found += _items(f"{path}.{name}", setting.type)
        else:
            found.append(_row(f"{path}.{name}", setting))
            if setting.item:
                found += _items(f"{path}.{name}[]", setting.item)
    return found


def _row(key: str, setting: Any) -> str:
    default = setting.default
    if default is msgspec.NODEFAULT:
        shown = "required"
    else:
        shown = f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"
    return f"| `{key}` | {shown} | {wanted(setting).replace('|', chr(92) + '|')} | {setting.meta.description} |"


def test_the_document_lists_every_key_with_its_default() -> None:
    listed = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert listed == rows()


def write(folder: Path, text: str, name: str = "bridge.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
