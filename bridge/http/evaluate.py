"""A strategy tried on a simulated site. The simulator runs it (`Services.evaluate`); this room knows the shapes alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from bridge.http.table import Answer, Call, Route
from schemas.evaluation import EXAMPLES, EvaluationSite

MAX_DAYS = 366
LOOK_S = 0.25
"""Between two looks whether somebody still waits for the answer; nobody pays for one that nobody gets."""
GONE = 499
"""A status that nobody gets."""


class EvaluationRequest(Struct, forbid_unknown_fields=True):
    """`site` is what SITE.toml of docs/simulator.md says; every table and key may be left out."""

    strategy: Annotated[
        Any,
        Meta(
            description="the data of a command, {feature, action, data}, or a list of them: what a platform would send",
            extra_json_schema={"type": ["object", "array"], "examples": EXAMPLES},
        ),
    ]
    site: EvaluationSite = EvaluationSite()
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 30


class EvaluationMonth(Struct, frozen=True, forbid_unknown_fields=True):
    """The highest quarter hour of a local month, kW, and what part of the month the run had."""

    month: str
    peak_kw: float
    share: float


class EvaluationOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What one run came to: kWh, shares from 0 to 1, money in `currency`; `over_limit` are the quarter hours that drew more than
    the demand limit with the strategy."""

    months: list[EvaluationMonth]
    over_limit: int
    imported_kwh: float
    exported_kwh: float
    load_kwh: float
    pv_kwh: float
    curtailed_kwh: float
    self_consumption: float
    self_sufficiency: float
    charged_kwh: float
    discharged_kwh: float
    full_cycles: float
    soc_end: float
    soh_end: float
    energy_cost: float
    demand_cost: float
    export_revenue: float
    cost: float


class EvaluationChange(Struct, frozen=True, forbid_unknown_fields=True):
    """With the strategy less without it."""

    peak_kw: float
    imported_kwh: float
    exported_kwh: float
    self_consumption: float
    full_cycles: float
    cost: float


class EvaluationBody(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"with_strategy": "with", "without_strategy": "without"}
):
    """Both runs, and what is different."""

    start: str
    days: int
    currency: str
    seed: int
    commands: list[str]
    with_strategy: EvaluationOutcome
    without_strategy: EvaluationOutcome
    change: EvaluationChange


async def evaluate(call: Call) -> Answer:
    """POST /api/v1/evaluate"""
    asked = call.body(EvaluationRequest)
    site = msgspec.to_builtins(asked.site)
    running = asyncio.ensure_future(call.services.evaluate(asked.strategy, site, asked.days))
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=LOOK_S)
            if call.request.transport is None:
                return web.Response(status=GONE)
    finally:
        running.cancel()
    return msgspec.json.decode(await running, type=EvaluationBody)


ROUTES = (
    Route(
        "POST",
        "/api/v1/evaluate",
        evaluate,
        "Try a strategy on a simulated site: the same site with it and without it",
        {
            200: (EvaluationBody, "both runs, and what is different"),
            422: (None, "the strategy, the site or the days are not what they should be; `path` says where"),
            429: (None, "another evaluation is running, or this one took too long"),
        },
        body=EvaluationRequest,
        tag="evaluation",
    ),
)
