"""The vendor's platform API: its envelope, its codes, who may do what, and how a command of it walks (docs/vendor.md).

A success is {"code": 0, "message", "data"}, a failure HTTP 400 with one of CODES; nothing is held for a device that is away.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from bridge.cloud.routes import key_of
from bridge.core.command import Command
from bridge.core.registry import Device
from bridge.errors import Conflict, Exhausted, Refused, StoreError
from bridge.http.errors import CODES as STATUSES
from bridge.http.errors import Handler, logged
from bridge.http.table import Call, Dialect, json
from bridge.http.vendor_shapes import Failure, Paged
from bridge.store.platform import Kept, Told
from schemas import carriage, kinds
from schemas.envelope import Message
from schemas.errors import Invalid
from schemas.kind import Kind

PLACE = "/wad/"
BASE = "/wad/ems/v1/api"
BIND = "/wad/emm/v1/api"
"""Of bind-owner alone, as its page prints it; BASE serves it too."""

UNKNOWN_KEY = 0
BUSY = 100_000
"""Ours: the store cannot be written or read at the moment (HTTP 503), or there is a fault of ours (500)."""
BAD_PARAMETERS = 100_001
NOT_FOUND = 100_007
NAME_TAKEN = 100_010
NOT_PROCESSED = 140_001
TIMED_OUT = 140_002
NOT_OWNER = 140_003
NOT_CREATED = 140_004
NOT_UPDATED = 140_005
NOT_LISTED = 140_006
TOO_MANY = 140_007
UNKNOWN_DEVICE = 140_008

CODES = {
    BUSY: "服务暂不可用",
    BAD_PARAMETERS: "参数格式错误",
    NOT_FOUND: "该记录未找到",
    NAME_TAKEN: "名称重复",
    NOT_PROCESSED: "mqtt处理失败",
    TIMED_OUT: "mqtt超时",
    NOT_OWNER: "不是设备的拥有者，操作权限不足",
    NOT_CREATED: "规则创建失败",
    NOT_UPDATED: "规则更新失败",
    NOT_LISTED: "规则列表获取失败",
    TOO_MANY: "策略数量超出限制",
    UNKNOWN_DEVICE: "该设备ID对应的ems设备未找到",
}
"""Code -> the vendor's words, with which each message begins."""
NO_KEY, WRONG_KEY = "API Key未提供", "API Key无效"

QUEUE_S = 10.0
"""A device takes one changing command at a time: how long one of this API waits for those before it."""
REPORTS = 32
"""Newest reports that are looked at: an EMS sends one a cabinet."""
LIVE_MS = 15 * 60_000
"""An older report does not tell how things are."""
EMU = "emu"
"""The form of an EMU's report."""
GRACE_S = 1.0
"""Between a command's deadline and the look at what became of it."""
SETTLED = frozenset({"succeeded", "late_succeeded"})


class Failed(Refused):
    """What the API answers with `number`, one of CODES."""

    def __init__(self, number: int, detail: str = "") -> None:
        super().__init__(str(number), detail)
        self.number = number


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except Failed as failed:
        return failure(failed.number, failed.detail)
    except Exhausted as error:
        return json(Failure(UNKNOWN_KEY, error.detail), 429)
    except Refused as refused:
        where = f"{refused.path}: " if refused.path else ""
        response = failure(BAD_PARAMETERS, where + refused.detail, STATUSES.get(refused.code, 400))
        if refused.code in STATUSES:
            response.force_close()  # what follows of the body is not read
        return response
    if response.status == 401:
        return json(
            Failure(UNKNOWN_KEY, WRONG_KEY if key_of(request) else NO_KEY),
            401,
            {"WWW-Authenticate": response.headers["WWW-Authenticate"]},
        )
    return response


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What goes wrong under PLACE before it comes to a route, or in one unexpectedly, is said in the vendor's envelope too."""
    if not request.path.startswith(PLACE):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _stray(request, error)
    except (Refused, ConnectionError):
        raise
    except Exception as error:
        return _unexpected(request, error)


