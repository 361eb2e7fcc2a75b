"""The certificate of a listener while it listens, and the name in a client's."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.pki import Pki

from bridge.broker.tls import Certificate
from bridge.certificates import Files, identity_of
from bridge.errors import ConfigError


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


def files(pki: Pki, **more: Any) -> Files:
    return Files(str(pki.folder / "server.pem"), str(pki.folder / "server.key"), **more)


async def test_new_files_are_read_and_bad_ones_leave_the_old(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = pki.server()
    held = Certificate(files(pki), "mqtt")
    first, ends = held.context, held.ends
    assert ends > time.time()
    pki.server()
    assert await held.reload()
    second = held.context
    assert second is not first
    good = certificate.read_bytes()
    foreign = pki.server("other")[0].read_bytes()
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for bad in (b"", b"prose", broken, good + broken, foreign, good[: len(good) // 2]):
        certificate.write_bytes(bad)
        assert not await held.reload(), bad
        assert held.context is second
    certificate.unlink()
    assert not await held.reload()
    certificate.mkdir()
    assert not await held.reload()
    certificate.rmdir()
    certificate.write_bytes(good)
    key.chmod(0o600)
    assert await held.reload()
    assert caplog.text.count("the certificate stays as it was") == 8
    assert "Traceback" not in caplog.text


def test_a_start_with_bad_files_names_them(pki: Pki) -> None:
    pki.server()
    with pytest.raises(ConfigError, match=r"server\.pem"):
        Certificate(Files(str(pki.folder / "server.pem")), "mqtt")
    with pytest.raises(ConfigError, match=r"none\.pem"):
        Certificate(files(pki, ca=str(pki.folder / "none.pem"), client_certificate="required"), "mqtt")


def test_the_end_is_told_before_it_comes(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    now = datetime.now(UTC)
    pki.server(ends=now + timedelta(days=20))
    Certificate(files(pki), "mqtt")
    assert caplog.text == ""
    pki.server(ends=now + timedelta(days=5))
    assert abs(Certificate(files(pki), "mqtt").ends - now.timestamp() - 5 * 86_400) < 60
    assert "ends in 4 days" in caplog.text
    pki.server(ends=datetime(2021, 1, 1, tzinfo=UTC))
    assert Certificate(files(pki), "mqtt").ends == 0
    assert "has expired: clients that look will not connect" in caplog.text


def subject(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"subject": tuple((pair,) for pair in pairs)}


@pytest.mark.parametrize(
    ("certificate", "field", "name"),
    [
        (None, "cn", None),
        ({}, "san", None),
        (subject(("commonName", "EMS1")), "cn", "EMS1"),
        (subject(("organizationName", "x"), ("commonName", "EMS1")), "cn", "EMS1"),
        (subject(("commonName", "EMS1"), ("commonName", "EMS2")), "cn", ""),
        (subject(("organizationName", "x")), "cn", ""),
        (subject(("commonName", "EMS1")), "san", ""),
        ({**subject(("commonName", "EMS1")), "subjectAltName": (("DNS", "EMS2"),)}, "cn", "EMS1"),
        ({"subjectAltName": (("IP Address", "192.0.2.1"), ("URI", "urn:u"), ("DNS", "a"), ("DNS", "b"))}, "san", "a"),
        ({"subjectAltName": (("email", "m@x"), ("URI", "urn:u"))}, "san", "urn:u"),
        ({"subjectAltName": (("email", "m@x"),)}, "san", "m@x"),
        ({"subjectAltName": (("IP Address", "192.0.2.1"),)}, "san", ""),
    ],
)
def test_the_name_in_a_certificate(certificate: dict[str, Any] | None, field: Any, name: str | None) -> None:
    assert identity_of(certificate, field) == name
