"""The vendor's own samples: all decode, none loses a key, its commands pass the strict door."""

from __future__ import annotations

import json

import jsonschema
import make_examples
import pytest
from conftest_schemas import VendorSample, vendor_samples

from schemas import export
from schemas.examples import examples
from schemas.kind import Kind
from schemas.kinds import KINDS, encode, find, resolve, roundtrip, unknown_keys
from schemas.readings import extract

SAMPLES = vendor_samples()
IDS = [sample.file for sample in SAMPLES]
VARIANTS = {"device-event": ":v1", "device-event-1": ":v2", "emu-device-event": ":emu"}


def test_there_are_samples_of_every_page() -> None:
    assert len(SAMPLES) == 84
    assert {sample.suffix for sample in SAMPLES} <= {kind.suffix for kind in KINDS}


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_sample_decodes_as_what_it_is(sample: VendorSample) -> None:
    kind, message = resolve(sample.suffix, sample.payload)
    page = sample.file.split("__")[0]
    assert kind.key == sample.suffix + VARIANTS.get(page, "")
    body = sample.body
    assert (message.mid, message.type, message.timestamp) == (body["mid"], body["type"], body["timestamp"])
    assert (message.data is None) == ("data" not in body)


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_round_trip_keeps_every_key_and_value_in_order(sample: VendorSample) -> None:
    kind, message = resolve(sample.suffix, sample.payload)
    again = json.loads(roundtrip(kind, sample.payload))
    assert again == sample.body
    assert list(again) == list(sample.body)
    assert unknown_keys(kind, sample.payload) == ()
    assert kind.decode(encode(message)) == message


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_round_trip_keeps_what_no_table_knows(sample: VendorSample) -> None:
    body = sample.body
    body["x_envelope"] = {"deep": [1, {"er": None}]}
    data = body.get("data")
    spot, path = (data[0], "$.data[0].x_data") if isinstance(data, list) else (data, "$.data.x_data")
    kind, _ = resolve(sample.suffix, sample.payload)
    paths = {"$.x_envelope"}
    if kind.kind != "command" and isinstance(spot, dict):
        spot["x_data"] = 1.5
        paths.add(path)
    payload = json.dumps(body).encode()
    assert json.loads(roundtrip(kind, payload)) == body
    assert set(unknown_keys(kind, payload)) == paths


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.suffix.endswith("/command")], ids=lambda s: s.file)
def test_the_vendors_commands_pass_strictly(sample: VendorSample) -> None:
    (kind,) = find(sample.suffix)
    assert kind.decode_strict(sample.payload).mid == sample.body["mid"]
    data = sample.body.get("data")
    typed = kind.data_strict(data)
    assert (typed is None) == (data is None)


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_the_published_schema_takes_the_sample(sample: VendorSample) -> None:
    kind, _ = resolve(sample.suffix, sample.payload)
    jsonschema.Draft202012Validator(export.jsonschema(kind)).validate(sample.body)


def test_reports_give_readings_and_nothing_else_does() -> None:
    for sample in SAMPLES:
        kind, message = resolve(sample.suffix, sample.payload)
        has = bool(extract(kind, message))
        climate_only = sample.file == "device-event-1__report_regular_post_1.json"
        assert has == (kind.feature in {"report", "grid_fm"} and not climate_only), sample.file


def test_the_published_examples_are_these_samples() -> None:
    assert make_examples.FILE.read_text("utf-8") == make_examples.text(), "run python tests/schemas/make_examples.py"


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_every_kind_has_a_published_example_that_passes_strictly(kind: Kind) -> None:
    shown = examples(kind)
    assert shown
    for example in shown:
        payload = json.dumps(example.payload).encode()
        assert resolve(kind.suffix, payload)[0] is kind
        kind.decode_strict(payload)
        jsonschema.Draft202012Validator(export.jsonschema(kind)).validate(example.payload)
