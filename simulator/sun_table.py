"""Makes `sun.json`, the tables that `sun.py` reads, with pvlib: `python -m simulator.sun_table > simulator/sun.json`.

Only this needs pvlib (extra `test`). A fleet that imported it would pay half a second and 130 MB at its start for smooth curves
that are the same everywhere: how the sun goes through the year, and how much of its light a clear sky lets through.
"""

from __future__ import annotations

import json
from typing import Any

from simulator.sun import J2000_S, TROPICAL_D

DAYS = 366
"""Points of the year; between them the sun moves evenly enough for a thousandth of a degree."""
LINKE = 3.0
"""Linke turbidity: a clear to slightly hazy sky."""
_YEARS = 26
"""Tropical years after J2000 whose sun is tabled: 2026."""


def table() -> dict[str, Any]:
    """`declination` (°), `equation` of time (minutes) and `extra` (light before the atmosphere, W/m²) through the tropical year
    since J2000; `clear`: the share of it that reaches level ground at elevations of 0°, 1°, … 90°."""
    import numpy as np
    import pandas as pd
    from pvlib import atmosphere, clearsky, irradiance, solarposition, spa

    days = (np.arange(DAYS + 1) / DAYS + _YEARS) * TROPICAL_D
    times = pd.DatetimeIndex(pd.to_datetime(J2000_S + days * 86_400.0, unit="s", utc=True))
    pole = solarposition.spa_python(times, 90.0, 0.0)
    extra = irradiance.get_extra_radiation(times, method="nrel")
    elevation = np.arange(91.0)
    seen = elevation + spa.atmospheric_refraction_correction(1013.25, 12.0, elevation, 0.5667)
    zenith = 90.0 - seen
    mass = atmosphere.get_relative_airmass(zenith, model="kastenyoung1989")
    clear = clearsky.ineichen(zenith, mass, LINKE, altitude=0.0, dni_extra=1000.0)["ghi"] / 1000.0
    return {
        "declination": [round(float(x), 4) for x in pole["elevation"]],
        "equation": [round(float(x), 3) for x in pole["equation_of_time"]],
        "extra": [round(float(x), 2) for x in extra],
        "clear": [round(float(x), 5) for x in clear],
    }


if __name__ == "__main__":
    print(json.dumps(table()))
