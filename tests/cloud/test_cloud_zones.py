"""Wall clocks: the two time forms, times that a zone skips or has twice, and how local time is written."""

# ruff: noqa: DTZ001 - wall clocks
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cloud import zones
from bridge.cloud.zones import clock, instant, local, parse, wall_ms, write, write_iso, zone

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Shanghai",
    "UTC",
    "America/St_Johns",
]
MINUTE = 60_000
BORDERS = [datetime(2024, month, day) for month, day in ((3, 31), (10, 27), (3, 10), (11, 3), (10, 6), (4, 7))]


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)


def first_minute_at_or_after(wall: datetime, name: str) -> int:
    """What `instant` means, by counting: the first minute whose wall time is not before `wall`."""
    where = zone(name)
    at = wall_ms(wall) - 27 * 60 * MINUTE
    while local(at, where) < wall:
        at += MINUTE
    return at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-06-01 00:00:00", datetime(2019, 6, 1)),
        (" 2019-06-11 23:59:59 ", datetime(2019, 6, 11, 23, 59, 59)),
        ("2019-06-01T00:00:00+08:00", ms(2019, 5, 31, 16)),
        ("2019-06-01T00:00:00 08:00", ms(2019, 5, 31, 16)),
        ("2019-06-01T00:00:00%2B08:00", ms(2019, 5, 31, 16)),
        ("2019-06-01T00:00:00%2b0800", ms(2019, 5, 31, 16)),
        ("2019-06-01T00:00:00-03:30", ms(2019, 6, 1, 3, 30)),
        ("2019-06-01T00:00:00Z", ms(2019, 6, 1)),
        ("2019-06-01T00:00:00.5Z", ms(2019, 6, 1) + 500),
        ("2019-06-01T00:00:00.123456789+00:00", ms(2019, 6, 1) + 123),
        ("0001-01-01T00:00:00+14:00", wall_ms(datetime(1, 1, 1)) - 14 * 3_600_000),
    ],
)
def test_both_time_forms(text: str, expected: datetime | int) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "2019-06-01", "2019-06-01+00:00:00", "2019-06-01%2B00:00:00", "2019-06-01T00:00:00", "2019-06-01 00:00",
        "2019-06-01 00:00:00+08:00", "2019-13-01 00:00:00", "2019-02-30 00:00:00", "２０１９-06-01 00:00:00",
        "2019-06-01 24:00:00", "0000-01-01 00:00:00",
        "2019-06-01T00:00:00+24:00", "2019-06-01T00:00:00+08:60", "1560249300000", "６-06-01 00:00:00", "2019-06-01 00:00:00\n2",
    ],
)  # fmt: skip
def test_no_other_form(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        parse(text)


@pytest.mark.parametrize(
    ("name", "wall", "expected"),
    [
        ("Europe/Berlin", datetime(2024, 3, 31, 1, 59, 59), ms(2024, 3, 31, 0, 59, 59)),
        ("Europe/Berlin", datetime(2024, 3, 31, 2), ms(2024, 3, 31, 1)),
        ("Europe/Berlin", datetime(2024, 3, 31, 2, 30), ms(2024, 3, 31, 1)),  # skipped: the instant of the skip
        ("Europe/Berlin", datetime(2024, 3, 31, 3), ms(2024, 3, 31, 1)),
        ("Europe/Berlin", datetime(2024, 10, 27, 2, 30), ms(2024, 10, 27, 0, 30)),  # twice: the first
        ("Europe/Berlin", datetime(2024, 10, 27, 3), ms(2024, 10, 27, 2)),
        ("America/New_York", datetime(2024, 3, 10, 2, 30), ms(2024, 3, 10, 7)),
        ("America/New_York", datetime(2024, 11, 3, 1, 30), ms(2024, 11, 3, 5, 30)),
        ("Asia/Kolkata", datetime(2024, 6, 1), ms(2024, 5, 31, 18, 30)),
        ("Australia/Lord_Howe", datetime(2024, 10, 6, 2, 15), ms(2024, 10, 5, 15, 30)),  # half an hour is skipped
        ("Australia/Lord_Howe", datetime(2024, 4, 7, 1, 45), ms(2024, 4, 6, 14, 45)),
        ("Pacific/Apia", datetime(2011, 12, 30, 12), ms(2011, 12, 30, 10)),  # a whole day is skipped
    ],
)
def test_times_that_are_skipped_or_come_twice(name: str, wall: datetime, expected: int) -> None:
    assert instant(wall, zone(name)) == expected


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(ZONES),
    day=st.sampled_from(BORDERS),
    minute=st.integers(0, 1439),
)  # fmt: skip
def test_an_instant_is_the_first_whose_wall_time_is_not_before(name: str, day: datetime, minute: int) -> None:
    wall = day + timedelta(minutes=minute)
    assert instant(wall, zone(name)) == first_minute_at_or_after(wall, name)


