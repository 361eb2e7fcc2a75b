"""[cloud]: the settings of the receiving side."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Cloud(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receiving side."""

    localtime_style: Annotated[
        Literal["seed", "plain"],
        Meta(description="EnOS local time: `seed` is 6/11/2019 6:35:00 PM, `plain` is 2019-06-11 18:35:00"),
    ] = "seed"
    lenient_interval: Annotated[
        bool,
        Meta(description="without its mandatory interval an EnOS query means 0 for bare points and 1440 for functions"),
    ] = False
    max_body_bytes: Annotated[
        int, Meta(ge=1 << 10, le=256 << 20, description="largest ingestion body, as received and after gunzip")
    ] = 8 << 20
    raw_days: Annotated[
        int, Meta(ge=0, le=36_500, description="readings are kept this long, then their quarter-hours; 0: for ever")
    ] = 0
    rollup_days: Annotated[
        int, Meta(ge=0, le=36_500, description="quarter-hours that replaced readings are kept this long; 0: for ever")
    ] = 0
    database: Annotated[
        str,
        Meta(
            description="PostgreSQL for the time series, postgresql://user@host/name; empty: series.db. The password is better "
            "in the environment (PGPASSWORD) or in PGPASSFILE",
            extra={"secret": True},
        ),
    ] = ""
    database_schema: Annotated[
        str, Meta(pattern="^(?!pg_)[a-z_][a-z0-9_]{0,62}$", description="the schema in it; one for each bridge")
    ] = "ems_bridge"
