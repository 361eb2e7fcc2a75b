"""Load, sun and weather of a site as pure functions of time: the same seed and second give the same value.

Times are epoch seconds (UTC). Nothing here keeps state, so the result does not depend on the step that a caller takes.
"""

from __future__ import annotations

import math
from functools import lru_cache

from simulator.sun import irradiance

__all__ = ["ambient_c", "cloudiness", "irradiance", "load_kw", "mix", "noise", "unit", "weekday", "year_fraction"]

DAY_S = 86_400.0
YEAR_D = 365.2425
_MASK = (1 << 64) - 1

# Share of the daily swing at each local hour of a working day: night base, morning shift, lunch dip, evening tail.
_WORKDAY = (
    *(0.06, 0.04, 0.03, 0.03, 0.05, 0.12, 0.30, 0.58),
    *(0.85, 0.97, 1.00, 0.94, 0.74, 0.86, 0.97, 0.98),
    *(0.95, 0.88, 0.72, 0.55, 0.42, 0.30, 0.18, 0.10),
)
_WEEKEND_SHARE = 0.35
_MINUTES, _HOURS = 0.06, 0.08
"""How far noise takes the load up or down."""
_CURVED = 1e-6
"""How much higher a season may be within an hour than at its ends; the thousandth of a second that is left out adds less."""


def mix(seed: int, step: int) -> int:
    """64 well-mixed bits of (seed, step): splitmix64, the same on every machine and Python."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def unit(seed: int, step: int) -> float:
    """A number in [0, 1) that belongs to (seed, step)."""
    return mix(seed, step) / 2**64


def noise(seed: int, at: float, period_s: float) -> float:
    """Smooth noise in [-1, 1]: random values every `period_s` seconds, blended in between."""
    step, rest = divmod(at, period_s)
    x = rest / period_s
    x = x * x * (3.0 - 2.0 * x)
    a, b = _knot(seed, int(step)), _knot(seed, int(step) + 1)
    return 2.0 * (a + (b - a) * x) - 1.0


@lru_cache(maxsize=256)
def _knot(seed: int, step: int) -> float:
    """A value between which noise is blended: a site that is stepped asks for the same few again and again."""
    return unit(seed, step)


def weekday(local: float) -> int:
    """0 = Monday, of a local time in epoch seconds (1970-01-01 was a Thursday)."""
    return (int(local // DAY_S) + 3) % 7


def load_kw(seed: int, at: float, utc_offset_s: float, base_kw: float, swing_kw: float, latitude: float) -> float:
    """Consumption in kW, never negative: base plus day and week shape, summer cooling, and noise of minutes and hours."""
    local = at + utc_offset_s
    wobble = 1.0 + _MINUTES * noise(seed ^ 0x51, at, 300.0) + _HOURS * noise(seed ^ 0x52, at, 10_800.0)
    return max(0.0, (base_kw + swing_kw * _share(local)) * _season(local, latitude) * wobble)


def most_kw(at: float, end: float, utc_offset_s: float, base_kw: float, swing_kw: float, latitude: float) -> float:
    """What `load_kw` is not above between two moments of one local hour, whatever the seed."""
    first, last = at + utc_offset_s, end + utc_offset_s - 1e-3
    share, season = max(_share(first), _share(last)), max(_season(first, latitude), _season(last, latitude)) + _CURVED
    return (base_kw + swing_kw * share) * season * (1.0 + _MINUTES + _HOURS)


def _share(local: float) -> float:
    """Of the swing, by the hour and the day of the week."""
    hour = (local % DAY_S) / 3600.0
    low = int(hour)
    share = _WORKDAY[low] + (_WORKDAY[(low + 1) % 24] - _WORKDAY[low]) * (hour - low)
    return share * _WEEKEND_SHARE if weekday(local) >= 5 else share


def _season(local: float, latitude: float) -> float:
    """More in summer, whichever half of the year that is."""
    return 1.0 + 0.15 * math.cos(2.0 * math.pi * (year_fraction(local) - (0.55 if latitude >= 0 else 0.05)))


def year_fraction(at: float) -> float:
    """0 at the turn of the year, 0.5 at mid-year; good to a day, as seasons need."""
    return (at / DAY_S / YEAR_D) % 1.0


def cloudiness(seed: int, at: float) -> float:
    """Share of clear-sky light that gets through, 0.1 to 1: the day's weather and passing clouds. The mean is 0.6, that of
    Shanghai (some 1,350 kWh/m² in a year)."""
    day = 0.5 + 0.5 * noise(seed ^ 0x61, at, 2 * DAY_S)
    passing = 0.5 + 0.5 * noise(seed ^ 0x62, at, 900.0)
    return 1.0 - 0.9 * math.pow(1.0 - day, 0.75) * (0.5 + 0.5 * passing)


def ambient_c(seed: int, at: float, utc_offset_s: float, latitude: float) -> float:
    """Outdoor temperature, °C: season by latitude, day, weather."""
    local = at + utc_offset_s
    season = -math.cos(2.0 * math.pi * (year_fraction(local) - 0.05)) * (1.0 if latitude >= 0 else -1.0)
    day = -math.cos(2.0 * math.pi * ((local % DAY_S) / DAY_S - 0.125))
    mean = 27.0 - 0.3 * abs(latitude)
    return mean + season * abs(latitude) * 0.3 + 4.0 * day + 3.0 * noise(seed ^ 0x71, at, DAY_S)
