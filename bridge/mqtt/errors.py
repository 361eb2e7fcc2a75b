"""What is wrong with bytes that are no MQTT."""

from __future__ import annotations

from bridge.mqtt.reasons import MALFORMED_PACKET, PACKET_TOO_LARGE, UNSUPPORTED_VERSION


class Malformed(ValueError):
    """A packet breaks the grammar or the protocol. `detail` says what; `tag` is the normative statement of MQTT 3.1.1 (of MQTT 5
    for what is only there) or ""; `code` the reason code of MQTT 5."""

    def __init__(self, detail: str, tag: str = "", code: int = MALFORMED_PACKET) -> None:
        super().__init__(f"{detail} [{tag}]" if tag else detail)
        self.detail = detail
        self.tag = tag
        self.code = code


class TooLarge(Malformed):
    """A packet's header announces more bytes than the receiver takes. `size` is the announced size in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"packet of {size} bytes, {limit} are allowed", "", PACKET_TOO_LARGE)
        self.size = size
        self.limit = limit


class Unacceptable(Malformed):
    """A CONNECT for a protocol version that is not spoken here: CONNACK code 1 or 0x84. `name` and
    `level` are what was asked for."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(f"protocol {name!r} level {level} is not supported", "MQTT-3.1.2-2", UNSUPPORTED_VERSION)
        self.name = name
        self.level = level
