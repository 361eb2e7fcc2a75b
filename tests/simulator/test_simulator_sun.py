"""The sun against pvlib: the stored tables are what it makes, and its own models say the same at any place and time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator.sun
from simulator import profile
from simulator.sun import elevation_sin, irradiance

pytest.importorskip("pvlib", reason="skipped: needs pvlib")
pd = pytest.importorskip("pandas", reason="skipped: needs pandas")
from pvlib import clearsky, solarposition  # noqa: E402
from pvlib.location import Location  # noqa: E402

from simulator import sun_table  # noqa: E402

JUNE = 1_750_003_200.0

pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofyear")  # pvlib's own, with a newer pandas


def test_the_tables_are_made_by_pvlib() -> None:
    kept = json.loads(Path(simulator.sun.__file__).with_name("sun.json").read_text())
    made = sun_table.table()
    assert kept.keys() == made.keys()
    for name, values in made.items():
        assert kept[name] == pytest.approx(values, abs=2e-3)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 2.5e9), st.floats(-66, 66), st.floats(-180, 180))
def test_the_sun_stands_where_the_solar_position_algorithm_says(at: float, latitude: float, longitude: float) -> None:
    when = pd.DatetimeIndex([pd.to_datetime(at, unit="s", utc=True)])
    true = float(solarposition.spa_python(when, latitude, longitude)["elevation"].iloc[0])
    assert math.degrees(math.asin(elevation_sin(at, latitude, longitude))) == pytest.approx(true, abs=0.1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 364), st.floats(-60, 60), st.floats(-180, 180))
def test_a_clear_day_has_the_light_of_two_models_of_pvlib(day: int, latitude: float, longitude: float) -> None:
    """Ineichen at the same turbidity to a percent; Haurwitz, which knows nothing but the sun's height, to 8 % on bright days."""
    start = JUNE + day * 86_400
    times = pd.DatetimeIndex(pd.to_datetime([start + 300.0 * n for n in range(288)], unit="s", utc=True))
    place = Location(latitude, longitude, altitude=0)
    ineichen = place.get_clearsky(times, model="ineichen", linke_turbidity=sun_table.LINKE)["ghi"]
    haurwitz = clearsky.haurwitz(place.get_solarposition(times)["apparent_zenith"])["ghi"]
    mine = [irradiance(start + 300.0 * n, latitude, longitude) for n in range(288)]
    hours = sum(mine) / 12.0
    assert hours == pytest.approx(float(ineichen.sum()) / 12.0, rel=0.01, abs=10.0)
    assert max(abs(a - float(b)) for a, b in zip(mine, ineichen, strict=True)) < 8.0
    if hours > 4000:
        assert hours == pytest.approx(float(haurwitz.sum()) / 12.0, rel=0.08)


def test_the_profile_tells_of_the_same_sun() -> None:
    assert profile.irradiance(JUNE + 43_200, 31.2, 121.5) == irradiance(JUNE + 43_200, 31.2, 121.5)
