"""Every row of the table of kinds is met by a simulated device: posted on its occasion, or answered with what is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from vendor_commands import EMU_ONLY, body, commands, served

from bridge.testing import Bridge, Clock, Fleet
from schemas import kinds
from schemas.envelope import Message
from schemas.kind import Kind
from schemas.kinds import UPGRADE_S as UPGRADE_TIMEOUT_S
from simulator.device import Device, Post
from simulator.identity import VERSIONS, DeviceSpec, Identities, Version, device_seed, device_specs
from simulator.meter import BLOCK_S
from simulator.program import instructed
from simulator.updates import UPGRADE_S

START = 1_750_003_200.0
SCHEMES = ("wudun", "user")
OWNERS = {"wudun": "PK1", "user": "T1"}
EMS: Version = "v2"


def make(version: Version, scheme: str = "wudun") -> Device:
    """One with the three cabinets that the vendor's samples speak of."""
    for n in range(100):
        spec = device_specs(n + 1, versions=(version,), schemes=(scheme,))[n]
        identity, site = Identities().of(spec)
        if len(identity.cabinets) == 3:
            return Device(spec, identity, site, START, 60.0)
    raise AssertionError


def read(device: Device, post: Post) -> tuple[Kind, Message]:
    """A message as the bridge reads it: nothing is unknown, and it stands under the device's own prefix."""
    topic, payload = post
    prefix, suffix = topic.rsplit("/", 3)[0], "/".join(topic.rsplit("/", 3)[1:])
    spec = device.spec
    version = "v2" if (suffix, spec.version) == ("report/regular/post", "v2") else "v1"
    assert prefix == f"{version}/{spec.scheme}/{OWNERS[spec.scheme]}/{spec.uid}"
    kind, message = kinds.resolve(suffix, payload)
    assert message.type == kind.type
    assert kinds.unknown_keys(kind, payload) == ()
    assert (message.device_uid, message.data is None) == (spec.uid, kind.data is None)
    if kind.data is not None:
        msgspec.convert(json.loads(payload)["data"], kind.data)
    return kind, message


def send(device: Device, kind: Kind, now: float, **changes: Any) -> list[Post]:
    asked = body(kind, device.spec.uid, device.identity.cabinets[0].uid, **changes)
    kind.decode_strict(json.dumps(asked).encode())
    posts = device.handle(f"{device.prefix}/{kind.suffix}", json.dumps(asked).encode(), now)
    if device.done_at is not None:
        posts += device.finished(device.done_at)
    answer = kinds.result_of(kind)
    assert answer is not None
    said = [message for found, message in (read(device, post) for post in posts) if found is answer]
    assert said
    for message in said:
        assert (message.code, message.msg, message.reply) == (200, "", asked["mid"])
        assert (message.sub_device_uid, message.sub_device_id) == (
            asked.get("sub_device_uid"),
            asked.get("sub_device_id"),
        )
    return posts


def days(device: Device) -> Iterator[Post]:
    """What it posts by itself, until the grid has given an instruction; with smoke on the way."""
    yield from device.due(START)
    yield from device.due(device.next_due)
    device.afflict(device.next_due, "smoke")
    yield from device.due(device.next_due)
    device.afflict(device.next_due)
    device.next_due = next_instruction(device.site.spec.seed, START) + 30
    yield from device.due(device.next_due)


