"""What differs between MQTT 3.1.1 and 5 on one connection: the packets that are written, and what those that came say.

The broker speaks in reason codes of MQTT 5; the older dialect says what it has a word for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from bridge.broker.limits import Limits
from bridge.broker.session import NEVER, Session
from bridge.mqtt import framing, packets, packets5, properties, reasons
from bridge.mqtt.errors import Malformed
from bridge.mqtt.fields import string
from bridge.mqtt.flow import Message
from bridge.mqtt.packets import Connect
from bridge.mqtt.properties import Properties
from bridge.mqtt.topics import check_name

WHY_BYTES: Final = 1_000
"""A reason string is cut after as many characters."""

GOODBYES: Final = {
    "taken_over": reasons.SESSION_TAKEN_OVER,
    "keep_alive": reasons.KEEP_ALIVE_TIMEOUT,
    "credentials_ended": reasons.ADMINISTRATIVE,
    "slow_consumer": reasons.QUOTA_EXCEEDED,
    "inbound_full": reasons.RECEIVE_MAXIMUM_EXCEEDED,
    "rate_exceeded": reasons.RATE_TOO_HIGH,
    "commit_failed": reasons.FAILED,
    "stopped": reasons.SERVER_SHUTTING_DOWN,
}
"""Reason codes of a DISCONNECT by the cause of a close; a broken packet brings its own."""


class Accepted(NamedTuple):
    """What a CONNACK tells: `keep_alive` in seconds as the client asked and as it is, `expiry` likewise; `client_id` if the
    server gave it."""

    present: bool
    keep_alive: int
    asked_keep_alive: int
    expiry: int
    asked_expiry: int
    client_id: str


class V311:
    """MQTT 3.1.1. It keeps nothing: all connections share one."""

    version: Final = 4

    def accepted(self, what: Accepted) -> bytes:
        """CONNACK 0."""
        return packets.encode_connack(0, session_present=what.present)

    def refused(self, code: int, why: str) -> bytes:
        """A refusing CONNACK."""
        _ = why
        return packets.encode_connack(reasons.CONNACK_CODES.get(code, 3))

    def goodbye(self, code: int, why: str) -> bytes:
        """What a server says before it closes."""
        _ = code, why
        return b""

    def ack(self, first: int, packet_id: int, code: int = 0, why: str = "") -> bytes:
        """PUBACK, PUBREC, PUBREL or PUBCOMP."""
        _ = code, why
        return bytes((first, 2)) + packet_id.to_bytes(2, "big")

    def suback(self, packet_id: int, codes: list[int]) -> bytes:
        """A SUBACK."""
        return packets.encode_suback(packet_id, (min(code, packets.FAILURE) for code in codes))

    def unsuback(self, packet_id: int, codes: list[int]) -> bytes:
        """An UNSUBACK."""
        _ = codes
        return packets.encode_unsuback(packet_id)

    def delivery(
        self, message: Message, first: int, packet_id: bytes, identifiers: tuple[int, ...]
    ) -> tuple[bytes, ...]:
        """The parts of a PUBLISH; none when the client cannot take it."""
        _ = identifiers
        head = message.parts.get(first)
        if head is None:
            head, _ = packets.publish_parts(
                message.topic, message.payload, first >> 1 & 3, retain=first & 1 == 1, dup=first & 8 == 8
            )
            message.parts[first] = head
        return head, packet_id, message.payload

    def subscribe(self, body: bytes) -> list[tuple[str, int]]:
        """(filter, options) pairs of a SUBSCRIBE. Raises Malformed."""
        return packets.decode_subscribe(body)

    def unsubscribe(self, body: bytes) -> list[str]:
        """Filters of an UNSUBSCRIBE. Raises Malformed."""
        return packets.decode_unsubscribe(body)

    def acknowledgement(self, body: bytes) -> int:
        """The reason code of an acknowledgement. Raises Malformed."""
        _ = body
        return reasons.SUCCESS


class V5:
    """MQTT 5: what this client can take, and the topic aliases of both directions."""

    version: Final = 5

    def __init__(self, connect: Connect, limits: Limits, now_ms: Callable[[], int]) -> None:
        asked = connect.properties or {}
        self._limits = limits
        self._now_ms = now_ms
        self._largest: int = asked.get(properties.MAXIMUM_PACKET_SIZE, framing.MAX_PACKET)
        self._problems = asked.get(properties.REQUEST_PROBLEM_INFORMATION, 1) == 1
        self._most_aliases: int = min(asked.get(properties.TOPIC_ALIAS_MAXIMUM, 0), limits.topic_aliases)
        self._aliases: dict[str, int] = {}
        self._topics: dict[int, str] = {}
        self.window: int = min(asked.get(properties.RECEIVE_MAXIMUM, 65_535), limits.inflight)
        """Unacknowledged messages that the client takes."""
        self.expiry: int = asked.get(properties.SESSION_EXPIRY, 0)
        """Seconds that the session is to outlive the connection."""

    def accepted(self, what: Accepted) -> bytes:
        """CONNACK 0 with what the client must know."""
        limits = self._limits
        found: Properties = {
            properties.RECEIVE_MAXIMUM: min(limits.inbound, 65_535),
            properties.MAXIMUM_PACKET_SIZE: limits.max_packet_bytes,
            properties.TOPIC_ALIAS_MAXIMUM: limits.topic_aliases,
        }
        if what.client_id:
            found[properties.ASSIGNED_CLIENT_ID] = what.client_id
        if what.keep_alive != what.asked_keep_alive:
            found[properties.SERVER_KEEP_ALIVE] = what.keep_alive
        if what.expiry != what.asked_expiry:
            found[properties.SESSION_EXPIRY] = what.expiry
        return packets5.encode_connack(0, found, session_present=what.present)

    def refused(self, code: int, why: str) -> bytes:
        """A refusing CONNACK that says why."""
        return self._short(packets5.encode_connack(code, _reason(why)), packets5.encode_connack(code, {}))

    def goodbye(self, code: int, why: str) -> bytes:
        """DISCONNECT."""
        plain = packets5.encode_disconnect(code)
        return self._short(packets5.encode_disconnect(code, _reason(why)), plain)

    def ack(self, first: int, packet_id: int, code: int = 0, why: str = "") -> bytes:
        """PUBACK, PUBREC, PUBREL or PUBCOMP; a refusal says why."""
        plain = packets5.encode_ack(first, packet_id, code)
        if not why or not self._problems:
            return plain
        return self._short(packets5.encode_ack(first, packet_id, code, _reason(why)), plain)

    def suback(self, packet_id: int, codes: list[int]) -> bytes:
        """A SUBACK. What is not authorised gets 0x80 and a reason string: the suite of Eclipse Paho takes no other refusal."""
        if reasons.NOT_AUTHORISED not in codes:
            return packets5.encode_codes(framing.SUBACK, packet_id, codes)
        codes = [reasons.FAILED if code == reasons.NOT_AUTHORISED else code for code in codes]
        why = _reason("a filter with code 0x80 is not authorised") if self._problems else {}
        plain = packets5.encode_codes(framing.SUBACK, packet_id, codes)
        return self._short(packets5.encode_codes(framing.SUBACK, packet_id, codes, why), plain)

    def unsuback(self, packet_id: int, codes: list[int]) -> bytes:
        """An UNSUBACK."""
        return packets5.encode_codes(framing.UNSUBACK, packet_id, codes)

    def delivery(
        self, message: Message, first: int, packet_id: bytes, identifiers: tuple[int, ...]
    ) -> tuple[bytes, ...]:
        """The parts of a PUBLISH; none when the client cannot take it [MQTT-3.1.2-24]. Its topic is sent once where the
        client has aliases left."""
        extra = b"".join(_identifier(each) for each in identifiers)
        if message.expires:
            left = max(1, (message.expires - self._now_ms() + 999) // 1000)
            extra += b"\x02" + left.to_bytes(4, "big")
        topic = message.topic
        alias = self._aliases.get(topic, 0) if self._most_aliases else 0
        if not alias and len(self._aliases) < self._most_aliases:
            fresh = len(self._aliases) + 1
            extra += b"\x23" + fresh.to_bytes(2, "big")
        elif alias:
            fresh, topic = 0, ""
            extra += b"\x23" + alias.to_bytes(2, "big")
        else:
            fresh = 0
        head, tail = self._parts(message, first, topic, extra)
        if len(head) + len(packet_id) + len(tail) + len(message.payload) > self._largest:
            return ()
        if fresh:
            self._aliases[topic] = fresh
        return head, packet_id, tail, message.payload

    def received(self, topic: str, body: bytes) -> tuple[str, bytes, Properties]:
        """(topic, payload, properties) of a PUBLISH. Raises Malformed, for an alias that is not known too."""
        if body[:1] == b"\0":
            if not topic:
                raise Malformed("PUBLISH without a topic or an alias", "", reasons.PROTOCOL_ERROR)
            return topic, body[1:], {}
        found, payload = packets5.decode_publish(body, properties.IN_PUBLISH)
        alias = found.get(properties.TOPIC_ALIAS)
        if alias is not None:
            if not 0 < alias <= self._limits.topic_aliases:
                raise Malformed(f"topic alias {alias}", "MQTT-3.3.2-9", reasons.ALIAS_NOT_VALID)
            if topic:
                self._topics[alias] = topic
            elif alias in self._topics:
                topic = self._topics[alias]
            else:
                raise Malformed(f"topic alias {alias} stands for no topic", "", reasons.ALIAS_NOT_VALID)
        elif not topic:
            raise Malformed("PUBLISH without a topic or an alias", "", reasons.PROTOCOL_ERROR)
        if properties.RESPONSE_TOPIC in found:
            check_name(found[properties.RESPONSE_TOPIC])  # [MQTT-3.3.2-14]
        return topic, payload, found

    def subscribe(self, body: bytes) -> list[tuple[str, int]]:
        """(filter, options) pairs of a SUBSCRIBE, its identifier above the options. Raises Malformed."""
        filters, found = packets5.decode_subscribe(body)
        identifier = found.get(properties.SUBSCRIPTION_IDENTIFIER, [0])[0] << 8
        return [(topic_filter, options | identifier) for topic_filter, options in filters]

    def unsubscribe(self, body: bytes) -> list[str]:
        """Filters of an UNSUBSCRIBE. Raises Malformed."""
        return packets5.decode_unsubscribe(body)

    def acknowledgement(self, body: bytes) -> int:
        """The reason code of an acknowledgement. Raises Malformed."""
        return packets5.decode_ack(body)[0] if body else reasons.SUCCESS

    def farewell(self, body: bytes, session: Session) -> int:
        """The reason code of a DISCONNECT; it may change the session's expiry. Raises Malformed."""
        code, found = packets5.decode_disconnect(body)
        expiry = found.get(properties.SESSION_EXPIRY)
        if expiry is not None:
            if expiry and not session.expiry:
                raise Malformed("DISCONNECT makes the session persistent", "MQTT-3.14.2-2", reasons.PROTOCOL_ERROR)
            session.expiry = min(expiry, self._limits.session_expiry_s)
        return code

    def _parts(self, message: Message, first: int, topic: str, extra: bytes) -> tuple[bytes, bytes]:
        """What stands before the packet id and behind it; kept where many clients may get the same."""
        if extra:
            return packets5.publish_head(first, string(topic), extra + message.properties, len(message.payload))
        head = message.parts.get(first | 0x100)
        if head is None:
            head, tail = packets5.publish_head(first, string(topic), message.properties, len(message.payload))
            message.parts[first | 0x100], message.parts[first | 0x200] = head, tail
        return head, message.parts[first | 0x200]

    def _short(self, packet: bytes, plain: bytes) -> bytes:
        return packet if self._problems and len(packet) <= self._largest else plain


Dialect = V311 | V5
OLD: Final = V311()


def session_expiry(connect: Connect, dialect: Dialect) -> int:
    """Seconds that a client wants its session to outlive its connection."""
    if isinstance(dialect, V5):
        return dialect.expiry
    return 0 if connect.clean_session else NEVER


def _reason(why: str) -> Properties:
    return {properties.REASON_STRING: why[:WHY_BYTES]} if why else {}


def _identifier(value: int) -> bytes:
    return properties.fields({properties.SUBSCRIPTION_IDENTIFIER: [value]})
