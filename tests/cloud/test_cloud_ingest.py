"""`POST /ingest/v1/power` over real HTTP: the forms of a body, errors row by row, limits, keys."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from cloud_places import Place
from cloud_served import NOW, Served, authorize

from bridge.cloud.cloud import HELD_BYTES, SHARE, Settings
from bridge.cloud.enos_routes import LARGE
from bridge.cloud.ingest import Ingest
from bridge.errors import Refused

T = NOW - 3_600_000
ROW = {"asset": "EMS001.meter.1", "point": "total_active_power", "timestamp": T, "value": 1.5}
STORED = [("EMS001.meter.1", "total_active_power", T, 1.5)]


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


def lines(*rows: Any) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in rows)


WIDE = {"asset": "EMS001.meter.1", "timestamp": T, "values": {"total_active_power": 1.5}}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(ROW).encode(), "application/json"),
        (json.dumps([ROW]).encode(), "application/json"),
        (json.dumps({"readings": [ROW]}).encode(), "application/json"),
        (json.dumps(WIDE).encode(), "application/json"),
        (json.dumps([WIDE], indent=2).encode(), "application/json"),
        (json.dumps(WIDE, indent=2).encode(), "application/json"),
        (lines(ROW), "application/x-ndjson"),
        (b"\r\n" + json.dumps(ROW).encode() + b"\r\n\n", "application/x-ndjson"),
        (lines(ROW, ROW), "application/json"),
        (lines(WIDE, ROW), "text/plain"),
        (json.dumps(ROW).encode(), "application/x-ndjson"),
        (json.dumps(row(timestamp="2025-10-09T15:53:20+08:00")).encode(), "application/json"),
        (json.dumps(row(timestamp=float(T))).encode(), "application/json"),
        (json.dumps({**WIDE, "values": {"total_active_power": 1.5, "gone": None}}).encode(), "application/json"),
    ],
)
async def test_the_forms_of_a_body(served: Served, body: bytes, content_type: str) -> None:
    answer = await served.ingest(body, Content_Type=content_type)
    assert (answer["rejected"], answer["errors"]) == (0, [])
    assert await served.stored() == STORED


def two_members(body: bytes) -> bytes:
    return gzip.compress(body[:40]) + gzip.compress(body[40:])


@pytest.mark.parametrize(
    ("auto_decompress", "pack"), [(True, gzip.compress), (False, gzip.compress), (False, two_members)]
)
async def test_gzip(serve, auto_decompress: bool, pack) -> None:
    served = await serve(auto_decompress=auto_decompress)
    await served.ingest(pack(lines(ROW)), Content_Encoding="gzip", Content_Type="application/x-ndjson")
    assert await served.stored() == STORED


BAD_ROWS = [
    (row(value="1.5"), "$.value"),
    (row(value=None), "$.value"),
    (row(value=True), "$.value"),
    (b'{"asset":"EMS001","point":"p","timestamp":%d,"value":NaN}' % T, "$.value"),
    (b'{"asset":"EMS001","point":"p","timestamp":%d,"value":-Infinity}' % T, "$.value"),
    (b'{"asset":"EMS001","point":"p","timestamp":%d,"value":1e400}' % T, "$.value"),
    (b'{"asset":"EMS001","point":"p","timestamp":%d,"value":1%s}' % (T, b"0" * 400), "$.value"),
    ({key: ROW[key] for key in ("asset", "timestamp", "value")}, "$.point"),
    ({key: ROW[key] for key in ("asset", "timestamp", "point")}, "$.value"),
    ({key: ROW[key] for key in ("asset", "point", "value")}, "$.timestamp"),
    ({key: ROW[key] for key in ("point", "timestamp", "value")}, "$.asset"),
    (row(asset=""), "$.asset"),
    (row(asset="a,b"), "$.asset"),
    (row(asset="../x"), "$.asset"),
    (row(asset="x" * 401), "$.asset"),
    (row(asset=7), "$.asset"),
    (row(point="sum(p)"), "$.point"),
    (row(point='p"'), "$.point"),
    (row(point="a b"), "$.point"),
    (row(timestamp=T // 1000), "$.timestamp"),
    (row(timestamp=T * 1000), "$.timestamp"),
    (row(timestamp=-1), "$.timestamp"),
    (row(timestamp=NOW + 86_400_001), "$.timestamp"),
    (row(timestamp=T + 0.5), "$.timestamp"),
    (row(timestamp="2025-10-09 15:53:20"), "$.timestamp"),
    (row(timestamp=10**300), "$.timestamp"),
    (row(timestamp=True), "$.timestamp"),
    (row(kind="sum"), "$.kind"),
    (row(timezone="Mars/Olympus"), "$.timezone"),
    (row(device="EMS002"), "$.device"),
    ({**WIDE, "values": {"a": 1, "b": "x"}}, "$.values.b"),
    ({**WIDE, "values": {"a": 1, "b": False}}, "$.values.b"),
    ({**WIDE, "values": {}}, "$.values"),
    ({**WIDE, "values": {"a": None}}, "$.values"),
    ({**WIDE, "values": {"a b": 1}}, "$.values"),
    ({**WIDE, "value": 1}, "$.values"),
    (b'{"asset":"EMS001","timestamp":%d,"values":{"a":1,"b":NaN}}' % T, "$.values.b"),
    (b'{"asset":"EMS001","timestamp":%d,"values":{"a":1,"b":1e999}}' % T, "$.values.b"),
    (b"[1]", "$"),
    (b"7", "$"),
    (b"null", "$"),
    (b"{", "$"),
    (b'{"asset":"\xff"}', "$"),
    (b"[" * 10_000, "$"),
]


@pytest.mark.parametrize(("bad", "path"), BAD_ROWS)
async def test_a_bad_row_is_named_and_keeps_no_good_one_out(served: Served, bad: Any, path: str) -> None:
    answer = await served.ingest(lines(ROW, b"", bad, row(timestamp=T + 1)), 422, Content_Type="application/x-ndjson")
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    (error,) = answer["errors"]
    assert (error["row"], error["line"], error["path"]) == (1, 3, path)
    assert error["detail"]
    assert len(await served.stored()) == 2


async def test_a_json_array_with_nan_loses_only_that_row(served: Served) -> None:
    body = json.dumps([ROW, row(value=float("nan"), timestamp=T + 1), row(timestamp=T + 2)]).encode()
    answer = await served.ingest(body, 422)
    assert answer == {
        "accepted": 2,
        "rejected": 1,
        "errors": [{"row": 1, "path": "$.value", "detail": "not a finite number"}],
    }


async def test_seconds_are_recognised(served: Served) -> None:
    answer = await served.ingest([row(timestamp=T // 1000)], 422)
    assert "looks like seconds" in answer["errors"][0]["detail"]


async def test_many_errors_are_counted_and_not_all_listed(served: Served) -> None:
    answer = await served.ingest([row(value="x")] * 250, 422)
    assert (answer["accepted"], answer["rejected"], answer["errors_omitted"], len(answer["errors"])) == (
        0,
        250,
        150,
        100,
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"  \n ", "application/x-ndjson"),
        (b"hello", "application/json"),
        (b"asset,point\nA,p", "text/csv"),
        (b"hello\nworld\n", "application/x-ndjson"),
        (b'{"asset":', "application/json"),
        (b'[{"asset":"A"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"a":' * 100_000, "application/json"),
        (b"\xff\xfe{}", "application/json"),
        (b"\x1f\x8b\x00", "application/json"),
    ],
)
async def test_a_body_that_is_no_json(served: Served, body: bytes, content_type: str) -> None:
    answer = await served.ingest(body, 400, Content_Type=content_type)
    assert answer["error"]["code"] == "not_json"
    assert answer["error"]["message"]


CUT = gzip.compress(lines(ROW), mtime=0)[:-12]


@pytest.mark.parametrize("auto_decompress", [True, False])
@pytest.mark.parametrize(
    "body", [b"not gzip at all", CUT, b"\x1f\x8b\x08\x00garbage"], ids=["no gzip", "cut", "garbage"]
)
async def test_a_body_that_is_no_gzip(serve, auto_decompress: bool, body: bytes) -> None:
    served = await serve(auto_decompress=auto_decompress)
    async with served.http.post(
        f"{served.url}/ingest/v1/power", data=body, headers={"X-API-Key": "all", "Content-Encoding": "gzip"}
    ) as response:
        assert response.status == 400
    assert await served.stored() == []


async def test_another_encoding_is_refused(served: Served) -> None:
    answer = await served.ingest(b"{}", 415, Content_Encoding="br2")
    assert answer["error"]["code"] == "unsupported_encoding"


async def test_a_200_mb_body_is_refused_before_it_is_read(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /ingest/v1/power HTTP/1.1\r\nHost: x\r\nX-API-Key: all\r\nContent-Length: {200 << 20}\r\n\r\n"
    writer.write(head.encode())
    status = await asyncio.wait_for(reader.readline(), 5)
    assert status.split()[1] == b"413"
    writer.close()


async def test_a_body_that_grows_past_the_limit_is_cut_off(serve) -> None:
    served = await serve(Settings(max_body_bytes=100_000))

    async def endless():
        for _ in range(200):
            yield lines(ROW) * 50

    async with served.http.post(
        f"{served.url}/ingest/v1/power",
        data=endless(),
        headers={"X-API-Key": "all", "Content-Type": "application/x-ndjson"},
    ) as response:
        assert response.status == 413
    assert await served.stored() == []


@pytest.mark.parametrize("auto_decompress", [True, False])
async def test_a_gzip_bomb_is_refused(serve, auto_decompress: bool) -> None:
    served = await serve(Settings(max_body_bytes=1 << 20), auto_decompress=auto_decompress)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(500)) + packer.flush()
    assert len(bomb) < 1 << 20
    answer = await served.ingest(bomb, 413, Content_Encoding="gzip")
    assert answer["error"]["code"] == "too_large"
    await served.ingest([ROW])


async def test_the_same_key_gets_the_same_answer_and_no_work(served: Served) -> None:
    mixed = [ROW, row(value="x")]
    first = await served.ingest(mixed, 422, Idempotency_Key="k-1")
    await served.ingest([row(value=9.0)])
    assert await served.ingest(mixed, 422, Idempotency_Key="k-1") == first
    assert await served.stored() == [(*STORED[0][:3], 9.0)]
    assert served.cloud.counts.value("ems_bridge_ingest_rows", (("outcome", "accepted"),)) == 2


async def test_keys_are_remembered_over_a_restart(serve) -> None:
    served = await serve()
    first = await served.ingest([ROW], Idempotency_Key="k-1")
    await served.cloud.close()
    again = await serve()
    await again.ingest([row(value=9.0)])
    assert await again.ingest([ROW], Idempotency_Key="k-1") == first
    assert await again.stored() == [(*STORED[0][:3], 9.0)]


async def test_the_same_key_with_another_body_is_refused(served: Served) -> None:
    await served.ingest([ROW], Idempotency_Key="k-1")
    answer = await served.ingest([row(value=2.0)], 422, Idempotency_Key="k-1")
    assert answer["error"]["code"] == "idempotency_key_reused"
    assert await served.stored() == STORED


async def test_keys_of_different_senders_are_different(served: Served) -> None:
    await served.ingest([ROW], Idempotency_Key="k-1")
    await served.ingest([row(value=2.0)], key="alice-key", Idempotency_Key="k-1")
    assert await served.stored() == [(*STORED[0][:3], 2.0)]


async def test_a_key_that_comes_twice_at_once_is_worked_once(served: Served) -> None:
    body = [row(timestamp=T + n) for n in range(2000)]
    answers = await asyncio.gather(*(served.ingest(body, Idempotency_Key="k") for _ in range(4)))
    assert answers == [{"accepted": 2000, "rejected": 0, "errors": []}] * 4
    assert served.cloud.counts.value("ems_bridge_ingest_rows", (("outcome", "accepted"),)) == 2000


@pytest.mark.parametrize("key", ["x" * 256, "a\u00a0b", ""])
async def test_a_key_that_is_none(served: Served, key: str) -> None:
    answer = await served.ingest([ROW], 400, Idempotency_Key=key)
    assert answer["error"]["code"] == "bad_idempotency_key"


async def test_no_key_no_entry(served: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": "Basic YTpi"}):
        async with served.http.post(f"{served.url}/ingest/v1/power", json=[ROW], headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "unauthorized"
    async with served.http.post(
        f"{served.url}/ingest/v1/power", json=[ROW], headers={"Authorization": "Bearer all"}
    ) as response:
        assert response.status == 200


async def test_a_sender_writes_only_its_own_devices(served: Served) -> None:
    answer = await served.ingest([ROW, row(asset="BOB")], 422, key="alice-key")
    assert [(error["row"], error["path"]) for error in answer["errors"]] == [(1, "$.asset")]
    await served.ingest([row(asset="EMS001.meter.1", device="BOB")], 422, key="bob-key")
    await served.ingest([row(asset="EMS001.meter.1", device="EMS001.meter.1")], 422, key="all")
    assert {name: asset.device for name, asset in served.cloud.series.assets.items()} == {"EMS001.meter.1": "EMS001"}


async def test_units_kinds_and_zones_as_told(served: Served) -> None:
    wide = {"asset": "EMS001", "device": "EMS001", "timestamp": T, "values": {"e": 1, "p": 2, "total_active_power": 3}}
    await served.ingest([{**wide, "units": {"e": "MWh"}, "kinds": {"e": "counter"}, "timezone": "Europe/Berlin"}])
    asset = served.cloud.series.assets["EMS001"]
    assert asset.points == {"e": ("MWh", "counter"), "p": ("", "gauge"), "total_active_power": ("kW", "gauge")}
    assert served.cloud.zone_of(asset).key == "Europe/Berlin"


@pytest.mark.parametrize("places", ["sqlite"], indirect=True)
async def test_a_full_disk_is_said_and_nothing_is_half_stored(served: Served) -> None:
    def fill(connection) -> None:
        connection.execute("PRAGMA max_page_count = 1").fetchall()

    await served.cloud.series.database.maintain(fill)
    async with served.http.post(
        f"{served.url}/ingest/v1/power", json=[row(timestamp=T + n) for n in range(5000)], headers={"X-API-Key": "all"}
    ) as response:
        assert response.status == 503
        assert response.headers["Retry-After"]
    assert served.cloud.series.assets == {}
    await served.cloud.series.database.maintain(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
    await served.ingest([ROW])


@pytest.mark.parametrize(
    "text",
    [
        '{"values":{"p":"x"},"x":"\t"}',
        '{"values":{"\\ud800":"x"}}',
        '{"values":{"p":"x"},"values":5}',
        '{"values":{"p":NaN,"\\ud800":NaN}}',
        '{"values":{"p":' + "9" * 5_000 + "}}",
    ],
)
async def test_what_is_wrong_is_told_of_odd_text_too(served: Served, text: str) -> None:
    wrong = f'{{"asset":"A","timestamp":{T},{text[1:]}'.encode()
    found = await served.ingest(lines(ROW, wrong), 422, Content_Type="application/x-ndjson")
    assert (found["accepted"], found["rejected"]) == (1, 1)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"x\n" * 4_000_000, "application/x-ndjson", "too_many_rows"),
        (b"x\n" * 200_000, "application/x-ndjson", "not_json"),
        (b"[1" + b",1" * 4_000_000 + b"]", "application/json", "too_many_rows"),
        (b"[NaN" + b",1" * 4_000_000 + b"]", "application/json", "too_many_rows"),
        (b'{"readings":[1' + b",1" * 4_000_000 + b"]}", "application/json", "too_many_rows"),
    ],
)
async def test_no_body_stops_the_others(served: Served, body: bytes, content_type: str, code: str) -> None:
    loop, gaps = asyncio.get_running_loop(), [0.0]

    async def tick() -> None:
        last = loop.time()
        while True:
            await asyncio.sleep(0.005)
            gaps.append(loop.time() - last)
            last = loop.time()

    ticking = asyncio.create_task(tick())
    with pytest.raises(Refused) as refused:
        await Ingest(served.cloud).take(None, body, content_type, None)
    ticking.cancel()
    assert refused.value.code == code
    assert max(gaps) < 1.5  # one by one on the loop they took 2 to 26 s


async def test_a_full_disk_is_told_until_something_can_be_stored_again(served: Served, place: Place) -> None:
    if not isinstance(place, Path):
        return  # PostgreSQL has no bound on its pages
    write = served.cloud.series.database.write
    assert served.cloud.reachable() is None
    pages = await write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    body = lines(*({**ROW, "timestamp": T + n, "point": f"p{n}"} for n in range(2_000)))
    await served.ingest(body, 503, Content_Type="application/x-ndjson")
    assert served.cloud.reachable() == "readings could not be stored, see the log"
    await write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall())
    await served.ingest(body, Content_Type="application/x-ndjson")
    assert served.cloud.reachable() is None


async def test_a_large_answer_comes_whole_and_only_so_many_at_a_time(served: Served) -> None:
    for first in range(0, 20_000, 5_000):
        body = lines(*({**ROW, "timestamp": T - n * 1_000} for n in range(first, first + 5_000)))
        await served.ingest(body, Content_Type="application/x-ndjson")
    asked = {
        "orgId": "o", "assetIds": "EMS001.meter.1", "measurepoints": "total_active_power", "accessKey": "all",
        "startTime": "2025-10-01T00:00:00Z", "endTime": "2025-10-10T00:00:00Z", "pageSize": "20000",
    }  # fmt: skip
    url = f"{served.url}/tsdb-service/v2.0/raw"
    async with served.http.get(url, params=asked) as response:
        assert (await response.read()).count(b'"timestamp"') == 20_000
        assert int(response.headers["Content-Length"]) > LARGE
        assert "Data-Quality" in response.headers
    who = await authorize(None, "all")  # type: ignore[arg-type]
    assert served.cloud.hold(HELD_BYTES // SHARE, who)
    async with served.http.get(url, params=asked) as response:
        assert (await response.json())["status"] == 429
    async with served.http.get(url, params={**asked, "accessKey": "alice-key"}) as response:
        assert (await response.json())["status"] == 0  # one account takes no room from another
    served.cloud.release(HELD_BYTES // SHARE, who)
    async with served.http.get(url, params=asked) as response:
        assert (await response.json())["status"] == 0
