"""Rows age into chunks: nothing is lost, doubled or changed, whatever comes late, and whenever the process ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cloud_places import Place, Places, problems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cloud.cloud import describe
from bridge.errors import StoreError
from bridge.store.dialect import Postgres
from bridge.store.folding import LATE_MS, LOOK_MS, MANY_ROWS
from bridge.store.series import Batch, Series

DAY = 86_400_000
T = 1_750_032_000_000 // DAY * DAY
"""Midnight."""
MINUTE = 60_000
Rows = list[tuple[str, int, dict[str, float]]]


@pytest.fixture
async def series(place: Place) -> AsyncIterator[Series]:
    opened = await Series.open(place, describe)
    yield opened
    await opened.close()


def batch(rows: Rows) -> Batch:
    made = Batch()
    for asset, at, values in rows:
        made.add(asset, asset, T + at, values)
    return made


async def content(series: Series, asset: str, **how: Any) -> list[tuple[int, dict[str, float]]]:
    number = series.assets[asset].number
    found = await series.read(lambda scan: list(scan.samples(number, -(1 << 62), 1 << 62, **how)))
    return [(at - T, values) for at, values in found]


async def rows_of(series: Series) -> int:
    return int((await series.database.rows("SELECT count(*) FROM samples"))[0][0])


async def chunks_of(series: Series) -> int:
    return int((await series.database.rows("SELECT count(*) FROM chunks"))[0][0])


async def test_a_day_is_folded_when_it_is_over(series: Series) -> None:
    rows: Rows = [("A", n * 3_600_000, {"p": n / 10, "q": -float(n)}) for n in range(30)]
    await series.store(batch(rows))
    assert await series.fold(T + DAY + LATE_MS - 1) == 0
    assert await series.fold(T + DAY + LATE_MS - 1 + LOOK_MS) == 24
    assert (await rows_of(series), await chunks_of(series)) == (6, 2)
    assert await content(series, "A") == [(at, values) for _, at, values in rows]
    assert await content(series, "A", newest_first=True) == [(at, values) for _, at, values in reversed(rows)]
    assert await content(series, "A", point="q") == [(at, {"q": values["q"]}) for _, at, values in rows]
    assert await content(series, "A", point="x") == []


async def test_many_rows_do_not_wait_for_the_end_of_the_day(series: Series) -> None:
    rows: Rows = [("A", n * MINUTE, {"p": n / 10}) for n in range(MANY_ROWS)]
    await series.store(batch(rows[:-1]))
    assert await series.fold(T) == 0
    await series.store(batch(rows[-1:]))
    assert await series.fold(T + MINUTE) == MANY_ROWS
    assert await rows_of(series) == 0
    assert [values["p"] for _, values in await content(series, "A")] == [n / 10 for n in range(MANY_ROWS)]


async def test_late_readings_of_a_folded_day_count(series: Series) -> None:
    await series.store(batch([("A", n * MINUTE, {"p": float(n), "q": 1.0}) for n in range(300)]))
    await series.fold(T + 9 * DAY)
    late: Rows = [("A", 5 * MINUTE, {"p": 55.5}), ("A", 5 * MINUTE + 1, {"r": 7.0}), ("A", -1, {"p": -1.0})]
    await series.store(batch(late))
    before = await content(series, "A")
    assert before[0] == (-1, {"p": -1.0})
    assert before[6:8] == [(5 * MINUTE, {"p": 55.5, "q": 1.0}), (5 * MINUTE + 1, {"r": 7.0})]
    assert await series.fold(T + 10 * DAY) == 3
    assert await content(series, "A") == before
    assert await rows_of(series) == 0


moments = st.one_of(st.integers(-3, 3), st.integers(-2, 2).map(lambda n: n * DAY), st.integers(-2 * DAY, 2 * DAY))
readings = st.dictionaries(st.sampled_from("pqr"), st.floats(-1e15, 1e15).map(lambda v: round(v, 3)), min_size=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_any_order_of_batches_and_folds_is_a_dictionary(places: Places, data: st.DataObject) -> None:
    series = await Series.open(places(), describe)
    try:
        expected: dict[int, dict[str, float]] = {}
        for _ in range(data.draw(st.integers(1, 8))):
            rows: Rows = data.draw(st.lists(st.tuples(st.just("A"), moments, readings), min_size=1, max_size=6))
            await series.store(batch(rows))
            for _, at, values in rows:
                expected.setdefault(at, {}).update(values)
            if data.draw(st.booleans()):
                await series.fold(T + data.draw(st.sampled_from([0, DAY + LATE_MS + LOOK_MS, 9 * DAY])))
        await the_same(series, expected, data.draw(moments), data.draw(moments))
    finally:
        await series.close()


async def the_same(series: Series, expected: dict[int, dict[str, float]], low: int, high: int) -> None:
    """Every way to read gives what a dictionary gives."""
    number = series.assets["A"].number
    everything = sorted(expected.items())
    assert await content(series, "A") == everything
    assert await content(series, "A", newest_first=True) == everything[::-1]
    for point in "pqr":
        its = [(at, values[point]) for at, values in everything if point in values]
        column = await series.read(lambda scan, point=point: scan.column(number, T + low, T + high, point))
        found = list(zip((column.times - T).tolist(), column.values.tolist(), strict=True))
        assert found == [(at, value) for at, value in its if low <= at < high]
        last = await series.read(lambda scan, point=point: scan.before(number, T + low, point))
        assert (last and (last[0] - T, last[1])) == ([None, *(one for one in its if one[0] < low)][-1])
        one = await content(series, "A", point=point)
        assert [(at, values[point]) for at, values in one] == its


async def test_a_read_sees_one_state_while_rows_are_folded(series: Series) -> None:
    await series.store(batch([("A", n * MINUTE, {"p": float(n)}) for n in range(2_000)]))
    number = series.assets["A"].number
    folding = asyncio.create_task(series.fold(T + 9 * DAY))
    while not folding.done():
        found = await series.read(
            lambda scan: (list(scan.samples(number, 0, 1 << 60)), scan.before(number, T + DAY, "p"))
        )
        assert [at for at, _ in found[0]] == [T + n * MINUTE for n in range(2_000)]
        assert found[1] == (T + DAY - MINUTE, 1439.0)
    assert await folding == 2_000


async def test_a_database_of_before_chunks_is_folded_by_and_by(tmp_path: Path) -> None:
    path = tmp_path / "series.db"
    series = await Series.open(path, describe)
    rows: Rows = [("A", n * 600_000, {"p": n / 7, "q": float(n)}) for n in range(1_000)]
    await series.store(batch(rows))
    await series.close()
    with sqlite3.connect(path) as old:  # as the version before left it
        old.executescript(
            "DROP TABLE days; DROP TABLE chunks; DROP TABLE columns; DELETE FROM migrations WHERE number > 1"
        )
    old.close()
    series = await Series.open(path, describe)
    try:
        assert [row[1:] for row in rows] == await content(series, "A")
        assert await series.fold(T + 9 * DAY) == 1_000
        assert [row[1:] for row in rows] == await content(series, "A")
        assert await rows_of(series) == 0
    finally:
        await series.close()
    assert problems(path) == []


async def test_damage_is_found_and_stops_nothing_else(place: Place) -> None:
    series = await Series.open(place, describe)
    try:
        await series.store(batch([(asset, n, {"p": float(n)}) for n in range(9) for asset in "AB"]))
        await series.fold(T + 9 * DAY)
        sql = "UPDATE chunks SET body = substr(body, 1, 20) WHERE id = (SELECT min(id) FROM chunks)"
        await series.database.write(lambda connection: connection.execute(sql))
        with pytest.raises(StoreError, match="damaged"):
            await content(series, "A")
        await series.store(batch([("A", 5, {"p": 1.0}), ("B", 5, {"p": 1.5})]))
        assert await series.fold(T + 9 * DAY + LOOK_MS) == 1
        assert (await content(series, "B"))[5] == (5, {"p": 1.5})
    finally:
        await series.close()
    assert problems(place) == [f"the chunk of p of asset number 1 of day {T // DAY} is damaged"]


CHILD = """
import asyncio, sys
from pathlib import Path
from bridge.cloud.cloud import describe
from bridge.store.dialect import Postgres
from bridge.store.series import Batch, Series

