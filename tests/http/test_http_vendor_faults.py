"""The vendor's platform API where something is wrong: a full disk, a path that nobody serves, guessed license codes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from http_vendor_rig import BASE, SCHEDULE, good, online, scripted, simulated

from bridge.http.app import ROUTES

if TYPE_CHECKING:
    from conftest import Window

CODE = "6rDMfM0MVoB8jQHkDrPFey"
BIND = {"license_code": CODE, "name": "shed", "code": 1}


async def full(window: Window, on: bool) -> None:
    """Whether nothing can be written, as on a full disk."""
    pragma = f"PRAGMA query_only = {int(on)}"
    await window.house.database.maintain(lambda connection: connection.execute(pragma).fetchone())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/device", {"uid": "D1", "name": "hall", "code": 7}),
        ("POST", "/pcs-control", {"device_uid": "D1", "command": 1}),
        ("POST", "/charge-strategy", {**SCHEDULE, "device_uid": "D1"}),
        ("PUT", "/charge-strategy/sync?device_uid=D1", None),
        ("PUT", "/common-sync?device_uid=D1", {"fields": ["soc"]}),
        ("GET", "/sub-device?device_uid=D1&subdevice_type=1", None),
    ],
)
async def test_a_full_disk_is_said_in_the_envelope(
    window: Window, method: str, path: str, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with online(window, simulated()):
        await full(window, True)
        status, said, headers = await window.call(method, BASE + path, body)
        await full(window, False)
        assert (status, said["code"], set(said)) == (503, 100_000, {"code", "message"}), said
        assert said["message"].startswith("服务暂不可用: the ledger cannot be written")
        assert headers["Retry-After"] == "5"
        assert "incident" in caplog.text
    assert (await good(window, "GET", "/device"))["data"]["total"] == 2


class TestFillsUpMeanwhile:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"commands.timeout_s": 0.5}

    async def test_the_disk_is_full_when_the_device_answers(
        self, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its answer cannot be stored, so nobody is told that it did it."""
        monkeypatch.setattr("bridge.http.vendor.QUEUE_S", 0.5)
        loop = asyncio.get_running_loop()
        filled: list[asyncio.Task[None]] = []

        def script(name: str, _data: Any) -> tuple[int, Any]:
            if name == "pcs_control/set":
                filled.append(loop.create_task(full(window, True)))
            return 200, None

        async with scripted(window, script) as asked:
            order = {"device_uid": "D1", "command": 2}
            status, said, _ = await window.call("POST", f"{BASE}/pcs-control", order)
            await full(window, False)
            assert (status, said["code"]) in ((400, 140_002), (503, 100_000)), said
            assert set(said) == {"code", "message"}
            assert [name for name, _ in asked] == ["pcs_control/set"]


@pytest.mark.parametrize(
    "path", ["/wad", "/wad/%FF%C0", "/wad/ems", "/wad/ems/v2/api/device", BASE, f"{BASE}/", f"{BASE}/nothing"]
)
async def test_a_path_that_nobody_serves(window: Window, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        status, said, _ = await window.call(method, path)
        assert status == 404
        if path.startswith("/wad/"):
            assert (said["code"], set(said)) == (100_007, {"code", "message"}), said


async def test_a_method_that_the_path_does_not_take(window: Window) -> None:
    served: dict[str, set[str]] = {}
    for route in ROUTES:
        if route.tag == "vendor":
            served.setdefault(route.path.replace("{id}", "1"), set()).add(route.method)
    for path, methods in served.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - methods:
            status, said, headers = await window.call(method, path)
            assert (status, said["code"]) == (405, 100_001), (method, path, said)
            assert set(headers["Allow"].split(",")) == methods


async def test_what_nobody_expected_is_said_in_the_envelope(
    window: Window, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: object) -> Any:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(type(window.house.registry), "devices", broken)
    status, said, _ = await window.call("GET", f"{BASE}/device")
    assert (status, said["code"]) == (500, 100_000)
    assert "a fault of ours" not in said["message"]
    assert said["message"].rpartition(" ")[2] in caplog.text


class TestGuessing:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"broker.login_failures": 3, "broker.login_failures_per_address": 6, "broker.login_ban_s": 600}

    async def guess(self, window: Window, key: str, **more: Any) -> int:
        status, said, _ = await window.call("POST", f"{BASE}/device/bind-owner", {**BIND, **more}, key=key)
        assert set(said) == {"code", "message"}
        return status

    async def test_wrong_license_codes_are_put_off(self, window: Window, caplog: pytest.LogCaptureFixture) -> None:
        registry, counts = window.house.registry, window.house.counts
        await registry.add_device("D5", "PK001", license_code=CODE)
        one, two, three = [await registry.add_account(f"a{n}", [("user", f"T{n}")]) for n in range(3)]
        for number in range(3):
            assert await self.guess(window, one, license_code=f"wrong-{number}") == 400
        assert await self.guess(window, one, license_code="wrong-4") == 429
        assert await self.guess(window, one) == 429, "a good code tells nothing while it lasts"
        assert (await good(window, "GET", "/device", key=one))["data"]["total"] == 0, "the rest works"
        assert await self.guess(window, two) == 200, "another account binds"
        for number in range(3):
            assert await self.guess(window, three, license_code=f"wrong-{number}") == 400
        assert await self.guess(window, window.key) == 429, "the address has tried too many by now"
        assert (await window.call("GET", f"{BASE}/device", key="wrong"))[0] == 401, "keys are counted apart"
        assert counts.value("ems_bridge_http_refused", (("cause", "wrong_license"),)) == 6
        assert counts.value("ems_bridge_http_refused", (("cause", "banned_license"),)) == 3
        assert counts.value("ems_bridge_bans", (("scope", "license"),)) == 2
        assert caplog.text.count("too many wrong license codes") == 1
        assert CODE not in caplog.text

    async def test_many_at_once_learn_no_more(self, window: Window) -> None:
        registry = window.house.registry
        await registry.add_device("D5", "PK001", license_code=CODE)
        key = await registry.add_account("a", [("user", "T1")])
        wrong = [self.guess(window, key, license_code=f"wrong-{number}") for number in range(40)]
        said = await asyncio.gather(*wrong)
        assert sorted(set(said)) == [400, 429]
        assert said.count(400) == 3
