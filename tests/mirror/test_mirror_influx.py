"""InfluxDB: lines as a real influxd reads them, and what it says about those that it does not want."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from harness.influx import Influx, needs_influxd
from harness.sink import Sink
from hypothesis import given
from hypothesis import strategies as st
from mirror_post import START, Post, killed, opened, running, until

from bridge.mirror.answers import Partial, Refusal
from bridge.mirror.influx import Influx as Lines
from bridge.mirror.influx import in_milliseconds
from bridge.mirror.sink import AuthConfig, InfluxConfig
from bridge.store.outbox import OutboxLine

HOUR = START - START % 3_600_000
PATIENCE_S = 20.0


@pytest.fixture
async def database(influxd: Influx) -> str:
    """A fresh one."""
    name = f"d{uuid.uuid4().hex[:12]}"
    await influxd.query(f"CREATE DATABASE {name}", "")
    return name


def address(influxd: Influx, database: str, more: str = "") -> str:
    return f"{influxd.url}/write?db={database}{more}"


async def settled(post: Post, seq: int) -> None:
    async def passed() -> bool:
        return await post.outbox.cursor("s") >= seq

    await until(passed, PATIENCE_S)


def lines_of(*samples: list[Any], config: InfluxConfig | None = None) -> tuple[Lines, list[Any]]:
    shape = Lines(config or InfluxConfig())
    return shape, shape.rows(OutboxLine(1, START, "D1", json.dumps(samples)))


def test_lines() -> None:
    shape, rows = lines_of(
        ["D1.meter.1", 5, {"p": 1.5, "q": -2}], ["D1", 6, {"p": 1e300}],
        config=InfluxConfig(measurement="site a,b", tags={"zone": "x y", "a=b": "c,d", "none": ""}),
    )  # fmt: skip
    head = "site\\ a\\,b,asset={},device=D1,a\\=b=c\\,d,zone=x\\ y"
    assert shape.body(rows).decode().splitlines() == [
        head.format("D1.meter.1") + " p=1.5,q=-2.0 5",
        head.format("D1") + " p=1e+300 6",
    ]
    assert [row.point for row in rows] == ["p", "q", "p"]


def test_a_batch_is_as_large_as_its_lines() -> None:
    samples = [["a long name of an asset", START + n, {"p": 1.5, "q": 2}] for n in range(100)]
    shape, rows = lines_of(*samples, config=InfluxConfig(tags={"site": "a long name of a site"}))
    assert len(shape.body(rows)) <= shape.size(rows) <= len(shape.body(rows)) * 1.1


def test_the_precision_is_named() -> None:
    assert in_milliseconds("http://h/write?db=a") == "http://h/write?db=a&precision=ms"
    assert in_milliseconds("http://h/write?db=a&precision=ms") == "http://h/write?db=a&precision=ms"
    assert in_milliseconds("http://h/x") == "http://h/x?precision=ms"


def test_a_type_conflict_in_one_hour_names_every_bad_reading() -> None:
    shape, rows = lines_of(["A", HOUR, {"p": 1, "q": 2}], ["B", HOUR, {"q": 3}], ["A", HOUR + 1, {"p": 4}])
    text = (
        '{{"error":"partial write: field type conflict: input field \\"p\\" on measurement \\"readings\\" is type float,'
        ' already exists as type integer dropped={}"}}'
    )
    assert shape.answer(400, text.format(2), 0, rows) == Partial([0, 3], [1], shape_refusal(text.format(2)))
    # Three lines were dropped, and only two have the point: who the third is nobody says, so all others go again.
    assert shape.answer(400, text.format(3), 0, rows) == Partial([0, 3], [1, 2], shape_refusal(text.format(3)))
    # Over an hour's border there may be two shards, and the field may have another type in each.
    late = [*rows, rows[0]._replace(timestamp=HOUR - 1)]
    assert isinstance(shape.answer(400, text.format(3), 0, late), Refusal)


def shape_refusal(text: str) -> Refusal:
    return Refusal(400, json.loads(text)["error"])


def test_lines_beyond_the_retention_policy_are_the_oldest() -> None:
    shape, rows = lines_of(["A", 3, {"p": 1, "q": 2}], ["B", 1, {"q": 3}], ["A", 2, {"p": 4}])
    text = '{"error":"partial write: points beyond retention policy dropped=2"}'
    answer = shape.answer(400, text, 0, rows)
    assert isinstance(answer, Partial)
    assert (list(answer.bad), list(answer.again)) == ([2, 3], [])
    # One instant in two reports is two lines, and both are counted.
    again = [rows[2], rows[3], rows[2]]
    twice = shape.answer(400, text, 0, again)
    assert isinstance(twice, Partial)
    assert list(twice.bad) == [0, 2]
    same = [row._replace(timestamp=1) for row in rows]
    assert isinstance(shape.answer(400, text.replace("=2", "=1"), 0, same), Refusal), "which one of them is not known"


def test_lines_that_could_not_be_read_are_named() -> None:
    shape, rows = lines_of(["A", 3, {"p": 1, "q": 2}], ["B", 1, {"q": 3}], ["A", 2, {"p": 4}])
    bad = "readings,asset=B,device=D1 q=3.0 1"
    both = "readings,asset=A,device=D1 p=1.0,q=2.0 3"
    text = json.dumps({"error": f"partial write: unable to parse '{bad}': no\nunable to parse '{both}': no dropped=0"})
    answer = shape.answer(400, text, 0, rows)
    assert isinstance(answer, Partial)
    assert (list(answer.bad), list(answer.again)) == ([2], [0, 1])
    for strange in (text.replace("asset=B", "asset=C"), text[:-3], "partial write: unable to parse", f"[{text}]"):
        assert isinstance(shape.answer(400, strange, 0, rows), Refusal)
    assert isinstance(shape.answer(400, '{"error":' + "[" * 100_000, 0, rows), Refusal)


@given(st.integers(400, 422), st.text(), st.integers(0, 3))
def test_any_answer_means_something(status: int, text: str, dropped: int) -> None:
    shape, rows = lines_of(["A", HOUR, {"p": 1, "q": 2}], ["B", HOUR, {"q": 3}])
    for message in (text, f"partial write: {text} dropped={dropped}", f"partial write: unable to parse '{text}': x"):
        answer = shape.answer(status, json.dumps({"error": message}), 0, rows)
        assert answer is not None
        if isinstance(answer, Partial):
            assert len(answer.again) < len(rows)


async def test_everything_is_there_as_it_was(post: Post, influxd: Influx, database: str) -> None:
    """All kinds of values, and what asset's names may be made of."""
    values = {
        "p": 1.5,
        "int": 7,
        "tiny": 5e-324,
        "huge": -1.7976931348623157e308,
        "big": 1e16,
        "zero": -0.0,
        "spaced key": 2,
    }
    await post.write((1, [["EMS1.meter.1", START, values], ["a b,c=d\\e", START, {"p": 2}]]))
    await post.reports(500, first=2)
    options = {"format": "influx", "influx": InfluxConfig(tags={"site": "north 1"}), "batch_rows": 100}
    async with running(post.courier(address(influxd, database), **options)):
        await settled(post, 501)
    found = await influxd.query("SELECT * FROM readings WHERE asset != 'M'", database)
    assert [{name: value for name, value in row.items() if value is not None} for row in found] == [
        {"time": START, "asset": "EMS1.meter.1", "device": "DEV1", "site": "north 1", **values},
        {"time": START, "asset": "a b,c=d\\e", "device": "DEV1", "site": "north 1", "p": 2},
    ]
    counted = await influxd.query("SELECT count(p), sum(p) FROM readings WHERE asset = 'M'", database)
    assert (counted[0]["count"], counted[0]["sum"]) == (500, sum(range(2, 502)))
    assert await post.dead() == []


