"""The sockets of the load generator: plain ones on one epoll, and MQTT's handshakes.

Cheap on purpose: on two cores whatever the generator uses is missing to the server. Nothing here knows which broker it talks to.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import wire

from benchmarks import streams

CHUNK = 1 << 18
"""One read."""
PROMPT = 7
"""One of so many events, less one, is a look at the platform's socket."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: an end by reset leaves no port in TIME_WAIT for the next run."""
IN, OUT = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT


class Loop:
    """One epoll, the peers by file number, and how many of them have closed."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.peers: dict[int, Peer] = {}
        self.prompt: Peer | None = None
        """Looked at between the others, as if it were a process of its own: 1,000 devices in one turn do not hold it up."""
        self.closed = 0

    def turn(self, seconds: float) -> None:
        """Handle what is ready, at the latest after `seconds`. `select` waits to the microsecond, epoll to the millisecond."""
        if seconds > 0:
            select.select([self.epoll], [], [], seconds)
        peers, prompt = self.peers, self.prompt
        for index, (number, mask) in enumerate(self.epoll.poll(0, 4096)):
            peer = peers.get(number)
            if peer is not None:
                peer.on_event(mask)
            if index & PROMPT == PROMPT and prompt is not None:
                prompt.on_event(select.EPOLLIN)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Turn until it holds; False when it does not in time."""
        ends = perf_counter() + seconds
        while not condition():
            if perf_counter() > ends:
                return False
            self.turn(0.01)
        return True


class Peer:
    """One connection: an output that may have to wait, and packets that come in."""

    __slots__ = ("buffer", "connected", "granted", "hello", "loop", "name", "out", "socket")

    def __init__(self, loop: Loop, name: str, secret: str | None) -> None:
        self.loop = loop
        self.name = name
        self.hello = wire.connect(name, name if secret else None, secret)
        self.buffer = b""
        self.out = bytearray()
        self.connected = self.granted = False
        self.socket: socket.socket | None = None

    def open(self, address: tuple[str, int]) -> None:
        """Begin to connect; CONNECT goes out as soon as it may."""
        self.socket = made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        code = made.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        self.out += self.hello
        self.loop.peers[made.fileno()] = self
        self.loop.epoll.register(made.fileno(), OUT)

    def close(self) -> None:
        if self.socket is not None:
            self.loop.peers.pop(self.socket.fileno(), None)
            self.socket.close()
            self.socket = None

    def send(self, data: bytes | bytearray) -> None:
        """Send now what goes, the rest when the socket takes it."""
        if self.socket is None:
            return
        if self.out:
            self.out += data
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lost()
            return
        if sent < len(data):
            self.out += memoryview(data)[sent:]
            self.loop.epoll.modify(self.socket.fileno(), OUT)

    def on_event(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self._flush()
        if mask & ~select.EPOLLOUT and self.socket is not None:
            try:
                data = self.socket.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.on_data(self.buffer + data if self.buffer else data)
            else:
                self.lost()

    def on_data(self, data: bytes) -> None:
        """Take all whole packets; keep the rest in `buffer`."""
        end = 0
        for packet in streams.packets(data):
            self.on_packet(packet.first, packet.body)
            end = packet.end
        self.buffer = data[end:]

    def on_packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == wire.CONNACK:
            if body[1]:
                raise ConnectionError(f"CONNACK {body[1]} for {self.name}")
            self.connected = True
        elif kind == wire.SUBACK:
            if body[2] > 1:
                raise ConnectionError(f"SUBACK {body[2]} for {self.name}")
            self.granted = True

    def lost(self) -> None:
        """The other side has ended the connection."""
        self.loop.closed += 1
        self.close()

    def _flush(self) -> None:
        data, self.out = self.out, bytearray()
        assert self.socket is not None
        self.loop.epoll.modify(self.socket.fileno(), IN)
        if data:
            self.send(data)


def connect(loop: Loop, address: tuple[str, int], peers: Sequence[Peer], at_once: int, seconds: float) -> float:
    """Connect all, `at_once` at a time, until each has its CONNACK; gives seconds. TimeoutError says how many have."""
    started = perf_counter()
    waiting: deque[Peer] = deque()
    for peer in peers:
        peer.open(address)
        waiting.append(peer)
        while len(waiting) >= at_once:
            _turn(loop, started + seconds, f"{len(peers) - len(waiting):,} of {len(peers):,} connected")
            _drop_done(waiting)
    while waiting:
        _turn(loop, started + seconds, f"{len(peers) - len(waiting):,} of {len(peers):,} connected")
        _drop_done(waiting)
    return perf_counter() - started


def subscribe(loop: Loop, peers: list[tuple[Peer, str]], at_once: int, seconds: float) -> None:
    """Each to its filter at QoS 1, until all are granted."""
    ends = perf_counter() + seconds
    for start in range(0, len(peers), at_once):
        part = peers[start : start + at_once]
        for peer, topic_filter in part:
            peer.send(wire.subscribe(1, [(topic_filter, 1)]))
        while not all(peer.granted for peer, _ in part):
            _turn(loop, ends, f"{start:,} of {len(peers):,} subscribed")


def _turn(loop: Loop, ends: float, what: str) -> None:
    if perf_counter() > ends:
        raise TimeoutError(what)
    if loop.closed:
        raise ConnectionError(f"{loop.closed} connections were closed; {what}")
    loop.turn(0.01)


def _drop_done(waiting: deque[Peer]) -> None:
    while waiting and waiting[0].connected:
        waiting.popleft()
