"""Every row of the table is well-formed, and messages made from it pass it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from conftest_schemas import MID, NOW, limit, message
from hypothesis import given
from hypothesis import strategies as st

from schemas import build, export
from schemas.asyncapi import asyncapi
from schemas.errors import Invalid
from schemas.kind import Kind
from schemas.kinds import KINDS, command, encode, find, resolve, result_of, roundtrip, unknown_keys
from schemas.notices import NOTICES

COMMANDS = [kind for kind in KINDS if kind.kind == "command"]
CHANGING = {"create", "update", "delete", "update_all", "by_node", "set", "setting", "upgrade", "emu_upgrade"}


def test_keys_suffixes_and_types_name_one_kind_each() -> None:
    assert max(Counter(kind.key for kind in KINDS).values()) == 1
    for kind in KINDS:
        assert kind in find(kind.suffix)
        assert kind.suffix == f"{kind.feature}/{kind.action}/{kind.kind}"
        assert kind.kind in {"post", "command", "result"}
        twins = [one for one in find(kind.suffix) if {one.type, *one.aliases} & {kind.type, *kind.aliases}]
        assert len(twins) == 1 or all(one.fits is not None for one in twins)
        assert 0 < kind.timeout_s <= 86_400


def test_the_models_names_are_their_own() -> None:
    names = [kind.model.__name__ for kind in KINDS] + [kind.strict_model.__name__ for kind in KINDS]
    assert max(Counter(names).values()) == 1


@pytest.mark.parametrize("kind", COMMANDS, ids=repr)
def test_every_command_has_its_answer(kind: Kind) -> None:
    answer = result_of(kind)
    assert answer is not None
    assert answer.kind == "result"
    assert kind.answers == answer.suffix
    assert kind.type == answer.type
    assert command(kind.feature, kind.action) is kind


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_what_changes_a_device_is_a_command_that_says_so(kind: Kind) -> None:
    assert kind.changes == (kind.kind == "command" and kind.action in CHANGING)
    assert result_of(kind) is None or kind.kind == "command"


def test_unknown_commands_are_none() -> None:
    assert command("streaming_overdemand", "explode") is None
    assert find("streaming_overdemand/explode/command") == ()


@pytest.mark.parametrize("code", [200, 400])
@pytest.mark.parametrize("kind", COMMANDS, ids=repr)
def test_an_answer_made_from_a_command_resolves_to_its_result(kind: Kind, code: int) -> None:
    asked = build.command(kind, "EMS001", None, NOW, MID, sub_device_id=2)
    answer_kind = result_of(kind)
    assert answer_kind is not None
    answer = build.result(answer_kind, asked, code, None, "why", NOW + 5)
    found, read = resolve(answer_kind.suffix, encode(answer))
    assert found is answer_kind
    assert (read.reply, read.code, read.msg, read.sub_device_id) == (MID, code, "why", 2)
    assert read.mid != MID
    assert read.timestamp == NOW + 5


def test_building_the_wrong_kind_is_refused() -> None:
    (post,) = find("alarm/details/post")
    with pytest.raises(ValueError, match="is no command"):
        build.command(post, "EMS001", None, NOW)


def entry(type_: str, data: Any, index: int | None = 0) -> dict[str, Any]:
    return {"type": type_, "data": data} if index is None else {"type": type_, "index": index, "data": data}


SHAPES = [
    ([], "v2"),
    ([entry("ems", {"total": {"soc": 1}})], "v2"),
    ([entry("sub_elemeter", {"id": 1})], "v2"),
    (entry("sub_elemeters", [{"device_id": 1}], None), "v2"),
    (entry("sub_elemeters", [{"id": 1}]), "v2"),
    (entry("ems", {"total": {"max_charge_power": 1}}, None), "v2"),
    (entry("photovoltaic_meter", {"total_active_power": 1}, None), "v2"),
    (entry("invented", {"x": 1}), "v2"),
    (entry("sub_ems", {"pcs": {}}, None), "v1"),
    (entry("sub_ems", {"pcs": {}}, 1), "v1"),
    (entry("ems", {"total": {"soc": 1}}, None), "v1"),
    (entry("ems", None, None), "v1"),
    (entry("sub_elemeter", {"id": 1}, None), "v1"),
    (entry("sub_elemeters", [{"id": 1}], None), "v1"),
    ({"pcs": {"pcs_total_active_power": 1}}, "emu"),
    ({"battery_rack": [{"soc": 1}, {"soc": 2}]}, "emu"),
    ({"fire": None}, "emu"),
]


@pytest.mark.parametrize(("data", "variant"), SHAPES)
def test_the_three_reports_are_told_by_shape(data: Any, variant: str) -> None:
    payload = json.dumps(message("report_regular", data)).encode()
    kind, _ = resolve("report/regular/post", payload)
    assert kind.key == f"report/regular/post:{variant}"
    assert json.loads(roundtrip(kind, payload)) == json.loads(payload)


def test_an_unknown_entry_stays_raw_and_fails_nothing() -> None:
    odd = {"type": "sub_ems_wind", "index": {"odd": 1}, "data": {"rpm": [1, None]}, "more": 1}
    body = message("report_regular", [entry("sub_ems_pcs", {"pcs_input_power": 4.4}), odd])
    kind, read = resolve("report/regular/post", payload := json.dumps(body).encode())
    assert kind.key == "report/regular/post:v2"
    assert read.data[0].data.pcs_input_power == 4.4
    assert (read.data[1].type, read.data[1].data) == ("sub_ems_wind", {"rpm": [1, None]})
    assert json.loads(roundtrip(kind, payload)) == body
    assert unknown_keys(kind, payload) == ("$.data[1].more",)


def test_an_unknown_entry_hides_no_error_beside_it() -> None:
    body = message("report_regular", [{"type": "odd"}, entry("sub_ems_pcs", {"pcs_input_power": "4"})])
    with pytest.raises(Invalid) as caught:
        resolve("report/regular/post", json.dumps(body).encode())
    assert (caught.value.reason, caught.value.path) == ("invalid", "$.data[1].data.pcs_input_power")


def test_null_and_absent_stay_different() -> None:
    body = message("report_regular", [entry("sub_ems_bms", {"soc": None, "power": 1})])
    kind, read = resolve("report/regular/post", json.dumps(body).encode())
    again = json.loads(encode(read))["data"][0]["data"]
    assert again == {"soc": None, "power": 1.0}
    assert kind.decode(encode(read)) == read


def test_the_last_of_duplicate_keys_counts() -> None:
    (kind,) = find("streaming_overdemand/delete/result")
    payload = json.dumps(message(kind.type, code=200)).replace('"code": 200', '"code": 400, "code": 200').encode()
    assert kind.decode(payload).code == 200


@pytest.mark.parametrize("spelling", ["alarm_details", "alarms_details"])
def test_a_type_may_be_spelled_otherwise(spelling: str) -> None:
    data = {
        "content": "x",
        "device_type": "PCS",
        "alarm_type": "ems",
        "level": 9,
        "handle_status": 0,
        "occur_time": "t",
    }
    _, read = resolve("alarm/details/post", json.dumps(message(spelling, data)).encode())
    assert (read.type, read.data.level, read.data.handle_status) == (spelling, 9, 0)


@pytest.mark.parametrize("port", [502, "502"])
@pytest.mark.parametrize("many", [False, True])
def test_a_list_may_come_as_one_object(port: object, many: bool) -> None:
    device = {
        "id": 1, "name": "", "site_name": "", "location": "", "longitude": 0, "latitude": 0, "level": 1, "type": "",
        "running_status": 9, "host": "", "port": port, "license": "",
    }  # fmt: skip
    _, read = resolve(
        "device_info/list/result", json.dumps(message("device_info_list", [device] if many else device)).encode()
    )
    assert (read.data[0] if many else read.data).port == port


POWER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
READING = st.dictionaries(st.sampled_from(["total_active_power", "active_power_phase_a", "total_active_energy"]), POWER)
METER = st.builds(lambda values, device: values | {"device_id": device}, READING, st.integers(0, 2**40))
NEW_KEY = st.dictionaries(st.text("xyz", min_size=1, max_size=3), st.integers() | st.text(max_size=3), max_size=2)


@given(
    meters=st.lists(METER, max_size=4),
    extra=NEW_KEY,
    timestamp=st.integers(1, 2**53),
    sub=st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9),
)
def test_a_report_survives_decoding_and_encoding(meters: Any, extra: Any, timestamp: int, sub: Any) -> None:
    body = message("report_regular", [entry("sub_elemeters", meters) | extra], sub_device_id=sub) | {
        "timestamp": timestamp
    }
    payload = json.dumps(body).encode()
    kind, read = resolve("report/regular/post", payload)
    assert json.loads(roundtrip(kind, payload)) == body
    assert kind.decode(encode(read)) == read
    assert set(unknown_keys(kind, payload)) == {f"$.data[0].{key}" for key in extra}


@given(
    months=st.lists(st.integers(0, 10**6), min_size=12, max_size=12),
    switches=st.tuples(*[st.sampled_from([1, 2])] * 3),
    meter=st.integers(0, 10**9),
)
def test_a_limit_sent_is_the_limit_read(months: list[int], switches: tuple[int, ...], meter: int) -> None:
    kind = command("streaming_overdemand", "create")
    assert kind is not None
    data = limit(over_demand_condition=months, ele_meter_id=meter, over_demand_status=switches[0])
    typed = kind.data_strict(data)
    read = kind.decode_strict(encode(build.command(kind, "EMS001", typed, NOW, MID)))
    assert read.data == typed
    assert (typed.over_demand_condition, typed.ele_meter_id) == (months, meter)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads(json.dumps(asyncapi()))
    assert document["asyncapi"].startswith("3.")
    targets = references(document)
    assert len(targets) > 200
    for target in targets:
        node: Any = document
        for step in target.removeprefix("#/").split("/"):
            node = node[step]
    assert {name for channel in document["channels"].values() for name in channel["messages"]} == {
        *(kind.model.__name__ for kind in KINDS),
        *(notice.shape.__name__ for notice in NOTICES),
    }


def test_every_kind_has_a_schema_that_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schemas = export.jsonschemas()
    assert set(schemas) == {kind.key for kind in KINDS}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    create = schemas["streaming_overdemand/create/command"]["$defs"]["OverDemandCreate"]
    assert create["properties"]["over_demand_condition"]["minItems"] == 12
    assert create["additionalProperties"] is False
