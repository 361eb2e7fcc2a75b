"""Listeners in the configuration: what is wrong with one is told by its line, also what is wrong with its files."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from harness.pki import Pki
from harness.process import cli

from bridge.config import load, parse_listen, problems
from bridge.config.values import UNIX_BYTES

MQTT = "[[broker.listeners]]\nlisten = '127.0.0.1:0'\n"
HTTP = "[[http.listeners]]\nlisten = '127.0.0.1:0'\n"

WRONG = [
    ("[broker]\nlisteners = 3", 2, "broker.listeners is 3", "[[broker.listeners]]"),
    ("[[broker.listeners]]\ntransport = 'tcp'", 1, "broker.listeners[0].listen is missing", "a string"),
    ("[[broker.listeners]]\nlisten = '8883'", 2, "broker.listeners[0].listen: ", "unix:/run/ems-bridge.sock"),
    ("[[broker.listeners]]\nlisten = 'unix:a.sock'", 2, "names no absolute path", "unix:/run"),
    ("[[broker.listeners]]\nlisten = 'unix:/'", 2, "names no absolute path", "unix:/run"),
    (f"[[broker.listeners]]\nlisten = 'unix:/{'a' * UNIX_BYTES}'", 2, "at most 107 bytes", "unix:/run"),
    ("[broker]\nlisten = 'unix:/run/a.sock'", 2, "broker.listen: ", "HOST:PORT"),
    ("[[http.listeners]]\nlisten = '::1:443'", 2, "brackets", "HOST:PORT"),
    (f"{MQTT}transport = 'quic'", 3, 'transport is "quic"', 'one of "tcp", "websocket"'),
    (f"{HTTP}transport = 'websocket'", 3, "unknown key http.listeners[0].transport", "listen"),
    (f"{MQTT}tls = 'yes'", 3, "broker.listeners[0].tls is", "a table"),
    (f"{MQTT}[broker.listeners.tls]\ncert = 'a'", 4, "unknown key broker.listeners[0].tls.cert", "certificate"),
    (f"{MQTT}tls = {{key = '/k'}}", 3, "tls has a key and no certificate", "tls.certificate as well"),
    (f"{HTTP}tls = {{ca = '/k'}}", 3, "tls has a ca and no certificate", "tls.certificate as well"),
    (f"{MQTT}tls = {{client_certificate = 'required'}}", 3, 'client_certificate is "required"', "tls.ca as well"),
    (f"{MQTT}tls = {{certificate = '/c', client_certificate = 'optional'}}", 3, '"optional"', "tls.ca as well"),
    (f"{MQTT}tls = {{certificate = '/c', ca = '/a'}}", 3, "tls.ca is never asked", "optional"),
    (f"{MQTT}tls = {{client_certificate = 'maybe'}}", 3, '"maybe"', 'one of "none", "optional", "required"'),
    (f"{MQTT}tls = {{identity = 'ou'}}", 3, '"ou"', 'one of "cn", "san"'),
    (f"{MQTT}proxy_protocol = 2", 3, "proxy_protocol is 2", "true or false"),
    ("[broker]\nlisten='127.0.0.1:18'\n[[broker.listeners]]\nlisten = '127.0.0.1:18'", 4, "again", "each address once"),
    (
        "[[broker.listeners]]\nlisten = 'unix:/a'\n[[http.listeners]]\nlisten = 'unix:/a'",
        4,
        '"unix:/a" again',
        "each address once",
    ),
    (
        "[broker]\nallow_anonymous = true\n[[broker.listeners]]\nlisten = '0.0.0.0:8883'",
        4,
        "allow_anonymous is true",
        "loopback",
    ),
    (f"[broker]\nallow_anonymous = true\n{MQTT}proxy_protocol = true", 5, "are true", "has to log in"),
    ("[broker]\nlogin_failures = 0", 2, "login_failures is 0", "at least 1"),
    ("[broker]\nlogin_ban_s = 0", 2, "login_ban_s is 0", "above 0"),
    ("[broker]\nconnect_rate = -1", 2, "connect_rate is -1", "at least 0"),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"), WRONG, ids=[re.sub(r"\s+", " ", row[0][-40:]) for row in WRONG]
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, what: str, hint: str) -> None:
    path = write(tmp_path, text)
    found = problems(path, environ={})
    assert [error.where for error in found] == [f"{path}:{line}"], found
    assert what in found[0].what
    assert hint in found[0].hint


@pytest.mark.parametrize(
    "text",
    [
        "[broker]\nlisten = ''\n" + MQTT,
        MQTT + MQTT + HTTP,
        "[[broker.listeners]]\nlisten = 'unix:/a'\nproxy_protocol = true\ntransport = 'websocket'",
        "[broker]\nallow_anonymous = true\n[[broker.listeners]]\nlisten = 'unix:/a'",
        "[[broker.listeners]]\nlisten = '[::]:8883'",
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    assert problems(write(tmp_path, text), environ={}) == []


def test_a_path_or_an_address() -> None:
    assert parse_listen("unix:/run/x.sock") == Path("/run/x.sock")
    assert parse_listen("[::1]:5") == ("::1", 5)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    now = datetime.now(UTC)
    made.server()
    made.server("other")
    made.expired()
    made.server("soon", now + timedelta(hours=1))
    (made.folder / "prose.pem").write_text("no certificate at all\n", encoding="utf-8")
    (made.folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ascii")
    good = (made.folder / "server.pem").read_text("ascii")
    (made.folder / "tail.pem").write_text(good + (made.folder / "broken.pem").read_text("ascii"), "ascii")
    (made.folder / "both.pem").write_text(good + (made.folder / "server.key").read_text("ascii"), "ascii")
    key = serialization.load_pem_private_key((made.folder / "server.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (made.folder / "locked.key").write_bytes(locked)
    return made


FILES = [
    ("certificate = '{d}/none.pem', key = '{d}/server.key'", "certificate", "cannot be read: No such file", "PEM"),
    ("certificate = '{d}', key = '{d}/server.key'", "certificate", "cannot be read: Is a directory", "PEM"),
    ("certificate = '{d}/prose.pem', key = '{d}/server.key'", "certificate", "has no certificate in PEM", "PEM"),
    ("certificate = '{d}/broken.pem', key = '{d}/server.key'", "certificate", "cannot be used", ""),
    ("certificate = '{d}/tail.pem', key = '{d}/server.key'", "certificate", "cannot be used", ""),
    ("certificate = '{d}/server.pem'", "certificate", "has no private key in PEM", "private key"),
    ("certificate = '{d}/server.pem', key = '{d}/none.key'", "key", "cannot be read: No such file", "private key"),
    ("certificate = '{d}/server.pem', key = '{d}/other.key'", "key", "is not the key of", "belongs to it"),
    ("certificate = '{d}/server.pem', key = '{d}/locked.key'", "key", "is encrypted", "without a passphrase"),
    ("certificate = '{d}/server.pem', key = '{d}/server.pem'", "key", "has no private key in PEM", "private key"),
    ("certificate = '{d}/expired.pem', key = '{d}/expired.key'", "certificate", "has expired", "accept today"),
    (
        "certificate = '{d}/both.pem', ca = '{d}/none.pem', client_certificate = 'required'",
        "ca",
        "cannot be read: No such file",
        "sign clients' certificates",
    ),
    (
        "certificate = '{d}/both.pem', ca = '{d}/server.key', client_certificate = 'optional'",
        "ca",
        "has no certificate in PEM",
        "sign clients' certificates",
    ),
    (
        "certificate = '{d}/both.pem', ca = '{d}/broken.pem', client_certificate = 'required'",
        "ca",
        "cannot be used",
        "",
    ),
]


@pytest.mark.parametrize("section", [MQTT, HTTP], ids=["mqtt", "http"])
@pytest.mark.parametrize(("tls", "name", "what", "hint"), FILES, ids=[row[0][-40:] for row in FILES])
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, pki: Pki, section: str, tls: str, name: str, what: str, hint: str
) -> None:
    path = write(tmp_path, f"{section}tls = {{{tls.format(d=pki.folder)}}}")
    found = problems(path, environ={})
    assert [error.where for error in found] == [f"{path}:3"], found
    assert f".listeners[0].tls.{name} is " in found[0].what
    assert what in found[0].what
    assert hint in found[0].hint
    load(path, environ={})  # only `check` and the service itself look into files


@pytest.mark.parametrize(
    "tls",
    [
        "certificate = '{d}/server.pem', key = '{d}/server.key'",
        "certificate = '{d}/both.pem'",
        "certificate = '{d}/soon.pem', key = '{d}/soon.key'",
        "certificate = '{d}/both.pem', ca = '{d}/ca.pem', client_certificate = 'required', identity = 'san'",
    ],
)
def test_files_that_are_right(tmp_path: Path, pki: Pki, tls: str) -> None:
    assert problems(write(tmp_path, f"{MQTT}tls = {{{tls.format(d=pki.folder)}}}"), environ={}) == []


def test_the_command_and_the_service_name_the_file(tmp_path: Path, pki: Pki) -> None:
    text = f"{MQTT}tls = {{certificate = '{pki.folder}/server.pem', key = '{pki.folder}/other.key'}}"
    path = write(tmp_path, text)
    checked = cli("check", "--config", path, expect=None)
    assert checked.returncode not in (0, 1)
    assert f"{path}:3" in checked.stderr + checked.stdout
    served = cli("serve", "--config", path, "--data", tmp_path / "data", "--http", "127.0.0.1:0", expect=None)
    assert served.returncode == checked.returncode
    assert "Traceback" not in served.stderr
    assert "other.key is not the key of" in re.sub(r"[:\s]+", " ", served.stderr)
