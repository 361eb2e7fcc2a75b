"""The header of `enos-poseidon`, under our key and under the vendor's: what is let in, and what is not."""

from __future__ import annotations

import hmac
import random
import string
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_public_key
from enos.rig import APPS, ASK, KEY, OTHER_KEY, OTHER_SECRET, SECRET, ask, assets, fill, private_key, public_key

from bridge.errors import ConfigError
from bridge.http.enos_poseidon import CONSTANT, Shown, decrypt, load, looks_like_one, made_at, pin_of

if TYPE_CHECKING:
    from conftest import Window

BOTH = ["D1.meter.1", "D2.meter.1"]


@pytest.fixture
def config_of(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, object]:
    given: dict[str, object] = {"enos.apps": APPS, "enos.private_key": private_key(tmp_path), "enos.clock_s": 5.0}
    return {**given, "broker.login_failures": 1_000, **getattr(request, "param", {})}


def header(
    key: str = KEY, secret: str = SECRET, away: int = 0, public: str | None = None, pin: str | None = None, **more: Any
) -> dict[str, str]:
    """As the client makes it, `away` ms from now."""
    at, pin = int(time.time() * 1000) + away, pin or pin_of(key, secret) or "123456"
    digests = [
        hmac.digest(CONSTANT, f"{pin}{at + each}".encode(), "sha256").hex() for each in (7_200_000, 2_592_000_003)
    ]
    text = more.get("text", "$".join([pin, key, secret, *digests]))
    found = load_der_public_key(b64decode(public or public_key()))
    assert isinstance(found, rsa.RSAPublicKey)
    blob = found.encrypt(text.encode(), padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
    return {"apim-accesstoken": b64encode(blob).decode()}


def test_a_header_says_what_the_client_put_in(tmp_path: Path) -> None:
    key = load(private_key(tmp_path))
    shown = decrypt(key, header()["apim-accesstoken"])
    assert shown is not None
    assert (shown.pin, shown.key, shown.secret) == (pin_of(KEY, SECRET), KEY, SECRET)
    now = int(time.time() * 1000)
    found = made_at(shown, now, 5_000)
    assert found is not None
    assert abs(found - now) < 5_000
    assert made_at(shown, now + 60_000, 5_000) is None
    assert made_at(shown._replace(refresh="0" * 64), now, 5_000) is None
    assert decrypt(key, header(text="a$b")["apim-accesstoken"]) is None
    for text in ("", "x", "é" * 344, "A" * 344, "=" * 344):
        assert decrypt(key, text) is None
    assert not looks_like_one("A" * 343)
    assert not looks_like_one("A" * 2_049)


def test_pins_as_the_client_makes_them() -> None:
    import poseidon.poseidon as client

    make = getattr(client, "__pin")
    rng = random.Random(1)
    for _ in range(200):
        key, secret = ("-".join(f"{rng.getrandbits(16):04x}" for _ in range(3)) for _ in range(2))
        assert pin_of(key, secret) == make(key, secret)
    assert make("a-0-b", "c-1-d") == pin_of("a-0-b", "c-1-d") == "000000"
    for key in ("plain", "a-xyz-b", ""):
        assert pin_of(key, SECRET) is None
    assert client.sk.encode() == CONSTANT


def test_private_keys_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(path))
    path.write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match="no PEM"):
        load(str(path))
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65_537, 1_024)):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(ConfigError, match="another sort"):
            load(str(path))


async def refused(window: Window, headers: dict[str, str], query: dict[str, str] = ASK) -> tuple[int, str]:
    said = await ask(window, query, headers)
    assert said["data"] is None
    return said["status"], said["submsg"]


INVALID = (401, "the accessToken is not valid")


