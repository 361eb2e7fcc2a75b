"""EnOS measure points and templates: what a sink gets, and what its answers mean."""

from __future__ import annotations

import hashlib
import json
from email import message_from_bytes
from typing import Any

import pytest
from aiohttp import web
from harness.sink import Sink
from hypothesis import given
from hypothesis import strategies as st
from mirror_post import START, Post, running, until

from bridge.errors import ConfigError
from bridge.mirror.auth import enos_signature
from bridge.mirror.rows import decode_row
from bridge.mirror.shapes import shape_of
from bridge.mirror.sink import AuthConfig, EnosConfig, SinkConfig, TemplateConfig
from bridge.store.outbox import OutboxLine
from bridge.templates import Template, TemplateError, batch_template, row_template

PATIENCE_S = 20.0
ENOS = "/connect-service/v2.1/integration"


async def settled(post: Post, seq: int, name: str = "s") -> None:
    async def passed() -> bool:
        return await post.outbox.cursor(name) >= seq

    await until(passed, PATIENCE_S)


# EnOS


class Platform:
    """A small EnOS: tokens, signatures, measure points. `codes` are what it answers next, then 0."""

    key, secret = "app-1", "shh"

    def __init__(self, sink: Sink) -> None:
        self.messages: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self.tokens = 0
        self.faults: list[str] = []
        sink.routes["/apim-token-service/v2.0/token/get"] = self._token
        sink.routes[ENOS] = self._post
        self.url = sink.url.replace("/rows", f"{ENOS}?action=postMeasurepoint&orgId=o%201")
        token_url = sink.url.replace("/rows", "/apim-token-service/v2.0/token/get")
        self.auth = AuthConfig(type="enos", token_url=token_url, client_id=self.key, client_secret=self.secret)

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        digest = hashlib.sha256(f"{self.key}{body['timestamp']}{self.secret}".encode()).hexdigest()
        if body["appKey"] != self.key or body["encryption"] != digest:
            return web.json_response({"status": 1003, "msg": "bad encryption"})
        self.tokens += 1
        return web.json_response({"status": 0, "data": {"accessToken": f"t{self.tokens}", "expire": 7200}})

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        heads = request.headers
        query = list(request.query.items())
        signed = enos_signature(f"t{self.tokens}", query, body, int(heads["apim-timestamp"]), self.secret)
        if heads["apim-accesstoken"] != f"t{self.tokens}" or heads["apim-signature"] != signed:
            self.faults.append("wrongly signed")
        code = self.codes.pop(0) if self.codes else 0
        if code == 0:
            self.messages.append(message_of(request, body))
        return web.json_response({"code": code, "msg": "OK" if not code else "no", "requestId": "r"})


def message_of(request: web.Request, body: bytes) -> Any:
    """The JSON of a request, or of its part `enos-message` as an independent reader of forms finds it."""
    if request.content_type == "application/json":
        return json.loads(body)
    form = message_from_bytes(f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode() + body)
    (part,) = form.get_payload()
    assert part.get_param("name", header="Content-Disposition") == "enos-message"
    return json.loads(part.get_payload(decode=True))


@pytest.fixture
def platform(sink: Sink) -> Platform:
    return Platform(sink)


async def test_measure_points(post: Post, platform: Platform) -> None:
    await post.write(
        (1, [["EMS1.meter.1", START, {"total_active_power": -1.5, "odd": 2}], ["EMS1", START + 1, {"odd": 3}]])
    )
    enos = EnosConfig(assets={"EMS1": "G5M8Ojhd"}, points={"total_active_power": "ActivePower"})
    async with running(post.courier(platform.url, format="enos", auth=platform.auth, enos=enos)):
        await settled(post, 1)
    assert platform.messages == [
        {
            "method": "integration.measurepoint.post",
            "version": "1.1",
            "params": [
                {"assetId": "EMS1.meter.1", "time": START, "measurepoints": {"ActivePower": -1.5, "odd": 2}},
                {"assetId": "G5M8Ojhd", "time": START + 1, "measurepoints": {"odd": 3}},
            ],
        }
    ]
    assert platform.faults == []


