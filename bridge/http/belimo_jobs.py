"""The Belimo-compatible API: writing. Values go to the device as commands of the bridge, one for each feature; together they are
a job. Metadata stays here.

A job's id is a UUID whose last four bits are 0; its commands are the mids that follow. The two bits above say whether it is
cancelable and mergeable: the ledger knows all there is to know of a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from aiohttp import web

from bridge.cloud.belimo_points import DEVICE_NAME, METADATA, SETTINGS
from bridge.cloud.body import read
from bridge.core.command import Command
from bridge.errors import Conflict, NotFound, Refused, Unprocessable
from bridge.http.belimo import BASE, DIALECT, MISSING, get, iso, moment, reply, spend
from bridge.http.belimo_devices import place
from bridge.http.belimo_shapes import JOB, OBJECT, BelimoFailure, Described, Written
from bridge.http.table import Answer, Call, Route
from schemas import kinds
from schemas.errors import Invalid

COMMANDS: Final = 16
CANCELABLE, MERGEABLE = 1 << 4, 1 << 5
STATES: Final = {
    "accepted": "PENDING", "sent": "EXECUTING", "delivered": "EXECUTING", "succeeded": "SUCCESS",
    "late_succeeded": "SUCCESS", "cancelled": "CANCELED",
}  # fmt: skip
"""State of a command -> that of a job; all others are FAILURE."""
BY: Final = {"SUCCESS": "DEVICE", "CANCELED": "USER"}
REFUSED: Final = ("rejected", "late_rejected")
MAX_STATE: Final = 100


async def write(call: Call) -> Answer:
    """POST …/data"""
    spend(call)
    each, body = await place(call), call.body(Written)
    features = _features(body.datapoints)
    if body.mergeable and body.cancelable:
        raise Unprocessable("invalid", "a job cannot be mergeable and cancelable at the same time", "$.mergeable")
    hold_s = _hold(call, body)
    job = uuid4().int & ~0x3F | (CANCELABLE if body.cancelable else 0) | (MERGEABLE if body.mergeable else 0)
    sent: list[Command] = []
    try:
        for number, (feature, data) in enumerate(features.items()):
            mid = str(UUID(int=job | number))
            sent.append(
                await call.services.commands.request(
                    call.principal, each.uid, feature, "set", data, mid=mid, hold_s=hold_s
                )
            )
    except Refused:
        await _withdraw(call, sent)
        raise
    return reply(_job(job, sent))


async def describe(call: Call) -> Answer:
    """POST …/metadata. 200, though Belimo documents 204: its clients take nothing else."""
    each, given = await place(call), call.body(Described).datapoints
    kept = {name: _checked(name, value) for name, value in given.items()}
    if DEVICE_NAME in kept and each.device is not None:
        await call.receiving.registry.describe_device(each.uid, kept.pop(DEVICE_NAME))
    if kept:
        await call.receiving.belimo.metadata.put(each.uid, kept)
    return reply({})


async def show(call: Call) -> Answer:
    """GET /jobs/{job}"""
    return reply(_job(*await _found(call)))


async def cancel(call: Call) -> Answer:
    """PUT /jobs/{job}/state: CANCELED, as text."""
    body = await read(call.request, MAX_STATE)
    if body.strip().strip(b'"') != b"CANCELED":
        raise Unprocessable("invalid", "the only state that can be set is CANCELED")
    job, commands = await _found(call)
    if not job & CANCELABLE:
        raise Conflict("not_cancelable", "the job was not made cancelable")
    if any(command.state not in ("accepted", "cancelled") for command in commands):
        raise Conflict("not_cancelable", "the job has begun; only a pending one can be canceled")
    for command in commands:
        if command.state == "accepted":
            await call.services.commands.cancel(call.principal, command.mid)
    return web.Response(status=204)


def _features(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Feature -> data of its command. Raises Unprocessable before anything is sent."""
    if not given:
        raise Unprocessable("invalid", "no datapoint", "$.datapoints")
    found: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        setting = SETTINGS.get(name)
        if setting is None:
            raise Unprocessable(
                "not_writable", f"datapoint {name[:200]!r} is unknown or cannot be written", "$.datapoints"
            )
        if isinstance(value, bool):
            value = int(value)
        found.setdefault(setting.feature, {})[setting.field] = value
    for feature, data in found.items():
        kind = kinds.command(feature, "set")
        assert kind is not None  # noqa: S101 - SETTINGS are made from them
        try:
            kind.data_strict(data)
        except Invalid as error:
            where = error.path.replace("$.data", f"{feature}")
            raise Unprocessable("invalid", f"{where}: {error.detail}", "$.datapoints") from None
    return found


