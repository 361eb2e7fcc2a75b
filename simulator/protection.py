"""Faults of a site, the alarms of its battery, and what safety makes of both. Pure.

Faults are told by the plan, or happen by the seed for half an hour now and then (`Spec.fault_share`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from simulator.battery import Pack, cell_voltage
from simulator.plan import Plan, Safety
from simulator.profile import unit

FAULTS: Final = ("smoke", "flooding", "cooling", "meter", "ground", "hot_cell", "weak_cell")
"""Smoke, water in a cabinet, air conditioning, gateway meter or grounding lost, a cell 30 °C too hot, one that sags."""

WINDOW_S = 1800.0
HOT_C = (45.0, 50.0, 55.0)
LOW_V = (2.9, 2.8, 2.7)
"""Cell limits of levels 1 to 3, those of an EMU's report."""
_HOT_SPOT_C = 30.0
_SAG_V = 0.5
_SPREAD_C = 1.0
_SPREAD_V = 0.015


def check(faults: Iterable[str]) -> None:
    """ValueError for what is no fault of a site."""
    if unknown := set(faults) - set(FAULTS):
        raise ValueError(f"no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")


def faults_at(plan: Plan, seed: int, share: float, at: float) -> frozenset[str]:
    """What is wrong with a site at a time."""
    if not share:
        return plan.faults
    window = int(at // WINDOW_S)
    drawn = {name for n, name in enumerate(FAULTS) if unit(seed ^ (0xB0 + n), window) < share}
    return plan.faults | drawn if drawn else plan.faults


def hottest_c(pack: Pack, faults: frozenset[str]) -> float:
    """The hottest cell of a cabinet."""
    return pack.temp_c + _SPREAD_C + (_HOT_SPOT_C if "hot_cell" in faults else 0.0)


def lowest_v(soc: float, faults: frozenset[str]) -> float:
    """The lowest cell voltage of a cabinet."""
    return cell_voltage(soc) - _SPREAD_V - (_SAG_V if "weak_cell" in faults else 0.0)


def level(value: float, limits: tuple[float, float, float]) -> int:
    """The alarm level of a value, 0 to 3; falling limits are lower bounds."""
    if limits[0] < limits[2]:
        return sum(value >= limit for limit in limits)
    return sum(value <= limit for limit in limits)


def battery_level(pack: Pack, soc: float, faults: frozenset[str]) -> int:
    """The highest alarm level of a cabinet's battery."""
    if not faults and pack.temp_c < HOT_C[0] - _SPREAD_C and soc > 0.05:
        return 0
    return max(level(hottest_c(pack, faults), HOT_C), level(lowest_v(soc, faults), LOW_V))


def stopped(safety: Safety, since: dict[str, float], at: float) -> bool:
    """Whether a fault of the site stops all storage. `since`: fault -> when it began."""
    if not since:
        return False

    def lasts(name: str, minutes: float) -> bool:
        return name in since and at - since[name] >= minutes * 60.0

    return (
        (safety.fire_control and "smoke" in since)
        or (safety.flooding and "flooding" in since)
        or (safety.aircon and lasts("cooling", safety.aircon_mins))
        or (safety.grounded and lasts("ground", safety.grounded_mins))
        or (safety.meter_offline_power0 and lasts("meter", safety.meter_offline_mins))
    )


def cap_kw(safety: Safety, pack: Pack, soc: float, faults: frozenset[str], rated_kw: float) -> float:
    """The power that safety leaves to one cabinet."""
    if safety.temp and pack.temp_c >= safety.temp_celsius:
        return 0.0
    worst = battery_level(pack, soc, faults)
    if worst >= 3 and safety.bms_3:
        return 0.0
    if worst >= 2 and safety.bms_2:
        return min(rated_kw, safety.bms_2_kw)
    return rated_kw


def fire_status(faults: tuple[tuple[str, float], ...]) -> int:
    """What the fire protection of a cabinet says."""
    return int(any(name == "smoke" for name, _ in faults))
