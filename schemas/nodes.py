"""Power nodes: the tree of meters and devices of a site. Source: power-node page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import Anything, Maybe, Number, Port, Text, Whole, values


class PowerNodeDevice(Struct, kw_only=True):
    """What stands at a node: a meter (node type 1) or an EMS (type 2). One Struct for both, since other types may come."""

    uid: Text = UNSET
    name: Text = UNSET
    running_status: Whole = UNSET
    port: Maybe[Port] = UNSET
    # a meter
    station_name: Text = UNSET
    rate: Number = UNSET
    com_addr: Text = UNSET
    slave_id: Whole = UNSET
    direction: Whole = UNSET
    # an EMS
    site_name: Text = UNSET
    location: Text = UNSET
    longitude: Number = UNSET
    latitude: Number = UNSET
    level: Whole = UNSET
    type: Text = UNSET
    host: Text = UNSET
    license: Text = UNSET
    charges: Anything = UNSET


class PowerNode(Struct, kw_only=True):
    """A branch. Nodes come as a flat list linked by `parent_id` (0: the root) and `path`; `children` is null in all samples."""

    id: int
    name: str
    type: Annotated[int, values(_1="meter", _2="EMS device")]
    parent_id: int
    path: str
    running_status: Annotated[int, values(_1="running", _2="offline", _3="fault")]
    device: Maybe[PowerNodeDevice] = UNSET
    children: Maybe[list[PowerNode]] = UNSET
