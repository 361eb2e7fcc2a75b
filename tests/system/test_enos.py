"""EnOS's applications at a real process: secrets of the environment, tokens over restarts, the receiving side alone, the log."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from enos.rig import KEY, SECRET, TOKENS, hashed, legacy, now, private_key, public_key, signed
from harness.process import SCRIPT, START_S, STOP_S, Bridge, cli, environment, read_line

pytestmark = pytest.mark.system

ENVIRONMENT = {"EMS_BRIDGE__ENOS__APPS__0__SECRET": SECRET}
ASK = {"orgId": "o1", "assetIds": "EMS001.meter.1", "measurepoints": "p"}
LATEST = "/tsdb-service/v2.0/latest"


def config(home: Path) -> str:
    key = private_key(home)
    return f'[enos]\nprivate_key = "{key}"\n[[enos.apps]]\nkey = "{KEY}"\naccount = "site"\n'


def call(url: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> dict[str, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    data = None if body is None else json.dumps(body)
    connection.request(
        "GET" if body is None else "POST", path, data, {"Content-Type": "application/json", **(headers or {})}
    )
    answer = connection.getresponse()
    found: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return found


def token_of(url: str) -> str:
    at = now()
    said = call(url, f"{TOKENS}/get", body={"appKey": KEY, "encryption": hashed(KEY, at, SECRET), "timestamp": at})
    text: str = said["data"]["accessToken"]
    return text


def asked(url: str, token: str) -> dict[str, Any]:
    return call(url, f"{LATEST}?{urlencode(ASK)}", signed(token, ASK))


def test_a_token_outlives_a_restart_and_ends_with_its_secret(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, config(tmp_path))
    try:
        bridge.start(env=ENVIRONMENT)
        account = bridge.account("site")
        row = {"asset": "EMS001.meter.1", "timestamp": int(now()) - 1, "values": {"p": 1.5}}
        stored = call(bridge.http, "/ingest/v1/power", {"X-API-Key": account.secret}, row)
        assert stored["accepted"] == 1
        token = token_of(bridge.http)
        for _ in range(2):
            assert [item["p"] for item in asked(bridge.http, token)["data"]["items"]] == [1.5]
            bridge.kill()
            bridge.start(env=ENVIRONMENT)
        old = asked(bridge.http, token + "x")
        assert (old["status"], old["submsg"]) == (401, "the accessToken is not valid")
        call(bridge.http, f"{LATEST}?{urlencode(legacy(ASK))}")
        bridge.stop()
        bridge.start(env={**ENVIRONMENT, "EMS_BRIDGE__ENOS__APPS__0__SECRET": SECRET[::-1]})
        assert asked(bridge.http, token)["status"] == 401
        assert bridge.stop() == 0
    finally:
        bridge.kill()
    log = bridge.tail(10_000_000)
    assert SECRET not in log
    assert token not in log


async def test_a_header_that_is_no_http_does_not_get_into_the_log(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, config(tmp_path) + '[log]\nlevel = "debug"\n')
    try:
        bridge.start(env=ENVIRONMENT)
        parts = urlsplit(bridge.http)
        header = b"apim-accesstoken"
        for line in (header + b": hush\x00hush", header + b"\x01: hush", header + b": " + b"hush" * 20_000, b"hush"):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(b"GET " + LATEST.encode() + b"?accessKey=hush HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
            await asyncio.wait_for(reader.read(), 20)
            writer.close()
            await writer.wait_closed()
        assert bridge.stop() == 0
    finally:
        bridge.kill()
    assert "hush" not in bridge.tail(10_000_000)


def test_the_receiving_side_alone(tmp_path: Path) -> None:
    import poseidon.poseidon as client

    path = tmp_path / "cloud.toml"
    path.write_text(config(tmp_path), encoding="utf-8")
    data = tmp_path / "data"
    said = cli("account", "add", "site", "--all", "--data", data).stdout
    assert said
    command = [SCRIPT / "ems-bridge", "cloud", "--config", path, "--data", data, "--http", "127.0.0.1:0"]
    with (tmp_path / "cloud.log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=log, text=True, env=environment(ENVIRONMENT)
        )
    try:
        found = re.search(r"http=(\S+)", read_line(process, START_S))
        assert found is not None, (tmp_path / "cloud.log").read_text()
        url = f"http://{found[1]}"
        assert asked(url, token_of(url))["submsg"] == "All asset authentication failed", "let in: there are no assets"
        kept, client.pubkey = client.pubkey, public_key().encode()
        try:
            answer = client.urlopen(KEY, SECRET, f"{url}{LATEST}?{urlencode(ASK)}")
        finally:
            client.pubkey = kept
        assert answer["submsg"] == "All asset authentication failed"
    finally:
        process.terminate()
        assert process.wait(STOP_S) == 0
        process.stdout.close()  # type: ignore[union-attr]
    assert SECRET not in (tmp_path / "cloud.log").read_text()


def test_check_names_a_private_key_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    for text, words in (("", "has no private key in PEM"), (None, "cannot be read")):
        key = tmp_path / "other.pem"
        if text is None:
            key.unlink()
        else:
            key.write_text(text)
        path.write_text(f'[enos]\nprivate_key = "{key}"\n', encoding="utf-8")
        done = cli("check", "--config", path, expect=2)
        assert f"{path}:2" in done.stderr
        assert words in done.stderr
    path.write_text(config(tmp_path), encoding="utf-8")
    shown = cli("check", "--config", path, env=ENVIRONMENT).stdout
    assert KEY in shown
    assert SECRET not in shown
