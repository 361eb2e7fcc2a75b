"""How a sink is let in to: headers, tokens that end, certificates, signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from aiohttp import web
from harness.pki import Pki
from harness.sink import Batch, Sink
from mirror_post import Post, running, until

from bridge.certificates import ClientFiles, client_context
from bridge.mirror.sink import AuthConfig

PATIENCE_S = 20.0


async def settled(post: Post, seq: int) -> None:
    async def passed() -> bool:
        return await post.outbox.cursor("s") >= seq

    await until(passed, PATIENCE_S)


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (AuthConfig(type="basic", username="ä", password="p:w"), "Authorization", "Basic w6Q6cDp3"),
        (AuthConfig(type="api_key", key="k1"), "X-API-Key", "k1"),
        (AuthConfig(type="api_key", header="Authorization", key="Api k1"), "Authorization", "Api k1"),
    ],
)  # fmt: skip
async def test_fixed_headers(post: Post, sink: Sink, auth: AuthConfig, header: str, value: str) -> None:
    seen: list[str | None] = []

    async def verdict(batch: Batch) -> None:
        seen.append(batch.request.headers.get(header))

    sink.verdict = verdict
    await post.reports(3)
    async with running(post.courier(sink.url, auth=auth)):
        await settled(post, 3)
    assert seen == [value]


class Tokens:
    """A token endpoint; the sink takes the newest token alone."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.asked = sink, list[dict[str, str]]()
        self.logins: list[str] = []
        self.statuses: list[int] = []
        self.life: object = 3600
        self.good = True
        sink.routes["/oauth/token"] = self._give
        sink.verdict = self._check
        self.url = sink.url.replace("/rows", "/oauth/token")

    async def _give(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        self.logins.append(request.headers.get("Authorization", ""))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.json_response({"error": "invalid_client"}, status=status)
        answer = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "expires_in": self.life}
        return web.json_response({name: value for name, value in answer.items() if value is not None})

    async def _check(self, batch: Batch) -> web.StreamResponse | None:
        right = self.good and batch.request.headers["Authorization"] == f"Bearer t{len(self.asked)}"
        return None if right else web.Response(status=401)

    def auth(self, **more: str) -> AuthConfig:
        return AuthConfig(type="oauth2", token_url=self.url, client_id="me & you", client_secret="s:1%", **more)  # type: ignore[arg-type]


async def test_a_token_is_fetched_once_and_kept(post: Post, sink: Sink) -> None:
    tokens = Tokens(sink)
    await post.reports(40)
    async with running(post.courier(sink.url, auth=tokens.auth(scope="write all", audience="https://api/"))):
        await settled(post, 40)
    assert tokens.asked == [{"grant_type": "client_credentials", "scope": "write all", "audience": "https://api/"}]
    name, _, secret = base64.b64decode(tokens.logins[0].removeprefix("Basic ")).decode().partition(":")
    assert (unquote_plus(name), unquote_plus(secret)) == ("me & you", "s:1%")
    assert sink.attempts == 5


async def test_the_secret_in_the_form(post: Post, sink: Sink) -> None:
    tokens = Tokens(sink)
    await post.reports(8)
    async with running(post.courier(sink.url, auth=tokens.auth(client_auth="body"))):
        await settled(post, 8)
    assert tokens.asked == [{"grant_type": "client_credentials", "client_id": "me & you", "client_secret": "s:1%"}]
    assert tokens.logins == [""]


@pytest.mark.parametrize(
    ("life", "after_s", "fetched"), [(3600, 3500, 1), (3600, 3541, 2), (60, 55, 2), (None, 200, 1), ("100", 91, 2)]
)
async def test_a_token_is_renewed_before_it_ends(
    post: Post, sink: Sink, life: object, after_s: int, fetched: int
) -> None:
    tokens = Tokens(sink)
    tokens.life = life
    await post.reports(8)
    async with running(post.courier(sink.url, auth=tokens.auth())):
        await settled(post, 8)
        post.clock.ms += after_s * 1000
        await post.reports(8, first=9)
        await settled(post, 16)
    assert len(tokens.asked) == fetched
    assert sink.attempts == 2, "nothing was refused"


async def test_a_token_that_was_taken_back_is_renewed_at_once(post: Post, sink: Sink) -> None:
    tokens = Tokens(sink)
    await post.reports(8)
    async with running(post.courier(sink.url, auth=tokens.auth())):
        await settled(post, 8)
        tokens.asked.append({})  # t1 is not the newest any more
        await post.reports(8, first=9)
        await settled(post, 16)
    assert sink.attempts == 3
    assert post.counts.value("ems_bridge_mirror_failures", (("sink", "s"), ("cause", "status_401"))) == 0


