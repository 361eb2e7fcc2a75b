"""Direct control of PCS, BMS and cooling. Source: pcs-control, bms-control and condition-control pages.

Every field is optional: a command says what it changes, an answer what is so. Which value of `high_voltage_command` closes
the contactor is not stated.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.scalars import DegC, Maybe, Whole, values

Remote: TypeAlias = Maybe[Annotated[int, values(_0="local", _1="remote")]]


class PcsControl(Struct, gc=False, kw_only=True):
    """What a PCS was told."""

    pcs_fault_reset: Whole = UNSET
    pcs_device_startup: Whole = UNSET
    pcs_device_stop: Whole = UNSET
    pcs_remote_emergency_stop: Whole = UNSET
    pcs_reset_cumulative_charge: Whole = UNSET
    pcs_reset_cumulative_discharge: Whole = UNSET
    pcs_remote_local_setting: Remote = UNSET


class BmsControl(Struct, gc=False, kw_only=True):
    """What a BMS was told."""

    battery_system_reset: Whole = UNSET
    high_voltage_command: Whole = UNSET


class CoolingControl(Struct, gc=False, kw_only=True):
    """What the cooling was told. The page speaks of liquid cooling; its temperatures have no unit."""

    power_on: Maybe[Annotated[int, values(_0="off", _1="on")]] = UNSET
    target_heating_point: DegC = UNSET
    target_cooling_point: DegC = UNSET


Bit: TypeAlias = Literal[0, 1] | UnsetType
Target: TypeAlias = Annotated[float, Meta(ge=0, extra_json_schema={"x-unit": "°C"})] | UnsetType


class PcsSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """pcs_control/set."""

    pcs_fault_reset: Bit = UNSET
    pcs_device_startup: Bit = UNSET
    pcs_device_stop: Bit = UNSET
    pcs_remote_emergency_stop: Bit = UNSET
    pcs_reset_cumulative_charge: Bit = UNSET
    pcs_reset_cumulative_discharge: Bit = UNSET
    pcs_remote_local_setting: Bit = UNSET


class BmsSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """bms_control/set."""

    battery_system_reset: Bit = UNSET
    high_voltage_command: Bit = UNSET


class CoolingSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """condition_control/set."""

    power_on: Bit = UNSET
    target_heating_point: Target = UNSET
    target_cooling_point: Target = UNSET
