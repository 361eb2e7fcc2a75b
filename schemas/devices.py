"""Devices of a site. Source: sub-device page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import Port, Whole, values


class DeviceInfo(Struct, gc=False, kw_only=True):
    """A device of the site as the EMS registers it."""

    id: int
    name: str
    site_name: str
    location: str
    longitude: float
    latitude: float
    level: int
    type: str
    running_status: Annotated[int, values(_1="running", _2="offline", _3="fault")]
    host: str
    port: Port
    license: str
    statistics_port: Whole = UNSET
