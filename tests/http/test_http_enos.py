"""EnOS's token service and signed calls: the golden vector, and what is forged, expired, replayed or cut short."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Window as _Window
from enos.rig import (
    APPS,
    ASK,
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    SECRET,
    TOKENS,
    access_token,
    ask,
    assets,
    fill,
    hashed,
    legacy,
    now,
    private_key,
    signed,
    token_of,
)

from bridge.http.enos_signing import App, Seen, legacy_signature, read_token, signature, token
from bridge.http.enos_signing import name_of as token_name

if TYPE_CHECKING:
    Window = _Window

BOTH, EXPIRED_AFTER_S = ["D1.meter.1", "D2.meter.1"], 7_200


@pytest.fixture
def config_of(tmp_path: Path) -> dict[str, object]:
    return {"enos.apps": APPS, "enos.private_key": private_key(tmp_path), "broker.login_failures": 1_000}


def test_the_golden_vector_of_the_vendor() -> None:
    query = {"k3": ["v3"], "k1": ["v1"], "k2": ["v2"]}
    body = '{\n  "count": 20,\n  "page": 1,\n  "desc": "描述"\n}'.encode()
    found = signature("xxxxaaaxxxx", query, body, "1572574909697", "xxxappSecretxxx")
    assert found.startswith("59828328f6c1f9771015dc74e4929ae30f518a35")


def test_the_legacy_signature_leaves_out_what_it_adds() -> None:
    query = {"b": ["2"], "a": ["1"], "requestTimestamp": ["5"], "accessKey": ["k"], "sign": ["x"]}
    assert (
        legacy_signature("k", query, b"{}", "s")
        == __import__("hashlib").sha1(b"ka1b2requestTimestamp5{}s").hexdigest().upper()
    )


def test_tokens_are_of_one_application_and_secret() -> None:
    app, other = App("key-one-", "s" * 16, "a"), App("key-two-", "t" * 16, "b")
    text = token(app, 1_760_000_000_000)
    apps = {token_name(each.key): each for each in (app, other)}
    assert read_token(text, apps) == (app, 1_760_000_000_000)
    assert read_token(text, {token_name(app.key): app._replace(secret="u" * 16)}) is None
    assert read_token(text, {token_name(other.key): other}) is None
    for at in range(len(text)):
        assert read_token(text[:at], apps) is None
        assert read_token(text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :], apps) is None
    for forged in ("", "é" * 60, text + "A", text.upper(), "\ud800", f"{token_name(other.key)}{text[16:]}"):
        assert read_token(forged, apps) is None


def test_what_was_seen_is_known_for_a_span_and_bounded() -> None:
    seen = Seen(1_000, 3)
    assert [seen.add("a", 0), seen.add("a", 999), seen.add("a", 1_500), seen.add("a", 3_500)] == [
        True,
        False,
        False,
        True,
    ]
    assert not seen.full(3_500)
    seen.add("b", 3_500)
    seen.add("c", 3_500)
    assert seen.full(3_600)
    assert not seen.full(4_600)
    assert not seen.add("c", 4_600)


async def test_a_token_is_the_same_until_it_expires(window: Window) -> None:
    first = await token_of(window)
    assert (first["status"], first["msg"]) == (0, "SUCCESS")
    assert EXPIRED_AFTER_S - 2 <= first["data"]["expire"] <= EXPIRED_AFTER_S
    again = await token_of(window, at=now())
    assert again["data"]["accessToken"] == first["data"]["accessToken"]
    other = await token_of(window, OTHER_KEY, OTHER_SECRET)
    assert other["data"]["accessToken"] != first["data"]["accessToken"]
    fresh = await token_of(window, way="refresh", accessToken=first["data"]["accessToken"])
    assert fresh["data"]["accessToken"] != first["data"]["accessToken"]
    last = await token_of(window, at=now())
    assert last["data"]["accessToken"] == fresh["data"]["accessToken"]
    await fill(window)
    for each in (first, fresh):
        assert assets(await ask(window, ASK, signed(each["data"]["accessToken"], ASK))) == BOTH


async def test_every_code_of_the_token_service(window: Window) -> None:
    at = now()
    assert (await token_of(window, at=at))["status"] == 0
    assert (await token_of(window, at=at))["status"] == 1001
    assert (await token_of(window, key="unknown-key"))["status"] == 1002
    assert (await token_of(window, secret="wrong"))["status"] == 1003
    assert (await token_of(window, encryption=hashed(KEY, at, SECRET).upper()))["status"] == 1003
    for away in (-301_000, 301_000, -int(at)):
        assert (await token_of(window, at=str(int(at) + away)))["status"] == 1004
    assert (await token_of(window, timestamp="soon"))["status"] == 1004
    assert (await token_of(window, timestamp=-5))["status"] == 1004
    assert (await token_of(window, timestamp="9" * 5000))["status"] == 1003
    for name in ("appKey", "encryption", "timestamp"):
        for nothing in (None, "", " ", ...):
            assert (await token_of(window, **{name: nothing}))["status"] == 1202
    token = await access_token(window)
    assert (await token_of(window, way="refresh"))["status"] == 1202
    for wrong in ("x", token[:-1], token + "x", await access_token(window, OTHER_KEY, OTHER_SECRET)):
        assert (await token_of(window, way="refresh", accessToken=wrong))["status"] == 1204
    window.house.enos.clock = lambda: int(time.time() * 1000) + 7_300_000
    later = str(int(now()) + 7_300_000)
    assert (await token_of(window, way="refresh", accessToken=token, at=later))["status"] == 1203


NOTHING = [b"", b"x", b"[1]", b"null", b'"x"', b"\xff\xfe", b'{"appKey":', b'{"appKey":{"a":1}}', b"{" * 50_000,
           b'{"appKey":"\\ud800"}']  # fmt: skip


@pytest.mark.parametrize("body", NOTHING)
@pytest.mark.parametrize("way", ["get", "refresh"])
async def test_bodies_that_mean_nothing(window: Window, way: str, body: bytes) -> None:
    for media in ("application/json", "text/plain", "multipart/form-data"):
        status, said, _ = await window.call("POST", f"{TOKENS}/{way}", body, key="", headers={"Content-Type": media})
        assert (status, said["data"]) == (200, None)
        assert said["status"] in (1002, 1004, 1202), said


async def test_a_token_asked_for_by_a_form(window: Window) -> None:
    at = now()
    form = f"appKey={KEY}&encryption={hashed(KEY, at, SECRET)}&timestamp={at}".encode()
    media = {"Content-Type": "application/x-www-form-urlencoded"}
    status, said, headers = await window.call("POST", f"{TOKENS}/get", form, key="", headers=media)
    assert (status, said["status"], headers["Cache-Control"]) == (200, 0, "no-store")
    assert (await window.call("GET", f"{TOKENS}/get", key=""))[0] == 405
    assert (await window.call("POST", f"{TOKENS}/get", b"a" * 66_000, key=""))[0] == 413


async def test_signed_calls_see_what_the_applications_account_may(window: Window) -> None:
    await fill(window)
    token, other = await access_token(window), await access_token(window, OTHER_KEY, OTHER_SECRET)
    assert assets(await ask(window, ASK, signed(token, ASK))) == BOTH
    assert assets(await ask(window, ASK, signed(other, ASK, secret=OTHER_SECRET))) == BOTH[1:]
    own = {**ASK, "accessKey": KEY}
    assert assets(await ask(window, own, signed(token, own))) == BOTH
    odd = {**ASK, "modelId": "ü &=%+", "pageSize": ""}
    assert assets(await ask(window, odd, signed(token, odd))) == BOTH
    body = json.dumps({**ASK, "pointIds": "p"}).encode()
    said = await ask(window, {"orgId": "o1"}, signed(token, {"orgId": "o1"}, body), "/tsdb-service/v2.1/raw", body)
    assert [item["assetId"] for item in said["data"]["items"]] == BOTH
    await window.house.registry.remove_account("narrow")
    said = await ask(window, ASK, signed(other, ASK, secret=OTHER_SECRET))
    assert (said["status"], said["submsg"]) == (498, "the application's account is not there")


async def test_calls_that_are_not_signed_right(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    await fill(window)
    token = await access_token(window)
    good = signed(token, ASK)

    async def refused(headers: dict[str, str], query: dict[str, str] = ASK, body: Any = None) -> tuple[int, str]:
        said = await ask(window, query, headers, body=body)
        assert said["data"] is None
        return said["status"], said["submsg"]

    wrong, invalid = (497, "the signature is wrong"), (401, "the accessToken is not valid")
    assert await refused(good, {**ASK, "pageSize": "1"}) == wrong
    assert await refused(good, body=b'{"pageSize": 1}') == wrong
    assert await refused({**good, "apim-timestamp": now() + "0"}) == wrong
    assert await refused({**good, "apim-signature": good["apim-signature"].upper()}) == wrong
    assert await refused({**good, "apim-signature": ""}) == wrong
    assert await refused({name: value for name, value in good.items() if name != "apim-signature"}) == wrong
    assert await refused(signed(token, ASK, secret=OTHER_SECRET)) == wrong
    for cut in (token[:-1], token[1:], "x", "ä", token + "a", "A" * 2_000):
        assert await refused(signed(cut, ASK)) == invalid
    for away in (-301_000, 301_000):
        assert await refused(signed(token, ASK, at=str(int(now()) + away))) == (
            497,
            "the timestamp is too far from the time here",
        )
    for odd in ("", "x", "-1", "٣", "9" * 30):
        assert (await refused(signed(token, ASK, at=odd)))[0] == 497
    assert assets(await ask(window, ASK, good)) == BOTH, "what is right opens all the same"
    assert await refused(good) == (497, "the signature was used before")
    other = {**ASK, "accessKey": OTHER_KEY}
    assert await refused(signed(token, other), other) == (400, "Exception: Invalid param accessKey")
    assert await refused({}, {**ASK, "accessKey": KEY}) == (401, "the request is not signed")
    assert await refused({}) == (400, "Exception: Invalid param accessKey")
    stranger = {**ASK, "accessKey": "stranger"}
    assert await refused(signed(token, stranger), stranger) == (400, "Exception: Invalid param accessKey")
    window.house.enos.clock = lambda: int(time.time() * 1000) + 7_300_000
    assert await refused(signed(token, ASK, at=str(int(now()) + 7_300_000))) == (401, "the accessToken has expired")
    assert SECRET not in caplog.text
    assert token not in caplog.text


async def test_the_legacy_sdk(window: Window) -> None:
    await fill(window)
    assert assets(await ask(window, legacy(ASK), {})) == BOTH
    body = json.dumps({"pageSize": 5}).encode()
    query = legacy(ASK, body)
    assert assets(await ask(window, query, {"Content-Type": "application/json"}, body=body)) == BOTH

    async def refused(query: dict[str, str]) -> tuple[int, str]:
        said = await ask(window, query, {})
        return said["status"], said["submsg"]

    assert await refused(legacy(ASK, secret=OTHER_SECRET)) == (497, "the signature is wrong")
    assert await refused({**legacy(ASK), "sign": ""}) == (497, "the signature is wrong")
    assert await refused(legacy(ASK, at="1")) == (497, "the timestamp is too far from the time here")
    once = legacy(ASK)
    assert assets(await ask(window, once, {})) == BOTH
    assert await refused(once) == (497, "the signature was used before")
    assert await refused({**once, "sign": once["sign"].lower()}) == (497, "the signature is wrong")
    unnamed = {name: value for name, value in legacy(ASK).items() if name != "accessKey"}
    assert await refused(unnamed) == (401, "the request is not signed")


async def test_keys_of_accounts_are_good_beside_applications(window: Window) -> None:
    await fill(window)
    assert assets(await ask(window, ASK, {}, key=window.key)) == BOTH
    assert assets(await ask(window, {**ASK, "accessKey": window.key}, {})) == BOTH
    assert assets(await ask(window, ASK, {"apim-accesstoken": "x"}, key=window.key)) == BOTH


async def test_who_guesses_is_told_to_wait_and_others_are_not(tmp_path: Path, window: Window) -> None:
    await fill(window)
    window.house.attempts._limits = window.house.attempts._limits._replace(per_user=3)
    token = await access_token(window)
    told = [
        (await ask(window, ASK, signed(token, ASK, secret=OTHER_SECRET, at=str(int(now()) + n))))["status"]
        for n in range(4)
    ]
    assert told == [497, 497, 429, 429]
    assert [(await token_of(window, secret=f"wrong{n}"))["status"] for n in range(2)] == [429, 429]
    assert assets(await ask(window, ASK, signed(token, ASK))) == BOTH
    assert window.house.counts.value("ems_bridge_http_refused", (("cause", "wrong_signature"),)) == 6


async def test_many_signed_calls_at_once(window: Window) -> None:
    """Those of one millisecond differ in what they ask; the same one twice counts once."""
    await fill(window)
    token, at = await access_token(window), now()
    queries = [{**ASK, "pageSize": str(n + 1)} for n in range(20)]
    calls = [ask(window, query, signed(token, query, at=at)) for query in queries * 2]
    told = [said["status"] for said in await asyncio.gather(*calls)]
    assert sorted(told) == [0] * 20 + [497] * 20
