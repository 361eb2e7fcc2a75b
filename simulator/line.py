"""The connection of a tape: an asyncio.Protocol over the sans-io codec of `bridge.mqtt`. It speaks MQTT 5, and 3.1.1 to a
broker that has no 5; QoS 0 to 2 both ways; with MQTT 5 it sees what was published to be retained.

What is published is kept until the broker has it; after a reconnect it is sent again. The line has no task and no timer: who
owns it opens it and calls `tick` about once a second.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, cast

from bridge.mqtt import framing, packets, packets5, properties, reasons
from bridge.mqtt.errors import Malformed
from bridge.mqtt.flow import RELEASED, Delivery, Message, Outbound
from bridge.mqtt.framing import Frame, Framing
from bridge.mqtt.packets import V5, V311, Connect
from simulator.link import WORDS

ANSWER_S: Final = 20.0
"""Time a broker has for CONNACK, SUBACK or PINGRESP."""
WINDOW: Final = 16
"""Messages on their way at once to who names no Receive Maximum."""
WIDEST: Final = 512
NO_LIMIT: Final = 1 << 40
SESSION_S: Final = 300
"""How long a broker keeps what is half said (QoS 2) while the connection is lost."""

CLOSED, OPENING, ASKING, READY = range(4)
"""States of a line: no connection, socket opening, CONNECT or SUBSCRIBE unanswered, subscribed."""

_HOPELESS: Final = frozenset((
    reasons.CLIENT_ID_NOT_VALID, reasons.BAD_CREDENTIALS, reasons.NOT_AUTHORISED, reasons.BANNED,
    reasons.BAD_AUTHENTICATION_METHOD,
))  # fmt: skip
_HOPELESS_311: Final = frozenset((2, 4, 5))
_WORDS: Final = {
    reasons.CLIENT_ID_NOT_VALID: "client id not valid", reasons.BAD_CREDENTIALS: "bad user name or password",
    reasons.NOT_AUTHORISED: "not authorised", reasons.BANNED: "banned", reasons.SERVER_UNAVAILABLE: "server unavailable",
}  # fmt: skip


class Post(NamedTuple):
    """A message, in or out."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Peer(Protocol):
    """Whom a line tells what happens."""

    def online(self) -> None:
        """The broker has taken the subscriptions."""

    def offline_because(self, reason: str) -> None:
        """The connection is gone; reconnecting is the peer's business."""

    def message(self, post: Post) -> None:
        """A message came; the broker is told so when this returns."""

    def settled(self, refusal: str) -> None:
        """The broker has a message (at QoS 0: it went out), or says why it does not take it."""


