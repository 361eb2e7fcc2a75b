"""What PostgreSQL adds: a server that goes and comes, that is somebody else's too, and whose numbers must be ours bit by bit."""

from __future__ import annotations

import asyncio
import signal
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from cloud_places import problems
from cloud_served import Served
from harness.postgres import Cluster, programs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cloud.cloud import Cloud, describe
from bridge.errors import StoreError
from bridge.store.dialect import Postgres
from bridge.store.postgres import Refusal
from bridge.store.postgres_session import label, native
from bridge.store.series import Answer, Batch, Series

DAY = 86_400_000
T = 1_750_032_000_000 // DAY * DAY
PATIENCE_S = 30.0


@pytest.fixture
def home(cluster: Cluster) -> Postgres:
    return cluster.place()


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A cluster of this test's own, running."""
    if programs() is None:
        pytest.skip("needs PostgreSQL")
    made = Cluster()
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture
async def series(home: Postgres) -> AsyncIterator[Series]:
    opened = await Series.open(home, describe)
    yield opened
    await opened.close()


def batch(*rows: tuple[str, int, dict[str, float]]) -> Batch:
    made = Batch()
    for asset, at, values in rows:
        made.add(asset, asset, T + at, values)
    return made


async def content(series: Series, asset: str) -> list[tuple[int, dict[str, float]]]:
    number = series.assets[asset].number
    found = await series.read(lambda scan: list(scan.samples(number, 0, 1 << 62)))
    return [(at - T, values) for at, values in found]


async def at_last(series: Series, well: bool = True) -> None:
    """Wait until the store can be used, or cannot."""
    await until(lambda: (series.trouble() is None) is well)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - a server rings no bell
            await asyncio.sleep(0.02)


def test_parameters_become_those_of_the_server() -> None:
    assert native("a = ? AND b < ?") == b"a = $1 AND b < $2"
    assert native("a = ?1 AND b = ?3 OR c = ?1") == b"a = $1 AND b = $3 OR c = $1"


def test_a_label_has_no_secret() -> None:
    where = Postgres("postgresql://me:hush@db.example:5433/readings?sslmode=require", "s")
    assert label(where) == "PostgreSQL db.example:5433/readings schema s"
    assert "hush" not in repr(where)
    with pytest.raises(StoreError, match="cannot be read") as raised:
        label(Postgres("postgresql://me:hush@h:x:y?nonsense=1"))
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


floats = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from("pqr"), floats, min_size=1)), min_size=1))
async def test_every_float_comes_back_bit_by_bit(series: Series, rows: list[tuple[int, dict[str, float]]]) -> None:
    """Also where rows merge with each other, and into chunks."""

    def bits(found: list[tuple[int, dict[str, float]]]) -> dict[int, dict[str, bytes]]:
        return {at: {point: struct.pack("d", value) for point, value in values.items()} for at, values in found}

    await series.database.write(lambda one: [one.execute(f"DELETE FROM {table}") for table in ("samples", "chunks")])
    expected: dict[int, dict[str, float]] = {}
    for at, values in rows:
        await series.store(batch(("A", at, values)))
        expected.setdefault(at, {}).update(values)
    assert bits(await content(series, "A")) == bits(list(expected.items()))
    number = series.assets["A"].number
    for point in "pqr":
        last = [(at, values[point]) for at, values in sorted(expected.items()) if point in values][-1:]
        found = await series.read(lambda scan, point=point: scan.before(number, T + 9, point))
        assert ([] if found is None else [(found[0] - T, found[1])]) == last
    await series.fold(T + 9_000 * DAY)
    assert bits(await content(series, "A")) == bits(list(expected.items()))


async def test_known_assets_take_no_numbers(series: Series) -> None:
    for at in range(50):
        await series.store(batch(("A", at, {"p": 1.0})))
    await series.store(batch(("B", 0, {"p": 1.0}), ("A", 99, {"p": 1.0}), ("C", 0, {"p": 1.0})))
    assert {name: asset.number for name, asset in series.assets.items()} == {"A": 1, "B": 2, "C": 3}


async def test_a_commit_is_on_the_disk_whatever_the_servers_default(series: Series) -> None:
    shown = await series.database.write(lambda one: one.execute("SHOW synchronous_commit").fetchone())
    assert shown == ("on",)


