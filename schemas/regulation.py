"""Frequency regulation of the grid: an instruction that reached the device. Source: grid-fm-passively page."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.scalars import values

POWER = "power"
"""The type of an instruction whose value is a power set-point."""
STATUS = "status"
"""The type of one that is a start or a stop."""


class GridFmReceive(Struct, gc=False, kw_only=True):
    """An instruction. `value` is kW where the type is power, positive for charging; 1 start or 0 stop where it is status."""

    type: Annotated[str, values(status="start or stop", power="power set-point")]
    regulation_power: Annotated[float, Meta(extra_json_schema={"x-unit": "kW"})] = field(name="value")
    receive_time: Annotated[int, Meta(extra_json_schema={"x-unit": "ms"})]
