"""An anonymous tape tells nobody who and where: looked for in its bytes, whatever the messages were."""

from __future__ import annotations

import json
import string
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import kinds
from schemas.examples import examples
from simulator.mapping import Renaming
from simulator.replay import copy, measure
from simulator.tape import Message, Reader, Writer

TOPIC = "v1/wudun/PK9/REAL1/report/regular/post"
LETTERS = string.ascii_letters + string.digits + "-_"
NAMES = st.text(LETTERS, min_size=5, max_size=16).map(lambda text: f"Q{text}")
NUMBERS = st.integers(10**6, 10**12).map(str)
PLACES = st.text(string.ascii_letters + " äü储能", min_size=5, max_size=24).map(lambda text: f"Z{text}")


def anonymous(tape: Path, told: list[tuple[str, bytes]]) -> bytes:
    """A tape of these messages, made anonymous: all its lines."""
    writer = Writer(tape, 1, ["v1/#"])
    for n, (topic, payload) in enumerate(told):
        writer.message(n, topic, payload)
    writer.gap(len(told), "10.1.2.3 is gone")
    writer.close()
    renaming, to = Renaming({}, anonymise=True, salt="s"), tape.with_name("to.gz")
    measure(tape, renaming)
    ledger = copy(tape, to, renaming, commands=True)
    assert ledger.read == len(told) == ledger.published + ledger.skipped
    with Reader(to) as reader:
        entries = list(reader)
        head = msgspec.json.encode(reader.head)
    return b"\n".join(
        [head, *(entry.topic.encode() + b" " + entry.payload for entry in entries if isinstance(entry, Message))]
        + [entry.why.encode() for entry in entries if not isinstance(entry, Message)]
    )


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Secrets, and messages that are full of them."""
    uids = draw(st.lists(NAMES | NUMBERS, min_size=1, max_size=4, unique=True))
    owner, cabinet, place = draw(NAMES), draw(NAMES), draw(PLACES)
    secrets = [*uids, owner, cabinet, place]
    texts = st.sampled_from(secrets) | st.sampled_from(secrets).map(lambda each: f"of {each}, since noon")
    numbers = [int(uid) for uid in uids if uid.isdigit()]
    values: st.SearchStrategy[Any] = texts | st.integers(0, 99) | st.sampled_from([*numbers, 5]) | st.none()
    fields = st.sampled_from(["soc", "version", "alarm_type", "colour", "handle_time", "type", "mid", "asset"]) | texts
    bodies = st.recursive(
        values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4)
    )
    told = []
    for uid in draw(st.lists(st.sampled_from(uids), min_size=1, max_size=5)):
        topic = (
            f"v1/user/{owner}/{uid}/{draw(st.sampled_from(['report/regular', f'x-{uid}/new', 'alarm/details']))}/post"
        )
        body: dict[str, Any] = {"mid": "m", "device_uid": uid, "sub_device_uid": cabinet, "data": draw(bodies)}
        body["name"] = body["site_name"] = place
        payload = json.dumps(body, ensure_ascii=draw(st.booleans())).encode()
        told.append(
            (topic, draw(st.sampled_from([payload, payload + b"}", b"\xff" + payload, b'["' + uid.encode() + b'"]'])))
        )
    told.append((f"factory/{uids[0]}/log", b"{}"))
    known = {uid for topic, _ in told for uid in uids if topic.startswith(f"v1/user/{owner}/{uid}/")}
    places = [place] if any(json_of(payload) for _, payload in told) else []
    return [*known, owner, *places], told


def json_of(payload: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(payload), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


@settings(max_examples=400, deadline=None)
@given(fleets())
def test_nothing_of_who_and_where_is_left(made: tuple[list[str], list[tuple[str, bytes]]]) -> None:
    secrets, told = made
    with tempfile.TemporaryDirectory() as folder:
        found = anonymous(Path(folder) / "from.gz", told)
    for secret in secrets:
        for spelled in (secret.encode(), json.dumps(secret)[1:-1].encode()):
            assert spelled not in found


def test_numbers_keys_and_places(tmp_path: Path) -> None:
    body = {
        "mid": "m", "device_uid": "REAL1", "sub_device_uid": "88123456", "timestamp": 1000, "type": "report/regular",
        "data": {
            "uid": "REAL1", "source": "REAL1.meter.9", "host": "10.1.2.3", "longitude": 7.5, "soc": 3, "serial": 88123456,
            "REAL1": {"total_active_power": 4.5}, "note": "by REAL1", "version": "1.2.3", "license": "L-77", "phone": 4917012345,
            "address": "Main Street 5", "lat": 51.2, "count": 99_999_999, "other": 88123456,
        },
    }  # fmt: skip
    found = anonymous(tmp_path / "from.gz", [(TOPIC, json.dumps(body).encode())])
    for word in ("REAL1", "PK9", "88123456", "10.1.2.3", "7.5", "L-77", "4917012345", "Main", "51.2", "note"):
        assert word.encode() not in found, word
    told = json.loads(found.split(b"\n")[1].partition(b" ")[2])
    assert told["device_uid"] == told["data"]["uid"] == "D00001"
    assert told["data"]["source"] == "D00001.meter.9"
    assert (told["data"]["soc"], told["data"]["version"], told["type"]) == (3, "1.2.3", "report/regular")


def test_names_that_somebody_has_are_nobody_elses(tmp_path: Path) -> None:
    uids = ["D00002", "D00001", "other-device"]
    told = [(f"v1/wudun/PK1/{uid}/report/regular/post", json.dumps({"device_uid": uid}).encode()) for uid in uids]
    found = anonymous(tmp_path / "from.gz", told).decode()
    assert not [uid for uid in uids if uid in found]
    assert "D00003" in found
    assert "PK2" in found


def test_messages_stay_messages() -> None:
    """Every example of every kind is still of its kind, so that a bridge takes an anonymous tape."""
    for kind in kinds.KINDS:
        for example in examples(kind):
            payload = msgspec.json.encode(example.payload)
            try:
                before = kinds.resolve(kind.suffix, payload)[0]
            except ValueError:
                continue
            renaming = Renaming({}, anonymise=True, salt="s")
            topic = f"v1/wudun/PK9/{example.payload.get('device_uid', 'EMS001')}/{kind.suffix}"
            renaming.learn(topic, payload)
            assert renaming.takes(topic)
            assert kinds.resolve(kind.suffix, renaming.rename(topic, payload)[1])[0] is before, kind


def test_what_is_no_json_and_what_is_nobodys() -> None:
    renaming = Renaming({}, anonymise=True)
    assert renaming.rename(TOPIC, b"REAL1 {")[:2] == ("v1/wudun/PK1/D00001/report/regular/post", b"???????")
    assert not renaming.takes("factory/REAL1/log")
    assert renaming.rename(TOPIC, b"[" * 5000)[1] == b"?" * 5000