async def test_what_is_right_is_let_in_once(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    await fill(window)
    right = header()
    assert assets(await ask(window, ASK, right)) == BOTH
    assert await refused(window, right) == (497, "the signature was used before")
    text, letters = right["apim-accesstoken"], string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    spelled = text[:-3] + letters[letters.index(text[-3]) ^ 1] + "=="
    assert b64decode(spelled) == b64decode(text), "the last bits of base64 mean nothing"
    assert await refused(window, {"apim-accesstoken": spelled}) == (497, "the signature was used before")
    assert assets(await ask(window, {**ASK, "accessKey": KEY}, header())) == BOTH
    assert assets(await ask(window, ASK, header(OTHER_KEY, OTHER_SECRET))) == BOTH[1:]
    other = {**ASK, "accessKey": OTHER_KEY}
    assert await refused(window, header(), other) == (400, "Exception: Invalid param accessKey")
    assert SECRET not in caplog.text


async def test_what_is_wrong_is_not(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    await fill(window)
    for away in (-60_000, 60_000):
        assert await refused(window, header(away=away)) == (497, "the timestamp is too far from the time here")
    assert await refused(window, header(secret=OTHER_SECRET)) == INVALID
    assert await refused(window, header(key="aaaa-bbbb")) == INVALID
    assert await refused(window, header(pin="123456")) == INVALID
    assert await refused(window, header(text="x")) == INVALID
    assert await refused(window, header(text=f"1${KEY}${SECRET}$$")) == INVALID
    vendors = __import__("poseidon.poseidon").poseidon.pubkey.decode()
    assert await refused(window, header(public=vendors)) == INVALID
    assert await refused(window, header(public=vendors), {**ASK, "accessKey": KEY}) == INVALID, "compat mode is off"
    right = header()["apim-accesstoken"]
    for cut in (right[:-1], right[4:], right[:200], "A" * 344, right + "AAAA", "$" * 344):
        assert await refused(window, {"apim-accesstoken": cut}) == INVALID
    assert not {SECRET, right} & set(caplog.text.split())
    assert SECRET not in caplog.text


VENDORS = pytest.mark.parametrize(
    "config_of", [{"enos.unverified_poseidon": "loopback", "enos.private_key": ""}], indirect=True
)


@VENDORS
async def test_compat_mode_knows_applications_by_their_access_key(window: Window) -> None:
    await fill(window)
    vendors = __import__("poseidon.poseidon").poseidon.pubkey.decode()
    own, other = {**ASK, "accessKey": KEY}, {**ASK, "accessKey": OTHER_KEY}
    assert assets(await ask(window, own, header(public=vendors))) == BOTH
    assert assets(await ask(window, other, header(public=vendors))) == BOTH[1:]
    assert await refused(window, header(public=vendors)) == INVALID, "without an accessKey nobody is named"
    assert await refused(window, {"apim-accesstoken": "A" * 340}, own) == INVALID
    assert await refused(window, {}, own) == (401, "the request is not signed")
    unknown = {**ASK, "accessKey": "stranger"}
    assert await refused(window, header(public=vendors), unknown) == (400, "Exception: Invalid param accessKey")


@pytest.mark.parametrize("config_of", [{"enos.unverified_poseidon": "loopback"}], indirect=True)
async def test_compat_mode_beside_our_key_lets_nothing_in_that_is_under_it_and_wrong(window: Window) -> None:
    await fill(window)
    own = {**ASK, "accessKey": KEY}
    assert assets(await ask(window, own, header())) == BOTH
    assert await refused(window, header(secret=OTHER_SECRET), own) == INVALID
    assert (await refused(window, header(away=-60_000), own))[0] == 497


@VENDORS
async def test_compat_mode_is_for_this_machine_alone(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.core.peer import Peer
    from bridge.http import enos_apps

    await fill(window)
    vendors = __import__("poseidon.poseidon").poseidon.pubkey.decode()
    monkeypatch.setattr(enos_apps, "peer_of", lambda _request: Peer("192.0.2.7", 5_000))
    assert await refused(window, header(public=vendors), {**ASK, "accessKey": KEY}) == INVALID


def test_a_time_that_is_far_away_is_looked_for_in_a_bounded_time() -> None:
    shown = Shown("123456", KEY, SECRET, "0" * 64, "0" * 64)
    begun = time.process_time()
    assert made_at(shown, int(time.time() * 1000), 20_000) is None
    assert time.process_time() - begun < 5