@given(
    name=st.sampled_from(ZONES),
    walls=st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), min_size=2, max_size=2),
)
def test_later_wall_times_are_never_earlier_instants(name: str, walls: list[datetime]) -> None:
    early, late = sorted(wall.replace(microsecond=0) for wall in walls)
    assert instant(early, zone(name)) <= instant(late, zone(name))


@pytest.mark.parametrize("wall", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)])
@pytest.mark.parametrize("name", ZONES)
def test_the_ends_of_the_calendar_do_not_overflow(name: str, wall: datetime) -> None:
    assert abs(instant(wall, zone(name)) - wall_ms(wall)) < 24 * 3_600_000


@pytest.mark.parametrize(
    ("at", "style", "milliseconds", "expected"),
    [
        (1_560_249_300_000, "seed", False, "6/11/2019 6:35:00 PM"),
        (1_560_249_300_000, "plain", False, "2019-06-11 18:35:00"),
        (1_560_249_300_123, "seed", True, "6/11/2019 6:35:00.123 PM"),
        (1_560_249_300_007, "plain", True, "2019-06-11 18:35:00.007"),
        (1_577_808_000_000, "seed", False, "1/1/2020 12:00:00 AM"),
        (1_577_851_200_000, "seed", False, "1/1/2020 12:00:00 PM"),
    ],
)
def test_local_time_as_enos_writes_it(at: int, style, milliseconds: bool, expected: str) -> None:
    assert write(at, zone("Asia/Shanghai"), style, milliseconds) == expected


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "a" * 300])
def test_an_unknown_zone_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="no IANA time zone"):
        zone(name)


@given(
    st.sampled_from([*ZONES, "Asia/Kathmandu", "Africa/Monrovia"]),
    st.sampled_from(["seed", "plain", "iso"]),
    st.booleans(),
    st.lists(st.integers(-100_000_000_000, 4_000_000_000_000), min_size=1),
    st.integers(-7_200_000, 7_200_000),
)
def test_a_clock_writes_what_is_written_one_by_one(name, style, accurate, ats, near) -> None:
    """St John's changed its clocks a minute past midnight, Monrovia was 44 minutes and 30 seconds from UTC."""
    where = zone(name)
    text = clock(where, style, accurate)
    for at in [
        *ats,
        *(at + near for at in ats),
        1_300_000_000_000 + near,
        1_289_104_260_000 + near,
        63_593_070_000 + near,
    ]:
        one = write_iso(at, where, accurate) if style == "iso" else write(at, where, style, accurate)
        assert text(at) == one


def test_a_clock_does_not_remember_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(zones, "QUARTERS", 3)
    text = clock(zone("Asia/Shanghai"), "plain", False)
    assert [text(n * 900_000) for n in range(9)] == [
        write(n * 900_000, zone("Asia/Shanghai"), "plain", False) for n in range(9)
    ]