async def test_two_bridges_cannot_write_one_schema(home: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.postgres_session.LOCK_MS", 100)
    first = await Series.open(home, describe)
    try:
        with pytest.raises(StoreError, match=r"another bridge writes this schema: ems-bridge .* from a local socket"):
            await Series.open(home, describe)
        await first.store(batch(("A", 0, {"p": 1.0})))
        other = await Series.open(Postgres(home.url, f"{home.schema}_b"), describe)
        assert other.assets == {}
        await other.close()
    finally:
        await first.close()
    again = await Series.open(home, describe)
    assert list(again.assets) == ["A"]
    await again.close()


async def test_what_waiting_does_not_help_is_said_at_once(cluster: Cluster) -> None:
    with pytest.raises(Refusal, match='database "nowhere" does not exist'):
        await Series.open(Postgres(cluster.url(database="nowhere")), describe)
    with pytest.raises(Refusal, match='role "nobody_here" does not exist'):
        await Series.open(Postgres(cluster.url("nobody_here")), describe)


async def test_a_newer_versions_schema_is_left_alone(home: Postgres) -> None:
    series = await Series.open(home, describe)
    await series.database.write(lambda one: one.execute("INSERT INTO migrations VALUES (9000, 'x', 0)"))
    await series.close()
    with pytest.raises(Refusal, match="newer version"):
        await Series.open(home, describe)


async def test_a_schema_of_another_owner_is_enough(cluster: Cluster, home: Postgres) -> None:
    """Who may not make schemas is given one."""
    cluster.sql(f"CREATE ROLE r{home.schema} LOGIN", f"CREATE SCHEMA {home.schema} AUTHORIZATION r{home.schema}")
    where = Postgres(cluster.url(f"r{home.schema}"), home.schema)
    series = await Series.open(where, describe)
    await series.store(batch(("A", 0, {"p": 1.0})))
    await series.fold(T + 9 * DAY)
    await series.close()
    assert problems(where) == []


async def test_a_server_that_is_killed_loses_nothing_that_was_acknowledged(own: Cluster) -> None:
    series = await Series.open(own.place(), describe)
    stored: list[int] = []
    refused = asyncio.Event()
    ended = asyncio.Event()

    async def write() -> None:
        at = 0
        while not ended.is_set():
            rows = batch(*(("A", (at + n) * 1_000, {"p": float(at + n), "q": 0.1}) for n in range(50)))
            try:
                await series.store(rows, Answer("me", str(at), b"d", 200, "{}"))
            except StoreError:
                refused.set()
                await asyncio.sleep(0.01)
                continue
            stored.append(at)
            at += 50
            if at % 500 == 0:
                await fold()

    async def fold() -> None:
        try:
            await series.fold(T + 9_000 * DAY)
        except StoreError:
            refused.set()

    writing = asyncio.create_task(write())
    try:
        for _ in range(3):
            before = len(stored)
            await until(lambda before=before: len(stored) >= before + 30)
            refused.clear()
            own.kill()
            async with asyncio.timeout(PATIENCE_S):
                await refused.wait()
            await at_last(series, well=False)
            own.start()
            await at_last(series)
    finally:
        ended.set()
        await writing
    found = await content(series, "A")
    assert found == [(n * 1_000, {"p": float(n), "q": 0.1}) for n in range(len(stored) * 50)]
    assert all([await series.answer("me", str(at)) is not None for at in stored])
    await series.close()


async def test_a_server_that_is_not_there_yet_is_waited_for(own: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    own.stop()
    cloud = await Cloud.open(own.place())
    try:
        assert "trying again" in caplog.text
        assert cloud.series.trouble() is not None
        assert cloud.counts.gauges["ems_bridge_assets", ()]() == 0
        with pytest.raises(StoreError):
            cloud.assets()
        with pytest.raises(StoreError):
            await cloud.series.store(batch(("A", 0, {"p": 1.0})))
        own.start()
        await at_last(cloud.series)
        await cloud.series.store(batch(("A", 0, {"p": 1.0})))
        assert [asset.name for asset in cloud.assets()] == ["A"]
    finally:
        await cloud.close()


async def test_what_another_bridge_wrote_meanwhile_is_seen(
    cluster: Cluster, home: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut, and another bridge is quicker: ours waits, and then knows nothing by heart."""
    cloud = await Cloud.open(home)
    ours = cloud.series
    told = batch(("A", 0, {"p": 1.0}))
    try:
        await ours.store(told)
        assert [each.value for each in await cloud.newest(cloud.assets(), ["p"])] == [1.0]
        held = ours.assets["A"]
        opening = asyncio.create_task(Series.open(home, describe))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await until(lambda: cluster.sql(waiting).strip() == "1")
        cut(cluster)
        other = await opening
        monkeypatch.setattr("bridge.store.postgres_session.LOCK_MS", 100)
        with pytest.raises(StoreError):
            await ours.store(batch(("A", 5, {"p": 5.0})))
        again = batch(("A", 0, {"p": 2.0}), ("B", 0, {"p": 1.0}))
        again.stated["A"] = {"p": ("kWh", "counter")}
        await other.store(again)
        await until(lambda: "another bridge" in (ours.trouble() or ""))
        await other.close()
        await at_last(ours)
        assert ours.assets["A"] is held
        assert held.points == {"p": ("kWh", "counter")}
        assert [each.value for each in await cloud.newest(cloud.assets(), ["p"])] == [2.0, 1.0]
        await ours.store(told)
        assert ours.assets["A"].points == {"p": ("kWh", "counter")}
    finally:
        await cloud.close()


def cut(cluster: Cluster) -> None:
    """End the connection that holds the schema's lock."""
    cluster.sql(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted"
    )


async def test_a_cut_reader_is_replaced(cluster: Cluster, series: Series) -> None:
    await series.store(batch(("A", 0, {"p": 1.0})))
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%reads'")
    for _ in range(2):
        with pytest.raises(StoreError):
            await content(series, "A")
    await at_last(series)
    for _ in range(3):
        assert await content(series, "A") == [(0, {"p": 1.0})]


async def test_a_service_stops_though_the_server_does_not_answer(own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.postgres.CLOSE_S", 0.2)
    series = await Series.open(own.place(), describe)
    own.signal(signal.SIGSTOP)
    try:
        storing = asyncio.create_task(series.store(batch(("A", 1, {"p": 1.0}))))
        await asyncio.sleep(0)
        await series.close()
        with pytest.raises(StoreError):
            await storing
    finally:
        own.signal(signal.SIGCONT)


async def test_a_server_that_has_stopped_is_given_up(own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is closed, nothing is answered."""
    monkeypatch.setattr("bridge.store.postgres.PING_S", 0.05)
    monkeypatch.setattr("bridge.store.postgres.SLOW_S", 0.2)
    monkeypatch.setattr("bridge.store.postgres.STUCK_S", 1.0)
    series = await Series.open(own.place(), describe)
    await series.store(batch(("A", 0, {"p": 1.0})))
    own.signal(signal.SIGSTOP)
    try:
        storing = asyncio.create_task(series.store(batch(("A", 1, {"p": 1.0}))))
        await until(lambda: "no answer for" in (series.trouble() or ""))
        with pytest.raises(StoreError):
            await storing
        await at_last(series, well=False)
    finally:
        own.signal(signal.SIGCONT)
    await at_last(series)
    await series.store(batch(("A", 1, {"p": 1.0})))
    assert [at for at, _ in await content(series, "A")] == [0, 1]
    await series.close()


@pytest.mark.parametrize("places", ["postgresql"], indirect=True)
async def test_a_disk_that_is_full_is_said_and_nothing_is_half_stored(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    full = (
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
    )
    trigger = "CREATE TRIGGER t BEFORE INSERT ON samples FOR EACH STATEMENT EXECUTE FUNCTION full_disk()"
    database = served.cloud.series.database
    row: dict[str, Any] = {"asset": "EMS001", "point": "p", "timestamp": T, "value": 1}
    await database.write(lambda one: [one.execute(full), one.execute(trigger)])
    answer = await served.ingest([row], 503, Idempotency_Key="k")
    assert answer["error"]["code"] == "unavailable"
    assert "No space left" in caplog.text
    assert served.cloud.series.assets == {}
    await database.write(lambda one: one.execute("DROP TRIGGER t ON samples"))
    await served.ingest([row], Idempotency_Key="k")
    assert await served.stored() == [("EMS001", "p", T, 1.0)]


@pytest.mark.parametrize("places", ["sqlite", "postgresql"], indirect=True)
async def test_units_that_a_database_cannot_hold_are_refused(served: Served) -> None:
    row: dict[str, Any] = {"asset": "EMS001", "point": "p", "timestamp": T, "value": 1, "unit": "k\x00W"}
    wide = {"asset": "EMS001", "timestamp": T, "values": {"q": 1}, "units": {"q": "\x00"}}
    answer = await served.ingest([row, wide, {**row, "point": "r", "unit": "°C"}], 422)
    assert [(error["row"], error["path"]) for error in answer["errors"]] == [(0, "$.unit"), (1, "$.units")]
    assert await served.stored() == [("EMS001", "r", T, 1.0)]


async def test_many_rows_are_read_by_portions(series: Series) -> None:
    await series.store(batch(*(("A", n, {"p": float(n)}) for n in range(20_000))))
    assert [at for at, _ in await content(series, "A")] == list(range(20_000))
    number = series.assets["A"].number
    back = await series.read(lambda scan: [at for at, _ in scan.samples(number, T, T + 20_000, newest_first=True)])
    assert back == [T + n for n in reversed(range(20_000))]


async def test_verify_says_that_it_cannot_read(cluster: Cluster, home: Postgres) -> None:
    assert "does not exist" in problems(Postgres(cluster.url(database="nowhere")))[0]
    assert "does not exist" in problems(home)[0]
