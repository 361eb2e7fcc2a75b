"""send: a command to a device, and its outcome as one line and an exit code."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from bridge.cli.exits import NOT_RUN, OK, OPEN, REJECTED, TIMED_OUT
from bridge.cli.options import json_option, remote_options

EXITS = {
    "succeeded": OK,
    "late_succeeded": OK,
    "rejected": REJECTED,
    "late_rejected": REJECTED,
    "timed_out": TIMED_OUT,
    "expired": NOT_RUN,
    "undeliverable": NOT_RUN,
    "cancelled": NOT_RUN,
}
POLL_S = 20.0


@click.command(
    epilog="Exit code: 0 succeeded, 1 rejected, 3 timed_out, 4 expired, undeliverable or cancelled, 5 still open."
)
@click.argument("device")
@click.argument("command", metavar="FEATURE/ACTION")
@click.argument("payload", metavar="[JSON|@FILE|-]", required=False)
@click.option("--timeout", type=click.FloatRange(0, 86_400, min_open=True), metavar="S", help="Seconds to answer.")
@click.option("--hold", type=click.FloatRange(0, 604_800), metavar="S", help="Seconds to wait for an offline device.")
@click.option("--now", is_flag=True, help="Undeliverable when the device is offline.")
@click.option("--mid", metavar="UUID", help="Your own id: the same command again is not sent twice.")
@click.option("--sub-device", metavar="UID", help="The sub-device that it is for.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the outcome.")
@json_option
@remote_options
def send(
    device: str,
    command: str,
    payload: str | None,
    timeout: float | None,
    hold: float | None,
    now: bool,
    mid: str | None,
    sub_device: str | None,
    no_wait: bool,
    as_json: bool,
    url: str | None,
    key: str | None,
    config_file: str | None,
    data: str | None,
) -> int:
    """Send FEATURE/ACTION to DEVICE and print the outcome."""
    from bridge.cli import remote

    feature, slash, action = command.partition("/")
    if not slash or not feature or not action or "/" in action:
        raise click.UsageError(f"{command!r} is no command: FEATURE/ACTION, such as streaming_overdemand/create")
    wanted: dict[str, Any] = {
        "feature": feature,
        "action": action,
        "data": remote.read_json(payload) if payload is not None else None,
        "timeout_s": timeout,
        "hold_s": hold,
        "mid": mid,
        "now": now,
        "sub_device_uid": sub_device,
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    bridge = remote.find(url, key, config_file, data)
    wanted["wait_s"] = 0 if no_wait else POLL_S
    body = bridge.call("POST", f"/api/v1/devices/{remote.segment(device)}/commands", body=wanted)
    while not no_wait and body["state"] not in EXITS:
        body = bridge.get(f"/api/v1/commands/{body['mid']}", wait_s=POLL_S)
    click.echo(json.dumps(body, ensure_ascii=False) if as_json else outcome(body))
    sys.stdout.flush()
    return EXITS.get(body["state"], OPEN)


def outcome(body: dict[str, Any]) -> str:
    """`succeeded code=200 msg="ok" mid=… after=0.12s data={…}`"""
    parts = [body["state"]]
    if body["code"] is not None:
        parts.append(f"code={body['code']}")
    if text := body["msg"] or body["cause"]:
        parts.append(f"msg={json.dumps(text, ensure_ascii=False)}")
    parts.append(f"mid={body['mid']}")
    if body["settled_at"] is not None:
        parts.append(f"after={(body['settled_at'] - body['created_at']) / 1000:.2f}s")
    if body["answer"] is not None:
        parts.append(f"data={json.dumps(body['answer'], ensure_ascii=False, separators=(',', ':'))}")
    return " ".join(parts)


def stamp(at: int | None) -> str:
    """Epoch ms as local time of day with milliseconds."""
    seconds = at / 1000 if at is not None else time.time()
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}"
