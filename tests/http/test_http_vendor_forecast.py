"""The vendor's platform API: forecasts from stored readings, with their error beside them."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from harness.process import ROOT
from http_vendor_rig import bad, good

from bridge.cloud.forecast import QUARTER_MS, History, Unavailable, _filled, forecast
from bridge.cloud.forecaster import DAY, WEEK, Question, answer
from bridge.cloud.zones import instant, zone
from bridge.http.vendor_forecast import _by_time
from bridge.store.series import Batch

if TYPE_CHECKING:
    from conftest import Window

LOAD, PV = "/power/load-forecast", "/power/pv-forecast"
SHANGHAI = "Asia/Shanghai"


def sun(quarter: int) -> float:
    """kW of a site in Shanghai, by quarter-hour since 1970."""
    return max(0.0, 80 * math.sin((quarter + 8 * 4) % DAY / DAY * 2 * math.pi - math.pi / 2))


def used(quarter: int) -> float:
    """Its load: more by day, less on Sundays."""
    day = (quarter + 8 * 4) // DAY
    return 100 + 30 * math.sin((quarter + 8 * 4) % DAY / DAY * 2 * math.pi) - (40 if day % 7 == 3 else 0)


def stored_at(quarter: int) -> float:
    """What its storage takes."""
    return 20.0 if quarter % 8 < 4 else -20.0


async def fill(window: Window, days: int, until: int | None = None, uid: str = "D1") -> None:
    """Readings of the last `days`, two a quarter-hour, and a report that says which meter is the gateway."""
    last = (messages.now_ms() if until is None else until) // QUARTER_MS
    batch = Batch()
    for quarter in range(last - days * DAY, last):
        for at in (quarter * QUARTER_MS, quarter * QUARTER_MS + 60_000):
            grid = used(quarter) - sun(quarter) + stored_at(quarter)
            batch.add(f"{uid}.meter.9", uid, at, {"total_active_power": grid})
            batch.add(f"{uid}.meter.10", uid, at, {"total_active_power": 1e6})
            batch.add(f"{uid}.pv_meter.1.0", uid, at, {"total_active_power": -sun(quarter)})
            batch.add(uid, uid, at, {"pcs_total_active_power": stored_at(quarter)})
    await window.house.cloud.series.store(batch)


async def report(window: Window, gateway: int = 1) -> None:
    data = [{"type": "sub_elemeters", "data": [{"device_id": 10, "purpose": 2}, {"device_id": 9, "purpose": gateway}]}]
    body = {**messages.report_of("D1", {}), "type": "report_regular", "data": data}
    async with await window.connect("D1") as line:
        await line.stored(messages.topic("D1", messages.REPORT), json.dumps(body).encode())


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"devices.timezone": SHANGHAI}


async def test_load_and_pv_of_the_coming_day(window: Window) -> None:
    await fill(window, 5)
    await report(window)
    said = await good(window, "GET", f"{PV}?period=24h")
    assert list(said["data"]) == [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]
    tomorrow = datetime.fromisoformat(said["start"])
    first = instant(tomorrow, zone(SHANGHAI)) // QUARTER_MS
    assert (said["timezone"], said["devices"], tomorrow.hour) == (SHANGHAI, ["D1"], 0)
    assert 0 < first - messages.now_ms() // QUARTER_MS <= DAY
    for at, value in enumerate(said["data"].values()):
        assert value == pytest.approx(sun(first + at), abs=4)
    assert said["accuracy"]["days"] == 3
    assert said["accuracy"]["mae"] < 2
    assert "Holt-Winters" in said["method"]
    said = await good(window, "GET", f"{LOAD}?period=24h&device_uid=D1")
    assert said["data"]["12:00"] == pytest.approx(100, abs=45)
    assert 0 <= said["accuracy"]["mae"] < 50
    assert said["accuracy"]["nmae"] == pytest.approx(said["accuracy"]["mae"] / 100, rel=0.2)


async def test_seven_days_know_the_week(window: Window) -> None:
    await fill(window, 24)
    await report(window)
    said = await good(window, "GET", f"{LOAD}?period=7d")
    assert len(said["data"]) == WEEK
    assert next(iter(said["data"])) == said["start"][:16]
    first = instant(datetime.fromisoformat(said["start"]), zone(SHANGHAI)) // QUARTER_MS
    for at, value in enumerate(said["data"].values()):
        assert value == pytest.approx(used(first + at), abs=6)
    assert said["accuracy"]["mae"] < 3
    assert said["accuracy"]["mae"] <= said["accuracy"]["naive_mae"] + 0.01
    again = await good(window, "GET", f"{LOAD}?period=7d")
    assert again == said


async def test_no_data_is_an_error_not_zeros(window: Window) -> None:
    assert await bad(window, "GET", f"{LOAD}?period=24h") == (
        100_007, "该记录未找到: no device has three days of readings up to now that it can be forecast from",
    )  # fmt: skip
    await fill(window, 2)
    await report(window)
    assert (await bad(window, "GET", f"{PV}?period=24h"))[0] == 100_007
    assert (await bad(window, "GET", f"{LOAD}?period=7d&device_uid=D2"))[0] == 100_007
    assert (await bad(window, "GET", f"{LOAD}?period=48h"))[0] == 100_001
    assert (await bad(window, "GET", LOAD))[0] == 100_001


async def test_old_readings_and_an_unknown_gateway_are_no_data(window: Window) -> None:
    await fill(window, 5, messages.now_ms() - 2 * 86_400_000)
    await report(window)
    assert (await bad(window, "GET", f"{PV}?period=24h"))[0] == 100_007
    await fill(window, 1)
    await good(window, "GET", f"{PV}?period=24h")
    await report(window, gateway=2)
    assert (await bad(window, "GET", f"{LOAD}?period=24h"))[0] == 100_007


async def test_what_cannot_be_computed_is_503(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(window, 4)
    monkeypatch.setattr("bridge.cloud.forecast.TIMEOUT_S", 0.01)
    status, said, _ = await window.call("GET", f"/wad/ems/v1/api{PV}?period=24h")
    assert (status, said["code"], "took longer" in said["message"]) == (503, 100_000, True)


async def test_a_computation_that_fails_says_why() -> None:
    with pytest.raises(Unavailable, match="empty"):
        await forecast(History([], []), 4, weekly=False)


async def test_an_installation_without_the_library_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "statsmodels").mkdir()
    (tmp_path / "statsmodels" / "__init__.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    with pytest.raises(Unavailable, match=r"pip install ems-bridge\[forecast\]"):
        await forecast(History([float(at) for at in range(3 * DAY)], [True] * 3 * DAY), 4, weekly=False)


def test_gaps_take_the_day_before() -> None:
    series: list[float | None] = [float(at % DAY) for at in range(4 * DAY)]
    for at in range(2 * DAY, 2 * DAY + 8):
        series[at] = None
    found = _filled([None] * 5 + series)
    assert found is not None
    assert found.values == [float(at % DAY) for at in range(4 * DAY)]
    assert found.measured.count(False) == 8
    assert _filled([None if at % 3 else 1.0 for at in range(4 * DAY)]) is None
    assert _filled([None] * 500) is None


@pytest.mark.parametrize(("day", "count"), [("2026-03-29", 92), ("2026-10-25", 96), ("2026-06-01", 96)])
def test_days_of_23_and_25_hours(day: str, count: int) -> None:
    where = zone("Europe/Berlin")
    start = datetime.fromisoformat(day)
    first, end = (instant(each, where) // QUARTER_MS for each in (start, start + timedelta(days=1)))
    shown = _by_time([float(at) for at in range(end - first)], first, where, dated=False)
    assert len(shown) == count
    assert list(shown) == sorted(shown)
    assert ("02:15" in shown) == (count == 96)


def test_an_even_history_goes_on_and_powers_are_not_negative() -> None:
    flat = answer(Question([5.0] * (4 * DAY), [True] * (4 * DAY), 10, weekly=False))
    assert (flat.values, flat.mae, flat.nmae) == ([5.0] * 10, 0.0, 0.0)
    dark = answer(Question([0.0] * (4 * DAY), [True] * (4 * DAY), 3, weekly=False))
    assert (dark.values, dark.nmae) == ([0.0] * 3, None)
    values: list[Any] = [max(0.0, math.sin(at / DAY * 2 * math.pi)) for at in range(5 * DAY)]
    assert min(answer(Question(values, [True] * len(values), 2 * DAY, weekly=False)).values) == 0.0