async def test_readings_of_another_type_are_set_aside_alone(post: Post, influxd: Influx, database: str) -> None:
    """`bad` is an integer in this database: other points of the same lines arrive, and nothing is sent that was taken."""
    await write(influxd, database, f"readings,asset=x bad=1i {HOUR}")
    samples = [["M", HOUR + n, {"good": n, "bad": n} if n % 2 else {"good": n}] for n in range(20)]
    await post.write((1, samples))
    async with running(post.courier(address(influxd, database), format="influx", batch_rows=100)):
        await settled(post, 1)
    found = await influxd.query("SELECT good, bad FROM readings WHERE asset = 'M'", database)
    assert [row["good"] for row in found] == list(range(20))
    assert [row["bad"] for row in found] == [None] * 20
    letters = await post.dead()
    assert {letter["reason"] for letter in letters} == {"sink_refused_400"}
    assert [json.loads(letter["payload"]) for letter in letters] == [
        {"asset": "M", "point": "bad", "timestamp": HOUR + n, "value": n, "unit": ""} for n in range(1, 20, 2)
    ]
    assert "field type conflict" in letters[0]["detail"]
    labels = (("sink", "s"),)
    assert post.counts.value("ems_bridge_mirror_attempts", labels) == 2, "all of it, then the lines without `bad`"
    assert post.counts.value("ems_bridge_mirror_rows", labels) == 20
    assert post.counts.value("ems_bridge_mirror_buried", labels) == 10


