"""The Belimo-compatible API under clients that others wrote: the vendor's Python example to its picture, its npm client, its
OpenAPI document."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from belimo import connector
from harness.pki import Pki
from http_belimo_rig import BASE, D1, ENERGY, MINUTE, POWER, ask, fill

if TYPE_CHECKING:
    from conftest import Window

PATIENCE_S = 60.0
DAY = 24 * 60 * MINUTE
HOSTS = ("cloud.belimo.com", "id.belimo.com")
MAPPED = """
import socket
known = socket.getaddrinfo
def getaddrinfo(host, port, *rest, **more):
    return known(*(("127.0.0.1", {port}) if host in {hosts} else (host, port)), *rest, **more)
socket.getaddrinfo = getaddrinfo
"""
CLIENT = {"id": "the client", "secret": "its secret"}
needs_npm = pytest.mark.skipif(not connector.there(), reason=connector.NEEDS)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def config_of(pki: Pki) -> dict[str, object]:
    certificate, key = pki.device("belimo", *HOSTS)
    tls = {"certificate": str(certificate), "key": str(key)}
    return {"http.listeners": [{"listen": "127.0.0.1:0", "tls": tls}], "belimo.clients": [CLIENT], "belimo.units": "si"}


@asynccontextmanager
async def running(*command: str | Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client's process; gone at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **environment},
        limit=1 << 22,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def https(window: Window) -> int:
    """The port of the HTTPS listener."""
    (url,) = window.house.doors.listeners
    port = urlsplit(url).port
    assert port is not None
    return port


async def test_the_vendors_example_to_its_picture(window: Window, pki: Pki, tmp_path: Path) -> None:
    """http_apis.md, B.4. Its own arithmetic takes joules for granted: `units = "si"`."""
    await window.house.registry.describe_device("D1", "Energieventil Heizung 2.OG")
    await fill(window, values={n * DAY: {"total_forward_active_energy": 100.0 + 2.5 * n} for n in range(90)})
    text = (connector.HERE / "example.py").read_text(encoding="utf-8")
    for name, value in (
        ("ClientIDPlaceHolder", CLIENT["id"]), ("ClientSecretPlaceHolder", CLIENT["secret"]),
        ("UserPlaceHolder", "backend"), ("PasswordPlaceHolder", window.key), ("DataPoint", ENERGY),
    ):  # fmt: skip
        text = text.replace(f"__{name}__", value)
    script, picture = tmp_path / "example.py", tmp_path / "energy.png"
    script.write_text(text, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(MAPPED.format(port=https(window), hosts=HOSTS), encoding="utf-8")
    environment = {
        "PYTHONPATH": str(tmp_path), "REQUESTS_CA_BUNDLE": str(pki.ca), "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path),
    }  # fmt: skip
    async with running(sys.executable, "-W", "error", script, picture, **environment) as process:
        said = (await asyncio.wait_for(process.communicate(), PATIENCE_S))[0].decode()
    assert process.returncode == 0, said
    assert "'totalDevices': 2" in said
    assert f"id: {D1}\nname: Energieventil Heizung 2.OG\ndataprofile: ems-" in said
    assert f"id: {ENERGY}\ndescription: Forward Active Energy of meter.12 in J" in said
    assert "rows: 90\nkWh: 222.5\n" in said
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert drawn(picture) > 500
    if keep := os.environ.get("EMS_KEEP_PICTURES"):
        shutil.copy(picture, keep)


def drawn(picture: Path) -> int:
    """Pixels of the line and its marks: bluish ones."""
    from matplotlib import image

    colours = image.imread(picture)[:, :, :3]
    return int(((colours[:, :, 2] - colours[:, :, 0]) > 0.2).sum())


@needs_npm
async def test_the_npm_client(window: Window, pki: Pki) -> None:
    await fill(window)
    command = ("node", connector.HERE / "client.cjs", connector.folder(), str(https(window)), CLIENT["id"],
               CLIENT["secret"], "backend", window.key, D1, POWER)  # fmt: skip
    steps: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(PATIENCE_S), running(*command, NODE_EXTRA_CA_CERTS=str(pki.ca)) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            if not line.startswith(b"{"):
                continue  # node's own warnings
            said = json.loads(line)
            first = said["step"] not in steps
            steps[said["step"]] = said
            if said["step"] == "heartbeat" and first:
                await fill(window, values={300 * MINUTE: {"total_active_power": 4.711}})
        code = await process.wait()
    assert code == 0, steps
    assert not any(said.get("error") for said in steps.values()), steps
    assert steps["profile"]["body"]["ref"] == steps["device"]["body"]["dataprofile"]["entityId"]
    assert any(name.endswith("displayname") for name in steps["profile"]["body"]["datapoints"][0]["featureValues"])
    assert steps["series"]["body"]["series"][0]["values"]
    assert steps["write"]["body"]["state"] == "PENDING"
    assert steps["token"]["changed"]
    event = steps["event"]["body"]
    assert (event["deviceId"], event["device"]["addressCity"]) == (D1, "Hinwil")


@needs_npm
async def test_the_npm_client_with_a_wrong_password(window: Window, pki: Pki) -> None:
    command = ("node", connector.HERE / "client.cjs", connector.folder(), str(https(window)), CLIENT["id"],
               CLIENT["secret"], "backend", "wrong", D1, POWER)  # fmt: skip
    async with asyncio.timeout(PATIENCE_S), running(*command, NODE_EXTRA_CA_CERTS=str(pki.ca)) as process:
        assert process.stdout is not None
        said = [json.loads(line) async for line in process.stdout if line.startswith(b"{")]
    assert said[0] == {"step": "error", "error": "invalid_grant"}


@needs_npm
async def test_every_answer_fits_the_vendors_document(window: Window) -> None:
    await fill(window)
    await ask(window, "/devices/D1/metadata", 200, "POST", {"datapoints": {"metadata.1009": "Zug"}})
    reference = (await ask(window, "/devices/D1"))["dataprofile"]["entityId"]
    name, version = reference.split("/")
    variables = {
        "deviceId": D1, "datapointId": POWER, "datapointVersion": "1.0", "dataprofileId": name,
        "dataprofileVersion": version, "subprofileId": "meter", "subprofileVersion": "1.0", "aspectId": "default",
        "aspectVersion": "1.0",
    }  # fmt: skip
    write = {"datapoints": {"condition_control.power_on": 1}, "cancelable": True}
    job = await ask(window, f"/devices/{D1}/data", 200, "POST", write)
    connector.check("post", f"{BASE}/devices/{{deviceId}}/data", job)
    connector.check("get", f"{BASE}/jobs/{{jobId}}", await ask(window, f"/jobs/{job['id']}"))
    await ask(window, f"/jobs/{job['id']}/state", 204, "PUT", b"CANCELED")
    connector.check("get", f"{BASE}/jobs/{{jobId}}", await ask(window, f"/jobs/{job['id']}"))
    offer = await ask(window, "/devices/change-stream", 200, "POST", {})
    connector.check("post", f"{BASE}/devices/change-stream", offer)
    for path in (
        "/api-info", "/user", "/devices", "/devices/stats", "/devices/{deviceId}", "/devices/{deviceId}/data",
        "/devices/{deviceId}/data/history/timeseries", "/devices/{deviceId}/data/history/datapoints/{datapointId}",
        "/devices/{deviceId}/data/requestDownload", "/definitions/dataprofiles",
        "/definitions/dataprofiles/{dataprofileId}/{dataprofileVersion}",
        "/definitions/subprofiles/{subprofileId}/{subprofileVersion}",
        "/definitions/datapoints/{datapointId}/{datapointVersion}",
        "/definitions/aspects/{aspectId}/{aspectVersion}",
    ):  # fmt: skip
        params = {"datapointIds": POWER} if path.endswith("timeseries") else {}
        connector.check("get", BASE + path, await ask(window, path.format(**variables), **params))