async def test_a_login_that_is_never_accepted_holds_everything(post: Post, sink: Sink) -> None:
    """The token is good, and the sink refuses it all the same: nothing is dropped, and it is asked with patience."""
    tokens = Tokens(sink)
    tokens.good = False
    await post.reports(8)
    courier = post.courier(sink.url, auth=tokens.auth())
    async with running(courier):
        await until(lambda: len(post.clock.slept) >= 8)
        assert courier.failing == "HTTP 401"
        assert max(post.clock.slept) > 10
        tokens.good = True
        await settled(post, 8)
    assert await post.dead() == []


async def test_a_token_endpoint_that_fails(post: Post, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = Tokens(sink)
    tokens.statuses = [500, 302] + [401] * 1000
    await post.reports(8)
    courier = post.courier(sink.url, auth=tokens.auth())
    async with running(courier):
        await until(lambda: courier.failing == "token: HTTP 401 invalid_client")
        tokens.statuses = []
        await settled(post, 8)
    assert post.counts.value("ems_bridge_mirror_failures", (("sink", "s"), ("cause", "token"))) >= 3
    assert sink.attempts == 1
    assert "s:1%" not in caplog.text
    assert base64.b64encode(b"me").decode()[:3] not in caplog.text


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"access_token": 5}', '{"access_token": "a\\nb"}', "x" * 200_000])
async def test_what_is_no_token(post: Post, sink: Sink, answer: str) -> None:
    tokens = Tokens(sink)
    good = tokens.sink.routes["/oauth/token"]

    async def give(_request: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="application/json")

    sink.routes["/oauth/token"] = give
    await post.reports(8)
    courier = post.courier(sink.url, auth=tokens.auth())
    async with running(courier):
        await until(lambda: courier.failing.startswith("token: "))
        sink.routes["/oauth/token"] = good
        await settled(post, 8)


async def test_a_body_that_is_signed(post: Post, sink: Sink) -> None:
    """As webhooks sign; the body on the wire is the one that is signed."""
    secret, seen = "sixteen letters!", list[tuple[str, bytes]]()

    async def verdict(batch: Batch) -> None:
        assert "Content-Encoding" not in batch.request.headers
        seen.append((batch.request.headers["EMS-Signature"], await batch.request.read()))

    sink.verdict = verdict
    await post.reports(3)
    async with running(post.courier(sink.url, secret=secret)):
        await settled(post, 3)
    ((signature, body),) = seen
    fields = dict(part.split("=") for part in signature.split(","))
    right = hmac.new(secret.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert fields["v1"] == right


async def test_certificates_of_both_sides(post: Post, sink: Sink, tmp_path: Path) -> None:
    """The sink asks for one, and shows one of a CA that the system does not know."""
    pki = Pki(tmp_path / "pki")
    await sink.down()
    sink.tls = pki.mutual()
    await sink.up()
    mine = pki.device("bridge-7")
    seen: list[object] = []

    async def verdict(batch: Batch) -> None:
        assert batch.request.transport is not None
        seen.append(batch.request.transport.get_extra_info("peercert")["subject"])

    sink.verdict = verdict
    await post.reports(3)
    context = client_context(ClientFiles(str(pki.ca), str(mine[0]), str(mine[1])), "here")
    async with running(post.courier(sink.url, tls=context)):
        await settled(post, 3)
    assert "bridge-7" in json.dumps(seen)


@pytest.mark.parametrize(("ca", "own", "cause"), [(False, True, "certificate"), (True, False, "tls")])
async def test_a_certificate_that_is_wrong_holds_everything(
    post: Post, sink: Sink, tmp_path: Path, ca: bool, own: bool, cause: str
) -> None:
    """The sink's authority is not known, or the bridge shows nothing."""
    pki = Pki(tmp_path / "pki")
    await sink.down()
    sink.tls = pki.mutual()
    await sink.up()
    mine = pki.device("bridge-7") if own else ("", "")
    context = client_context(ClientFiles(str(pki.ca) if ca else "", str(mine[0]), str(mine[1])), "here")
    await post.reports(3)
    courier = post.courier(sink.url, tls=context)
    async with running(courier):
        await until(lambda: len(post.clock.slept) >= 3)
    assert courier.failing.partition(":")[0] in (cause, "connection"), courier.failing
    assert sink.attempts == 0
    assert await post.dead() == []


async def test_an_answer_without_an_end_is_taken_for_what_its_status_says(post: Post, sink: Sink) -> None:
    """201 and a body that never ends: the rows were taken, and are not sent again."""
    release = asyncio.Event()

    async def verdict(batch: Batch) -> web.StreamResponse:
        sink.keep(batch)
        answer = web.StreamResponse(status=201)
        await answer.prepare(batch.request)
        await answer.write(b"x")
        await release.wait()
        return answer

    sink.verdict = verdict
    await post.reports(8)
    async with running(post.courier(sink.url)):
        await settled(post, 8)
        release.set()
    assert sink.attempts == 1