async def test_device_keys_of_a_product_as_json(post: Post, platform: Platform) -> None:
    await post.reports(3)
    enos = EnosConfig(product_key="PK", encoding="json")
    async with running(post.courier(platform.url, format="enos", auth=platform.auth, enos=enos)):
        await settled(post, 3)
    (message,) = platform.messages
    assert message["params"][0] == {"productKey": "PK", "deviceKey": "M", "time": START + 1, "measurepoints": {"p": 1}}
    assert (platform.tokens, platform.faults) == (1, [])


@pytest.mark.parametrize(
    ("codes", "cause", "tokens"),
    [
        ([99500, 99500], "enos", 1),
        ([99429], "enos", 1),
        ([99403], "", 2),  # a fresh token helps at once
        ([99401, 99401], "enos", 2),
    ],
)
async def test_codes_that_are_tried_again(
    post: Post, platform: Platform, codes: list[int], cause: str, tokens: int
) -> None:
    platform.codes = codes
    await post.reports(8)
    async with running(post.courier(platform.url, format="enos", auth=platform.auth)):
        await settled(post, 8)
    assert len(platform.messages) == 1
    assert await post.dead() == []
    assert platform.tokens >= tokens
    causes = [dict(labels)["cause"] for name, labels in post.counts.values if name == "ems_bridge_mirror_failures"]
    assert causes == ([cause] if cause else [])


async def test_a_sample_that_enos_refuses_is_set_aside(post: Post, platform: Platform, sink: Sink) -> None:
    """Code 99400 until the bad sample stands alone; it can be replayed as any other."""

    async def picky(request: web.Request) -> web.Response:
        message = message_of(request, await request.read())
        bad = any(param["measurepoints"] == {"p": 3} for param in message["params"])
        if not bad:
            platform.messages.append(message)
        return web.json_response({"code": 99400 if bad else 0, "msg": "Invalid arguments"})

    sink.routes[ENOS] = picky
    await post.reports(8)
    async with running(post.courier(platform.url, format="enos", auth=platform.auth)):
        await settled(post, 8)
    sent = [param["measurepoints"]["p"] for message in platform.messages for param in message["params"]]
    assert sorted(sent) == [1, 2, 4, 5, 6, 7, 8]
    (letter,) = await post.dead()
    assert letter["reason"] == "sink_refused_200"
    assert "99400" in letter["detail"]
    assert decode_row(letter["payload"]) == ("M", START + 3, {"p": 3.0})


async def test_a_wrong_application_secret_holds_the_readings(post: Post, platform: Platform) -> None:
    await post.reports(8)
    platform.secret = "other"
    courier = post.courier(platform.url, format="enos", auth=platform.auth)
    async with running(courier):
        await until(lambda: courier.failing == "token: EnOS status 1003")
        platform.secret = "shh"
        await settled(post, 8)
    assert await post.dead() == []


def test_the_signature_of_the_specification() -> None:
    body = '{\n  "count": 20,\n  "page": 1,\n  "desc": "描述"\n}'.encode()
    digest = enos_signature(
        "xxxxaaaxxxx", [("k3", "v3"), ("k1", "v1"), ("k2", "v2")], body, 1572574909697, "xxxappSecretxxx"
    )
    assert digest.startswith("59828328f6c1f9771015dc74e4929ae30f518a35")


# Templates


def shape(row: str, batch: str = '"{rows}"') -> Any:
    return shape_of(
        SinkConfig(name="s", url="http://h/", format="template", template=TemplateConfig(row=row, batch=batch))
    )


LINE = OutboxLine(7, START, "D1", json.dumps([["D1.meter.1", START, {"total_active_power": 1.5, "n": 2}]]))


