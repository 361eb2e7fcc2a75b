"""Devices: every command kind gets an honest answer, mids are executed once, strategies act on the site."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import kinds
from schemas.kind import Kind
from simulator.device import REMEMBERED, Device
from simulator.identity import Identities, Version, device_specs, with_credentials
from simulator.strategies import STRATEGY_LIMIT

START = 1_750_003_200.0
SAMPLES = Path(__file__).parents[1] / "data"
COMMANDS = [kind for kind in kinds.KINDS if kind.kind == "command"]
GOOD = {"over_demand_status": 1, "streaming_status": 2, "individual_phase_streaming_status": 2, "ele_meter_id": 9}
GOOD |= {"over_demand_condition": [300] * 12, "dynamic_demand_percentage": 80, "dynamic_demand_status": 2}
DATA: dict[str, Any] = msgspec.json.decode((SAMPLES / "commands.json").read_bytes())
EMU_ONLY = {("charge", "setting")}


def good(kind: Kind) -> Any:
    return DATA.get(f"{kind.feature}/{kind.action}")


def owner(kind: Kind) -> Device:
    """A device that serves the command; strategy 1 of its kind exists."""
    if (kind.feature, kind.action) in EMU_ONLY:
        return make("emu")
    device = make("v2")
    create = kinds.command(kind.feature, "create")
    if create is not None and not device.shelves[kind.feature].items:
        assert answer_of(device, create, command(create, good(create)), START)["code"] == 200
    return device


@pytest.fixture
def ems() -> Device:
    return make("v2")


def make(version: Version = "v2", n: int = 1) -> Device:
    spec = device_specs(n + 1, versions=(version,))[n]
    identity, site = Identities().of(spec)
    return Device(spec, identity, site, START, 60.0)


def command(kind: Kind, data: object = None, mid: str | None = None, **extra: object) -> bytes:
    body = {
        "mid": mid or str(uuid.uuid4()),
        "type": kind.type,
        "device_uid": "EMS00002",
        "timestamp": 1_750_003_200_000,
    }
    return msgspec.json.encode(body | ({} if data is None else {"data": data}) | extra)


def ask(device: Device, action: str, data: object = None, **extra: object) -> dict[str, Any]:
    kind = kinds.command("streaming_overdemand", action)
    assert kind is not None
    return answer_of(device, kind, command(kind, data, **extra))


def answer_of(device: Device, kind: Kind, payload: bytes, now: float = START + 5) -> dict[str, Any]:
    topic = f"v1/wudun/PK1/{device.spec.uid}/{kind.suffix}"
    posts = device.handle(topic, payload, now)
    assert posts[0][0] == topic.removesuffix("command") + "result"
    found: dict[str, Any] = msgspec.json.decode(posts[0][1])
    return found


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.key)
def test_every_command_is_answered_as_its_result_kind(kind: Kind) -> None:
    device = owner(kind)
    topic, payload = f"v1/wudun/PK1/{device.spec.uid}/", command(kind, good(kind))
    posts = device.handle(topic + kind.suffix, payload, START + 5)
    result = kinds.result_of(kind)
    assert result is not None
    answers = [body for where, body in posts if where == topic + result.suffix]
    for body in answers:
        message = result.decode(body)
        assert (message.code, message.msg, message.device_uid) == (200, "", device.spec.uid)
        assert message.reply == msgspec.json.decode(payload)["mid"] != message.mid
        assert message.timestamp == (START + 5) * 1000
        assert kinds.unknown_keys(result, body) == ()
        assert (message.data is not None) == (result.data is not None)
    emu, cabinets = device.spec.version == "emu", len(device.identity.cabinets)
    wanted = [f"{topic}{kind.feature}/list/post"] if kind.changes and kind.feature in device.shelves and not emu else []
    if kind.changes and kinds.find(f"{kind.feature}/details/post"):
        wanted = [f"{topic}{kind.feature}/details/post"] * cabinets
    lists = posts[len(answers) :]
    assert [where for where, _ in lists] == wanted
    for where, body in lists:
        (listing,) = kinds.find(where.removeprefix(topic))
        assert kinds.unknown_keys(listing, body) == ()
    assert device.handle(topic + kind.suffix, payload, START + 9) == posts[: len(answers)]


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.key)
def test_every_command_with_a_wrong_value_gets_400(kind: Kind) -> None:
    device = owner(kind)
    before = kept(device)
    answer = answer_of(device, kind, command(kind, good(kind), sub_device_id=[1]))
    assert answer["code"] == 400
    assert "sub_device_id" in answer["msg"]
    assert answer_of(device, kind, command(kind, good(kind), sub_device_id=44))["code"] == 400
    if kind.needs_data:
        assert answer_of(device, kind, command(kind, "?"))["code"] == 400
        assert answer_of(device, kind, command(kind))["code"] == 400
    assert kept(device) == before


def kept(device: Device) -> Any:
    return (
        {name: shelf.items.copy() for name, shelf in device.shelves.items()},
        device.settings.copy(),
        device.site.plan,
    )


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.key)
def test_a_device_refuses_what_is_not_its_own(kind: Kind) -> None:
    other = make("v2" if (kind.feature, kind.action) in EMU_ONLY else "emu")
    answer = answer_of(other, kind, command(kind, good(kind)))
    assert (answer["code"], answer["msg"]) == (400, f"unknown command {kind.feature}/{kind.action}")


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.key)
def test_rejecting_does_nothing(kind: Kind) -> None:
    device = owner(kind)
    before = kept(device)
    ((topic, payload),) = device.reject(f"v1/wudun/PK1/EMS00002/{kind.suffix}", command(kind, good(kind)), START)
    assert topic.endswith("/result")
    assert msgspec.json.decode(payload)["code"] == 400
    assert kept(device) == before


@pytest.mark.parametrize("action", ["create", "update", "delete", "update_all", "sync"])
def test_the_vendors_own_samples_are_taken(ems: Device, action: str) -> None:
    payload = (SAMPLES / f"overdemand__streaming_overdemand_{action}_command.json").read_bytes()
    kind = kinds.command("streaming_overdemand", action)
    assert kind is not None
    assert answer_of(ems, kind, payload)["code"] == 200


def test_strategies_are_created_changed_and_deleted(ems: Device) -> None:
    created = ask(ems, "create", GOOD)["data"]["id"]
    assert created == 2
    ask(ems, "update", GOOD | {"id": created, "over_demand_condition": [111] * 12})
    shown = {item["id"]: item for item in ask(ems, "sync")["data"]}
    assert shown[created]["over_demand_condition"] == [111] * 12
    assert shown[created]["current_over_demand_condition"] == 111
    assert shown[created]["ele_meter"]["id"] == 9
    assert len(shown[created]["devices"]) == ems.site.spec.battery.cabinets
    ask(ems, "delete", {"id": 1})
    assert [item["id"] for item in ask(ems, "sync")["data"]] == [created]
    ask(ems, "update_all", [GOOD, GOOD | {"id": created}])
    assert sorted(item["id"] for item in ask(ems, "sync")["data"]) == [2, 3]
    ask(ems, "update_all", [])
    assert ask(ems, "sync")["data"] == []
    assert ask(ems, "create", GOOD)["data"]["id"] == 4


@pytest.mark.parametrize(
    ("action", "data", "said"),
    [
        ("update", GOOD | {"id": 77}, "no strategy with id 77"),
        ("delete", {"id": 77}, "no strategy with id 77"),
        ("delete", {"id": "1"}, "id"),
        ("create", GOOD | {"ele_meter_id": 4}, "no meter with id 4"),
        ("create", GOOD | {"over_demand_condition": [1] * 11}, "over_demand_condition"),
        ("create", GOOD | {"over_demand_condition": [-1] * 12}, "over_demand_condition"),
        ("create", GOOD | {"over_demand_status": 3}, "over_demand_status"),
        ("create", GOOD | {"streaming_status": 0}, "streaming_status"),
        ("create", GOOD | {"dynamic_demand_percentage": 101}, "dynamic_demand_percentage"),
        ("create", {name: value for name, value in GOOD.items() if name != "over_demand_status"}, "over_demand_status"),
        ("update_all", [GOOD, GOOD | {"ele_meter_id": 4}], "data[1]"),
        ("update_all", [GOOD | {"id": 1}, GOOD | {"id": 1}], "data[1]"),
        ("update_all", [GOOD] * (STRATEGY_LIMIT + 1), "at most"),
    ],
)
def test_a_wrong_id_or_value_is_refused_and_changes_nothing(ems: Device, action: str, data: object, said: str) -> None:
    before = ems.shelves["streaming_overdemand"].items.copy()
    answer = ask(ems, action, data)
    assert answer["code"] == 400
    assert said in answer["msg"]
    assert ems.shelves["streaming_overdemand"].items == before


def test_only_so_many_strategies_are_taken(ems: Device) -> None:
    codes = [ask(ems, "create", GOOD)["code"] for _ in range(STRATEGY_LIMIT + 1)]
    assert codes == [200] * (STRATEGY_LIMIT - 1) + [400] * 2
    assert len(ems.shelves["streaming_overdemand"].items) == STRATEGY_LIMIT


def test_the_same_mid_is_executed_once(ems: Device) -> None:
    kind = kinds.command("streaming_overdemand", "create")
    assert kind is not None
    payload = command(kind, GOOD)
    topic = f"v1/wudun/PK1/EMS00002/{kind.suffix}"
    first = ems.handle(topic, payload, START + 1)
    again = ems.handle(topic, payload, START + 9)
    assert again == first[:1]
    assert len(ems.shelves["streaming_overdemand"].items) == 2


def test_the_memory_of_answers_is_bounded(ems: Device) -> None:
    mids = [str(uuid.UUID(int=n + 1)) for n in range(REMEMBERED + 1)]
    for mid in mids:
        ask(ems, "create", GOOD, mid=mid)
    assert len(ems._answered) == REMEMBERED
    assert ask(ems, "create", GOOD, mid=mids[-1])["reply"] == mids[-1]


def test_an_unknown_command_gets_400(ems: Device) -> None:
    payload = msgspec.json.encode({"mid": str(uuid.uuid4()), "type": "x", "device_uid": "EMS00002", "timestamp": 1})
    ((topic, answer),) = ems.handle("v1/wudun/PK1/EMS00002/coffee/brew/command", payload, START)
    assert topic == "v1/wudun/PK1/EMS00002/coffee/brew/result"
    assert msgspec.json.decode(answer)["code"] == 400
    assert msgspec.json.decode(answer)["msg"] == "unknown command coffee/brew"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b'{"type":"x"}', b"[" * 10_000, b'{"mid":5}'])
def test_what_has_no_mid_cannot_be_answered(ems: Device, payload: bytes) -> None:
    topic = "v1/wudun/PK1/EMS00002/streaming_overdemand/sync/command"
    assert ems.handle(topic, payload, START) == []
    assert ems.reject(topic, payload, START) == []


def test_answers_go_to_the_prefix_that_the_command_came_on(ems: Device) -> None:
    kind = kinds.command("device_info", "list")
    assert kind is not None
    posts = ems.handle(f"v2/user/T9/EMS00002/{kind.suffix}", command(kind), START)
    assert posts[0][0] == "v2/user/T9/EMS00002/device_info/list/result"


def test_results_and_posts_are_no_commands(ems: Device) -> None:
    payload = command(COMMANDS[0])
    assert ems.handle("v1/wudun/PK1/EMS00002/device_info/sync/result", payload, START) == []


def test_sub_devices_are_known_by_uid_and_id(ems: Device) -> None:
    kind = kinds.command("device_info", "sync")
    assert kind is not None
    cabinet = ems.identity.cabinets[0]
    assert answer_of(ems, kind, command(kind))["data"]["level"] == 2
    for extra in ({"sub_device_uid": cabinet.uid}, {"sub_device_id": 1}, {"sub_device_id": "1"}):
        answer = answer_of(ems, kind, command(kind, **extra))
        assert answer["data"]["license"] == cabinet.license
    for extra in (
        {"sub_device_uid": "nobody"},
        {"sub_device_id": 44},
        {"sub_device_uid": cabinet.uid, "sub_device_id": 2},
    ):
        answer = answer_of(ems, kind, command(kind, **extra))
        assert answer["code"] == 400
        assert "no sub-device" in answer["msg"]
    strategies = kinds.command("streaming_overdemand", "sync")
    assert strategies is not None
    assert answer_of(ems, strategies, command(strategies, sub_device_uid="nobody"))["code"] == 400
    assert answer_of(ems, strategies, command(strategies, sub_device_uid=cabinet.uid))["code"] == 200


def test_a_limit_is_followed_from_the_next_report_on() -> None:
    free, bound = make(), make()
    morning = START + 8.5 * 3600
    for device in (free, bound):
        device.site = msgspec.structs.replace(device.site, energy_kwh=device.site.spec.battery.capacity_kwh * 0.9)
        device.follow(device.site.plan, morning)
    limit = int(free.site.gateway_kw) - 20
    kind = kinds.command("streaming_overdemand", "update")
    assert kind is not None
    payload = command(kind, GOOD | {"id": 1, "over_demand_condition": [limit] * 12})
    assert answer_of(bound, kind, payload, morning)["code"] == 200
    free.follow(free.site.plan, morning + 600)
    bound.follow(bound.site.plan, morning + 600)
    assert bound.site.gateway_kw <= limit + 1e-6
    assert free.site.gateway_kw > bound.site.gateway_kw + 10


def test_a_device_greets_then_reports_at_its_interval() -> None:
    device = make("v2")
    greetings = [topic.split("/", 4)[4] for topic, _ in device.due(START)]
    cabinets = len(device.identity.cabinets)
    assert greetings == [
        *["device_info/details/post"] * (1 + cabinets),
        *["elemeter_info/details/post"] * 6,
        "power_node/list/post",
        *["charge_percentage/details/post", "safety/details/post"] * cabinets,
        *[f"{name}/list/post" for name in ("streaming_overdemand", "charge", "charge_photovoltaic", "charge_pail")],
    ]
    assert START <= device.next_due < START + 60
    assert device.due(device.next_due - 0.001) == []
    first = device.next_due
    topics = [topic for topic, _ in device.due(first)]
    assert topics.count("v2/wudun/PK1/EMS00002/report/regular/post") == 1 + cabinets
    assert device.next_due == first + 60
    device.due(first + 1000)
    assert device.next_due == first + 1060


def test_alarms_come_and_go() -> None:
    device = make("v2")
    device.due(START)
    device.site = msgspec.structs.replace(device.site, energy_kwh=device.site.spec.battery.capacity_kwh * 0.08)
    seen = []
    for n in range(1, 40):
        device.next_due = START + 10 * 3600 + n * 1800
        for topic, payload in device.due(device.next_due):
            if topic.endswith("alarm/details/post"):
                kind, message = kinds.resolve("alarm/details/post", payload)
                assert kinds.unknown_keys(kind, payload) == ()
                seen.append((message.data.content, message.data.handle_status))
    low = [status for content, status in seen if content == "SOC过低告警"]
    assert low[:2] == [1, 2]


def test_the_seed_repeats_a_device_bit_for_bit() -> None:
    one, two, other = make(), make(), make(n=2)
    kind = kinds.command("streaming_overdemand", "create")
    assert kind is not None
    payload = command(kind, GOOD)

    def life(device: Device) -> list[tuple[str, bytes]]:
        posts = device.due(START)
        posts += device.handle(f"v1/wudun/PK1/{device.spec.uid}/{kind.suffix}", payload, START + 3)
        return posts + device.due(START + 3600)

    assert life(one) == life(two)
    mids = [msgspec.json.decode(body)["mid"] for device in (one, other) for _, body in life(device)]
    assert len(mids) == len(set(mids))
    assert all(uuid.UUID(mid).version == 4 for mid in mids)


def test_credentials_decide_scheme_and_owner() -> None:
    rows = [
        {"uid": "A", "secret": "s", "product_key": "PK", "tenant": "T"},
        {"uid": "B", "secret": "s", "product_key": "PK", "tenant": "T"},
        {"uid": "C", "secret": "s", "tenant": "T"},
    ]
    made = with_credentials(rows, None, schemes=("wudun", "user"), versions=("v2",), seed=1)
    assert [(x.uid, x.scheme, x.owner, x.username, x.password) for x in made] == [
        ("A", "wudun", "PK", "A", "s"),
        ("B", "user", "T", "B", "s"),
        ("C", "user", "T", "C", "s"),
    ]
    with pytest.raises(ValueError, match="row 1"):
        with_credentials([{"uid": "A", "secret": "s"}], None, schemes=("wudun",), versions=("v2",), seed=1)
    with pytest.raises(ValueError, match="3 devices, 4 are asked for"):
        with_credentials(rows, 4, schemes=("wudun",), versions=("v2",), seed=1)
