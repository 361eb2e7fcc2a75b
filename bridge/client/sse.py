"""Bytes of a stream of server-sent events -> events: pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bridge.client.shapes import Event
from bridge.errors import BridgeError

MAX_EVENT = 16 << 20
"""Bytes of one event: a message of the largest packet, written as JSON, and room."""


class Parser:
    """The reading side of one stream (the WHATWG's HTML standard, section 9.2). Comments and unknown fields are passed over."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._type = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Every event that is whole with `chunk`. Raises BridgeError for what is no event of a bridge."""
        whole, end, rest = chunk.rpartition(b"\n")
        lines = bytes(self._rest + whole).split(b"\n") if end else ()
        if end:
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > MAX_EVENT:
            raise BridgeError("an event without an end: is it an EMS bridge?")
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                yield event

    def _line(self, line: bytes) -> Event | None:
        if line:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                self._type = value.decode("utf-8", "replace")
            elif name == b"data":
                self._data.append(value)
            return None
        kind, data, self._type, self._data = self._type, self._data, "", []
        if not data:
            return None
        try:
            return Event(kind or "message", msgspec.json.decode(b"\n".join(data)))
        except (ValueError, RecursionError) as error:
            raise BridgeError(f"an event that is no JSON: {error}") from None
