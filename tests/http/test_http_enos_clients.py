"""EnOS's APIs under clients that the vendor wrote: `enos-poseidon` under our key and under its own, and its Python samples."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from enos import run, samples
from enos.rig import APPS, ASK, KEY, SECRET, TOKENS, fill, hashed, now, private_key, public_key

if TYPE_CHECKING:
    from conftest import Window

PATIENCE_S = 60.0
needs_samples = pytest.mark.skipif(samples.folder() is None, reason=samples.NEEDS)
OURS = {"enos.apps": APPS}
UNVERIFIED = {**OURS, "enos.unverified_poseidon": "loopback"}


@pytest.fixture
def config_of(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, object]:
    return getattr(request, "param", {**OURS, "enos.private_key": private_key(tmp_path)})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client, told our public key: one attribute, as a user of it would."""
    import poseidon.poseidon as found

    monkeypatch.setattr(found, "pubkey", public_key().encode())
    return found


async def test_the_client_in_verifying_mode(window: Window, client: Any) -> None:
    """GET with the parameters in the URL; POST of JSON; and its headers beside its own."""
    await fill(window)

    def call(*more: Any) -> Any:
        return client.urlopen(KEY, SECRET, *more)

    url = f"{window.url}/tsdb-service/v2.0/latest?orgId=o1&assetIds=D1.meter.1,D2.meter.1&measurepoints=p&timeWindow=&accessKey="
    said = await asyncio.to_thread(call, url)
    assert [(item["assetId"], item["p"]) for item in said["data"]["items"]] == [
        ("D1.meter.1", 1.0),
        ("D2.meter.1", 1.0),
    ]
    said = await asyncio.to_thread(call, f"{window.url}/tsdb-service/v2.0/raw", ASK)
    assert said["status"] == 0
    body = {"assetIds": "D1.meter.1", "pointIds": "p", "startTime": ASK["startTime"], "endTime": ASK["endTime"]}
    said = await asyncio.to_thread(call, f"{window.url}/tsdb-service/v2.1/raw?orgId=o1", body)
    assert (said["code"], len(said["data"]["items"])) == (0, 1)
    said = await asyncio.to_thread(client.urlopen, KEY, "0-a-b-c", url)
    assert (said["status"], said["submsg"]) == (401, "the accessToken is not valid"), "errors come through: HTTP is 200"


async def test_the_client_asks_for_a_token(window: Window, client: Any) -> None:
    at = now()
    body = {"appKey": KEY, "encryption": hashed(KEY, at, SECRET), "timestamp": int(at)}
    said = await asyncio.to_thread(client.urlopen, KEY, SECRET, f"{window.url}{TOKENS}/get", body)
    assert (said["status"], said["data"]["expire"]) == (0, 7200)


@pytest.mark.parametrize("config_of", [UNVERIFIED], indirect=True)
async def test_the_client_as_it_is(window: Window) -> None:
    import poseidon.poseidon as client

    await fill(window)
    url = f"{window.url}/tsdb-service/v2.0/latest?orgId=o1&assetIds=D1.meter.1&measurepoints=p&accessKey={KEY}"
    said = await asyncio.to_thread(client.urlopen, KEY, SECRET, url)
    assert said["data"]["items"][0]["p"] == 1.0
    said = await asyncio.to_thread(client.urlopen, KEY, SECRET, url.replace(KEY, ""))
    assert said["status"] == 401


class Sample(NamedTuple):
    """One function of the samples: `module` below `tsdbData`, and what it is asked besides key, secret, orgId and url."""

    module: str
    arguments: dict[str, Any]
    items: int

    def __str__(self) -> str:
        return self.module