def _stray(request: web.Request, error: web.HTTPException) -> web.Response:
    """A path or a method that nobody serves."""
    if error.status == HTTPStatus.NOT_FOUND:
        return failure(NOT_FOUND, f"there is no {request.path[:200]}; docs/vendor.md lists all routes", 404)
    response = failure(BAD_PARAMETERS, f"{request.method[:20]}: {error.reason}", error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _unexpected(request: web.Request, error: Exception) -> web.Response:
    incident = logged(request, error)
    if not isinstance(error, StoreError | sqlite3.Error):
        return failure(BUSY, f"an internal error; the server's log tells more under {incident}", 500)
    response = failure(BUSY, f"the ledger cannot be written or read at the moment ({incident})", 503)
    response.headers["Retry-After"] = "5"
    return response


DIALECT = Dialect(
    _answer,
    loose=True,
    common={
        400: (Failure, "it was not done; `code` says why (docs/vendor.md)"),
        401: (Failure, "no key, or a wrong one"),
        413: (Failure, "the body is too large"),
        429: (Failure, "too many wrong keys, or license codes, came from this address or account"),
        503: (Failure, "the ledger cannot be written or read at the moment"),
    },
)


def failure(number: int, detail: str = "", status: int = 400) -> web.Response:
    """The answer of a failure."""
    return json(Failure(number, f"{CODES[number]}: {detail}" if detail else CODES[number]), status)


async def owned(call: Call, uid: str) -> Device:
    """The device. Raises Failed when there is none, or it is somebody else's."""
    device = await call.services.registry.find_device(uid)
    if device is None:
        raise Failed(UNKNOWN_DEVICE, uid[:128])
    if not call.services.registry.may_touch(call.principal, device):
        raise Failed(NOT_OWNER, uid[:128])
    return device


async def meant(call: Call, uid: str | None) -> list[str]:
    """The device that a list is asked of, or all that the caller may see, by uid."""
    if uid is not None:
        return [(await owned(call, uid)).uid]
    registry = call.services.registry
    return [device.uid for device in registry.devices() if registry.may_touch(call.principal, device)]


def page(items: Sequence[Any], asked: Paged) -> dict[str, Any]:
    """`data` of a list: how many there are, and the page that is asked for."""
    first = (asked.page - 1) * asked.page_size
    return {"total": len(items), "list": list(items[first : first + asked.page_size])}


_locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


@asynccontextmanager
async def alone(call: Call, uid: str) -> AsyncIterator[None]:
    """What changes strategies of a device is done by one request at a time: how many there are decides what follows."""
    async with _lock(call, uid):
        yield


def busy(call: Call, uid: str) -> bool:
    """Whether a request is changing strategies of the device."""
    return _lock(call, uid).locked()


def _lock(call: Call, uid: str) -> asyncio.Lock:
    return _locks.setdefault((id(call.services), uid), asyncio.Lock())


async def carry(call: Call, uid: str, kind: Kind, data: Any = None) -> Any:
    """Send a command to a device and give its answer's data, typed, or None. Raises Failed with NOT_PROCESSED where the device
    refuses, TIMED_OUT where it is away or silent; what then has not been sent never will be."""
    commands = call.services.commands
    try:
        command = await commands.request(call.principal, uid, kind.feature, kind.action, data, now=True)
    except Exhausted as error:
        raise Failed(NOT_PROCESSED, error.detail) from None
    command = await _outcome(call, command)
    if command.state in SETTLED:
        return _typed(kind, command)
    if command.state in ("rejected", "late_rejected"):
        raise Failed(NOT_PROCESSED, f"the device answered {command.code} {command.msg}".rstrip())
    raise Failed(TIMED_OUT, f"command {command.mid} is {command.state}")


async def _outcome(call: Call, command: Command) -> Command:
    """The command with its outcome; one that could not be sent in time is withdrawn."""
    commands, seconds = call.services.commands, command.timeout_s + GRACE_S
    command = await commands.wait(command.mid, QUEUE_S)
    if command.state == "accepted":
        try:
            return await commands.cancel(call.principal, command.mid)
        except Conflict:  # it has been sent meanwhile
            pass
    return command if command.settled else await commands.wait(command.mid, seconds)


def _typed(kind: Kind, command: Command) -> Any:
    answer = kinds.result_of(kind)
    if answer is None or answer.data is None or command.answer is None:
        return None
    return msgspec.convert(command.answer, answer.data)


AFTER_MS = 1
"""A list that was taken is older than one that comes next; two in one millisecond are told apart by that."""


def latest(kept: Iterable[Kept]) -> dict[str, int]:
    """Device -> when the newest of its strategies was taken or told, ms."""
    found: dict[str, int] = {}
    for each in kept:
        found[each.device] = max(each.at, found.get(each.device, 0))
    return found


def many(answer: Any) -> list[Any]:
    """An answer that should be a list. Raises Failed when there is none."""
    if answer is None:
        raise Failed(NOT_LISTED, "the device answered without data")
    return answer if isinstance(answer, list) else [answer]


async def recent(call: Call, uid: str) -> list[tuple[Kind, Message]]:
    """The newest reports of a device that still tell how things are, newest first."""
    since = call.receiving.cloud.clock() - LIVE_MS
    found = []
    for at, body in await call.services.platform.last(uid, carriage.REPORTS_TOLD, REPORTS):
        if at < since:
            break
        try:
            found.append(kinds.resolve(carriage.REPORTS_TOLD, body))
        except Invalid:  # taken by an older release, which knew fewer fields
            continue
    return found


async def is_emu(call: Call, uid: str) -> bool:
    """Whether the device's newest report is an EMU's: it has one schedule, and knows no other command."""
    reports = await call.services.platform.newest([uid], [carriage.REPORTS_TOLD])
    return bool(reports) and reports[-1].variant == EMU


async def told(call: Call, devices: Iterable[str], suffixes: Iterable[str]) -> dict[str, tuple[int, Any]]:
    """Device -> (received ms, data) of its newest message on any of these suffixes. Those that carry no data tell nothing."""
    rows = await call.services.platform.newest(devices, suffixes)
    return {
        each.device: (each.received_at, message.data)
        for each in rows
        if (message := _read(each)) is not None and message.data is not None
    }


async def listed(
    call: Call, devices: Iterable[str], suffixes: Iterable[str], since: Mapping[str, int]
) -> dict[str, tuple[int, list[Any]]]:
    """Device -> (received ms, all its policies of a sort), where it told them after `since`. What a device tells for one of its
    cabinets is not all of them."""
    found: dict[str, tuple[int, list[Any]]] = {}
    for each in await call.services.platform.newest(devices, suffixes):
        if each.received_at < since.get(each.device, 0):
            continue
        message = _read(each)
        if message is None or message.data is None or message.sub_device_id:
            continue
        if message.sub_device_uid in (None, "", each.device):
            found[each.device] = each.received_at, many(message.data)
    return found


def _read(stored: Told) -> Message | None:
    """A stored message; None when it was taken by an older release, which knew fewer fields."""
    try:
        return kinds.resolve(stored.suffix, stored.body)[1]
    except Invalid:
        return None
