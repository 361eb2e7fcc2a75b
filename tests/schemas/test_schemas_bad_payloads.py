"""What is wrong with a payload, and where: reason, JSON path and a word of what would be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest_schemas import MID, NOW, limit, message
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Invalid
from schemas.kinds import KINDS, command, find, resolve, roundtrip, unknown_keys
from schemas.nesting import DEEPEST
from schemas.readings import extract

ALARM = {"content": "x", "device_type": "PCS", "alarm_type": "ems", "level": 1, "handle_status": 1, "occur_time": "t"}
REPORT = "report/regular/post"
DELETED = "streaming_overdemand/delete/result"
LIST = "streaming_overdemand/list/post"


def deleted(**changes: Any) -> str:
    return json.dumps(message("streaming_overdemand_delete") | changes)


def report(data: Any) -> str:
    return json.dumps(message("report_regular", data))


def without(key: str) -> str:
    body = message("streaming_overdemand_delete")
    del body[key]
    return json.dumps(body)


METER = {"type": "sub_elemeters", "index": 0, "data": [{"device_id": 1, "total_active_power": "much"}]}

BAD: list[tuple[str, str | bytes, str, str, str]] = [
    (DELETED, b"", "not_json", "", "truncated; expected one JSON object"),
    (DELETED, b"hello", "not_json", "", "not JSON"),
    (DELETED, b'{"mid":', "not_json", "", "expected one JSON object"),
    (DELETED, b"\xff\xfe{}", "not_json", "", "not UTF-8"),
    (DELETED, b'\xef\xbb\xbf{"mid":"a"}', "not_json", "", "not JSON"),
    (DELETED, deleted() + "{}", "not_json", "", "trailing"),
    (DELETED, deleted(x=1).replace('"x": 1', '"x": NaN'), "not_json", "", "not JSON"),
    (DELETED, deleted(x=1).replace('"x": 1', '"x": Infinity'), "not_json", "", "not JSON"),
    (DELETED, deleted().encode().replace(b"EMS001", b"EMS\xff"), "not_json", "", "not UTF-8"),
    (DELETED, deleted(x="y").encode().replace(b'"y"', b'"\xc3\x28"'), "not_json", "", "not UTF-8"),
    (DELETED, deleted(x="y").replace('"y"', '"\\ud800"'), "not_json", "", "not JSON"),
    (DELETED, deleted(x=1).replace('"x": 1', '"x": ' + "[" * 10_000 + "]" * 10_000), "not_json", "", "deep"),
    (DELETED, deleted(x=1).replace('"x": 1', '"x": ' + "[" * 200 + "]" * 200), "not_json", "", "deep"),
    (DELETED, "[" * 10_000 + "]" * 10_000, "invalid", "$", "Expected `object`, got `array`"),
    (DELETED, "[]", "invalid", "$", "Expected `object`, got `array`"),
    (DELETED, "null", "invalid", "$", "Expected `object`, got `null`"),
    (DELETED, "7", "invalid", "$", "Expected `object`, got `int`"),
    (DELETED, without("mid"), "invalid", "$.mid", "required, but missing"),
    (DELETED, without("device_uid"), "invalid", "$.device_uid", "required, but missing"),
    (DELETED, without("type"), "unknown_type", "$.type", "required, but missing"),
    (DELETED, without("timestamp"), "bad_timestamp", "$.timestamp", "required, but missing"),
    (DELETED, deleted(mid="no-uuid"), "invalid", "$.mid", "'no-uuid' is not a UUID"),
    (DELETED, deleted(mid=MID[:-1] + "g"), "invalid", "$.mid", "is not a UUID"),
    (DELETED, deleted(mid=""), "invalid", "$.mid", "is not a UUID"),
    (DELETED, deleted(mid=None), "invalid", "$.mid", "Expected `str`, got `null`"),
    (DELETED, deleted(mid=7), "invalid", "$.mid", "Expected `str`, got `int`"),
    (DELETED, deleted(type="alarm_details"), "unknown_type", "$.type", "one of streaming_overdemand_delete"),
    (DELETED, deleted(type=3), "unknown_type", "$.type", "Expected `str`"),
    (DELETED, deleted(timestamp=-1), "bad_timestamp", "$.timestamp", "milliseconds"),
    (DELETED, deleted(timestamp=0), "bad_timestamp", "$.timestamp", "milliseconds"),
    (DELETED, deleted(timestamp="now"), "bad_timestamp", "$.timestamp", "got `str`"),
    (DELETED, deleted(timestamp=1.5), "bad_timestamp", "$.timestamp", "got `float`"),
    (DELETED, deleted(timestamp=10**30), "bad_timestamp", "$.timestamp", "milliseconds"),
    (DELETED, deleted().replace(str(NOW), "1e400"), "bad_timestamp", "$.timestamp", "out of range"),
    (DELETED, deleted().replace(str(NOW), "9" * 5000), "bad_timestamp", "$.timestamp", "out of range"),
    (DELETED, deleted(code="200"), "invalid", "$.code", "Expected `int | null`, got `str`"),
    (DELETED, deleted(sub_device_id=[2]), "invalid", "$.sub_device_id", "got `array`"),
    (DELETED, deleted(sub_device_id=2**70), "invalid", "$.sub_device_id", "Expected `int`"),
    ("alarm/details/post", json.dumps(message("alarm_details")), "invalid", "$.data", "required, but missing"),
    ("alarm/details/post", json.dumps(message("alarm_details") | {"data": None}), "invalid", "$.data", "got `null`"),
    ("alarm/details/post", json.dumps(message("alarm_details", ALARM | {"level": "1"})), "invalid", "$.data.level", "got `str`"),
    (LIST, json.dumps(message("streaming_overdemand_list", [limit(), {}])), "invalid", "$.data[1].ele_meter_id", "missing"),
    (LIST, json.dumps(message("streaming_overdemand_list", "x")), "invalid", "$.data", "got `str`"),
    (REPORT, report([METER]), "invalid", "$.data[0].data[0].total_active_power", "got `str`"),
    (REPORT, report(METER), "invalid", "$.data.data[0].total_active_power", "got `str`"),
    (REPORT, report([METER]).replace('"much"', "1e400"), "invalid", "$.data[0].data[0].total_active_power", "out of range"),
    (REPORT, report([METER]).replace('"much"', "1" + "0" * 400), "invalid", "$.data[0].data[0].total_active_power", "range"),
    (REPORT, report([METER]).replace('"much"', "NaN"), "not_json", "", "not JSON"),
    (REPORT, report([METER, 5]), "invalid", "$.data[0].data[0].total_active_power", "got `str`"),
    (REPORT, report([{"type": "odd"}, 5]), "invalid", "$.data[1]", "Expected `object`, got `int`"),
    (REPORT, report([{"type": "odd"}, METER]), "invalid", "$.data[1].data[0].total_active_power", "got `str`"),
    (REPORT, report({"type": "sub_ems", "data": 5}), "invalid", "$.data.data", "got `int`"),
    (REPORT, report([{"type": ["ems"]}]), "invalid", "$.data[0].type", "Expected `str`"),
    (REPORT, report([5]), "invalid", "$.data[0]", "Expected `object`, got `int`"),
    (REPORT, report([{"index": 0}]), "invalid", "$.data[0].type", "missing"),
    (REPORT, report({"type": "sub_ems", "data": {"pcs": {"pcs_input_power": []}}}), "invalid",
     "$.data.data.pcs.pcs_input_power", "got `array`"),
    (REPORT, report({"pcs": {"pcs_total_active_power": {}}}), "invalid", "$.data.pcs.pcs_total_active_power", "got `object`"),
    (REPORT, report({}), "invalid", "$.data.type", "missing"),
    (REPORT, report(7), "invalid", "$.data", "got `int`"),
    (REPORT, json.dumps(message("report_regular")), "invalid", "$.data", "missing"),
    (REPORT, report([]).replace("report_regular", "alarm_details"), "unknown_type", "$.type", "report_regular"),
    (REPORT, report("[").replace('"["', "[" * 10_000 + "]" * 10_000), "invalid", "$.data[0]", "Expected `object`"),
    ("no/such/post", "{}", "unknown_type", "", "no message is known on no/such/post"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "payload", "reason", "path", "words"), BAD)
def test_a_bad_payload_is_told_exactly(suffix: str, payload: str | bytes, reason: str, path: str, words: str) -> None:
    raw = payload if isinstance(payload, bytes) else payload.encode()
    with pytest.raises(Invalid) as caught:
        resolve(suffix, raw)
    assert (caught.value.reason, caught.value.path) == (reason, path), caught.value
    assert words in caught.value.detail
    assert len(caught.value.detail) < 400


CREATE = command("streaming_overdemand", "create")
UPDATE = command("streaming_overdemand", "update")
REPLACE = command("streaming_overdemand", "update_all")
DELETE = command("streaming_overdemand", "delete")
SYNC = command("streaming_overdemand", "sync")


def lacking(key: str) -> dict[str, Any]:
    body = limit()
    del body[key]
    return body


STRICT: list[tuple[Any, Any, str, str]] = [
    (CREATE, None, "$.data", "carries data"),
    (CREATE, [], "$.data", "Expected `object`, got `array`"),
    (CREATE, limit(limits=3), "$.data.limits", "known are created_at, current_over_demand_condition"),
    (CREATE, lacking("over_demand_condition"), "$.data.over_demand_condition", "required"),
    (CREATE, lacking("ele_meter_id"), "$.data.ele_meter_id", "required"),
    (CREATE, lacking("individual_phase_streaming_status"), "$.data.individual_phase_streaming_status", "required"),
    (CREATE, limit(over_demand_condition=[1] * 11), "$.data.over_demand_condition", "length >= 12"),
    (CREATE, limit(over_demand_condition=[1] * 13), "$.data.over_demand_condition", "length <= 12"),
    (CREATE, limit(over_demand_condition=[1] * 11 + [-1]), "$.data.over_demand_condition[11]", ">= 0"),
    (CREATE, limit(over_demand_condition=[1] * 11 + [0.5]), "$.data.over_demand_condition[11]", "got `float`"),
    (CREATE, limit(over_demand_status=3), "$.data.over_demand_status", "expected one of 1, 2"),
    (CREATE, limit(over_demand_status=0), "$.data.over_demand_status", "expected one of 1, 2"),
    (CREATE, limit(over_demand_status=True), "$.data.over_demand_status", "Expected `int`"),
    (CREATE, limit(streaming_status="1"), "$.data.streaming_status", "Expected `int`, got `str`"),
    (CREATE, limit(device_type=1), "$.data.device_type", "expected one of 2, 3, 4"),
    (CREATE, limit(streaming_condition=-5), "$.data.streaming_condition", ">= 0"),
    (CREATE, limit(streaming_condition=None), "$.data.streaming_condition", "got `null`"),
    (CREATE, limit(dynamic_demand_percentage=float("nan")), "$.data.dynamic_demand_percentage", "got `null`"),
    (CREATE, limit(dynamic_demand_percentage=float("inf")), "$.data.dynamic_demand_percentage", "got `null`"),
    (CREATE, limit(dynamic_demand_percentage=-1), "$.data.dynamic_demand_percentage", ">= 0"),
    (CREATE, limit(ele_meter_id="9"), "$.data.ele_meter_id", "Expected `int`, got `str`"),
    (UPDATE, limit(), "$.data.id", "required"),
    (REPLACE, limit(), "$.data", "Expected `array`, got `object`"),
    (REPLACE, [limit(), limit(over_demand_status=9)], "$.data[1].over_demand_status", "expected one of 1, 2"),
    (DELETE, {"id": 1, "uid": "x"}, "$.data.uid", "known are id"),
    (DELETE, {}, "$.data.id", "required"),
    (SYNC, {"id": 1}, "$.data.id", "known are none"),
    (SYNC, [], "$.data", "got `array`"),
]


@pytest.mark.parametrize(("kind", "data", "path", "words"), STRICT)
def test_a_senders_data_is_judged_strictly_with_its_path(kind: Any, data: Any, path: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        kind.data_strict(data)
    assert (caught.value.reason, caught.value.path) == ("invalid", path)
    assert words in caught.value.detail
    if not json.dumps(data).count("NaN") + json.dumps(data).count("Infinity") and data is not None:
        with pytest.raises(Invalid) as caught:
            kind.decode_strict(json.dumps(message(kind.type) | {"data": data}).encode())
        assert caught.value.path == path


def test_what_json_cannot_say_is_no_data() -> None:
    assert CREATE is not None
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    for data in (limit(updated_by=object()), limit(elemeter={"x": nested})):
        with pytest.raises(Invalid):
            CREATE.data_strict(data)


def test_an_unknown_key_of_the_envelope_is_refused_of_a_platform_only() -> None:
    assert DELETE is not None
    payload = json.dumps(message("streaming_overdemand_delete", {"id": 1}, priority=9)).encode()
    assert DELETE.decode(payload).data.id == 1
    with pytest.raises(Invalid) as caught:
        DELETE.decode_strict(payload)
    assert caught.value.path == "$.priority"


def test_what_a_sender_wrote_is_quoted_in_bounds() -> None:
    assert DELETE is not None
    with pytest.raises(Invalid) as caught:
        DELETE.data_strict({"id": 1, "k" * 50_000: 1})
    assert caught.value.path.startswith("$.data.kkk")
    assert len(str(caught.value)) < 1000
    with pytest.raises(Invalid) as caught:
        resolve(DELETED, deleted(type="t" * 50_000).encode())
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("mid", [MID, MID.upper(), MID.replace("-", ""), f"{{{MID}}}", f"urn:uuid:{MID}"])
def test_any_form_of_a_uuid_is_a_mid(mid: str) -> None:
    assert resolve(DELETED, deleted(mid=mid).encode())[1].mid == mid


@pytest.mark.parametrize("data", [None, {}])
def test_a_request_without_a_body_takes_none_or_an_empty_object(data: Any) -> None:
    assert SYNC is not None
    assert SYNC.data_strict(data) is None
    assert SYNC.decode_strict(json.dumps(message(SYNC.type) | {"data": data}).encode()).mid == MID


def test_a_server_side_field_may_be_repeated_by_a_sender() -> None:
    assert UPDATE is not None
    data = UPDATE.data_strict(limit(id=4, updated_by="me", created_at="t", devices=[{"id": 3}], dynamic_demand=0))
    assert data.id == 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["mid", "type", "device_uid", "timestamp", "data", "reply", "code", "sub_device_id", "x"]
SUFFIXES = sorted({kind.suffix for kind in KINDS})


@given(suffix=st.sampled_from(SUFFIXES), payload=st.binary(max_size=60))
def test_bytes_are_a_message_or_invalid(suffix: str, payload: bytes) -> None:
    with pytest.raises(Invalid):
        resolve(suffix, payload)


@given(suffix=st.sampled_from(SUFFIXES), changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
def test_any_json_in_an_envelope_is_a_message_or_invalid(suffix: str, changes: dict[str, Any]) -> None:
    kind = find(suffix)[0]
    payload = json.dumps(message(kind.type, {}) | changes).encode("utf-8", "replace")
    for read in (lambda: resolve(suffix, payload), lambda: kind.decode_strict(payload)):
        reason, path = refusal(read)
        assert reason in {"", "not_json", "invalid", "bad_timestamp", "unknown_type"}
        assert path == "" or path.startswith("$")
        refusal(lambda: (roundtrip(kind, payload), unknown_keys(kind, payload)))


ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON | st.sampled_from(["ems", "sub_ems", "sub_elemeters", "sub_ems_bms"]),
        "index": JSON,
        "data": JSON,
    },
)


@given(data=st.lists(ENTRY, max_size=3) | ENTRY | JSON)
def test_any_report_gives_readings_or_is_invalid(data: Any) -> None:
    payload = report(data).encode("utf-8", "replace")
    refusal(lambda: extract(*resolve(REPORT, payload), {"ems": -1.0}))


def refusal(read: Callable[[], object]) -> tuple[str, str]:
    """(reason, path) of a refusal, empty when there is none; any other exception goes through."""
    try:
        read()
    except Invalid as error:
        return error.reason, error.path
    return "", ""


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}"), ('[{"\\"[": "]"},', "]")])
def test_a_message_is_nested_so_deep_and_no_deeper(open_: str, close: str) -> None:
    assert SYNC is not None
    inner = "0" if open_ != "[" else ""

    def nested(levels: int) -> bytes:
        return deleted(x=1).replace('"x": 1', '"x": ' + open_ * levels + inner + close * levels).encode()

    assert resolve(DELETED, nested(DEEPEST - 2))[1].mid == MID
    with pytest.raises(Invalid, match="nested too deeply"):
        resolve(DELETED, nested(DEEPEST))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert resolve(DELETED, deleted(x=["[" * 500, *([[]] * 500)]).encode())[1].mid == MID