BOTH = {"assetIds": "D1.meter.1,D2.meter.1"}
POWER = "sum(p),max(p)"
RANGE = {"startTime": "START", "endTime": "END"}
V20, V21 = (
    [
        Sample(f"{version}.getAssetElectricPowerData_{mark}", {**BOTH, aggregated: POWER, **RANGE}, 4),
        Sample(f"{version}.getAssetCurrentDayElectricPower_{mark}", {**BOTH, points: "p"}, 2),
        Sample(f"{version}.getAssetAIRawData_{mark}", {**BOTH, points: "p,state", **RANGE}, 4),
        Sample(f"{version}.getAssetRawDataByTimeRange_{mark}", {**BOTH, points: "p", **RANGE}, 2),
        Sample(f"{version}.getAssetGenericData_{mark}", {**BOTH, points: "p", **RANGE}, 2),
        Sample(f"{version}.getAssetDIData_{mark}", {**BOTH, points: "state", **RANGE}, 2),
        Sample(f"{version}.getAssetDIDataDuration_{mark}", {**BOTH, points: "state", **RANGE}, 2),
        Sample(f"{version}.getAssetLatestData_{mark}", {**BOTH, points: "p", "timeWindow": 10}, 2),
        Sample(
            f"{version}.filterAssetLatestData_{mark}",
            {**BOTH, "modelId": "m", point: "p", "operator": "between", "valueFilter": "0,1"},
            2,
        ),
    ]
    for version, mark, aggregated, points, point in (
        ("v2_0", "V2_0", "measurepointsWithLogic", "measurepoints", "measurepoint"),
        ("v2_1", "V2_1", "pointIdsWithLogic", "pointIds", "pointId"),
    )
)
V20.append(
    Sample("v2_0.getAssetAIDataWithAggregationLogic_V2_0", {**BOTH, "measurepointsWithLogic": POWER, **RANGE}, 4)
)
V21.append(Sample("v2_1.getAssetAIDataWithAggregationLogic_V2_1", {**BOTH, "pointsIdsWithLogic": POWER, **RANGE}, 4))
WITHOUT_ACCESS_KEY = ("getAssetDIDataDuration_V2_0",)
"""Its own call names no application outside the header, so that only our key tells whose it is; so do all of v2.1."""


async def ran(window: Window, sample: Sample, pubkey: str | None) -> dict[str, Any]:
    """What a sample prints last: the answer, as Python writes it."""
    folder = samples.folder()
    assert folder is not None
    year = datetime.now(UTC).year
    times = {"START": f"{year}-01-01 00:00:00", "END": f"{year + 1}-01-02 00:00:00"}
    arguments = {name: times.get(value, value) for name, value in sample.arguments.items()}
    arguments |= {"accessKey": KEY, "secretKey": SECRET, "orgId": "o1", "url": window.url}
    function = sample.module.partition(".")[2]
    command = (sys.executable, run.__file__, str(folder), f"tsdbData.{sample.module}", function)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    told = json.dumps({"pubkey": pubkey, "arguments": arguments}).encode()
    said = (await asyncio.wait_for(process.communicate(told), PATIENCE_S))[0].decode()
    assert process.returncode == 0, said
    found: dict[str, Any] = ast.literal_eval(said.strip().splitlines()[-1])
    return found


@needs_samples
@pytest.mark.parametrize("sample", [*V20, *V21], ids=str)
async def test_the_vendors_samples(window: Window, sample: Sample) -> None:
    await fill(window)
    said = await ran(window, sample, public_key())
    assert (said.get("status", said.get("code")), said["submsg"]) == (0, None), said
    assert len(said["data"]["items"]) == sample.items


@needs_samples
@pytest.mark.parametrize("config_of", [UNVERIFIED], indirect=True)
@pytest.mark.parametrize("sample", V20, ids=str)
async def test_the_vendors_samples_under_its_own_key(window: Window, sample: Sample) -> None:
    await fill(window)
    said = await ran(window, sample, None)
    if sample.module.endswith(WITHOUT_ACCESS_KEY):
        assert said["status"] == 401
    else:
        assert len(said["data"]["items"]) == sample.items
