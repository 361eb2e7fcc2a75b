"""How good the data behind an answer are: coverage, lag, late rows; the header `Data-Quality` (docs/cloud.md).

It is a dictionary of RFC 9651, `coverage=0.998, lag=42, late=3`, which clients that do not know it never see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from bridge.cloud.cloud import Cloud
from bridge.store.days import QUARTER_MS
from bridge.store.series import Asset, Scan

HEADER = "Data-Quality"
MOST_DAYS = 100_000
"""Days of all assets of a question together, above which coverage and late rows are not worked out: some 100 ms."""

Span = tuple[Asset, int, int]
"""An asset and [start, end) in ms."""


async def quality(cloud: Cloud, spans: Iterable[Span]) -> dict[str, str]:
    """The header of an answer about these, empty where there is nothing to say.

    `coverage` is the share of quarter-hours (UTC), from an asset's first reading to now, in which it told anything; `lag` the
    seconds between the end of the range, or now, and the newest reading of the asset that is furthest behind; `late` the rows of
    these UTC days that were stored after newer ones of their asset.
    """
    now = cloud.clock()
    spans = [(asset, max(start, asset.first_at), min(end, now)) for asset, start, end in spans if asset.first_at < end]
    lags = [max(0, end - asset.last_at) // 1000 for asset, _, end in spans]
    found = [f"lag={max(lags)}"] if lags else []
    inside = [span for span in spans if span[1] < span[2]]
    whole = sum(_quarters(start, end) for _, start, end in inside)
    if inside and whole <= MOST_DAYS * 96:
        quarters, late = await cloud.series.read(partial(_held, inside))
        found = [f"coverage={quarters / whole:.3f}", *found, f"late={late}"]
    return {HEADER: ", ".join(found)} if found else {}


def _held(spans: Sequence[Span], scan: Scan) -> tuple[int, int]:
    each = [scan.held(asset.number, start, end) for asset, start, end in spans]
    return sum(one.quarters for one in each), sum(one.late for one in each)


def _quarters(start: int, end: int) -> int:
    return -(-end // QUARTER_MS) - start // QUARTER_MS
