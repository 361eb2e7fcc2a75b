"""The client over HTTP: commands, devices, readings, stored messages, events.

A request that got no answer (connection fault, 502 to 504) is repeated for `patience_s`; commands carry their mid, so a
repetition is the same command.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from bridge.client.command import Asked
from bridge.client.features import Device
from bridge.client.outcome import ANSWERED, Outcome, typed
from bridge.client.shapes import Command, DeviceDetail, DeviceInfo, Event, Page, Readings, Stored
from bridge.client.sse import Parser
from bridge.errors import (
    BridgeError,
    ConfigError,
    Conflict,
    Denied,
    Exhausted,
    NotFound,
    Refused,
    Unprocessable,
    Unreachable,
)
from schemas import kinds

T = TypeVar("T")

POLL_S: Final = 20.0
"""One request waits so long for an outcome: shorter than what proxies cut."""
CROWD_S: Final = 2.0
"""The first one, and any while others wait for their turn, so long only: a command is sent soon, whoever is waited for."""
MOST: Final = 256
"""Requests of one client at the same time: a bridge cuts off who has more than 400 connections from one address."""
ANSWER_S: Final = 30.0
"""Time that a request has beyond what it waits for."""
CONNECT_S: Final = 10.0
SILENT_S: Final = 120.0
"""A stream of events that is silent for so long is dead: the bridge sends a comment every `http.heartbeat_s`."""
BACKOFF_FIRST_S: Final = 0.2
BACKOFF_LAST_S: Final = 5.0
PAGE: Final = 500
REFUSALS: Final[dict[int, type[Refused]]] = {
    401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 422: Unprocessable, 429: Exhausted,
}  # fmt: skip
AGAIN: Final = frozenset({502, 503, 504})
TYPES: Final = ("reading", "command", "presence", "alarm")

Time = int | datetime
"""Epoch ms, or a datetime with its zone."""


class HttpClient:
    """One bridge, by its HTTP address and an account's key: `async with HttpClient("http://box:8080", key) as bridge: …`."""

    def __init__(self, url: str, key: str = "", *, tls: ssl.SSLContext | None = None, patience_s: float = 30.0) -> None:
        """`tls` is for a certificate that the system does not trust. Raises ConfigError for what is no address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ConfigError("url", f"{url!r} is no address of a bridge", "http://HOST:PORT")
        self._url = url.rstrip("/")
        self._headers = {"X-API-Key": key} if key else {}
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._patience_s = patience_s
        self._turn = asyncio.Semaphore(MOST)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Commands.

    def device(self, uid: str) -> Device:
        """A device's commands. Whether there is one shows when something is asked of it."""
        return Device(self, uid)

    async def ask(self, asked: Asked) -> Outcome[Any]:
        """See Transport."""
        options = dict(asked.options)
        wanted = options.pop("wait_s", None)
        ends = None if wanted is None else monotonic() + float(str(wanted))
        body = {
            **options,
            "feature": asked.kind.feature,
            "action": asked.kind.action,
            "mid": asked.mid,
            "wait_s": _slice(ends, CROWD_S),
        }
        if asked.data is not None:
            body["data"] = asked.data
        path = f"/api/v1/devices/{_segment(asked.device)}/commands"
        found = await self._call("POST", path, Command, body=body, waits=CROWD_S, mid=asked.mid)
        return outcome(await self._wait(found, ends))

    async def command(self, mid: str, wait_s: float = 0.0) -> Command:
        """A command as it stands, at most `wait_s` later with its outcome. Raises NotFound, Denied, Unreachable."""
        ends = monotonic() + wait_s
        found = await self._look(mid, _slice(ends, self._poll_s))
        return await self._wait(found, ends)

    async def cancel(self, mid: str) -> Command:
        """Withdraw a command that was not sent. Raises Conflict when it was sent or has ended, NotFound, Denied, Unreachable."""
        try:
            return await self._call("DELETE", f"/api/v1/commands/{_segment(mid)}", Command, mid=mid)
        except Conflict:
            found = await self.command(mid)
            if found.state == "cancelled":  # by this very request, whose first answer was lost
                return found
            raise

    async def commands(self, *, device: str | None = None, state: str | None = None) -> AsyncIterator[Command]:
        """Every command, newest first, without its history."""
        before: Any = None
        while True:
            page = await self._get("/api/v1/commands", Page, device=device, state=state, before=before, limit=PAGE)
            for found in page.commands:
                yield found
            before = page.next
            if before is None:
                return

    # What is known.

    async def devices(self, *, online: bool | None = None) -> AsyncIterator[DeviceInfo]:
        """Every device that the account may see, by uid."""
        after: Any = None
        while True:
            page = await self._get("/api/v1/devices", Page, online=online, after=after, limit=PAGE)
            for found in page.devices:
                yield found
            after = page.next
            if after is None:
                return

    async def show(self, uid: str) -> DeviceDetail:
        """A device, its presence, and its newest message of each sort. Raises NotFound."""
        return await self._get(f"/api/v1/devices/{_segment(uid)}", DeviceDetail)

    async def messages(
        self, *, device: str | None = None, suffix: str | None = None, since: int = 0
    ) -> AsyncIterator[Stored]:
        """Every stored message after the sequence number `since`, in the order of coming, until none is left. Keep the last
        `seq`, and nothing is missed or read twice."""
        while True:
            page = await self._get("/api/v1/messages", Page, device=device, suffix=suffix, since=since, limit=PAGE)
            for found in page.messages:
                yield found
            if not page.messages or not isinstance(page.next, int):
                return
            since = page.next

    async def readings(
        self,
        asset: str | None = None,
        points: Sequence[str] = (),
        *,
        device: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
        newest: bool = False,
        limit: int = 1_000,
    ) -> Readings:
        """Readings of [start, end), by time, or with `newest` from the end backwards; at most `limit` (up to 100,000)."""
        return await self._get(
            "/api/v1/readings", Readings, asset=asset, device=device, point=",".join(points) or None,
            start=_ms(start), end=_ms(end), order="desc" if newest else "asc", limit=limit,
        )  # fmt: skip

    async def events(self, types: Sequence[str] = TYPES, *, device: str | None = None) -> AsyncIterator[Event]:
        """What happens from now on, for as long as you listen; reconnects by itself, and says `lost` where events are missing.
        Raises Denied, NotFound, Unprocessable; Unreachable only when the bridge cannot be reached for `patience_s`."""
        query = {"types": ",".join(types), **({"device": device} if device is not None else {})}
        patience = _Patience(self._patience_s, "")
        gap = False
        while True:
            try:
                async for event in self._stream(query):
                    if event is not None:
                        yield event
                        continue
                    patience.renew()
                    if gap:
                        yield Event("lost", {"lost": None})
                    gap = True
                reason = "the stream ended"
            except (aiohttp.ClientError, OSError, TimeoutError, _AgainError) as error:
                reason = str(error) or type(error).__name__
            await patience.spend(reason)

    # Requests.

    async def _wait(self, found: Command, ends: float | None) -> Command:
        """Ask again until the command has settled, or `ends` is over."""
        while not found.settled and (seconds := _slice(ends, self._poll_s)) > 0:
            began = monotonic()
            found = await self._look(found.mid, seconds)
            if not found.settled and monotonic() - began < min(seconds, BACKOFF_FIRST_S):
                await asyncio.sleep(min(seconds, BACKOFF_FIRST_S))  # a bridge that does not let us wait
        return found

    async def _look(self, mid: str, wait_s: float) -> Command:
        path = f"/api/v1/commands/{_segment(mid)}"
        return await self._call("GET", path, Command, {"wait_s": f"{wait_s:.3f}"}, waits=wait_s, mid=mid)

    async def _get(self, path: str, kind: type[T], **query: object) -> T:
        return await self._call(
            "GET", path, kind, {name: _word(value) for name, value in query.items() if value is not None}
        )

    async def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        query: dict[str, str] | None = None,
        *,
        body: object = None,
        waits: float = 0.0,
        mid: str = "",
    ) -> T:
        """One request, repeated while nobody answers; `waits` is how long the bridge is asked to hold it."""
        patience = _Patience(self._patience_s, mid)
        data = None if body is None else msgspec.json.encode(body)
        while True:
            try:
                async with self._turn, asyncio.timeout(waits + ANSWER_S):
                    status, said = await self._once(method, path, query, data)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                await patience.spend(str(error) or type(error).__name__)
                continue
            if status in AGAIN:
                await patience.spend(f"it answers {status}")
                continue
            if status >= 400:
                raise refusal(status, said)
            try:
                return msgspec.json.decode(said, type=kind)
            except (ValueError, RecursionError) as error:
                raise BridgeError(f"{self._url}{path}: not what a bridge answers: {error}") from None

    async def _once(
        self, method: str, path: str, query: dict[str, str] | None, data: bytes | None
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if data is not None else None
        async with self._open.request(
            method, URL(self._url + path, encoded=True), params=query, data=data, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.read()

    async def _stream(self, query: dict[str, str]) -> AsyncIterator[Event | None]:
        """One connection's events; None first, when it stands."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
        async with self._open.get(
            self._url + "/api/v1/events", params=query, timeout=timeout, allow_redirects=False
        ) as answer:
            if answer.status in AGAIN:
                raise _AgainError(f"it answers {answer.status}")
            if answer.status != 200:
                raise refusal(answer.status, await answer.read())
            yield None
            parser = Parser()
            async for chunk in answer.content.iter_any():
                for event in parser.feed(chunk):
                    yield event

    @property
    def _poll_s(self) -> float:
        """How long the bridge may be asked to hold the next request."""
        return CROWD_S if self._turn.locked() else POLL_S

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise BridgeError("the client is not open: async with HttpClient(…) as bridge")
        return self._session


class _AgainError(Exception):
    """The bridge is there, but cannot serve at the moment."""


class _Patience:
    """How long an address without an answer is tried again."""

    def __init__(self, seconds: float, mid: str) -> None:
        self._seconds = seconds
        self._mid = mid
        self.renew()

    def renew(self) -> None:
        """There was an answer."""
        self._until = monotonic() + self._seconds
        self._delay = BACKOFF_FIRST_S

    async def spend(self, reason: str) -> None:
        """Wait before the next attempt. Raises Unreachable when it is over."""
        if monotonic() >= self._until:
            raise Unreachable(f"no answer for {self._seconds:g} s: {reason}", self._mid)
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._delay = min(self._delay * 2, BACKOFF_LAST_S)


class _Said(msgspec.Struct):
    code: str = ""
    message: str = ""
    path: str = ""


class _Error(msgspec.Struct):
    error: _Said


def outcome(command: Command) -> Outcome[Any]:
    """A command of the ledger as its outcome."""
    kind = kinds.command(command.feature, command.action)
    ended = command.settled_at or command.created_at
    return Outcome(
        mid=command.mid,
        device=command.device,
        command=f"{command.feature}/{command.action}",
        state=command.state,
        code=command.code,
        message=command.msg if command.state in ANSWERED else command.msg or command.cause,
        data=command.answer if kind is None else typed(kind, command.answer),
        seconds=(ended - command.created_at) / 1000,
    )


def refusal(status: int, said: bytes) -> BridgeError:
    """The error that an answer stands for."""
    try:
        error = msgspec.json.decode(said, type=_Error).error
    except (ValueError, RecursionError):
        error = _Said(f"status_{status}", f"HTTP {status}; is it an EMS bridge?")
    if status >= 500:
        return BridgeError(f"HTTP {status}: {error.message}")
    return REFUSALS.get(status, Refused)(error.code, error.message, error.path)


def _slice(ends: float | None, most: float) -> float:
    """How long the next request is to wait."""
    return most if ends is None else min(most, max(0.0, ends - monotonic()))


def _segment(text: str) -> str:
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _ms(time: Time | None) -> int | None:
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise Unprocessable("invalid", f"{time} has no time zone", "start")
        return int(time.timestamp() * 1000)
    return time


def _word(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
