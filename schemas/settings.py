"""Settings of a cabinet that the vendor's platform API knows and its MQTT pages do not: air conditioning, reactive power,
voltage, and the writing side of charge depth and safety.

The messages are this bridge's own, named by the pattern of pcs_control (docs/vendor.md); fields, units and ranges are those of
the API's pages.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.protection import ChargePercentage
from schemas.scalars import Number, Whole


def _unit(unit: str) -> dict[str, Any]:
    return {"x-unit": unit}


Degrees: TypeAlias = Annotated[int, Meta(ge=-100, le=200, extra_json_schema=_unit("°C"))]
Humidity: TypeAlias = Annotated[int, Meta(ge=0, le=100, extra_json_schema=_unit("%"))]
Factor: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Volts: TypeAlias = Annotated[int, Meta(ge=0, le=65_535, extra_json_schema=_unit("V"))]
Period: TypeAlias = Annotated[int, Meta(ge=0, le=86_400_000, extra_json_schema=_unit("ms"))]
Switch: TypeAlias = Literal[0, 1] | UnsetType
Word: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)] | UnsetType


class AirStrategy(Struct, gc=False, kw_only=True):
    """What the air conditioning keeps to, as a device tells it."""

    cooling_point: Number = UNSET
    cooling_hysteresis: Number = UNSET
    heating_point: Number = UNSET
    heating_hysteresis: Number = UNSET
    high_temp_point: Number = UNSET
    low_temp_point: Number = UNSET
    high_humidity_point: Number = UNSET


class AirStrategySet(Struct, kw_only=True, forbid_unknown_fields=True):
    """air_strategy/set: all of it."""

    cooling_point: Degrees
    cooling_hysteresis: Degrees
    heating_point: Degrees
    heating_hysteresis: Degrees
    high_temp_point: Degrees
    low_temp_point: Degrees
    high_humidity_point: Humidity


class ReactivePower(Struct, gc=False, kw_only=True):
    """How reactive power is compensated, as a device tells it."""

    phase_min_power_factor_a: Number = UNSET
    phase_min_power_factor_b: Number = UNSET
    phase_min_power_factor_c: Number = UNSET
    phase_power_factor_hysteresis_a: Number = UNSET
    phase_power_factor_hysteresis_b: Number = UNSET
    phase_power_factor_hysteresis_c: Number = UNSET
    period: Number = UNSET
    step: Number = UNSET
    mode: Whole = UNSET


class ReactivePowerSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """reactive_power_control/set. Mode 1 is capacitive, 2 inductive."""

    phase_min_power_factor_a: Factor
    mode: Literal[1, 2]
    phase_min_power_factor_b: Factor | UnsetType = UNSET
    phase_min_power_factor_c: Factor | UnsetType = UNSET
    phase_power_factor_hysteresis_a: Factor | UnsetType = UNSET
    phase_power_factor_hysteresis_b: Factor | UnsetType = UNSET
    phase_power_factor_hysteresis_c: Factor | UnsetType = UNSET
    period: Period | UnsetType = UNSET
    step: Annotated[float, Meta(ge=0)] | UnsetType = UNSET


class Voltage(Struct, gc=False, kw_only=True):
    """How voltage is held, as a device tells it."""

    phase_rated_voltage_a: Number = UNSET
    phase_rated_voltage_b: Number = UNSET
    phase_rated_voltage_c: Number = UNSET
    phase_voltage_upper_limit_threshold_a: Number = UNSET
    phase_voltage_upper_limit_threshold_b: Number = UNSET
    phase_voltage_upper_limit_threshold_c: Number = UNSET
    phase_voltage_lower_limit_threshold_a: Number = UNSET
    phase_voltage_lower_limit_threshold_b: Number = UNSET
    phase_voltage_lower_limit_threshold_c: Number = UNSET
    phase_voltage_hysteresis_a: Number = UNSET
    phase_voltage_hysteresis_b: Number = UNSET
    phase_voltage_hysteresis_c: Number = UNSET
    period: Number = UNSET
    step: Number = UNSET


class VoltageSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """voltage_control/set."""

    phase_rated_voltage_a: Volts
    phase_rated_voltage_b: Volts | UnsetType = UNSET
    phase_rated_voltage_c: Volts | UnsetType = UNSET
    phase_voltage_upper_limit_threshold_a: Volts | UnsetType = UNSET
    phase_voltage_upper_limit_threshold_b: Volts | UnsetType = UNSET
    phase_voltage_upper_limit_threshold_c: Volts | UnsetType = UNSET
    phase_voltage_lower_limit_threshold_a: Volts | UnsetType = UNSET
    phase_voltage_lower_limit_threshold_b: Volts | UnsetType = UNSET
    phase_voltage_lower_limit_threshold_c: Volts | UnsetType = UNSET
    phase_voltage_hysteresis_a: Volts | UnsetType = UNSET
    phase_voltage_hysteresis_b: Volts | UnsetType = UNSET
    phase_voltage_hysteresis_c: Volts | UnsetType = UNSET
    period: Period | UnsetType = UNSET
    step: Volts | UnsetType = UNSET


class ChargePercentageSet(ChargePercentage, gc=False, kw_only=True, forbid_unknown_fields=True):
    """charge_percentage/set: all steps anew."""


class SafetySet(Struct, kw_only=True, forbid_unknown_fields=True):
    """safety/set: what it names is changed."""

    bms_3: Switch = UNSET
    bms_2: Switch = UNSET
    bms_2_kw: Word = UNSET
    aircon: Switch = UNSET
    aircon_mins: Word = UNSET
    temp: Switch = UNSET
    temp_celsius: Word = UNSET
    grounded: Switch = UNSET
    grounded_mins: Word = UNSET
    fire_control: Switch = UNSET
    flooding: Switch = UNSET
    meter_offline_power0: Switch = UNSET
    meter_offline_mins: Word = UNSET
