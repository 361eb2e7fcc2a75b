"""Messages made from the table of kinds: what a device posts, what a platform asks, what a device answers."""

from __future__ import annotations

from typing import Any

from schemas.envelope import CODE_ACCEPTED, Message, new_mid
from schemas.kind import Kind


def post(
    kind: Kind,
    device_uid: str,
    data: Any,
    now_ms: int,
    mid: str | None = None,
    *,
    sub_device_uid: str | None = None,
    sub_device_id: int | str | None = None,
) -> Message:
    """A report of `device_uid` at `now_ms`, with a fresh mid unless one is given. `data` is a Struct or JSON value."""
    return _build(kind, "post", device_uid, data, now_ms, mid, sub_device_uid, sub_device_id)


def command(
    kind: Kind,
    device_uid: str,
    data: Any,
    now_ms: int,
    mid: str | None = None,
    *,
    sub_device_uid: str | None = None,
    sub_device_id: int | str | None = None,
) -> Message:
    """A command to `device_uid`; `data` None where the kind carries none."""
    return _build(kind, "command", device_uid, data, now_ms, mid, sub_device_uid, sub_device_id)


def result(
    kind: Kind,
    asked: Message,
    code: int = CODE_ACCEPTED,
    data: Any = None,
    msg: str = "",
    now_ms: int = 0,
    mid: str | None = None,
) -> Message:
    """The answer to the command `asked`; `kind` is the result's kind (`kinds.result_of`). It goes by the asker's sub-device
    and carries on its trace_id. Without `now_ms` it bears the command's own time."""
    answer = _build(
        kind,
        "result",
        asked.device_uid,
        data,
        now_ms or asked.timestamp,
        mid,
        asked.sub_device_uid,
        asked.sub_device_id,
    )
    answer.reply = asked.mid
    answer.code = code
    answer.msg = msg
    answer.trace_id = asked.trace_id
    return answer


def _build(
    kind: Kind,
    wanted: str,
    device_uid: str,
    data: Any,
    now_ms: int,
    mid: str | None,
    sub_device_uid: str | None,
    sub_device_id: int | str | None,
) -> Message:
    if kind.kind != wanted:
        raise ValueError(f"{kind.key} is no {wanted}")
    return Message(
        mid=mid or new_mid(),
        type=kind.type,
        device_uid=device_uid,
        timestamp=now_ms,
        data=data,
        sub_device_uid=sub_device_uid,
        sub_device_id=sub_device_id,
    )
