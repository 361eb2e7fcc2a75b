"""Measure points for EnOS: integration.measurepoint.post to /connect-service/v2.1/integration, and its answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from bridge.mirror.answers import EXCERPT, Answer, Failure, Refusal, by_status
from bridge.mirror.retry import AGAIN
from bridge.mirror.rows import Foreign, Row, parts
from bridge.mirror.sink import EnosConfig
from bridge.store.outbox import OutboxLine

BOUNDARY: Final = "ems-bridge-measurepoints"
"""No JSON has a line break, so none has this."""
LOGIN: Final = frozenset({401, 403})
"""Ends of codes that say that we may not; an asset that is not known there (404) is a row's fault."""
_PART: Final = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="enos-message"\r\nContent-Type: application/json\r\n\r\n'
).encode()
_END: Final = f"\r\n--{BOUNDARY}--\r\n".encode()
_HEAD: Final = b'{"method":"integration.measurepoint.post","version":"1.1","params":['

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Enos(Foreign):
    """The shape of requests with measure points: a row is a sample."""

    reads = True
    answer_bytes = 64 << 10

    def __init__(self, config: EnosConfig) -> None:
        self._config = config
        self._multipart = config.encoding == "multipart"
        self.content_type = f"multipart/form-data; boundary={BOUNDARY}" if self._multipart else "application/json"

    def rows(self, line: OutboxLine) -> list[Row]:
        """One an asset and instant."""
        return [
            Row(line.seq, line.device, asset, at, "", self._param(asset, at, values), kept=Raw(_encode(values)))
            for asset, at, values in parts(line.samples)
        ]

    def body(self, rows: Sequence[Row]) -> bytes:
        """The message as the part `enos-message` of a form, or by itself."""
        message = _HEAD + b",".join([row.body for row in rows]) + b"]}"
        return _PART + message + _END if self._multipart else message

    def answer(self, status: int, text: str, wait: float, _rows: Sequence[Row]) -> Answer:
        """EnOS says with 200 what went wrong: `code` 0 is success; of others the last three digits are read as a status."""
        if not 200 <= status < 300 or not text.strip():
            return by_status(status, text, wait)
        try:
            found = _decode(text)
        except (ValueError, RecursionError):
            return Failure("answer: not JSON")
        code = next((found[name] for name in ("code", "apim_status", "status") if name in found), 0)
        if code in (0, 200, "0", "200"):
            return None
        kind = int(str(code)[-3:]) if str(code).isdecimal() else 0
        if "apim_status" in found or kind in LOGIN or kind in AGAIN or 500 <= kind < 600:
            return Failure(f"enos: code {code}"[:60], wait, "apim_status" in found or kind in LOGIN)
        return Refusal(status, f"EnOS code {code}: {text}"[:EXCERPT])

    def _param(self, asset: str, at: int, values: dict[str, float]) -> bytes:
        config = self._config
        name = config.assets.get(asset, asset)
        who = {"productKey": config.product_key, "deviceKey": name} if config.product_key else {"assetId": name}
        points = (
            {config.points.get(point, point): value for point, value in values.items()} if config.points else values
        )
        return _encode({**who, "time": at, "measurepoints": points})