def test_a_row_for_each_reading() -> None:
    row = (
        '{"id": "{device}/{asset}", "at": "{timestamp}", "s": "{seconds}", "when": "{time}", "v": "{value}",'
        ' "unit": "{unit}", "label": "{point} = {value}", "{point}": [1, null, true, "{{x}}"], "n": {"deep": "{value}"}}'
    )
    made = shape(row, '{"count": "{count}", "data": {"rows": "{rows}"}, "source": "ems"}')
    body = json.loads(made.body(made.rows(LINE)))
    first = {
        "id": "D1/D1.meter.1", "at": START, "s": START / 1000, "when": "2025-10-09T08:53:20.000Z", "v": 1.5, "unit": "kW",
        "label": "total_active_power = 1.5", "total_active_power": [1, None, True, "{x}"], "n": {"deep": 1.5},
    }  # fmt: skip
    assert body["count"] == 2
    assert body["source"] == "ems"
    assert body["data"]["rows"][0] == first
    assert body["data"]["rows"][1]["v"] == 2
    assert [decode_row(made.letter(row)) for row in made.rows(LINE)] == [
        ("D1.meter.1", START, {"total_active_power": 1.5}),
        ("D1.meter.1", START, {"n": 2.0}),
    ]


def test_a_row_for_each_sample_and_one_row_a_line() -> None:
    made = shape('{"a": "{asset}", "values": "{values}"}', "")
    assert made.content_type == "application/x-ndjson"
    rows = made.rows(LINE)
    assert made.body(rows) == b'{"a":"D1.meter.1","values":{"total_active_power": 1.5, "n": 2}}\n'
    assert decode_row(made.letter(rows[0])) == ("D1.meter.1", START, {"total_active_power": 1.5, "n": 2.0})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not JSON"),
        ('{"a": "{asst}", "v": "{value}"}', "$.a: {asst} is no place; there are asset, device"),
        ('{"a": [0, "x{"], "v": "{value}"}', "$.a[1]: a lone { in 'x{'"),
        ('{"a": "x}", "v": "{value}"}', "a lone }"),
        ('{"v": "all: {values}"}', "$.v: {values} has to be a value of its own"),
        ('{"{values}": 1}', "has to be a value of its own"),
        ('{"v": "{values}", "p": "{point}"}', "{values} is a whole sample, {point} one reading"),
        ('{"a": "{asset}"}', "neither {value} nor {values}"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_place(row: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        row_template(row)
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="sink s: "):
        shape(row)


def test_a_batch_without_rows() -> None:
    with pytest.raises(TemplateError, match="rows"):
        batch_template('{"count": "{count}"}')
    with pytest.raises(TemplateError, match="of its own"):
        batch_template('{"rows": "x {rows}"}')


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**60), 2**60) | st.none(), max_size=4), st.text())
def test_a_template_gives_json_whatever_stands_in_it(tree: dict[str, Any], value: str) -> None:
    def escaped(text: Any) -> Any:
        return text.replace("{", "{{").replace("}", "}}") if isinstance(text, str) else text

    text = json.dumps([{escaped(key): escaped(each) for key, each in tree.items()}, "{v}", "<{v}>", {"{v}": 0}])
    assert json.loads(Template(text, ("v",)).render({"v": value})) == [tree, value, f"<{value}>", {value: 0}]


async def test_a_template_at_work(post: Post, sink: Sink) -> None:
    """One refused row is cut out; not packed, unless that is asked for."""
    taken: list[float] = []

    async def take(request: web.Request) -> web.Response:
        assert "Content-Encoding" not in request.headers
        assert request.content_type == "application/vnd.x+json"
        values = [row["v"] for row in (await request.json())["r"]]
        if 5 in values:
            return web.Response(status=422, text="5 is out of range")
        taken.extend(values)
        return web.Response(status=201)

    sink.routes["/take"] = take
    template = TemplateConfig(row='{"v": "{value}"}', batch='{"r": "{rows}"}', content_type="application/vnd.x+json")
    await post.reports(20)
    async with running(post.courier(sink.url.replace("/rows", "/take"), format="template", template=template)):
        await settled(post, 20)
    assert sorted(taken) == [n for n in range(1, 21) if n != 5]
    (letter,) = await post.dead()
    assert json.loads(letter["payload"])["value"] == 5
