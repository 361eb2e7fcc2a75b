"""Messages as the vendor's documents print them, contradictions and all, instead of the one form that the documents agree on.

CATALOG.md lists the contradictions; `vendor-docs` makes those of its points 1 to 4, 9 and 10 that valid JSON can show. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from schemas import kinds
from simulator.strategies import STRATEGIES

Post = tuple[str, bytes]
Dialect = Callable[[Post], Post]

PLAIN: Final = "plain"
FOREIGN: Final = {"charge_percentage/sync/result": "device_info/sync/result"}
"""The page of the charge depth prints another feature's topic."""
LONE: Final = ("ems", "sub_elemeters")
"""Parts of a V2 report that are sampled as an object where they are tabled as a list."""
OWN_MID: Final = frozenset(f"{row.feature}/sync/result" for row in STRATEGIES)
"""Results whose samples repeat their own mid as `reply`."""


def vendor_docs(post: Post) -> Post:
    """As the documents have it: foreign topic, other spelling of the type, no `reply` and `code` in results of sync and OTA
    (or the result's own mid), one object for a list of one, ids and ports as text."""
    topic, payload = post
    prefix, feature, action, kind = topic.rsplit("/", 3)
    suffix = f"{feature}/{action}/{kind}"
    body = msgspec.json.decode(payload)
    rows = kinds.find(suffix)
    if rows and rows[0].aliases:
        body["type"] = rows[0].aliases[0]
    if kind == "result" and body.get("code") != 400 and (action == "sync" or feature == "ota"):
        _unanswered(body, suffix)
    if "sub_device_id" in body:
        body["sub_device_id"] = str(body["sub_device_id"])
    body["data"] = _data(body.get("data"), suffix)
    return f"{prefix}/{FOREIGN.get(suffix, suffix)}", msgspec.json.encode(body)


def _unanswered(body: dict[str, Any], suffix: str) -> None:
    body.pop("code", None)
    body.pop("reply", None)
    if suffix in OWN_MID:
        body["reply"] = body["mid"]


def _data(data: Any, suffix: str) -> Any:
    if isinstance(data, list) and len(data) == 1 and not suffix.startswith("report/"):
        data = data[0]
    if isinstance(data, dict):
        for name in LONE:
            if isinstance(data.get(name), list) and len(data[name]) == 1:
                data[name] = data[name][0]
        if suffix.startswith(("device_info/", "elemeter_info/")) and isinstance(data.get("port"), int):
            data["port"] = str(data["port"])
    return data


DIALECTS: Final[dict[str, Dialect | None]] = {PLAIN: None, "vendor-docs": vendor_docs}
