"""OAuth2 of the Belimo-compatible API: the four grants, what tokens open, and what forged and stolen ones do not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from http_belimo_rig import BASE, bearer, login, token

from bridge.core.secrets import new_secret
from bridge.store.tokens import TokenStore

if TYPE_CHECKING:
    from conftest import Window

BACK = "http://127.0.0.1:9/back"
ALL = "public.read public.write read:dataprofile offline_access"


@pytest.fixture
def config_of() -> dict[str, object]:
    clients = [
        {"id": "web", "secret": "a secret: 100%", "account": "backend", "redirect_uris": [BACK]},
        {"id": "app", "redirect_uris": [BACK, BACK + "/2"]},
    ]
    return {"belimo.clients": clients, "broker.login_failures": 5}


async def opens(window: Window, access: str, path: str = "/devices", method: str = "GET", body: Any = None) -> int:
    """The status that a token gets."""
    status, _, _ = await window.call(method, BASE + path, body, key="", headers={"Authorization": f"Bearer {access}"})
    return status


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


async def test_the_password_grant(window: Window) -> None:
    status, said = await token(window, **login(window, scope="public.read offline_access", audience="https://x/"))
    assert status == 200
    assert said["token_type"] == "Bearer"
    assert said["expires_in"] == 86_400
    assert said["scope"] == "public.read offline_access"
    assert await opens(window, said["access_token"]) == 200
    assert await opens(window, said["refresh_token"]) == 401
    assert await opens(window, said["access_token"][:-1]) == 401
    assert (await token(window, **login(window)))[1]["scope"] == ALL
    assert "refresh_token" not in (await token(window, **login(window, scope="public.read")))[1]
    await window.house.registry.add_account("person", [("user", "other")], "a chosen password")
    status, said = await token(window, **login(window, username="person", password="a chosen password"))
    assert status == 200
    status, listed, _ = await window.call(
        "GET", f"{BASE}/devices", key="", headers={"Authorization": f"bearer {said['access_token']}"}
    )
    assert [each["serialNumber"] for each in listed["data"]] == ["D2"]


async def test_ways_to_name_the_client(window: Window) -> None:
    fields = {"grant_type": "password", "username": "backend", "password": window.key}
    for name, secret in (("web", "a secret: 100%"), ("backend", window.key)):
        for headers, more in (
            (basic(name, secret), {}),
            (basic(quote(name), quote(secret)), {}),
            ({}, {"client_id": name, "client_secret": secret}),
        ):
            async with window.session.post(
                window.url + "/oauth/token", data={**fields, **more}, headers=headers
            ) as response:
                assert response.status == 200, await response.text()
                assert response.headers["Cache-Control"] == "no-store"
    body = {**fields, "client_id": "web", "client_secret": "a secret: 100%"}
    async with window.session.post(window.url + "/oauth/token", json=body) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"password": "wrong"}, 400, "invalid_grant"),
        ({"username": "nobody"}, 400, "invalid_grant"),
        ({"username": "D1"}, 400, "invalid_grant"),
        ({"password": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "app", "client_secret": ""}, 400, "unauthorized_client"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 5000}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
        ({"scope": "public.read everything"}, 400, "invalid_scope"),
        ({"scope": "x" * 10_000}, 400, "invalid_scope"),
    ],
)
async def test_what_gets_no_token(window: Window, change: dict[str, str], status: int, error: str) -> None:
    got, said = await token(window, **login(window, **change))
    assert (got, said["error"]) == (status, error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"%ff%fe=\xff&grant_type=\x00", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(1000)), "application/x-www-form-urlencoded"),
        (b"grant_type=password&grant_type=password&username=a&password=b", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"grant_type": 5, "username": null}', "application/json"),
        (b"grant_type=password", "text/plain"),
        (b"x" * 70_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_bodies_that_are_no_form(window: Window, body: bytes, kind: str) -> None:
    for headers in ({}, {"Authorization": "Basic ????"}, {"Authorization": "Basic " + "/w" * 50}):
        async with window.session.post(
            window.url + "/oauth/token", data=body, headers={"Content-Type": kind, **headers}
        ) as response:
            said = json.loads(await response.read())
            assert response.status in (400, 401, 413), said
            assert "error" in said


async def test_a_refresh_token_is_good_for_once(window: Window) -> None:
    _, first = await token(window, **login(window))
    form = {"grant_type": "refresh_token", "client_id": "backend", "client_secret": window.key}
    status, second = await token(window, **form, refresh_token=first["refresh_token"])
    assert status == 200
    assert second["scope"] == first["scope"]
    status, third = await token(window, **form, refresh_token=second["refresh_token"], scope="public.read")
    assert (status, third["scope"], "refresh_token" in third) == (200, "public.read", False)
    wider = await token(window, **form, refresh_token=second["refresh_token"], scope=f"{ALL} internal")
    assert wider[1]["error"] == "invalid_scope"
    other = {**form, "client_id": "web", "client_secret": "a secret: 100%"}
    assert (await token(window, **other, refresh_token=second["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await opens(window, third["access_token"]) == 200
    status, said = await token(window, **form, refresh_token=first["refresh_token"])  # replayed
    assert (status, said["error"]) == (400, "invalid_grant")
    for each in (first, second, third):  # whoever has them, the family is closed
        assert await opens(window, each["access_token"]) == 401
    assert (await token(window, **form, refresh_token=second["refresh_token"]))[0] == 400


async def test_of_many_at_once_one_refreshes(window: Window) -> None:
    _, first = await token(window, **login(window))
    form = {"grant_type": "refresh_token", "client_id": "backend", "client_secret": window.key}
    got = await asyncio.gather(*(token(window, **form, refresh_token=first["refresh_token"]) for _ in range(8)))
    assert sorted(status for status, _ in got) == [200] + [400] * 7


async def test_the_client_itself(window: Window) -> None:
    form = {"grant_type": "client_credentials", "client_id": "web", "client_secret": "a secret: 100%"}
    status, said = await token(window, **form)
    assert (status, "refresh_token" in said) == (200, False)
    assert await opens(window, said["access_token"]) == 200
    status, said = await token(window, **{**form, "client_id": "backend", "client_secret": window.key})
    assert status == 200
    status, said = await token(window, grant_type="client_credentials", client_id="app")
    assert (status, said["error"]) == (401, "invalid_client")


async def test_scopes(window: Window) -> None:
    write = {"datapoints": {"metadata.1009": "Zug"}}
    for scope, read, wrote, profiles in (
        ("public.read", 200, 403, 200), ("public.write", 200, 200, 200), ("read:dataprofile", 403, 403, 200),
        ("account", 403, 403, 403),
    ):  # fmt: skip
        access = (await bearer(window, scope=scope))["Authorization"].removeprefix("Bearer ")
        assert await opens(window, access) == read
        assert await opens(window, access, "/devices/change-stream", "POST", {}) == read
        assert await opens(window, access, "/devices/D1/metadata", "POST", write) == wrote
        assert await opens(window, access, "/definitions/dataprofiles") == profiles


async def test_a_token_ends(window: Window) -> None:
    access = (await bearer(window))["Authorization"].removeprefix("Bearer ")
    tokens = window.house.belimo.tokens
    now = tokens.clock()
    tokens.clock = lambda: now + 86_399_000
    assert await opens(window, access) == 200
    tokens.clock = lambda: now + 86_401_000
    for _ in range(200):  # no guess at a key: nobody is banned for a clock
        assert await opens(window, access) == 401
    status, said, _ = await window.call("GET", f"{BASE}/devices", key=access)
    assert (status, said["error"]) == (401, "invalid_token")
    tokens.clock = lambda: now + 15 * 86_400_000
    await bearer(window)
    assert tokens.find(access) is None


async def test_a_removed_account_takes_its_tokens_along(window: Window) -> None:
    key = await window.house.registry.add_account("brief", None)
    _, said = await token(window, **login(window, username="brief", password=key))
    assert await opens(window, said["access_token"]) == 200
    await window.house.registry.remove_account("brief")
    assert await opens(window, said["access_token"]) == 401
    await window.house.registry.add_account("brief", None)
    assert await opens(window, said["access_token"]) == 401
    form = {"grant_type": "refresh_token", "client_id": "backend", "client_secret": window.key}
    assert (await token(window, **form, refresh_token=said["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await TokenStore(window.house.database).load() == []


async def test_tokens_are_kept_as_hashes_and_bounded(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.http.belimo_tokens.PER_ACCOUNT", 4)
    given = [(await token(window, **login(window)))[1] for _ in range(3)]
    assert [await opens(window, each["access_token"]) for each in given] == [401, 200, 200]
    kept = await TokenStore(window.house.database).load()
    assert len(kept) == 4
    whole = repr(kept)
    assert not any(each[name] in whole for each in given for name in ("access_token", "refresh_token"))


async def test_who_guesses_has_to_wait(window: Window) -> None:
    for _ in range(5):
        assert (await token(window, **login(window, username="other", password="guess")))[0] == 400
    status, said = await token(window, **login(window, username="other", password="guess"))
    assert (status, said["error"]) == (429, "access_denied")
    assert (await token(window, **login(window)))[0] == 200
    for _ in range(5):
        assert (await token(window, **login(window, client_secret="guess")))[0] == 401
    assert (await token(window, **login(window)))[0] == 429


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


async def code(window: Window, fields: dict[str, str] | None = None, **params: str) -> tuple[int, str, dict[str, str]]:
    """(status, page, parameters that the client is sent back with) of the login page."""
    post = window.session.post if fields is not None else window.session.get
    async with post(window.url + "/oauth/authorize", params=params, data=fields, allow_redirects=False) as response:
        back = response.headers.get("Location", "")
        assert not back or back.startswith(BACK)
        found = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        return response.status, await response.text(), found


async def test_an_authorization_code(window: Window) -> None:
    verifier = new_secret()
    asked = {
        "response_type": "code", "client_id": "app", "redirect_uri": BACK, "state": "a <b> &", "scope": ALL,
        "code_challenge": challenge(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    status, page, _ = await code(window, **asked)
    assert (status, "<form" in page) == (200, True)
    status, page, _ = await code(window, {"username": "backend", "password": "wrong"}, **asked)
    assert (status, "wrong" in page) == (403, True)
    user = {"username": "backend", "password": window.key}
    status, _, back = await code(window, user, **asked)
    assert (status, back["state"]) == (302, "a <b> &")
    form = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": BACK, "code": back["code"]}
    status, said = await token(window, **form, code_verifier=verifier)
    assert (status, said["scope"]) == (200, ALL)
    assert await opens(window, said["access_token"]) == 200
    refresh = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": said["refresh_token"]}
    assert (await token(window, **refresh))[0] == 200
    assert (await token(window, **form, code_verifier=verifier))[1]["error"] == "invalid_grant"  # twice
    assert await opens(window, said["access_token"]) == 401  # and what it opened is closed
    for wrong in ({"code_verifier": new_secret()}, {}, {"code_verifier": verifier, "redirect_uri": BACK + "/2"},
                  {"code_verifier": verifier, "client_id": "web", "client_secret": "a secret: 100%"}):  # fmt: skip
        _, _, back = await code(window, user, **asked)
        status, said = await token(window, **{**form, "code": back["code"], **wrong})
        assert status == 400, wrong
    _, _, back = await code(window, user, **asked)
    codes = window.house.belimo.tokens.codes
    now = codes._clock()
    codes._clock = lambda: now + 61_000
    status, said = await token(window, **{**form, "code": back["code"]}, code_verifier=verifier)
    assert (status, said["error"]) == (400, "invalid_grant")


async def test_a_confidential_client_needs_no_challenge(window: Window) -> None:
    asked = {"response_type": "code", "client_id": "web"}
    _, _, back = await code(window, {"username": "backend", "password": window.key}, **asked)
    form = {"grant_type": "authorization_code", "client_id": "web", "code": back["code"]}
    assert (await token(window, **form))[0] == 401
    assert (await token(window, **form, client_secret="a secret: 100%"))[0] == 200


async def test_what_the_login_page_refuses(window: Window) -> None:
    good = {"response_type": "code", "client_id": "app", "redirect_uri": BACK, "code_challenge": "x" * 43,
            "code_challenge_method": "S256"}  # fmt: skip
    for change in ({"client_id": "nobody"}, {"client_id": ""}, {"redirect_uri": "https://evil.example"},
                   {"redirect_uri": BACK + "#x"}, {"redirect_uri": "javascript:alert(1)"}, {"redirect_uri": ""},
                   {"client_id": "<script>"}, {"client_id": "backend"}):  # fmt: skip
        status, page, back = await code(window, **{**good, **change})
        assert (status, back) == (400, {}), change
        assert "<script>" not in page
    for change, error in (
        ({"response_type": "token"}, "unsupported_response_type"), ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"scope": "nothing known"}, "invalid_scope"),
    ):  # fmt: skip
        status, _, back = await code(window, **{**good, **change})
        assert (status, back.get("error")) == (302, error), change