async def test_a_conflict_in_one_shard_of_several(post: Post, influxd: Influx, database: str) -> None:
    """A month of backlog: the point is an integer in one week alone. Nothing else is lost."""
    day = 86_400_000
    await write(influxd, database, f"readings,asset=x p=1i {START}")
    await post.write(*((n + 1, [["M", START - n * day, {"p": n, "q": n}]]) for n in range(30)))
    async with running(post.courier(address(influxd, database), format="influx", batch_rows=100)):
        await settled(post, 30)
    found = await influxd.query("SELECT p::float, q FROM readings WHERE asset = 'M' ORDER BY time DESC", database)
    assert [row["q"] for row in found] == list(range(30))
    buried = [json.loads(letter["payload"]) for letter in await post.dead()]
    assert {row["point"] for row in buried} == {"p"}
    assert 1 <= len(buried) <= 7
    there = await influxd.query("SELECT p FROM readings WHERE asset = 'M' AND q >= 7", database)
    assert len([row for row in there if row["p"] is not None]) == 23


async def test_older_than_the_retention_policy(post: Post, influxd: Influx, database: str) -> None:
    now = await newest(influxd, database)
    await influxd.query(f'CREATE RETENTION POLICY short ON "{database}" DURATION 1d REPLICATION 1', "")
    ages = [0, 3_000, 200_000_000, 90_000_000, 60_000]
    await post.write(*((n + 1, [["M", now - age, {"p": n}]]) for n, age in enumerate(ages)))
    async with running(post.courier(address(influxd, database, "&rp=short"), format="influx")):
        await settled(post, 5)
    found = await influxd.query("SELECT p FROM short.readings", database)
    assert sorted(row["p"] for row in found) == [0, 1, 4]
    assert sorted(json.loads(letter["payload"])["value"] for letter in await post.dead()) == [2, 3]
    assert post.counts.value("ems_bridge_mirror_attempts", (("sink", "s"),)) == 1


async def newest(influxd: Influx, database: str) -> int:
    """What InfluxDB takes for now, ms: it stamps a line without a time."""
    await write(influxd, database, "stamp v=1", precision="")
    found = await influxd.query("SELECT v FROM stamp", database)
    return int(found[0]["time"])


async def write(influxd: Influx, database: str, line: str, precision: str = "&precision=ms") -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(address(influxd, database, precision), data=line) as answer,
    ):
        assert answer.status == 204, await answer.text()


async def test_no_database_holds_everything(post: Post, influxd: Influx) -> None:
    """404: readings wait until it is there."""
    name = f"d{uuid.uuid4().hex[:12]}"
    await post.reports(20)
    courier = post.courier(address(influxd, name), format="influx")
    async with running(courier):
        await until(lambda: courier.failing == "HTTP 404")
        await influxd.query(f"CREATE DATABASE {name}", "")
        await settled(post, 20)
    assert len(await influxd.query("SELECT p FROM readings", name)) == 20
    assert await post.dead() == []


