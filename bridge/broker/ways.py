"""Listening sockets for streams that are asked something before they may speak."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bridge.broker.access import Peer
from bridge.broker.door import Door
from bridge.broker.entrance import RefusedError, Way, enter
from bridge.broker.heap import Heap

log = logging.getLogger(__name__)

BACKLOG: Final = 4_096
"""A fleet that comes back after an outage connects at once."""
ACCEPTS: Final = 64
"""Streams accepted in one turn of the event loop."""
ENTERING: Final = 2_000
"""Streams of one listener with a header or handshake under way, a millisecond and 35 KiB each. More wait in the system's queue:
a fleet that comes back at once is served in turn."""
AGAIN_S: Final = 1.0
"""After the system had no file left for a stream."""
SOCKET_MODE: Final = 0o660
"""Of a UNIX socket: the service's user and group."""
PROBE_S: Final = 1.0


class Ways:
    """Every listener of TLS, PROXY, WebSocket, UNIX. `refused(cause, peer, why)` is told of who may not come in."""

    def __init__(self, door: Door, refused: Callable[[str, Peer | None, str], None]) -> None:
        self._door = door
        self._refused = refused
        self._sockets: list[socket.socket] = []
        self._files: list[tuple[Path, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._heap = Heap()

    async def open(self, where: tuple[str, int] | Path, way: Way) -> tuple[str, int] | Path:
        """Listen on an address or a UNIX socket; port 0 takes a free one. Gives the address. Raises OSError."""
        if isinstance(where, Path):
            made, inode = _bind(where)
            self._files.append((where, inode))
            self._serve(made, way)
            return where
        first: tuple[str, int] | None = None
        for family, host in await _families(*where):
            made = socket.create_server((host, where[1]), family=family)
            self._serve(made, way)
            first = first or (str(made.getsockname()[0]), int(made.getsockname()[1]))
        assert first is not None  # noqa: S101 - a name without an address raises
        return first

    def close(self) -> None:
        """Accept nobody any more, cut off who is not in yet."""
        self._heap.close()
        for task in self._tasks:
            task.cancel()
        for each in self._sockets:
            each.close()
        for path, inode in self._files:
            _remove(path, inode)

    def _serve(self, listening: socket.socket, way: Way) -> None:
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._sockets.append(listening)
        self._spawn(self._accept(listening, way), f"accept {listening.getsockname()}")

    async def _accept(self, listening: socket.socket, way: Way) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(ENTERING)
        while True:
            async with room:
                pass
            try:
                await self._begin((await loop.sock_accept(listening))[0], way, room)
                for _ in range(ACCEPTS):
                    if room.locked():
                        break
                    await self._begin(listening.accept()[0], way, room)
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:
                log.warning("no stream can be accepted for %g s: %s", AGAIN_S, error)
                await asyncio.sleep(AGAIN_S)

    async def _begin(self, sock: socket.socket, way: Way, room: asyncio.Semaphore) -> None:
        await room.acquire()  # at once: nobody else takes
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            with suppress(OSError):  # gone already, as some systems tell
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._spawn(self._enter(sock, way, room), "entrance")

    async def _enter(self, sock: socket.socket, way: Way, room: asyncio.Semaphore) -> None:
        try:
            await enter(sock, way, self._door)
        except RefusedError as error:
            self._refused(error.cause, error.peer, error.why)
        finally:
            room.release()
            if way.certificate is not None:
                self._heap.shaken()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


async def _families(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """(family, address) of every address of a name, once."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def _bind(path: Path) -> tuple[socket.socket, int]:
    """A socket file of our own, and its inode; one that a dead process has left is replaced. Raises OSError."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_S)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except FileNotFoundError:
                pass
            else:
                raise OSError(None, "somebody listens there")
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(str(path))
        path.chmod(SOCKET_MODE)  # nobody can connect before it listens
        return made, path.stat().st_ino
    except OSError:
        made.close()
        raise


def _remove(path: Path, inode: int) -> None:
    """Our socket file; not the one of somebody who has replaced it."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one look for both questions
        if stat.S_ISSOCK(found.st_mode) and found.st_ino == inode:
            path.unlink()
    except OSError:
        return
