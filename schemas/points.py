"""POINTS: the fields of reports that are power or energy readings, with unit and sense.

Source: CATALOG.md, Power readings, and the energy registers of the same Structs. A point is a Struct field name; where the
EMU splits a register into two 16-bit words, the point is the words' common stem.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

FAMILIES = (
    "ems",
    *("branch", "meter", "pcs", "battery", "rack", "mppt", "cooling"),
    *("pv_meter", "inverter", "pile_meter", "pile_ac", "pile_dc", "regulation"),
)
"""What the parts of a device are called (schemas/readings.py); `ems` is the device itself."""

DRAWN = (
    "pcs_ac_charge_accumulated_energy",
    "charge_accumulated_energy",
    "battery_charge_total_energy",
    "pcs_dc_charge_accumulated_energy",
    "total_electric_energy",
    "total_forward_active_energy",
    "total_active_energy",
)
"""Registers of what a device draws, the most telling first."""


class Point(NamedTuple):
    """`kind`: a counter only grows (until it is reset or rolls over), a gauge is what it is now. A daily energy is a gauge: it
    starts anew each day at an hour that nobody states, and the counters beside it hold the same energy. `signed` points change
    sign with the orientation of what is measured; counters, limits and apparent power never do."""

    name: str
    unit: str
    kind: Literal["gauge", "counter"]
    text: str
    signed: bool = False


_PHASES = ("a", "b", "c")


def _power(name: str, text: str) -> Point:
    return Point(name, "kW", "gauge", text, signed=True)


def _phases(stem: str, unit: str, text: str, *, signed: bool = True) -> list[Point]:
    return [
        Point(f"{stem}_phase_{phase}", unit, "gauge", f"{text}, phase {phase.upper()}", signed) for phase in _PHASES
    ]


def _limit(name: str, text: str) -> Point:
    return Point(name, "kW", "gauge", text)


def _counter(name: str, text: str) -> Point:
    return Point(name, "kWh", "counter", text)


def _energy(name: str, text: str) -> Point:
    return Point(name, "kWh", "gauge", text)


def _tariffs(stem: str, text: str) -> list[Point]:
    return [_counter(f"{stem}_{tariff}", f"{text}, tariff {tariff}") for tariff in _TARIFFS]


_TARIFFS = ("sharp", "peak", "flat", "valley", "1", "2", "3", "4")

_METER = [
    _power("total_active_power", "active power"),
    *_phases("active_power", "kW", "active power"),
    Point("total_reactive_power", "kVar", "gauge", "reactive power", signed=True),
    *_phases("reactive_power", "kVar", "reactive power"),
    Point("total_apparent_power", "kVA", "gauge", "apparent power"),
    *_phases("apparent_power", "kVA", "apparent power", signed=False),
    _counter("total_active_energy", "active energy, both directions"),
    *[_counter(f"total_active_energy_{tariff}", f"active energy, tariff {tariff}") for tariff in range(1, 5)],
    _counter("total_forward_active_energy", "forward active energy"),
    *_tariffs("forward_active_energy", "forward active energy"),
    _counter("total_reverse_active_energy", "reverse active energy"),
    *_tariffs("reverse_active_energy", "reverse active energy"),
]

_PCS = [
    _power("pcs_total_active_power", "active power"),
    *_phases("pcs_active_power", "kW", "active power"),
    Point("pcs_total_reactive_power", "kVar", "gauge", "reactive power", signed=True),
    *_phases("pcs_reactive_power", "kVar", "reactive power"),
    Point("pcs_total_apparent_power", "kVA", "gauge", "apparent power"),
    *_phases("pcs_apparent_power", "kVA", "apparent power", signed=False),
    _power("pcs_input_power", "power on the DC side"),
    _power("dcdc_input_power", "input power of the DC/DC converter"),
    _energy("pcs_ac_daily_charge_energy", "energy charged today, AC side"),
    _energy("pcs_ac_daily_discharge_energy", "energy discharged today, AC side"),
    _counter("pcs_ac_charge_accumulated_energy", "energy charged, AC side"),
    _counter("pcs_ac_discharge_accumulated_energy", "energy discharged, AC side"),
    _counter("pcs_dc_charge_accumulated_energy", "energy charged, DC side"),
    _counter("pcs_dc_discharge_accumulated_energy", "energy discharged, DC side"),
]

_STORAGE = [
    Point("soc", "%", "gauge", "state of charge"),
    _power("power", "battery power"),
    _power("total_power", "power of the battery array"),
    _limit("max_charge_power", "charging power available"),
    _limit("max_discharge_power", "discharging power available"),
    _limit("max_allowed_charge_power", "charging power allowed by the battery"),
    _limit("max_allowed_discharge_power", "discharging power allowed by the battery"),
    _limit("charge_power_limit", "charging power allowed by the array"),
    _limit("discharge_power_limit", "discharging power allowed by the array"),
    _energy("current_chargeable_energy", "energy that can be charged"),
    _energy("current_dischargeable_energy", "energy that can be discharged"),
    _energy("current_dis_chargeable_energy", "energy that can be discharged (V2 battery's spelling)"),
    _energy("daily_charge_energy", "energy charged today"),
    _energy("daily_discharge_energy", "energy discharged today"),
    _counter("charge_accumulated_energy", "energy charged"),
    _counter("discharge_accumulated_energy", "energy discharged"),
    _counter("battery_charge_total_energy", "energy charged by the array"),
    _counter("battery_discharge_total_energy", "energy discharged by the array"),
    _limit("compressor_power", "power of the cooling compressor"),
]

_PV = [
    _power("alternating_current_output_power", "AC output power"),
    _power("direct_current_input_power", "DC input power"),
    _counter("cumulative_power_generation", "energy generated"),
    _energy("cumulative_power_generation_today", "energy generated today"),
    _energy("cumulative_power_generation_month", "energy generated this month"),
    _energy("cumulative_power_generation_year", "energy generated this year"),
    _power("pv_high_pressure_power", "power on the high-voltage side"),
    *[_power(f"pv_low_pressure_{n}_power", f"power of low-voltage input {n}") for n in range(1, 5)],
    _counter("pv_power_generation", "energy generated"),
    _energy("pv_daily_power_generation", "energy generated today"),
    *[
        _energy(f"pv_daily_low_pressure_{n}_power_generation", f"energy generated today, input {n}")
        for n in range(1, 5)
    ],
]

_PILE = [
    _power("total_active", "active power of a charging pile"),
    _power("input_power", "input power of a DC pile"),
    _power("output_power", "output power of a DC pile"),
    _limit("vehicle_demand", "power that the vehicle asks for"),
    Point("vehicle_soc", "%", "gauge", "state of charge of the vehicle"),
    _counter("total_electric_energy", "energy of a pile"),
    _energy("current_electric_energy", "energy of the present session"),
]

_GRID = [_power("regulation_power", "set-point of the grid's frequency regulation")]

POINTS: dict[str, Point] = {point.name: point for point in (*_METER, *_PCS, *_STORAGE, *_PV, *_PILE, *_GRID)}
"""Every point by its name, which means the same in all Structs."""
