"""One MQTT connection: packets in, packets out. Sessions and routing are the hub's, words the dialect's."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.broker.dialect import GOODBYES, OLD, V5, Accepted
from bridge.broker.intake import CLOSED, GREETING, OPEN, OPENING, Intake
from bridge.broker.login import log_in
from bridge.broker.pace import Pace
from bridge.broker.replay import send_next
from bridge.broker.wire import OPENING_SESSION, PRESSED, THROTTLED
from bridge.mqtt import framing, packets, reasons
from bridge.mqtt.errors import Malformed, TooLarge, Unacceptable
from bridge.mqtt.flow import RELEASED, Delivery, Message
from bridge.mqtt.framing import Frame, Framing

if TYPE_CHECKING:
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session

log = logging.getLogger(__name__)

SWEEP_S: Final = 0.5
"""How often deadlines are looked at; silence is measured to this grain, never shorter than promised."""
_NO_ID = b""


class Connection(Intake):
    """The server's end. `principal` is None until the client has proved who it is."""

    __slots__ = ("_framing", "_pace", "_will", "announced", "client_id", "heard", "patience", "since")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._framing = Framing(hub.limits.connect_packet_bytes, hub.names)
        self._will: packets.Will | None = None
        self.client_id = ""
        self._pace: Pace | None = None
        self.announced = False
        self.patience = 0.0
        """Seconds of silence after which the client counts as gone; 0 is never."""
        self.heard = self.since = hub.turn.now

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; nothing is known of it."""
        super().connection_made(transport)
        self._hub.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone."""
        self.close("lost")
        self._transport = None
        self._hub.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Handle every whole packet of the chunk."""
        hub = self._hub
        self.heard = hub.turn.now
        if self.state == CLOSED:
            return
        frames = self._framing.feed(data)
        hub.bytes_in += len(data)
        hub.packets_in += len(frames)
        if self._held is not None:
            self._held += frames
            return
        before = hub.published_in
        self._handle(frames)
        if self._pace is not None and hub.published_in > before:
            wait = self._pace.spend(hub.published_in - before, len(data), hub.limits)
            if wait:
                self._slow_down(wait)
        if hub.pressed and self.state == OPEN:
            self.stop(PRESSED)
            hub.park(self)

    # What hub and listener call.

    def send(self, message: Message, *, retain: bool = False, identifiers: tuple[int, ...] = ()) -> None:
        """Write a message at QoS 0; dropped when the client does not keep up."""
        if self.state != OPEN or not self.ready:
            self._hub.losses.dropped("slow_consumer", self.client_id, message.topic)
            return
        if message.expires and message.expires <= self._hub.timers.now_ms():
            self._hub.losses.dropped("expired", self.client_id, message.topic)
            return
        parts = self.dialect.delivery(message, 0x31 if retain else 0x30, _NO_ID, identifiers)
        if parts:
            self._hub.published_out += 1
            self.write(*parts)
        else:
            self._hub.losses.dropped("packet_too_large", self.client_id, message.topic)

    def feed(self) -> None:
        """Send what waits in the session, as far as its window and the peer allow."""
        session = self.session
        if session is None or self.state != OPEN:
            return
        out = session.out
        if not out.waiting and not session.replay:
            return
        while self.ready:
            delivery = out.take()
            if delivery is not None:
                self._deliver(session, delivery)
            elif not session.replay or out.inflight >= out.window or not send_next(self._hub, session, self):
                return

    def overdue(self, now: float) -> str:
        """Why its time is up at `now` (seconds of the loop's clock), or ""."""
        limits = self._hub.limits
        if self.state == OPEN:
            return "keep_alive" if self.patience and now - self.heard > self.patience else ""  # [MQTT-3.1.2-24]
        if self.state == GREETING:
            return "connect_timeout" if now - self.since > limits.connect_timeout_s else ""
        if self.state == OPENING:
            return "login_timeout" if now - self.since > limits.login_timeout_s else ""
        return "stuck" if now - self.since > limits.close_timeout_s else ""

    def close(self, cause: str, successor: Connection | None = None, *, code: int = 0, why: str = "") -> None:
        """End the connection; its will is published unless the client said goodbye [MQTT-3.1.2-8]. `successor` takes the session
        over. MQTT 5 is told `code` and `why`, or the code of the cause."""
        if self.state == CLOSED:
            return
        will = self._will if self.state == OPEN and cause != "stopped" else None
        code = code or GOODBYES.get(cause, 0)
        goodbye = self.dialect.goodbye(code, why) if code and self.state == OPEN else b""
        if goodbye:
            self.write(goodbye)
        session, self.session = self.session, None
        self.state = CLOSED
        self.since = self._hub.turn.now
        self._held = self._will = None
        self._hub.losses.closed(cause, self.peer, self.client_id, why)
        if session is not None:
            self._hub.detach(session, will)
        if self.announced and self.principal is not None:
            if successor is not None:
                successor.announced = True
            else:
                self._hub.presence(self.principal, self.client_id, False)
        self.announced = False
        self.hang_up(linger=bool(goodbye) and cause != "stopped")

    def unpark(self) -> None:
        """The writer's pressure is over."""
        self.go(PRESSED)

    @property
    def opening(self) -> bool:
        """Whether its login still runs."""
        return self.state == OPENING

    # What the login calls.

    def accept(self, session: Session, connect: packets.Connect, what: Accepted) -> None:
        """CONNACK 0, then what the session has kept, then what the client sent meanwhile."""
        if self.state != OPENING:
            return
        self.state = OPEN
        self._hub.accepted += 1
        if self._hub.limits.publish_rate:
            self._pace = Pace(self._hub.limits)
        self._will = connect.will
        self._framing.limit = self._hub.limits.max_packet_bytes
        self.patience = what.keep_alive * 1.5 + SWEEP_S if what.keep_alive else 0.0
        self.heard = self._hub.turn.now
        self.write(self.dialect.accepted(what))  # [MQTT-3.2.0-1] [MQTT-3.2.2-2]
        if not self.announced and self.principal is not None:
            self.announced = True
            self._hub.presence(self.principal, self.client_id, True)
        self.feed()
        self._hub.reach(session)
        self.go_on(OPENING_SESSION)

    def refuse(self, code: int, why: str = "") -> None:
        """CONNACK with a refusal, then close [MQTT-3.2.2-5]."""
        if self.state in (GREETING, OPENING):
            self._hub.losses.refused(code, self.peer, self.client_id, why)
            self.write(self.dialect.refused(code, why))
            self.close("refused")

    # Packets.

    def _slow_down(self, wait: float) -> None:
        """The client is too fast: not read for so many seconds; negative: for too long."""
        if self.state != OPEN:
            return
        if wait < 0:
            self.close("rate_exceeded", why="too many packets or bytes a second, for too long")
            return
        self._hub.losses.throttled(self.peer, self.client_id)
        self.stop(THROTTLED)
        self._hub.turn.loop.call_later(wait, self.go, THROTTLED)

    def _handle(self, frames: list[Frame]) -> None:
        for index, (first, topic, packet_id, body) in enumerate(frames):
            if first & 0xF0 == 0x30 and self.session is not None:
                if self.dialect is OLD:
                    self.publish(self.session, first, topic, packet_id, body)
                else:
                    self._publish(self.session, first, topic, packet_id, body)
            else:
                self._dispatch(first, packet_id, body)
            if self._held is not None:
                self._held += frames[index + 1 :]
                return
            if self.state == CLOSED:
                return
        if self._framing.error is not None:
            self._broken(self._framing.error)

    def go_on(self, reason: int) -> None:
        """What the connection waited for is there: deal with what came meanwhile."""
        held, self._held = self._held, None
        self._handle(held or [])
        if self._held is None:
            self.go(reason)

    def _dispatch(self, first: int, packet_id: int, body: bytes) -> None:
        try:
            if self.state == GREETING:
                self._greet(first, body)
            elif self.session is not None and first in _HANDLERS:
                _HANDLERS[first](self, self.session, packet_id, body)
            else:  # among them a second CONNECT [MQTT-3.1.0-2]
                self._broken(Malformed(f"a client may not send 0x{first:02x} here", "", reasons.PROTOCOL_ERROR))
        except Unacceptable as error:
            self.refuse(error.code, error.detail)
        except Malformed as error:
            self._broken(error)

    def _broken(self, error: Malformed) -> None:
        log.info("%s %r: %s", self.peer, self.client_id, error)
        if self.state == GREETING and self.dialect is not OLD:
            self.write(self.dialect.refused(error.code, str(error)))
        cause = "packet_too_large" if isinstance(error, TooLarge) else "protocol_error"  # [MQTT-4.8.0-1]
        self.close(cause, code=error.code, why=str(error))

    def _greet(self, first: int, body: bytes) -> None:
        if first != framing.CONNECT:
            raise Malformed("first packet is no CONNECT", "MQTT-3.1.0-1")
        if self._framing.version == packets.V5:
            self.dialect = V5(
                packets.Connect(""), self._hub.limits, self._hub.timers.now_ms
            )  # to tell what is wrong with the CONNECT
        connect = packets.decode_connect(body)
        if connect.version == packets.V5:
            self.dialect = V5(connect, self._hub.limits, self._hub.timers.now_ms)
        self.state = OPENING
        self.since = self._hub.turn.now
        self._held = []
        self.stop(OPENING_SESSION)
        self._hub.turn.spawn(log_in(self, self._hub, connect), f"login {self.peer}")

    def _publish(self, session: Session, first: int, topic: str, packet_id: int, body: bytes) -> None:
        try:
            self.publish(session, first, topic, packet_id, body)
        except Malformed as error:
            self._broken(error)

    def _deliver(self, session: Session, delivery: Delivery) -> None:
        packet_id = delivery.packet_id.to_bytes(2, "big")
        if delivery.state == RELEASED:
            self.write(b"\x62\x02" + packet_id)
            return
        message = delivery.message
        if message.expires and not delivery.dup and message.expires <= self._hub.timers.now_ms():
            self._hub.losses.dropped("expired", self.client_id, message.topic)
            self._hub.drop_delivery(session, delivery.packet_id)
            return
        first = 0x30 | delivery.dup << 3 | delivery.qos << 1 | delivery.retain
        parts = self.dialect.delivery(message, first, packet_id, delivery.identifiers)
        if parts:
            self._hub.published_out += 1
            self.write(*parts)
        else:
            self._hub.losses.dropped("packet_too_large", self.client_id, message.topic)
            self._hub.drop_delivery(session, delivery.packet_id)

    # Handlers, by first byte.

    def _puback(self, session: Session, packet_id: int, body: bytes) -> None:
        self._hub.acknowledged(session, packet_id, self.dialect.acknowledgement(body) if body else 0)
        self.feed()

    def _pubrec(self, session: Session, packet_id: int, body: bytes) -> None:
        self._hub.received(session, packet_id, self.dialect.acknowledgement(body), partial(self._pubrel_out, packet_id))
        self.feed()

    def _pubrel_out(self, packet_id: int, code: int) -> None:
        self._answer(self.dialect.ack(framing.PUBREL, packet_id, code))

    def _pubrel(self, session: Session, packet_id: int, body: bytes) -> None:
        self.dialect.acknowledgement(body)
        known = session.inbound.pop(packet_id, None) is not None
        answer = self.dialect.ack(framing.PUBCOMP, packet_id, reasons.SUCCESS if known else reasons.PACKET_ID_NOT_FOUND)
        if known and session.durable:  # forgotten on disk first: the id may name a new message from now on
            self._hub.persist([("mqtt_inbound_released", (session.id, packet_id))], partial(self._answered, answer))
        else:
            self.write(answer)

    def _pubcomp(self, session: Session, packet_id: int, body: bytes) -> None:
        self.dialect.acknowledgement(body)
        self._hub.completed(session, packet_id)
        self.feed()

    def _subscribe(self, session: Session, packet_id: int, body: bytes) -> None:
        filters = self.dialect.subscribe(body)
        questions = self._hub.questions(session, filters)
        if questions:
            self.ask(session, questions, (framing.SUBSCRIBE, "", packet_id, body))
            return
        self._hub.subscribe(session, filters, lambda codes: self._answer(self.dialect.suback(packet_id, codes)))

    def _unsubscribe(self, session: Session, packet_id: int, body: bytes) -> None:
        filters = self.dialect.unsubscribe(body)
        self._hub.unsubscribe(session, filters, lambda codes: self._answer(self.dialect.unsuback(packet_id, codes)))

    def _pingreq(self, _session: Session, _packet_id: int, _body: bytes) -> None:
        self.write(packets.PINGRESP_BYTES)

    def _disconnect(self, session: Session, _packet_id: int, body: bytes) -> None:
        code = self.dialect.farewell(body, session) if isinstance(self.dialect, V5) else reasons.SUCCESS
        if code == reasons.SUCCESS:
            self._will = None  # [MQTT-3.14.4-3]
        self.close("disconnect")

    def _auth(self, _session: Session, _packet_id: int, _body: bytes) -> None:
        raise Malformed("AUTH without an authentication method", "MQTT-4.12.0-6", reasons.PROTOCOL_ERROR)

    def _answer(self, packet: bytes) -> None:
        if self.state == OPEN:
            self.write(packet)

    def _answered(self, packet: bytes, ok: bool) -> None:
        if ok:
            self._answer(packet)
        else:
            self.close("commit_failed")


_HANDLERS: Final = {
    framing.PUBACK: Connection._puback,
    framing.PUBREC: Connection._pubrec,
    framing.PUBREL: Connection._pubrel,
    framing.PUBCOMP: Connection._pubcomp,
    framing.SUBSCRIBE: Connection._subscribe,
    framing.UNSUBSCRIBE: Connection._unsubscribe,
    framing.PINGREQ: Connection._pingreq,
    framing.DISCONNECT: Connection._disconnect,
    framing.AUTH: Connection._auth,
}
