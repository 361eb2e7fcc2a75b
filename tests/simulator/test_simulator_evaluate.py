"""`ems-sim evaluate`: what a strategy is worth, checked by hand sums, from Python and from the command line."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from calendar import monthrange
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner

from schemas.errors import Invalid
from simulator import evaluate as module
from simulator.cli import app
from simulator.evaluate import Evaluation, Series, commands_of, evaluate
from simulator.site_file import PERIODS, SiteFile, parse_site, site_of

LIMIT: dict[str, Any] = {
    "ele_meter_id": 9, "over_demand_status": 1, "over_demand_condition": [160] * 12, "streaming_status": 2,
    "individual_phase_streaming_status": 2, "dynamic_demand_percentage": 100,
}  # fmt: skip
SLOT = {"start_hour": 0, "start_minute": 0, "end_hour": 6, "end_minute": 0, "cdc_enable_mode": 1, "run_power": 20}
SCHEDULE: dict[str, Any] = {
    "charge_type": 1, "status": 1, "mode": 2, "month": list(range(12)), "week_day": list(range(7)), "apply_to_all": True,
    "settings": [SLOT],
}  # fmt: skip
SITE: dict[str, Any] = {
    "start": "2025-05-28", "load": {"base_kw": 40, "swing_kw": 160}, "pv": {"peak_kw": 320}, "storage": {"cabinets": 3},
}  # fmt: skip


def test_a_demand_limit_and_reverse_flow_prevention_are_worth_what_the_registers_say() -> None:
    kept: list[Series] = []
    strategy = LIMIT | {"streaming_status": 1, "streaming_condition": 10}
    found = evaluate(strategy, SITE, 14, watch=lambda a, b: kept.extend((a, b)))
    assert found.commands == ["streaming_overdemand/create"]
    with_it, without = found.with_strategy, found.without_strategy
    assert max(month.peak_kw for month in with_it.months) <= 160 + 1e-3
    assert max(month.peak_kw for month in without.months) > 161
    assert (with_it.over_limit, without.over_limit) == (0, sum(kw > 160.1 for kw in kept[1].gateway_kw))
    assert without.over_limit > 0
    assert with_it.exported_kwh < without.exported_kwh
    assert min(kept[0].gateway_kw) >= -10 - 1e-6
    assert min(kept[1].gateway_kw) < -20
    assert found.change.cost == pytest.approx(with_it.cost - without.cost, abs=1e-3)
    assert [month.month for month in with_it.months] == ["2025-05", "2025-06"]
    assert [month.share for month in with_it.months] == [
        pytest.approx(4 / 31, abs=1e-4),
        pytest.approx(10 / 30, abs=1e-4),
    ]


@pytest.mark.parametrize(("kwh", "kw"), [(0.01, 1e6), (1e6, 0.01), (0.01, 0.01), (1e6, 1e6)])
def test_odd_sites_come_to_an_end(kwh: float, kw: float) -> None:
    storage = {"cabinets": 64, "cabinet_kwh": kwh, "cabinet_kw": kw, "soc": 1, "soc_min": 0, "soc_max": 1}
    site = {"transformer_kva": 0.01, "load": {"base_kw": 1e9}, "pv": {"peak_kw": 1e9}, "storage": storage}
    hot = {"feature": "condition_control", "action": "set", "data": {"target_cooling_point": 1e308, "power_on": 1}}
    found = msgspec.to_builtins(evaluate([LIMIT, hot], site, 2))
    for run in (found["with"], found["without"]):
        assert all(math.isfinite(value) for value in run.values() if isinstance(value, float))
        assert 0.0 <= run["soc_end"] <= 1.0


@pytest.mark.parametrize("site", [{"storage": {"cabinet_kwh": 1e-300}}, {"transformer_kva": 5e-324}])
def test_a_site_of_nothing_is_refused(site: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r">= 0\.01"):
        evaluate(LIMIT, site, 1)


@pytest.mark.parametrize("value", ["\ud800", object()])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match="not JSON"):
        evaluate({"feature": "pcs_control", "action": "set", "data": {"pcs_device_stop": value}}, {}, 1)


def test_every_figure_is_the_sum_of_its_quarter_hours() -> None:
    kept: list[Series] = []
    site = site_of(SITE)
    one = evaluate(SCHEDULE, site, 5, watch=lambda a, b: kept.extend((a, b))).with_strategy
    series, prices = kept[0], site.prices
    assert len(series.gateway_kw) == len(series.soc) == 5 * 96
    for net, load, pv, storage in zip(series.gateway_kw, series.load_kw, series.pv_kw, series.storage_kw, strict=True):
        assert net == pytest.approx(load - pv + storage, abs=1e-6)
    assert math.fsum(series.gateway_kw) / 4 == pytest.approx(one.imported_kwh - one.exported_kwh, abs=0.01)
    assert math.fsum(series.load_kw) / 4 == pytest.approx(one.load_kwh, abs=0.01)
    assert one.self_consumption == pytest.approx(1 - one.exported_kwh / one.pv_kwh, abs=1e-4)
    assert one.self_sufficiency == pytest.approx(1 - one.imported_kwh / one.load_kwh, abs=1e-4)
    # Money: quarter hours that both import and feed back are the only difference to the registers.
    by_hour = [prices.kwh[PERIODS.index(name)] for name in prices.hours]
    bought = math.fsum(max(kw, 0) / 4 * by_hour[n // 4 % 24] for n, kw in enumerate(series.gateway_kw))
    assert one.energy_cost == pytest.approx(bought, rel=0.02)
    peaks = [max(series.gateway_kw[: 4 * 96]), max(series.gateway_kw[4 * 96 :])]
    assert [month.peak_kw for month in one.months] == [pytest.approx(kw, abs=0.01) for kw in peaks]
    demand = 40.0 * (peaks[0] * 4 / 31 + peaks[1] * 1 / 30)
    assert one.demand_cost == pytest.approx(demand, abs=0.05)
    assert one.export_revenue == pytest.approx(one.exported_kwh * 0.39, abs=0.01)
    assert one.cost == pytest.approx(one.energy_cost + one.demand_cost - one.export_revenue, abs=1e-3)
    assert one.full_cycles == pytest.approx(one.discharged_kwh / (3 * 104.5), rel=0.12)
    assert one.soc_end == pytest.approx(series.soc[-1], abs=1e-4)


PLACES: list[tuple[str, dict[str, Any], int]] = [
    (
        "Kathmandu over a leap day",
        {
            "start": "2024-02-27", "place": {"latitude": 27.7, "longitude": 85.3, "utc_offset_h": 5.75},
            "prices": {
                "sharp": 9.5, "peak": 7.25, "flat": 5.0, "valley": 2.5, "export": 3.0, "demand_kw_month": 310, "currency": "NPR",
            },
        },
        6,
    ),
    (
        "Sydney over a new year",
        {
            "start": "2023-12-29", "seed": 7, "place": {"latitude": -33.9, "longitude": 151.2, "utc_offset_h": 10},
            "load": {"base_kw": 30, "swing_kw": 90}, "pv": {"peak_kw": 300}, "storage": {"cabinets": 1, "soc": 0.2},
            "prices": {"hours": ["flat"] * 7 + ["peak"] * 15 + ["valley"] * 2, "currency": "AUD"},
        },
        8,
    ),
    (
        "Newfoundland over a month, with vehicles",
        {
            "start": "2025-03-30", "place": {"latitude": 47.6, "longitude": -52.7, "utc_offset_h": -3.5},
            "piles": {"count": 3, "vehicles_per_day": 30}, "storage": {"cabinets": 4}, "pv": {"peak_kw": 0},
        },
        4,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("site", "days"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_money_energy_and_cycles_by_a_sum_of_its_own(site: dict[str, Any], days: int) -> None:
    """Written without a look at the code that is tested: quarter hours, a calendar, and the price list."""
    kept: list[Series] = []
    found = evaluate([LIMIT, SCHEDULE], site, days, watch=lambda a, b: kept.extend((a, b)))
    whole = site_of(site)
    prices = {
        "sharp": whole.prices.sharp,
        "peak": whole.prices.peak,
        "flat": whole.prices.flat,
        "valley": whole.prices.valley,
    }
    for series, told in zip(kept, (found.with_strategy, found.without_strategy), strict=True):
        at = datetime.combine(whole.start, datetime.min.time())
        bought = sold = money = 0.0
        peaks: dict[str, float] = {}
        seen: dict[str, set[int]] = {}
        for kw in series.gateway_kw:
            bought += max(kw, 0.0) / 4
            sold += max(-kw, 0.0) / 4
            money += max(kw, 0.0) / 4 * prices[whole.prices.hours[at.hour]]
            month = f"{at:%Y-%m}"
            peaks[month] = max(peaks.get(month, 0.0), kw)
            seen.setdefault(month, set()).add(at.day)
            at += timedelta(minutes=15)
        demand = sum(
            kw * whole.prices.demand_kw_month * len(seen[month]) / monthrange(int(month[:4]), int(month[5:]))[1]
            for month, kw in peaks.items()
        )
        made, used = sum(series.pv_kw) / 4, sum(series.load_kw) / 4
        fallen = [before - after for before, after in pairwise([whole.storage.soc, *series.soc]) if after < before]
        # A quarter hour that both draws and feeds back has less of both in its mean.
        assert told.imported_kwh == pytest.approx(bought, rel=0.02)
        assert told.exported_kwh == pytest.approx(sold, rel=0.03, abs=2.0)
        assert told.energy_cost == pytest.approx(money, rel=0.02)
        assert told.export_revenue == pytest.approx(sold * whole.prices.export, rel=0.03, abs=6.0)
        assert [(month.month, month.share) for month in told.months] == [
            (month, pytest.approx(len(days) / monthrange(int(month[:4]), int(month[5:]))[1], abs=1e-4))
            for month, days in seen.items()
        ]
        for month in told.months:
            assert month.peak_kw == pytest.approx(peaks[month.month], rel=0.005)
        assert told.demand_cost == pytest.approx(demand, rel=0.005)
        assert told.pv_kwh == pytest.approx(made, rel=1e-4, abs=0.01)
        assert told.load_kwh == pytest.approx(used, rel=1e-4)
        assert told.self_consumption == pytest.approx(1 - sold / made if made else 1.0, abs=0.01)
        assert told.self_sufficiency == pytest.approx(1 - bought / used, abs=0.02)
        # One that both charges and discharges, under passing clouds, tells less by its end.
        assert told.full_cycles == pytest.approx(sum(fallen), rel=0.06)
        assert told.cost == pytest.approx(money + demand - sold * whole.prices.export, rel=0.02)


def test_summer_is_in_january_in_the_south() -> None:
    made = {}
    for latitude in (-33.9, 33.9):
        for month in ("01", "07"):
            site = {"start": f"2024-{month}-05", "place": {"latitude": latitude}}
            made[latitude, month] = evaluate(LIMIT, site, 5).with_strategy.pv_kwh
    assert made[-33.9, "01"] > 1.5 * made[-33.9, "07"]
    assert made[33.9, "07"] > 1.5 * made[33.9, "01"]


def test_the_same_seed_evaluates_the_same_and_another_does_not() -> None:
    one, two = (evaluate(LIMIT, SITE, 3) for _ in range(2))
    assert one == two
    assert evaluate(LIMIT, SITE | {"seed": 2}, 3) != one


def test_a_strategy_that_says_nothing_changes_nothing() -> None:
    found = evaluate({"feature": "charge", "action": "create", "data": SCHEDULE | {"status": 0}}, SITE, 3)
    assert msgspec.to_builtins(found.with_strategy) == msgspec.to_builtins(found.without_strategy)
    assert set(msgspec.to_builtins(found.change).values()) == {0.0}


PV_SLOT = {"start_hour": 9, "start_minute": 0, "end_hour": 16, "end_minute": 0, "cdc_enable_mode": 2, "run_power": 15}


def test_schedules_of_all_three_kinds_in_one_list() -> None:
    site = SITE | {"piles": {"count": 3, "vehicles_per_day": 60}}
    whole = {key: SCHEDULE[key] for key in ("charge_type", "status", "mode", "month", "week_day")}
    strategy = [
        {"feature": feature, "action": "create", "data": whole | {"settings": [slot], **more}}
        for feature, slot, more in (
            ("charge", SLOT, {"apply_to_all": True}),
            ("charge_photovoltaic", PV_SLOT, {"device_ids": [1]}),
            ("charge_pail", PV_SLOT | {"run_power": 5}, {"device_ids": [1]}),
        )
    ]
    kept: list[Series] = []
    found = evaluate(strategy, site, 3, watch=lambda a, b: kept.extend((a, b)))
    assert found.commands == ["charge/create", "charge_photovoltaic/create", "charge_pail/create"]
    noon = [day * 96 + n for day in range(3) for n in range(37, 64)]
    assert max(kept[0].pv_kw[n] for n in noon) <= 15 + 1e-6 < 50 < max(kept[1].pv_kw[n] for n in noon)
    assert sum(kept[0].load_kw[n] for n in noon) < sum(kept[1].load_kw[n] for n in noon)
    assert found.with_strategy.curtailed_kwh > 100


def test_a_list_is_told_in_its_order() -> None:
    stop = {"feature": "pcs_control", "action": "set", "data": {"pcs_device_stop": 1}}
    start = {"feature": "pcs_control", "action": "set", "data": {"pcs_device_startup": 1}, "sub_device_id": 2}
    assert evaluate([stop], SITE, 1).with_strategy.charged_kwh == 0.0
    one = evaluate([stop, start], SITE, 1)
    assert 0 < one.with_strategy.charged_kwh < one.without_strategy.charged_kwh
    assert one.commands == ["pcs_control/set"] * 2


@pytest.mark.parametrize(
    ("said", "command"),
    [
        (LIMIT, "streaming_overdemand/create"),
        (SCHEDULE, "charge/create"),
        ({"pcs_device_stop": 1}, "pcs_control/set"),
        ({"bms_3": 0}, "safety/set"),
        ({"high_voltage_command": 0}, "bms_control/set"),
        ({"target_cooling_point": 20}, "condition_control/set"),
        ({"feature": "charge_pail", "action": "create"}, "charge_pail/create"),
    ],
)
def test_data_alone_says_which_command_it_is(said: dict[str, Any], command: str) -> None:
    (found,) = commands_of(said)
    assert f"{found.feature}/{found.action}" == command


WRONG: list[tuple[Any, str, str]] = [
    (5, "$", "expected an object"),
    ([], "$", "0 commands"),
    ([LIMIT] * 65, "$", "65 commands"),
    ({}, "$", "no data of a command"),
    ({"coffee": 1}, "$", "no data of a command"),
    (LIMIT | {"over_demand_condition": [1, 2]}, "$.over_demand_condition", "12"),
    ([LIMIT, LIMIT | {"streaming_status": 9}], "$[1].streaming_status", "9"),
    ({"feature": "charge", "action": "create", "data": SCHEDULE | {"mode": 3}}, "$.data.mode", "3"),
    ({"feature": "charge", "action": "create", "data": SCHEDULE, "colour": 1}, "$.colour", "unknown key"),
    ({"feature": "charge", "action": "create"}, "$.data", "required"),
    ([{"feature": "coffee", "action": "brew"}], "$[0].feature", "no command coffee/brew"),
    ({"action": "create", "data": {}}, "$.feature", "required"),
    (LIMIT | {"ele_meter_id": 4}, "$", "no meter with id 4"),
    ({"feature": "charge", "action": "setting", "data": {}}, "$", ""),
]


@pytest.mark.parametrize(("strategy", "path", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_strategy_is_told_where(strategy: Any, path: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        evaluate(strategy, SITE, 1)
    assert caught.value.path.startswith(path)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("site", "path"),
    [
        ({"pv": {"peak_kw": -1}}, "$.pv.peak_kw"),
        ({"pv": {"peak": 1}}, "$.pv.peak"),
        ({"colour": 1}, "$.colour"),
        ({"prices": {"hours": ["flat"] * 23}}, "$.prices.hours"),
        ({"prices": {"hours": ["noon"] * 24}}, "$.prices.hours"),
        ({"storage": {"soc_min": 0.9, "soc_max": 0.2}}, "$.storage"),
        ({"storage": {"soc": 0.01}}, "$.storage"),
        ({"storage": {"cabinets": 0}}, "$.storage.cabinets"),
        ({"load": {"phases": [1, 1, 1]}}, "$.load"),
        ({"load": {"base_kw": math.nan}}, "$.load.base_kw"),
        ({"load": {"base_kw": math.inf}}, "$.load.base_kw"),
        ({"place": {"utc_offset_h": 8.1}}, "$.place.utc_offset_h"),
        ({"start": "soon"}, "$.start"),
        ({"start": "1900-01-01"}, "$.start"),
    ],
)
def test_a_wrong_site_is_told_where(site: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        site_of(site)
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize("site", [
    {"load": {"base_kw": 0, "swing_kw": 0}, "pv": {"peak_kw": 0}}, {"transformer_kva": 1.0}, {"storage": {"cabinets": 64}},
    {"place": {"latitude": 90, "longitude": -180, "utc_offset_h": -12}},
    {"start": "2024-02-28", "piles": {"count": 4, "vehicles_per_day": 200}},
    {"prices": {"sharp": 0, "peak": 0, "flat": 0, "valley": 0, "export": 0, "demand_kw_month": 0}},
])  # fmt: skip
def test_odd_sites_run(site: dict[str, Any]) -> None:
    found = evaluate(LIMIT, site, 3)
    assert all(math.isfinite(value) for value in msgspec.to_builtins(found.change).values())
    assert found.with_strategy.load_kwh >= 0


@pytest.mark.parametrize("days", [0, -1, 3661])
def test_days_have_a_bound(days: int) -> None:
    with pytest.raises(ValueError, match="days are 1 to 3660"):
        evaluate(LIMIT, SITE, days)


def test_a_site_file_may_be_empty() -> None:
    assert parse_site("") == SiteFile()
    assert SiteFile().spec().battery.cabinets == 2


# What docs/simulator.md shows


def shown(kind: str, having: str) -> str:
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")
    (block,) = (
        block for block in re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if having in block
    )
    return block


def test_the_strategy_of_the_document(tmp_path: Path) -> None:
    (tmp_path / "strategy.json").write_text(shown("json", "charge_photovoltaic"))
    (tmp_path / "site.toml").write_text(shown("toml", "[prices]"))
    found = json.loads(run(tmp_path / "strategy.json", "--site", tmp_path / "site.toml", "--days", 2, "--json"))
    assert len(found["commands"]) == 4
    assert parse_site(shown("toml", "[prices]")) == SiteFile()


def test_the_python_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(shown("python", "evaluate(strategy"), "simulator.md", "exec"), {})
    assert re.fullmatch(r"-?\d+\.\d+ \[Month\(month='2025-01', .*\]\n", capsys.readouterr().out)


# The command line


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "strategy.json").write_text(json.dumps(LIMIT))
    (tmp_path / "site.toml").write_text(
        "start = 2025-05-28\n[pv]\npeak_kw = 320\n[load]\nbase_kw = 40\nswing_kw = 160\n"
    )
    return tmp_path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_tables_and_json_tell_the_same(files: Path) -> None:
    strategy, site = files / "strategy.json", files / "site.toml"
    shown = run(strategy, "--site", site, "--days", 2)
    found = msgspec.json.decode(run(strategy, "--site", site, "--days", 2, "--json"), type=Evaluation)
    assert f"{found.with_strategy.imported_kwh:,.0f}" in shown
    assert f"{found.with_strategy.cost:,.2f}" in shown
    assert "2025-05" in shown
    assert found.with_strategy == evaluate(LIMIT, parse_site(site.read_text()), 2).with_strategy


def test_plots_are_pictures(files: Path) -> None:
    pytest.importorskip("matplotlib", reason="skipped: needs matplotlib")
    for name in ("plot.png", "plot.svg"):
        run(files / "strategy.json", "--site", files / "site.toml", "--days", 3, "--plot", files / name)
    assert (files / "plot.png").read_bytes().startswith(b"\x89PNG")
    root = ElementTree.parse(files / "plot.svg").getroot()
    assert root is not None
    assert root.tag.endswith("svg")


def test_matplotlib_that_is_missing_is_told_before_the_run(files: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from simulator.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", "strategy.json", "--days", "3660", "--plot", "x.png"], cwd=files,
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path(module.__file__).parents[1])}, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "ems-sim: --plot: needs matplotlib: pip install 'ems-bridge[plot]'\n")


def test_tables_fit_a_terminal(files: Path) -> None:
    (files / "site.toml").write_text(
        "transformer_kva = 1e9\n[load]\nbase_kw = 1e8\nswing_kw = 1e8\n[prices]\ncurrency = 'Ariary of Madaga'\n"
    )
    shown = run(files / "strategy.json", "--site", files / "site.toml", "--days", 40)
    assert max(map(len, shown.splitlines())) <= 80
    assert "-0.0" not in shown


def test_what_stdout_does_not_take_is_one_line(files: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "simulator", "evaluate", "strategy.json", "--days", "1", "--json"], cwd=files, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False, env={"PYTHONPATH": str(Path(module.__file__).parents[1])},
        )  # fmt: skip
    assert done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.json"], "ems-sim: nowhere.json: No such file"),
        (["strategy.json", "--days", "0"], "ems-sim: --days: 0 is not 1 to 3660"),
        (["strategy.json", "--days", "soon"], "ems-sim: "),
        (["strategy.json", "--site", "nowhere.toml"], "ems-sim: --site: nowhere.toml: No such file"),
        (["strategy.json", "--site", "strategy.json"], "ems-sim: --site: strategy.json: no TOML"),
        (["strategy.json", "--site", "wrong.toml"], "ems-sim: --site: wrong.toml: $.pv.peak_kw"),
        (["strategy.json", "--plot", "plot.pdf"], "ems-sim: --plot: plot.pdf ends neither"),
        (["strategy.json", "--plot", "no/where.png"], "ems-sim: --plot: no is no directory"),
        (["site.toml"], "ems-sim: site.toml: no JSON"),
        (["wrong.json"], "ems-sim: wrong.json: $.streaming_status"),
        (["deep.json"], "ems-sim: deep.json: no JSON"),
        (["long.json"], "ems-sim: long.json: no JSON: Exceeds the limit"),
        (["large.json"], "ems-sim: large.json: no JSON: larger than 4 MiB"),
        (["strategy.json", "--site", "large.json"], "ems-sim: --site: large.json: larger than 4 MiB"),
        (["strategy.json", "--site", "deep.toml"], "ems-sim: --site: deep.toml: no TOML"),
        (["strategy.json", "--site", "line.toml"], "ems-sim: --site: line.toml: no TOML: Expected"),
        (["strategy.json", "--site", "."], "ems-sim: --site: .: Is a directory"),
        (["strategy.json", "--plot", "dir.png"], "ems-sim: --plot: dir.png cannot be written"),
        (["strategy.json", "--days", "1", "--plot", "full.png"], "ems-sim: --plot: full.png: No space left"),
        (["nan.json"], "ems-sim: nan.json: $"),
        (["."], "ems-sim: .: Is a directory"),
    ],
)
def test_a_mistake_is_one_line(files: Path, arguments: list[str], said: str) -> None:
    (files / "wrong.toml").write_text("[pv]\npeak_kw = -4\n")
    (files / "deep.json").write_text("[" * 100_000)
    (files / "deep.toml").write_text(f"a = {'[' * 100_000}")
    (files / "line.toml").write_text("[pv]\npeak_kw 4\n")
    (files / "long.json").write_text("1" * 5000)
    (files / "large.json").write_bytes(b" " * (5 << 20))
    (files / "nan.json").write_text(json.dumps(LIMIT | {"streaming_condition": math.nan}))
    (files / "dir.png").mkdir()
    (files / "full.png").symlink_to("/dev/full")
    (files / "wrong.json").write_text(json.dumps(LIMIT | {"streaming_status": 7}))
    root = str(Path(module.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "evaluate", *arguments], cwd=files, capture_output=True, text=True,
        check=False, env={"PYTHONPATH": root},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
