"""Where the sun stands and what a clear sky lets through, at any place and time: pure, from tables by pvlib (`sun_table.py`).

Position after the NREL solar position algorithm, irradiance after Ineichen and Perez (2002) at a Linke turbidity of 3.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import msgspec

J2000_S: Final = 946_728_000.0
"""2000-01-01 12:00 UTC, epoch seconds."""
TROPICAL_D: Final = 365.2422

_RADIANS = math.pi / 180.0
_TURN_S = 86_400.0


class _Tables(msgspec.Struct, frozen=True):
    declination: tuple[float, ...]
    equation: tuple[float, ...]
    extra: tuple[float, ...]
    clear: tuple[float, ...]


def elevation_sin(at: float, latitude: float, longitude: float) -> float:
    """Sine of the sun's elevation over the true horizon; negative at night."""
    declination, equation_min, _ = _of_day(at)
    solar_hour = (at % _TURN_S) / 3600.0 + longitude / 15.0 + equation_min / 60.0
    phi, delta = latitude * _RADIANS, declination * _RADIANS
    return math.sin(phi) * math.sin(delta) + math.cos(phi) * math.cos(delta) * math.cos(
        15.0 * _RADIANS * (solar_hour - 12.0)
    )


def irradiance(at: float, latitude: float, longitude: float) -> float:
    """Global horizontal irradiance under a clear sky, W/m²."""
    height = elevation_sin(at, latitude, longitude)
    if height <= 0.0:
        return 0.0
    return _of_day(at)[2] * _between(_TABLES.clear, math.asin(min(height, 1.0)) / _RADIANS)


def _of_day(at: float) -> tuple[float, float, float]:
    """Declination (°), equation of time (minutes), extraterrestrial irradiance (W/m²)."""
    year = (at - J2000_S) / _TURN_S / TROPICAL_D
    place = (year - math.floor(year)) * (len(_TABLES.extra) - 1)
    low = int(place)
    rest, high = place - low, min(low + 1, len(_TABLES.extra) - 1)
    a, b, c = _TABLES.declination, _TABLES.equation, _TABLES.extra
    return a[low] + (a[high] - a[low]) * rest, b[low] + (b[high] - b[low]) * rest, c[low] + (c[high] - c[low]) * rest


def _between(values: tuple[float, ...], place: float) -> float:
    low = int(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


_TABLES = msgspec.json.decode(Path(__file__).with_name("sun.json").read_bytes(), type=_Tables)