def _hold(call: Call, body: Written) -> float | None:
    """How long the device may be away, in seconds; None for as long as commands usually wait."""
    until = moment(body.autoCancelAfter, "autoCancelAfter")
    if until is None:
        return None
    if not body.cancelable:
        raise Unprocessable("invalid", "autoCancelAfter is for cancelable jobs", "$.autoCancelAfter")
    left = (until - call.receiving.cloud.clock()) / 1000
    return min(max(0.0, left), call.services.commands.longest_hold_s)


async def _withdraw(call: Call, commands: Sequence[Command]) -> None:
    """One of several was refused: the others, as far as they have not been sent."""
    for command in commands:
        try:
            await call.services.commands.cancel(call.principal, command.mid)
        except Refused:
            continue


async def _found(call: Call) -> tuple[int, list[Command]]:
    """Id and commands of the job of the path. Raises NotFound."""
    text = call.path("job")
    try:
        job = UUID(text).int
    except ValueError:
        job = 0xF
    commands: list[Command] = []
    while not job & 0xF and len(commands) < COMMANDS:
        command = await call.services.commands.get(str(UUID(int=job | len(commands))))
        if command is None or not call.services.may_read(call.principal, command.device):
            break
        commands.append(command)
    if not commands:
        raise NotFound("not_found", f"there is no job {text[:64]!r}")
    return job, commands


def _job(job: int, commands: Sequence[Command]) -> dict[str, Any]:
    states = {STATES.get(command.state, "FAILURE") for command in commands}
    state = next(each for each in ("EXECUTING", "PENDING", "FAILURE", "CANCELED", "SUCCESS") if each in states)
    if state == "PENDING" and len(states) > 1:
        state = "EXECUTING"
    name = commands[0].sender.partition(":")[2]
    found: dict[str, Any] = {
        "id": str(UUID(int=job)),
        "mergeable": bool(job & MERGEABLE),
        "cancelable": bool(job & CANCELABLE),
        "createdAt": iso(commands[0].created_at, exact=True),
        "createdBy": {"entityId": name, "ref": f"/users/{name}", "displayName": name, "email": name},
        "state": state,
    }
    settled = [command.settled_at for command in commands if command.settled_at is not None]
    if state not in ("PENDING", "EXECUTING") and settled:
        failed = next((each for each in commands if STATES.get(each.state, "FAILURE") == "FAILURE"), None)
        told = failed is not None and failed.state in REFUSED
        found["confirmedAt"] = iso(max(settled), exact=True)
        found["confirmedBy"] = "DEVICE" if told else BY.get(state, "SYSTEM")
        if failed is not None:
            text = failed.msg or failed.cause or failed.state
            found["error"] = {"message": text, **({} if failed.code is None else {"code": failed.code})}
        elif state == "SUCCESS":
            found["result"] = "ok"
    return found


def _checked(name: str, value: Any) -> Any:
    """A value of metadata. Raises Unprocessable."""
    meta = METADATA.get(name)
    if meta is None or not meta.writable:
        raise Unprocessable("not_writable", f"metadata {name[:200]!r} is unknown or cannot be written", "$.datapoints")
    if meta.basetype == "real":
        fits = isinstance(value, int | float) and not isinstance(value, bool) and -180 <= value <= 180
    else:
        fits = isinstance(value, str) and len(value) <= meta.longest and value.isprintable()
    if not fits:
        wanted = "a number of degrees" if meta.basetype == "real" else f"text of at most {meta.longest} characters"
        raise Unprocessable("invalid", f"{name} is {wanted}", "$.datapoints")
    return value


def _post(path: str, handler: Any, text: str, shape: Any, body: Any) -> Route:
    answers = {200: (shape, "taken"), **MISSING, 409: (BelimoFailure, "it cannot be done any more")}
    return Route("POST", BASE + path, handler, text, answers, body=body, tag="belimo", dialect=DIALECT)


METADATA_ROUTE: Final = _post(
    "/devices/{device}/metadata", describe, "Name and place of a device, kept by the bridge", OBJECT, Described
)
ROUTES: Final = (
    _post("/devices/{device}/data", write, "Values for a device, carried to it as commands", JOB, Written),
    get("/jobs/{job}", show, "What became of them", JOB, more=MISSING),
    Route(
        "PUT", f"{BASE}/jobs/{{job}}/state", cancel, "Cancel a pending job (the text CANCELED)",
        {204: ("text/plain", "it is canceled"), **MISSING, 409: (BelimoFailure, "it cannot be canceled any more")},
        tag="belimo", dialect=DIALECT,
    ),
)  # fmt: skip