def next_instruction(seed: int, now: float) -> float:
    window = int(now // BLOCK_S) + 1
    return next(at * BLOCK_S for at in range(window, window + 10_000) if instructed(seed, at * BLOCK_S) is not None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_of_a_version_is_met(version: Version, scheme: str) -> None:
    device = make(version, scheme)
    met = {read(device, post)[0].key for post in days(device)}
    assert met >= {kind.key for kind in served(version) if kind.kind == "post" and kind.action != "list"}
    now = device.next_due
    for kind in commands(version):
        posts = send(device, kind, now)
        met |= {kind.key} | {read(device, post)[0].key for post in posts}
    assert met == {kind.key for kind in served(version)}


def test_no_kind_belongs_to_nobody() -> None:
    owned = {kind.key for version in VERSIONS for kind in served(version)}
    assert owned == {kind.key for kind in kinds.KINDS}
    assert {f"{kind.feature}/{kind.action}" for kind in commands("emu")} == set(EMU_ONLY)


LISTED = [kind for kind in kinds.KINDS if kind.kind == "post" and kind.action == "list"]
CREATED = [kind.feature for kind in commands(EMS) if kind.action == "create"]
SET = [kind for kind in commands(EMS) if kind.action == "set" and kinds.command(kind.feature, "sync")]
DETAILED = {kind.feature for kind in kinds.KINDS if kind.action == "details"}


def told(device: Device, feature: str, now: float, **changes: Any) -> Any:
    """The data of a sync."""
    kind = kinds.command(feature, "sync")
    assert kind is not None
    (post,) = send(device, kind, now, **changes)
    return json.loads(post[1])["data"]


@pytest.mark.parametrize("kind", SET, ids=repr)
def test_what_was_set_is_told(kind: Kind) -> None:
    device = make(EMS)
    one = device.identity.cabinets[0]
    before = told(device, kind.feature, START, sub_device_uid=one.uid, sub_device_id=one.id)
    posts = send(device, kind, START + 1, sub_device_uid=one.uid, sub_device_id=one.id)
    wanted = body(kind, "", "")["data"]
    after = told(device, kind.feature, START + 2, sub_device_uid=one.uid, sub_device_id=one.id)
    assert after == before | wanted
    details = [json.loads(payload)["data"] for topic, payload in posts if topic.endswith("/details/post")]
    assert details == ([after] * len(device.identity.cabinets) if kind.feature in DETAILED else [])
    device.restart(START + 3)
    greeted = [
        json.loads(payload)["data"]
        for topic, payload in device.due(START + 3)
        if f"/{kind.feature}/details/post" in topic
    ]
    assert greeted == details
    assert told(device, kind.feature, START + 4, sub_device_uid=one.uid, sub_device_id=one.id) == after


def test_the_points_of_the_ems_are_those_of_its_cabinets() -> None:
    device = make(EMS)
    air, cooling = kinds.command("air_strategy", "set"), kinds.command("condition_control", "set")
    assert air is not None
    assert cooling is not None
    send(device, air, START)
    wanted = body(air, "", "")["data"]
    points = {"target_cooling_point": wanted["cooling_point"], "target_heating_point": wanted["heating_point"]}
    for sub in device.identity.cabinets:
        shown = told(device, "condition_control", START, sub_device_uid=sub.uid, sub_device_id=sub.id)
        assert shown == shown | points
    one = device.identity.cabinets[1]
    send(device, cooling, START, data={"target_cooling_point": 21}, sub_device_uid=one.uid, sub_device_id=one.id)
    shown = told(device, "condition_control", START, sub_device_uid=one.uid, sub_device_id=one.id)
    assert shown["target_cooling_point"] == 21
    assert device.site.setting(1).cooling_c == 21.0
    assert device.site.setting(0).cooling_c == wanted["cooling_point"]


def shown_as(sent: dict[str, Any], shown: dict[str, Any]) -> None:
    """Every field that was set and that the list has; the devices by their ids."""
    whom = {name: value for name, value in sent.items() if name in ("ems_device_ids", "device_ids", "apply_to_all")}
    for name, value in sent.items():
        if name in shown and name != "apply_to_all":
            assert shown[name] == value, name
    assert {name for name in sent if name in ("settings", "month", "status", "over_demand_condition")} <= set(shown)
    devices = shown.get("ems_devices", shown.get("devices"))
    if ids := whom.get("ems_device_ids", whom.get("device_ids")):
        assert [device["id"] for device in devices] == ids
    if "apply_to_all" in whom:
        assert shown["apply_to_all"] == whom["apply_to_all"]


@pytest.mark.parametrize("feature", CREATED)
def test_a_strategy_lives(feature: str) -> None:
    """create → list → update → sync → delete → list; then all at once."""
    device = make(EMS)
    (row,) = [kind for kind in LISTED if kind.feature == feature]

    def say(action: str, **changes: Any) -> tuple[Any, Any]:
        """What was sent, and the list that the device posts for it; which is what sync tells."""
        kind = kinds.command(feature, action)
        assert kind is not None
        asked = body(kind, "", "") | changes
        posts = send(device, kind, START, data=asked.get("data"))
        (listed,) = [json.loads(payload)["data"] for topic, payload in posts if topic.endswith(f"/{row.suffix}")]
        assert told(device, feature, START) == listed
        made = json.loads(posts[0][1]).get("data", {})
        return (asked["data"], made), listed

    known = [each["id"] for each in told(device, feature, START)]
    (sent, made), listed = say("create")
    (number,) = made.values()
    assert [each["id"] for each in listed] == [*known, number]
    shown_as(sent, listed[-1])
    update = body(kinds.command(feature, "update"), "", "")["data"] | {"id": number}  # type: ignore[arg-type]
    (sent, _), listed = say("update", data=update)
    shown_as(sent, listed[-1])
    (_, _), listed = say("delete", data={"id": number})
    assert [each["id"] for each in listed] == known
    (sent, _), listed = say("update_all")
    for wanted, shown in zip(sent, listed, strict=True):
        shown_as(wanted, shown)


def test_a_branch_strategy_lives() -> None:
    device = make(EMS)
    kind = kinds.command("charge", "by_node")
    assert kind is not None
    posts = send(device, kind, START)
    assert [post[0].rsplit("/", 3)[1:] for post in posts] == [
        ["charge", "by_node", "result"],
        ["charge", "list", "post"],
    ]
    (listed,) = told(device, "charge", START)
    shown_as(body(kind, "", "")["data"], listed)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_bridge_meets_every_kind(
    ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock, version: Version, scheme: str
) -> None:
    whose: dict[str, Any] = {"scheme": scheme, "product_key": None, "tenant": None}
    whose["product_key" if scheme == "wudun" else "tenant"] = OWNERS[scheme]
    identities, uids = Identities(), (f"D{n}" for n in range(100))
    specs = (DeviceSpec(uid, scheme, OWNERS[scheme], version) for uid in uids)
    spec = next(each for each in specs if len(identities.of(each)[0].cabinets) == 3)
    cabinet = identities.of(spec)[0].cabinets[0].uid
    device = ems_fleet(spec.uid, version=version, interval_s=BLOCK_S, **whose).device(spec.uid)
    device.afflict("smoke").afflict()
    for kind in commands(version):
        outcome(ems_bridge, ems_clock, kind, spec.uid, cabinet)
    if version != "emu":
        now = ems_clock.now_ms() / 1000
        ems_clock.advance(next_instruction(device_seed(spec), now) + BLOCK_S - now)
    else:
        ems_clock.advance(BLOCK_S)
    said = ems_bridge.messages(spec.uid)
    assert [(each.topic, each.why) for each in said if each.way == "refused"] == []
    met = {kinds.resolve(each.suffix, each.payload)[0].key for each in said if each.way == "up"}
    met |= {f"{each.suffix}" for each in said if each.way == "down"}
    assert met == {kind.key for kind in served(version)}


def outcome(bridge: Bridge, clock: Clock, kind: Kind, uid: str, cabinet: str) -> None:
    """The vendor's command through the bridge, and its final answer."""
    asked = body(kind, uid, cabinet)
    sub = {name: asked[name] for name in ("sub_device_uid", "sub_device_id") if name in asked}
    sent = bridge.send(uid, f"{kind.feature}/{kind.action}", asked.get("data"), wait_s=0, **sub)
    bridge.until(lambda: bridge.state(sent.mid) in ("delivered", "succeeded", "rejected"))
    if kind.timeout_s == UPGRADE_TIMEOUT_S:
        clock.advance(UPGRADE_S)
    bridge.until(lambda: bridge.state(sent.mid) not in ("accepted", "sent", "delivered"), what=kind.key)
    found = bridge.command(sent.mid)
    assert (found.state, found.code) == ("succeeded", 200), (kind.key, found)
