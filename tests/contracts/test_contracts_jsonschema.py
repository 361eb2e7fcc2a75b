"""The JSON Schemas say what the decoders do: mutated examples are taken by both or refused by both."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from fuzz import jsons
from jsonschema import Draft202012Validator

from schemas import export
from schemas.errors import Invalid
from schemas.examples import examples
from schemas.kind import Kind
from schemas.kinds import KINDS, find, resolve

SCHEMAS = {key: Draft202012Validator(schema) for key, schema in export.jsonschemas().items()}
MUTATIONS = 60
"""Of each kind."""


def decodes(kind: Kind, payload: bytes) -> bool:
    """A command by the strict door, anything else as a device's."""
    try:
        kind.decode_strict(payload) if kind.kind == "command" else resolve(kind.suffix, payload)
    except Invalid:
        return False
    return True


def whole_floats(value: Any) -> bool:
    """1.0 is an integer to JSON Schema, and none to the decoders."""
    if isinstance(value, dict | list):
        return any(map(whole_floats, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and value.is_integer()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_schema_and_decoder_agree(kind: Kind) -> None:
    chance = random.Random(kind.key)
    on_topic = [kind] if kind.kind == "command" else find(kind.suffix)
    taken = 0
    for _ in range(MUTATIONS):
        body = jsons.changed(chance, chance.choice(examples(kind)).payload)
        if whole_floats(body):
            continue
        good = decodes(kind, json.dumps(body).encode())
        taken += good
        assert any(SCHEMAS[each.key].is_valid(body) for each in on_topic) == good, body
    assert 0 < taken < MUTATIONS


MODE_1 = {"mode": 1, "year": 2024, "dates": [1]}
ONE_WAY: list[tuple[dict[str, Any], bool]] = [
    (MODE_1, True),
    ({"mode": 1}, False),
    ({"mode": 2}, True),
    ({"mode": 2, "ems_device_ids": []}, False),
    ({"mode": 2, "ems_device_ids": [], "apply_to_all": True}, True),
    ({"mode": 2, "ems_device_ids": [1], "apply_to_all": True}, False),
    ({"mode": 2, "ems_device_ids": [1], "apply_to_all": False}, True),
    ({"mode": 2, "ems_device_ids": [1], "ems_device_uids": ["a"]}, False),
    ({"mode": 2, "ems_device_ids": [], "ems_device_uids": ["a"]}, True),
]


@pytest.mark.parametrize(("changes", "good"), ONE_WAY)
@pytest.mark.parametrize("name", ["charge/create", "charge/by_node"])
def test_what_fields_ask_of_each_other_stands_in_the_schema(name: str, changes: dict[str, Any], good: bool) -> None:
    (kind,) = find(f"{name}/command")
    body = json.loads(json.dumps(examples(kind)[0].payload))
    body["data"] = {**body["data"], "week_day": [1], "ems_device_ids": [1]} | changes
    if name == "charge/by_node" and changes.get("ems_device_ids") == [] and len(changes) == 2:
        good = True  # the node stands for its devices
    assert decodes(kind, json.dumps(body).encode()) == good
    assert SCHEMAS[kind.key].is_valid(body) == good


@pytest.mark.parametrize(
    ("mid", "good"),
    [
        ("EE2E8F09B2804E4DBCB91529B703CFED", True),
        ("{ee2e8f09-b280-4e4d-bcb9-1529b703cfed}", True),
        ("urn:uuid:ee2e8f09-b280-4e4d-bcb9-1529b703cfed", True),
        ("ee2e8f09_b280_4e4d_bcb9_1529b703cfed", False),
        (" ee2e8f09-b280-4e4d-bcb9-1529b703cfed", False),
        ("ee2e8f09-b280-4e4d-bcb9-1529b703cfe", False),
        ("ee2e8f09-b280-4e4d-bcb9-1529b703cfed" + "-" * 200, False),
    ],
)
def test_a_mid_is_a_uuid_to_both(mid: str, good: bool) -> None:
    (kind,) = find("safety/details/post")
    body = {**examples(kind)[0].payload, "mid": mid}
    assert decodes(kind, json.dumps(body).encode()) == good
    assert SCHEMAS[kind.key].is_valid(body) == good
