"""Commands: ask, look up, wait, cancel."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bridge.core.command import Command
from bridge.errors import NotFound, Unprocessable
from bridge.http.devices import visible_device
from bridge.http.shapes import CommandBody, CommandList, CommandQuery, CommandRequest, CommandsQuery, Step
from bridge.http.table import Answer, Call, Route, json
from schemas.notices import OPEN


async def ask(call: Call) -> Answer:
    """POST /api/v1/devices/{uid}/commands"""
    wanted = call.body(CommandRequest)
    device = await visible_device(call, call.path("uid"))
    command = await call.services.commands.request(
        call.principal,
        device.uid,
        wanted.feature,
        wanted.action,
        wanted.data,
        mid=wanted.mid,
        timeout_s=wanted.timeout_s,
        hold_s=wanted.hold_s,
        now=wanted.now,
        sub_device_uid=wanted.sub_device_uid,
        sub_device_id=wanted.sub_device_id,
    )
    return _state(await _settled(call, command, wanted.wait_s))


async def listing(call: Call) -> Answer:
    """GET /api/v1/commands"""
    query = call.query(CommandsQuery)
    if query.before is not None and not (query.before.isascii() and query.before.isdigit() and len(query.before) < 19):
        raise Unprocessable("invalid", "before is the `next` of the page before", "?before")
    visible = call.services.registry.visible(call.principal)
    before = int(query.before) if query.before is not None else None
    found = await call.services.commands.find(visible, query.device, query.state, query.limit, before)
    following = str(found[-1].number) if len(found) == query.limit else None
    return CommandList([_body(command) for command in found], following)


async def show(call: Call) -> Answer:
    """GET /api/v1/commands/{mid}"""
    command = await _visible(call)
    return _state(await _settled(call, command, call.query(CommandQuery).wait_s), ok=200)


async def cancel(call: Call) -> Answer:
    """DELETE /api/v1/commands/{mid}"""
    command = await _visible(call)
    return _body(await call.services.commands.cancel(call.principal, command.mid))


async def _visible(call: Call) -> Command:
    mid = call.path("mid")
    command = await call.services.commands.get(mid)
    if command is None or not call.services.may_read(call.principal, command.device):
        raise NotFound("unknown_command", f"there is no command {mid[:64]!r}")
    return command


async def _settled(call: Call, command: Command, wait_s: float) -> Command:
    """The command after at most `wait_s` seconds, sooner when it has an outcome or the server stops."""
    services = call.services
    seconds = min(wait_s, services.limits.max_wait_s)
    if seconds <= 0 or command.state not in OPEN or services.closing.is_set():
        return command
    return await services.commands.wait(command.mid, seconds)


def _state(command: Command, ok: int | None = None) -> web.Response:
    """200 with the outcome, or 202 and where to ask again."""
    status = ok or (202 if command.state in OPEN else 200)
    return json(_body(command), status, {"Location": f"/api/v1/commands/{command.mid}"} if status == 202 else None)


def _body(command: Command) -> CommandBody:
    values: dict[str, Any] = {name: getattr(command, name) for name in _SAME}
    late = [step for step in command.history if step["state"].startswith("late_")]
    return CommandBody(
        **values, late=Step(**late[-1]) if late else None, history=[Step(**step) for step in command.history]
    )


_SAME = tuple(name for name in CommandBody.__struct_fields__ if name not in ("late", "history"))


ROUTES = (
    Route(
        "POST",
        "/api/v1/devices/{uid}/commands",
        ask,
        "Send a command to a device",
        {
            200: (CommandBody, "its outcome"),
            202: (CommandBody, "it runs; Location says where to ask again"),
            404: (None, "no such device"),
            409: (None, "the mid is taken by another command"),
            429: (None, "the device has as many open commands as it may"),
            422: (None, "the command is not what the schemas ask for; `path` says where"),
        },
        body=CommandRequest,
        tag="commands",
    ),
    Route(
        "GET",
        "/api/v1/commands",
        listing,
        "Commands, newest first",
        {200: (CommandList, "a page of commands")},
        CommandsQuery,
        tag="commands",
    ),
    Route(
        "GET",
        "/api/v1/commands/{mid}",
        show,
        "One command with every state it was in; wait_s polls long",
        {200: (CommandBody, "the command"), 404: (None, "no such command")},
        CommandQuery,
        tag="commands",
    ),
    Route(
        "DELETE",
        "/api/v1/commands/{mid}",
        cancel,
        "Withdraw a command that was not sent yet",
        {
            200: (CommandBody, "the cancelled command"),
            404: (None, "no such command"),
            409: (None, "it was sent already"),
        },
        tag="commands",
    ),
)