async def test_killed_after_it_was_taken(tmp_path: Any, influxd: Influx, database: str, sink: Sink) -> None:
    """The batch came, and nobody heard of it: it comes again, and changes nothing there."""
    async with opened(tmp_path) as first:
        await first.reports(8)
        taken, hold = await_of(influxd, database, sink)
        courier = first.courier(sink.url.replace("/rows", "/write") + "?db=x", format="influx", gzip=False)
        await killed(courier, taken)
        assert await first.outbox.cursor("s") == 0
        hold()
    async with opened(tmp_path) as second, running(second.courier(address(influxd, database), format="influx")):
        await settled(second, 8)
    assert [row["p"] for row in await influxd.query("SELECT p FROM readings", database)] == list(range(1, 9))


def await_of(influxd: Influx, database: str, sink: Sink) -> tuple[Any, Callable[[], None]]:
    """A sink that hands over to InfluxDB, says so, and answers nothing until it is released."""
    taken, hold = asyncio.Event(), asyncio.Event()

    async def forward(request: web.Request) -> web.Response:
        await write(influxd, database, (await request.read()).decode())
        taken.set()
        await hold.wait()
        return web.Response(status=204)

    sink.routes["/write"] = forward
    return taken, hold.set


async def test_the_second_version_is_spoken_to(post: Post, sink: Sink) -> None:
    """/api/v2/write, `Authorization: Token`, and its way to say that some lines were dropped (422)."""
    bodies: list[list[str]] = []
    heads: list[tuple[str, str]] = []

    async def two(request: web.Request) -> web.Response:
        lines = (await request.text()).splitlines()
        bodies.append(lines)
        heads.append((request.headers["Authorization"], request.query_string))
        bad = [line for line in lines if "p=3.0" in line]
        if not bad:
            return web.Response(status=204)
        message = (
            'failure writing points to database: partial write: field type conflict: input field "p" on measurement'
            f' "readings" is type float, already exists as type integer dropped={len(lines)}'
        )
        return web.json_response({"code": "unprocessable entity", "message": message}, status=422)

    sink.routes["/api/v2/write"] = two
    url = sink.url.replace("/rows", "/api/v2/write?org=me&bucket=b%20c")
    await post.write((1, [["A", HOUR, {"p": 3, "q": 1}], ["B", HOUR, {"p": 4, "q": 2}]]))
    async with running(post.courier(url, format="influx", token="secret")):
        await settled(post, 1)
    head = "readings,asset={},device=DEV1 "
    assert bodies == [
        [head.format("A") + f"p=3.0,q=1.0 {HOUR}", head.format("B") + f"p=4.0,q=2.0 {HOUR}"],
        [head.format("A") + f"q=1.0 {HOUR}", head.format("B") + f"q=2.0 {HOUR}"],
    ]
    assert set(heads) == {("Token secret", "org=me&bucket=b c&precision=ms")}
    assert [letter["reason"] for letter in await post.dead()] == ["sink_refused_422"] * 2


@needs_influxd
async def test_a_login_that_influxdb_does_not_know_holds_everything(post: Post, tmp_path: Path) -> None:
    """401 until the user is there with these rights; Basic, as InfluxDB 1 has it."""
    guarded = Influx(tmp_path / "guarded", auth=True)
    try:
        await guarded.query("CREATE USER root WITH PASSWORD 'r' WITH ALL PRIVILEGES", "")
        await guarded.query("CREATE DATABASE ems", "", u="root", p="r")
        await post.reports(8)
        auth = AuthConfig(type="basic", username="ems", password="p:w")
        courier = post.courier(address(guarded, "ems"), format="influx", auth=auth)
        async with running(courier):
            await until(lambda: courier.failing == "HTTP 401")
            await guarded.query("CREATE USER ems WITH PASSWORD 'p:w'", "", u="root", p="r")
            await until(lambda: courier.failing == "HTTP 403")
            await guarded.query("GRANT WRITE ON ems TO ems", "", u="root", p="r")
            await settled(post, 8)
        assert len(await guarded.query("SELECT p FROM readings", u="root", p="r")) == 8
        assert await post.dead() == []
    finally:
        guarded.stop()
