"""What is wrong with bytes that are no MQTT."""

from __future__ import annotations


class Malformed(ValueError):
    """A packet breaks the grammar or the protocol. `detail` says what; `tag` is the normative statement of MQTT 3.1.1 or ""."""

    def __init__(self, detail: str, tag: str = "") -> None:
        super().__init__(f"{detail} [{tag}]" if tag else detail)
        self.detail = detail
        self.tag = tag


class TooLarge(Malformed):
    """A packet's header announces more bytes than the receiver takes. `size` is the announced size in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"packet of {size} bytes, {limit} are allowed")
        self.size = size
        self.limit = limit


class Unacceptable(Malformed):
    """A CONNECT for a protocol version that is not spoken here: CONNACK code 1. `name` and `level` are what was asked for."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(f"protocol {name!r} level {level} is not supported", "MQTT-3.1.2-2")
        self.name = name
        self.level = level