async def main(path, schema, start, day):
    series = await Series.open(Postgres(path, schema) if schema else Path(path), describe)
    print("ready", flush=True)
    n = 0
    while True:
        batch = Batch()
        for _ in range(100):
            batch.add("A", "A", start + n * 60_000, {"p": float(n), "q": n / 10})
            n += 1
        await series.store(batch)
        print(n, flush=True)
        await series.fold(start + 10_000 * day)

asyncio.run(main(*sys.argv[1:3], int(sys.argv[3]), 86_400_000))
"""


def killed(place: Place, steps: int) -> list[int]:
    """What a process said it stored before it was killed, some `steps` batches after it began."""
    where = place if isinstance(place, Postgres) else (str(place), "")
    child = subprocess.Popen([sys.executable, "-c", CHILD, *where, str(T)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as said:
        told = [said.readline() for _ in range(steps + 1)]
        os.kill(child.pid, signal.SIGKILL)
        told += said.readlines()
    child.wait()
    return [int(line) for line in told if line.strip().isdigit()]


@pytest.mark.parametrize("steps", [1, 3, 8, 17])
async def test_kill_9_loses_and_doubles_nothing(place: Place, steps: int) -> None:
    told = killed(place, steps)
    series = await Series.open(place, describe)
    try:
        stored = told[-1] if told else 0
        for fold in (False, True):
            if fold:
                await series.fold(T + 10_000 * DAY)
            found = await content(series, "A")
            assert len(found) >= stored
            assert found == [(n * MINUTE, {"p": float(n), "q": n / 10}) for n in range(len(found))]
    finally:
        await series.close()
    assert problems(place) == []