class Line(asyncio.Protocol):
    """One connection. `hopeless`: the broker's answer will be the same again, as of a wrong password."""

    def __init__(self, peer: Peer, hello: Connect, filters: Sequence[str] = ()) -> None:
        self.state = CLOSED
        self.reason = ""
        self.hopeless = False
        self._peer = peer
        self._hello = hello
        self._filters = tuple(filters)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._version = V5
        self._spoken = False
        """Whether a broker has answered, so that the version is known."""
        self.known = False
        """Whether it was ever ready."""
        self._other = False
        """Whether the connection ends only to be opened in the other version."""
        self._framing = Framing()
        self._queue: deque[Post] = deque()
        self._out = Outbound(WINDOW, 65_535, NO_LIMIT)
        self._half: set[int] = set()
        """QoS 2 packet ids that came and are not released."""
        self._qos = 2
        self._retains = True
        self._largest = NO_LIMIT
        self._keep_alive_s = float(hello.keep_alive)
        self._paused = False
        self._last_sent = self._waiting_since = 0.0

    @property
    def pending(self) -> int:
        """Messages that the broker does not have yet."""
        return len(self._queue) + len(self._out.entries)

    @property
    def sees_retained(self) -> bool:
        """Whether a message is marked as it was published; else only what a broker had kept when it was subscribed to is."""
        return self._version == V5

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> bool:
        """Connect the socket and send CONNECT; False when that cannot be (`reason`)."""
        self.state, self.reason, self.hopeless = OPENING, "", False
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._loop.create_connection(lambda: self, host, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            self.state = CLOSED
            self.reason, self.hopeless = _unopened(error)
            return False
        return True

    def publish(self, post: Post) -> None:
        """Send it, now or when the window and the connection allow."""
        self._queue.append(post)
        self._pump()

    def forget(self) -> int:
        """Drop what the broker does not have; how many messages that were."""
        dropped = self.pending
        self._queue.clear()
        self._out.end()
        self._out = Outbound(self._out.window, 65_535, NO_LIMIT)
        return dropped

    def close(self) -> None:
        """Leave in good order, and have the broker forget the session. The peer is told when the socket is closed."""
        if self._transport is not None and not self._transport.is_closing():
            if self.state >= ASKING:
                end = {properties.SESSION_EXPIRY: 0}
                self._write(packets5.encode_disconnect(0, end) if self._version == V5 else packets.DISCONNECT_BYTES)
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Cut the connection without a word."""
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()

    def tick(self) -> None:
        """Keep alive; cut a connection whose broker owes an answer for too long."""
        now = self._loop.time()
        if self.state in (CLOSED, OPENING):
            return
        if self._waiting_since and now - self._waiting_since > ANSWER_S:
            self.abort("the broker does not answer")
        elif self.state == READY and self._keep_alive_s and now - self._last_sent > self._keep_alive_s * 0.75:
            self._write(packets.PINGREQ_BYTES)
            self._waiting_since = self._waiting_since or now

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        self._framing = Framing(version=self._version)
        self._paused = False
        self.state = ASKING
        self._waiting_since = self._loop.time()
        hello = self._hello._replace(version=self._version)
        if self._version == V5:
            hello = hello._replace(properties={properties.SESSION_EXPIRY: 0 if hello.clean_session else SESSION_S})
        self._write(packets.encode_connect(hello))

    def data_received(self, data: bytes) -> None:
        """Deal with every whole packet of the chunk; one write for all answers."""
        answers: list[bytes] = []
        try:
            for frame in self._framing.feed(data):
                self._take(frame, answers)
            if self._framing.error is not None:
                raise self._framing.error
        except Malformed as error:
            self.abort(f"it sends no MQTT: {error.detail}")
        if answers:
            self._write(b"".join(answers))
        self._pump()

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection, keep what the broker does not have."""
        if self.state == ASKING and not self._spoken and not self.reason:
            self._version = V311 if self._version == V5 else V5  # some hang up on a version that they do not speak
        self.state = CLOSED
        self._transport = None
        self._waiting_since = 0.0
        why = self.reason or (str(error) if error else "closed by the broker")
        other, self._other = self._other, False
        self._peer.offline_because("" if other else why)

    # What comes

    def _take(self, frame: Frame, answers: list[bytes]) -> None:
        first, topic, packet_id, body = frame
        kind = first & 0xF0
        if kind == framing.PUBLISH:
            self._heard(first, topic, packet_id, body, answers)
        elif kind in (framing.PUBACK, framing.PUBREC, framing.PUBCOMP):
            self._acknowledged(kind, packet_id, body, answers)
        elif first == framing.PUBREL:
            self._half.discard(packet_id)
            answers.append(packets5.encode_ack(framing.PUBCOMP, packet_id))
        elif kind == framing.CONNACK:
            self._greeted(body)
        elif kind == framing.SUBACK:
            self._subscribed(packets5.decode_codes(body)[0] if self._version == V5 else packets.decode_suback(body))
        elif kind == framing.PINGRESP:
            self._waiting_since = 0.0
        elif kind == framing.DISCONNECT and self._version == V5:
            self.abort(_said("DISCONNECT", *packets5.decode_disconnect(body)))
        else:
            self.abort(f"the broker sent packet 0x{first:02x}")

    def _heard(self, first: int, topic: str, packet_id: int, body: bytes, answers: list[bytes]) -> None:
        payload = packets5.decode_publish(body)[1] if self._version == V5 else body
        qos = first >> 1 & 3
        if qos != 2 or packet_id not in self._half:
            self._peer.message(Post(topic, payload, qos, bool(first & 1)))
        if qos == 1:
            answers.append(packets.encode_puback(packet_id))
        elif qos == 2:
            self._half.add(packet_id)
            answers.append(packets.encode_pubrec(packet_id))

    def _acknowledged(self, kind: int, packet_id: int, body: bytes, answers: list[bytes]) -> None:
        code, found = packets5.decode_ack(body) if self._version == V5 else (0, {})
        if kind == framing.PUBREC:
            delivery = self._out.receive(packet_id)
            if delivery is not None and code >= reasons.FAILED:
                self._out.discard(delivery)
                self._peer.settled(_said("PUBREC", code, found))
                return
            if delivery is not None:
                self._out.release(delivery)
            answers.append(packets5.encode_ack(framing.PUBREL, packet_id))
            return
        done = self._out.acknowledge(packet_id) if kind == framing.PUBACK else self._out.complete(packet_id)
        if done is not None:
            refused = kind == framing.PUBACK and code >= reasons.FAILED
            self._peer.settled(_said("PUBACK", code, found) if refused else "")

    def _greeted(self, body: bytes) -> None:
        found: properties.Properties = {}
        if self._version == V5 and len(body) == 2:  # the answer of who speaks 3.1.1 alone
            code = reasons.UNSUPPORTED_VERSION if body[1] == 1 else body[1]
        elif self._version == V5:
            _, code, found = packets5.decode_connack(body)
        else:
            _, code = packets.decode_connack(body)
        if code == reasons.UNSUPPORTED_VERSION and self._version == V5:
            self._version, self._spoken, self._other = V311, True, True
            self.abort("it speaks no MQTT 5")
        elif code != reasons.SUCCESS:
            five = self._version == V5
            self.hopeless = code in (_HOPELESS if five else _HOPELESS_311)
            word = (_WORDS if five else WORDS).get(code, "")
            self.abort(_said("CONNACK", code, found) + (f": {word}" if word else ""))
        else:
            self._let_in(found)

    def _let_in(self, found: properties.Properties) -> None:
        self._spoken = True
        self._qos = found.get(properties.MAXIMUM_QOS, 2)
        self._retains = bool(found.get(properties.RETAIN_AVAILABLE, 1))
        self._largest = found.get(properties.MAXIMUM_PACKET_SIZE, NO_LIMIT)
        self._keep_alive_s = float(found.get(properties.SERVER_KEEP_ALIVE, self._hello.keep_alive))
        self._out.window = min(found.get(properties.RECEIVE_MAXIMUM, WIDEST), WIDEST) if self._version == V5 else WINDOW
        self._half.clear()
        self._out.resume()
        if not self._filters:
            self._subscribed([])
        elif self._version == V5:
            handling = 0x20 if self.known else 0  # what is retained came the first time
            options = 2 | packets5.RETAIN_AS_PUBLISHED | handling
            self._write(packets5.encode_subscribe(1, [(wanted, options) for wanted in self._filters]))
        else:
            self._write(packets.encode_subscribe(1, [(wanted, 2) for wanted in self._filters]))

    def _subscribed(self, codes: list[int]) -> None:
        refused = [wanted for wanted, code in zip(self._filters, codes, strict=False) if code >= packets.FAILURE]
        if refused:
            self.hopeless = True
            self.abort(f"the broker refused to subscribe to {', '.join(refused)}")
            return
        self._waiting_since = 0.0
        self.state = READY
        self._peer.online()
        self.known = True
        self._pump()

    # What goes

    def _pump(self) -> None:
        """Move messages from the queue into the window, in one write."""
        if self.state != READY or self._paused:
            return
        out: list[bytes] = []
        while delivery := self._out.take():
            out.append(self._encoded(delivery))
        while self._queue and self._out.inflight < self._out.window:
            post = self._queue.popleft()
            if len(post.payload) + len(post.topic) + 64 > self._largest:
                self._peer.settled(f"larger than the {self._largest} bytes that the broker takes")
            elif min(post.qos, self._qos):
                kept = self._out.reserve(
                    Message(post.topic, post.payload), min(post.qos, self._qos), retain=post.retain and self._retains
                )
                assert kept is not None  # noqa: S101 - the window is smaller than what it holds
                self._out.ready(kept)
                self._out.take()
                out.append(self._encoded(kept))
            else:
                out.append(self._encode(post.topic, post.payload, 0, post.retain and self._retains, False, 0))
                self._peer.settled("")
        if out:
            self._write(b"".join(out))

    def _encoded(self, delivery: Delivery) -> bytes:
        if delivery.state == RELEASED:
            return packets5.encode_ack(framing.PUBREL, delivery.packet_id)
        message = delivery.message
        return self._encode(
            message.topic, message.payload, delivery.qos, delivery.retain, delivery.dup, delivery.packet_id
        )

    def _encode(self, topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int) -> bytes:
        if self._version == V5:
            return packets5.encode_publish(topic, payload, qos, retain=retain, dup=dup, packet_id=packet_id)
        return packets.encode_publish(topic, payload, qos, retain=retain, dup=dup, packet_id=packet_id)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._last_sent = self._loop.time()
            self._transport.write(data)


def _said(packet: str, code: int, found: properties.Properties) -> str:
    return f"{packet} 0x{code:02x} {found.get(properties.REASON_STRING, '')}".rstrip()


def _unopened(error: OSError | TimeoutError) -> tuple[str, bool]:
    """Why there is no connection, and whether it would be the same again."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}", True
    if isinstance(error, ssl.SSLError):
        return f"no TLS with it: {error.reason or error}", True
    if isinstance(error, OSError) and error.strerror:
        return error.strerror, False
    return str(error) or "timed out", False
