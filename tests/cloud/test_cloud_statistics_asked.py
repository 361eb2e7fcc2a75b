"""Questions of `/dashboard` and `/charts`: whatever comes is understood or refused, nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud.statistics import EARLIEST, LATEST
from bridge.cloud.statistics_asked import CHARTS, DASHBOARD, NAMES, Wrong, asked, values
from bridge.cloud.zones import zone

ZONES = [zone(name) for name in ("UTC", "Asia/Shanghai", "America/New_York")]

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["bt", "in", "2024-03-31", "day"])
)
trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
times = st.sampled_from(
    ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "9999-12", "0001-01", "2024-02-29", "2024-03-31 02:30:00"]
)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), trees), st.booleans())
def test_any_json_is_understood_or_refused(given_: dict[str, object], units: bool) -> None:
    body = json.dumps(given_).encode()
    query = "&".join(f"{quote(name)}={quote(json.dumps(value))}" for name, value in given_.items())
    for found in ((query, b""), ("", body), (query, body)):
        with suppress(Wrong):
            asked(values(*found), CHARTS if units else DASHBOARD, units)


@given(st.text(), st.binary())
def test_any_bytes_are_understood_or_refused(query: str, body: bytes) -> None:
    with suppress(Wrong):
        asked(values(query, body), CHARTS, True)


@given(st.sampled_from(["gt", "ge", "lt", "le", "eq", "in"]), times, st.sampled_from(ZONES))
def test_times_at_the_ends_of_the_calendar(operator: str, time: str, where: object) -> None:
    question = {"equipment": ["D1"], "resource": ["charge"], "time": [operator, time]}
    for low, high in asked(question, DASHBOARD, False).ranges(where):  # type: ignore[arg-type]
        assert EARLIEST <= low <= high <= LATEST


@pytest.mark.parametrize(
    "query", ["time[1]=b&time[0]=a", "time[]=a&time[]=b", "time=a&time=b", 'time=["a","b"]', "time%5B%5D=a&time=b"]
)
def test_order(query: str) -> None:
    assert values(query, b"") == {"time": ["a", "b"]}
