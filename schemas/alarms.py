"""Alarms. Source: fault-alarm page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import Maybe, Text, Whole, values


class AlarmData(Struct, gc=False, kw_only=True):
    """One alarm. Times are RFC 3339 UTC text; `level` 1 to 3; `id` is missing from the vendor's sample."""

    id: Whole = UNSET
    content: str
    device_type: str
    alarm_type: str
    level: int
    handle_status: Annotated[int, values(_1="new", _2="handled")]
    handle_type: Maybe[Annotated[int, values(_1="by the system", _2="by a user")]] = UNSET
    user_id: Whole = UNSET
    occur_time: str
    handle_time: Text = UNSET
