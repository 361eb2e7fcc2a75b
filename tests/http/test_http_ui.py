"""Pages for people: the files by HTTP, and the pages in Chromium, with whatever devices say."""

from __future__ import annotations

import asyncio
import gzip
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from aiohttp import ClientSession
from harness import messages
from harness.process import ROOT, Bridge
from http_ui_chromium import NEEDS, Browser, Page, chromium, command

from bridge.app import cloud
from bridge.config import load
from bridge.http.pages import FOLDER, LANGUAGES, TYPES, language_of

if TYPE_CHECKING:
    from .conftest import Window

EVIL = "<img src=x onerror=\"document.title='broken in'\">"
START = 1_760_054_400_000
"""2025-10-10T00:00Z; D1 is in UTC."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LIMIT = {
    "ele_meter_id": 7, "over_demand_status": 1, "over_demand_condition": [100, *[80] * 10, 120], "device_type": 2,
    "dynamic_demand_status": 1, "dynamic_demand_percentage": 80, "streaming_status": 1, "streaming_condition": 10,
    "individual_phase_streaming_status": 2, "individual_phase_streaming_condition": 5,
}  # fmt: skip
DAY_OF_READINGS = f"from={START}&to={START + DAY}"

UNNAMED = """[...document.querySelectorAll('button, input, select, a')].filter((each) =>
    !(each.textContent.trim() || each.ariaLabel || each.closest('label')?.textContent)).length"""
"""How many things to press or fill in have no name."""


def module(script: str) -> str:
    """A script that may import the page's own modules by MODULE('name.js')."""
    first = "const MODULE = (name) => document.querySelector('script[type=module]').src.replace('app.js', name);"
    return f"(() => {{ {first} return {script.rstrip(';')}; }})()"


# The files.


async def test_the_page_and_what_it_refers_to(window: Window) -> None:
    status, page, headers = await window.call("GET", "/ui/", key="")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Cache-Control"] == "no-cache"
    assert b"@" not in page
    found = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
    assert len(found) == 5
    (folder,) = {path.rpartition("/")[0] for path in found}
    names = {path.name for path in FOLDER.iterdir() if path.suffix in TYPES and path.name != "index.html"}
    for name in names:
        status, body, headers = await window.call("GET", f"{folder}/{name}", key="")
        assert status == 200
        assert body == await asyncio.to_thread((FOLDER / name).read_bytes)
        assert "immutable" in headers["Cache-Control"]
        assert headers["Content-Type"] == f"{TYPES[Path(name).suffix]}; charset=utf-8"
        again, nothing, _ = await window.call(
            "GET", f"{folder}/{name}", key="", headers={"If-None-Match": headers["ETag"]}
        )
        assert (again, nothing) == (304, b"")
    assert {"uPlot.LICENSE.txt", "app.js"} < names


async def test_every_answer_is_guarded(window: Window) -> None:
    _, page, _ = await window.call("GET", "/ui/", key="")
    script = re.findall(r'src="([^"]+)"', page.decode())[-1]
    for path in ("/ui/", script):
        _, _, headers = await window.call("GET", path, key="")
        policy = dict(each.strip().partition(" ")[::2] for each in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(rb"<script(?![^>]*\ssrc=)|<style|\son\w+=|javascript:", page)


async def test_packed_where_that_is_understood(window: Window) -> None:
    packed, plain = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "identity"}
    async with window.session.get(f"{window.url}/ui/", headers=plain) as answer:
        page, tag = await answer.read(), answer.headers["ETag"]
    async with window.session.get(f"{window.url}/ui/", headers=packed) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == page
        assert answer.headers["ETag"] != tag
        assert int(answer.headers["Content-Length"]) == len(gzip.compress(page, mtime=0))


@pytest.mark.parametrize(
    "path",
    [
        "/ui/app.js",
        "/ui/0/app.js",
        "/ui/@/index.html",
        "/ui/@/..%2fpages.py",
        "/ui/@/%2e%2e/pages.py",
        "/ui/@/",
        "/ui/x",
    ],
)
async def test_nothing_else_is_served(window: Window, path: str) -> None:
    _, page, _ = await window.call("GET", "/ui/", key="")
    version = re.findall(rb"/ui/(\w+)/", page)[0].decode()
    status, body, _ = await window.call("GET", path.replace("@", version), key="")
    assert (status, set(body)) == (404, {"error"})


async def test_who_forgets_the_slash(window: Window) -> None:
    status, _, headers = await window.call("GET", "/ui", key="", allow_redirects=False)
    assert (status, headers["Location"]) == (308, "/ui/")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,en;q=0.9,zh;q=0.8", "en"), ("de,zh;q=0.5", "zh"),
        ("zh;q=0.2,en;q=0.7", "en"), ("fr", "en"), ("ZH-hant-TW", "zh"), ("zh;q=0", "en"), ("zh;q=nan", "en"), (";,;q=", "en"),
        ("," * 5_000 + "zh", "en"),
    ],
)  # fmt: skip
async def test_the_language_that_a_browser_asks_for(window: Window, accepted: str, language: str) -> None:
    assert language_of(accepted) == language
    _, page, headers = await window.call("GET", "/ui/", key="", headers={"Accept-Language": accepted})
    assert f'<html lang="{language}"'.encode() in page
    assert headers["Content-Language"] == language
    assert "Accept-Language" in headers["Vary"]


def test_every_text_stands_in_both_languages() -> None:
    words = (FOLDER / "words.js").read_text(encoding="utf-8")
    table = dict(re.findall(r"^  (\w+): \[\s*(.+?)\s*\],$", words, re.MULTILINE | re.DOTALL))
    assert len(table) > 100
    for word, texts in table.items():
        assert len(re.findall(r'"(?:[^"\\]|\\.)+"', texts)) == len(LANGUAGES), word
        english, chinese = re.findall(r'"((?:[^"\\]|\\.)+)"', texts)
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), word
    for path in FOLDER.glob("*.js"):
        used = re.findall(r'\bt\("(\w+)"', path.read_text(encoding="utf-8")) if "uPlot" not in path.name else []
        assert set(used) <= set(table), path.name


def test_the_pages_make_no_markup_of_text_and_change_nothing() -> None:
    for path in FOLDER.glob("*.js"):
        if "uPlot" in path.name:
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
            path.name
        )
        assert not re.search(r"method:|\"(POST|PUT|DELETE|PATCH)\"", text), path.name
        assert not re.search(r"https?://", text), path.name
        assert len(text.splitlines()) <= 400, path.name


def test_the_wheel_has_the_pages(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (made,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(made) as wheel:
        there = {Path(name).name for name in wheel.namelist() if name.startswith("bridge/http/ui/")}
    assert there == {path.name for path in FOLDER.iterdir()}


# In a browser.


class Pages:
    """The browser before a running house."""

    def __init__(self, browser: Browser, window: Window, pictures: Path) -> None:
        self.browser = browser
        self.window = window
        self.pictures = pictures
        self.open: list[Page] = []

    async def page(self, place: str = "", *, key: str | None = None, **looks: Any) -> Page:
        """A tab with a key, at `#/place`."""
        page = await self.browser.page(**looks)
        self.open.append(page)
        await page.go(f"{self.window.url}/ui/")
        await page.until("Boolean(document.querySelector('input[name=key]'))")
        await page.run(f"location.hash = {f'#/{place}'!r}")
        await page.run(f"document.querySelector('input[name=key]').value = {key or self.window.key!r}")
        await page.run("document.querySelector('form').requestSubmit()")
        await page.until("Boolean(document.querySelector('nav'))")
        return page

    async def picture(self, page: Page, name: str) -> None:
        await page.picture(self.pictures / f"{name}.png")

    def check(self) -> None:
        """Nothing went wrong in any of them, nothing was asked of anybody else, and nothing but asked."""
        for page in self.open:
            assert page.trouble == []
            others = [url for _, url in page.requests if not url.startswith((self.window.url, "data:image/"))]
            assert [url for url in others if url != "about:blank"] == []
            assert {method for method, _ in page.requests} == {"GET"}
            assert [url for _, url in page.requests if self.window.key in url] == []


@pytest.fixture
async def pages(window: Window, tmp_path: Path) -> AsyncIterator[Pages]:
    if command() is None:
        pytest.skip(NEEDS)
    async with chromium(tmp_path / "profile") as browser:
        yield Pages(browser, window, tmp_path)


async def fill(window: Window, rows: Sequence[dict[str, Any]]) -> None:
    status, body, _ = await window.call("POST", "/ingest/v1/power", rows)
    assert status == 200, body


def readings(minutes: range, asset: str = "D1.meter.7", power: float = 50.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "asset": asset,
            "timestamp": START + i * MINUTE,
            "values": {"total_active_power": power + i % 60, "total_forward_active_energy": i / 4},
            **more,
        }
        for i in minutes
    ]


def alarm(content: str) -> bytes:
    data = {"content": content, "device_type": "PCS", "alarm_type": "ems", "level": 2, "handle_status": 1}
    body = {"mid": str(uuid.uuid4()), "type": "alarm_details", "device_uid": "D1", "timestamp": messages.now_ms()}
    return messages.dump({**body, "data": [{**data, "occur_time": "2024-04-16T02:30:27Z"}]})


async def test_a_wrong_key_and_a_good_one(pages: Pages) -> None:
    page = await pages.browser.page()
    await page.go(f"{pages.window.url}/ui/")
    await page.sees("API key")
    assert await page.run("document.activeElement.name") == "key"
    await page.run("document.querySelector('input[name=key]').value = 'wrong'")
    await page.run("document.querySelector('form').requestSubmit()")
    await page.sees("This key is not known.")
    assert len(page.trouble) == 1
    assert "401" in page.trouble.pop()
    await page.run(f"document.querySelector('input[name=key]').value = {pages.window.key!r}")
    await page.run("document.querySelector('form').requestSubmit()")
    await page.sees("2 of 2 devices")
    assert await page.run("Object.keys(localStorage).length") == 0
    await page.go(f"{pages.window.url}/ui/")
    await page.sees("2 of 2 devices")
    await page.click("Forget key")
    await page.sees("API key")
    assert await page.run("sessionStorage.length") == 0
    pages.open.append(page)
    pages.check()


async def test_a_key_that_no_header_can_carry(pages: Pages) -> None:
    page = await pages.browser.page(language="zh")
    await page.go(f"{pages.window.url}/ui/")
    await page.until("Boolean(document.querySelector('input[name=key]'))")
    await page.run("document.querySelector('input[name=key]').value = '密钥\\n'")
    await page.run("document.querySelector('form').requestSubmit()")
    await page.sees("密钥无效。")
    pages.open.append(page)
    pages.check()


async def test_a_key_that_is_taken_away(pages: Pages) -> None:
    key = await pages.window.house.registry.add_account("short", None)
    page = await pages.page("commands", key=key)
    await page.sees("No commands.")
    await pages.window.house.registry.remove_account("short")
    await page.click("Dead letters")
    await page.sees("The key is no longer accepted.")
    assert all("401" in each for each in page.trouble)


async def test_the_fleet_follows_what_happens(pages: Pages) -> None:
    window = pages.window
    await window.house.registry.add_device("D3", "PK001", None, name=EVIL)
    page = await pages.page("fleet")
    await page.sees("3 of 3 devices")
    await page.sees(EVIL)
    await page.until("document.querySelector('#say').className === 'live'")
    async with await window.connect("D1") as device:
        await page.until("document.querySelectorAll('.dot.on').length === 1")
        await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 77.25))
        await page.sees("77.25 kW")
        await device.stored(messages.topic("D1", "alarm/details/post"), alarm(EVIL + "!"))
        await page.sees(EVIL + "!")
    await page.until("document.querySelectorAll('.dot.on').length === 0")
    await window.device("D4")
    async with await window.connect("D4"):
        await page.sees("4 of 4 devices")
    assert await page.run("document.images.length") == 0
    assert await page.run("document.title") == "Fleet – EMS bridge"
    await page.run(
        "Object.assign(document.querySelector('input[type=search]'), {value: 'd3'}).dispatchEvent(new Event('input'))"
    )
    await page.until("document.querySelectorAll('tbody tr').length === 1")
    pages.check()


async def test_an_account_sees_its_own(pages: Pages) -> None:
    await fill(pages.window, [*readings(range(3)), *readings(range(3), "D2", 500.0)])
    key = await pages.window.house.registry.add_account("theirs", [("user", "other")])
    page = await pages.page("fleet", key=key)
    await page.sees("1 of 1 devices")
    assert "D1" not in await page.run("document.querySelector('main').innerText")
    await page.run(f"location.hash = '#/plots?a=D1.meter.7&{DAY_OF_READINGS}'")
    await page.sees("That is not there, or belongs to somebody else.")
    pages.check()


async def test_commands_as_they_move(pages: Pages) -> None:
    window = pages.window
    page = await pages.page("commands")
    await page.sees("No commands.")
    await page.until("document.querySelector('#say').className === 'live'")
    async with await window.connect("D1") as device:
        asked = {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 1}, "timeout_s": 600}
        status, command, _ = await window.call("POST", "/api/v1/devices/D1/commands", asked)
        assert status == 202
        await page.sees("streaming_overdemand/delete")
        await page.sees("delivered")
        body = {"mid": str(uuid.uuid4()), "type": "streaming_overdemand_delete", "device_uid": "D1"}
        body |= {"timestamp": messages.now_ms(), "reply": command["mid"], "code": 500, "msg": EVIL}
        await device.stored(messages.topic("D1", "streaming_overdemand/delete/result"), messages.dump(body))
        await page.sees("rejected")
        await page.sees(EVIL)
    await page.run("document.querySelector('tbody button').click()")
    await page.sees(command["mid"])
    assert await page.run("document.images.length") == 0
    pages.check()


async def test_dead_letters_with_hostile_payloads(pages: Pages) -> None:
    window = pages.window
    page = await pages.page("dead")
    await page.sees("No dead letters")
    await page.until("document.querySelector('#say').className === 'live'")
    async with await window.connect("D1") as device:
        await device.stored(
            messages.topic("D1", messages.REPORT), b'{"type": "' + EVIL.replace('"', "'").encode() + b'"}'
        )
        await page.sees("unknown_type")
        await device.stored(messages.topic("D1", messages.REPORT), b"\xff" + EVIL.encode())
        await page.sees("not_json")
    for _ in range(2):
        await page.run("document.querySelector('tbody button[aria-expanded=false]').click()")
        await page.until("!document.querySelector('tbody button[aria-expanded=true]') === false")
    await page.until("document.querySelectorAll('pre').length === 2")
    await page.sees("bytes that are no text, as Base64")
    assert "onerror" in await page.run("[...document.querySelectorAll('pre')].map((each) => each.textContent).join()")
    assert await page.run("document.images.length") == 0
    assert await page.run("document.title") == "Dead letters – EMS bridge"
    pages.check()


async def test_power_energy_and_the_demand_limit(pages: Pages) -> None:
    window = pages.window
    await fill(window, readings(range(1440)))
    await fill(window, readings(range(0, 1440, 5), "D1.meter.8", -20.0))
    async with await window.connect("D1"):
        asked = {"feature": "streaming_overdemand", "action": "create", "data": LIMIT, "timeout_s": 600}
        status, _, _ = await window.call("POST", "/api/v1/devices/D1/commands", asked)
        assert status == 202
        page = await pages.page(f"plots?a=D1.meter.7,D1.meter.8&{DAY_OF_READINGS}")
        await page.until("document.querySelectorAll('canvas').length === 2")
        await page.sees("D1.meter.7: lowest 50, highest 109, last 109 kW at 2025-10-10 23:59 GMT")
        await page.sees("D1.meter.7: 359.75 kWh altogether")
        await page.sees("Demand limit 80 kW sent")
        await page.sees("meter 7")
        await page.sees("every reading · readings in 100.0 % of the quarter-hours")
    # by hand
    await page.run(
        "Object.assign(document.querySelector('input[type=number]'), {value: '91.5'}).dispatchEvent(new Event('change'))"
    )
    await page.sees("91.5 kW entered by hand")
    # zoom by dragging, then by keys, and back by the browser's own way
    box = await page.run(
        "(({left, top, width, height}) => [left, top, width, height])(document.querySelector('.u-over').getBoundingClientRect())"
    )
    left, top, width, height = box
    await page.drag((left + width * 0.25, top + height / 2), (left + width * 0.5, top + height / 2))
    await page.until("location.hash.includes('r=custom')")
    zoomed = await page.run("location.hash")
    low, high = (int(re.search(rf"\b{name}=(\d+)", zoomed)[1]) for name in ("from", "to"))  # type: ignore[index]
    assert abs(low - (START + DAY / 4)) < 10 * MINUTE
    assert abs(high - (START + DAY / 2)) < 10 * MINUTE
    words = "document.querySelector('section')?.innerText"
    await page.until(
        f"{words} && !{words}.includes('2025-10-10 23:59') && document.querySelectorAll('canvas').length === 2"
    )
    told = await page.run(words)
    await page.run("document.querySelector('.canvas').focus()")
    await page.press("+", "+")
    await page.until(f"location.hash !== {zoomed!r} && {words} && {words} !== {told!r}")
    await page.run("history.back()")
    await page.until(f"location.hash === {zoomed!r} && {words} === {told!r}")
    # what lies under the pointer is told in words, and in a table
    await page.click("As a table")
    await page.until("document.querySelectorAll('section table tbody tr').length > 100")
    pages.check()


async def test_which_demand_limit_holds(pages: Pages) -> None:
    """As reported; as sent after that, whatever the device says then; as reported again when it was removed; switched off."""
    window = pages.window
    await fill(window, readings(range(90)))

    async def told(status: int, limit: int) -> None:
        item = {**LIMIT, "id": 1, "over_demand_status": status, "over_demand_condition": [limit] * 12}
        body = {"mid": str(uuid.uuid4()), "type": "streaming_overdemand_list", "device_uid": "D1", "data": [item]}
        body["timestamp"] = messages.now_ms()
        await device.stored(messages.topic("D1", "streaming_overdemand/list/post"), messages.dump(body))

    async def sent(action: str, data: Any) -> None:
        body = {"feature": "streaming_overdemand", "action": action, "data": data, "hold_s": 60}
        assert (await window.call("POST", "/api/v1/devices/D1/commands", body))[0] == 202

    async def looks(text: str) -> None:
        await page.run("dispatchEvent(new Event('hashchange'))")
        await page.sees(text)

    async with await window.connect("D1") as device:
        page = await pages.page(f"plots?a=D1.meter.7&{DAY_OF_READINGS}")
        await page.sees("none known")
        await told(1, 70)
        await looks("Demand limit 70 kW as reported by the device, meter 7")
        await sent("create", LIMIT)
        await looks("Demand limit 80 kW sent")
        await sent("delete", {"id": 1})
        await looks("Demand limit 70 kW as reported by the device, meter 7")
        await told(2, 70)
        await looks("switched off (as reported by the device, meter 7)")
    pages.check()


async def test_gaps_empty_ranges_and_the_way_back(pages: Pages) -> None:
    """What another asset tells meanwhile closes no gap."""
    await fill(pages.window, [*readings(range(300)), *readings(range(900, 1440))])
    await fill(pages.window, readings(range(0, 1440, 7), "D1.meter.8", 300.0))
    page = await pages.page(f"plots?a=D1.meter.7,D1.meter.8&{DAY_OF_READINGS}")
    await page.until("document.querySelectorAll('canvas').length === 2")
    # the canvas has no line where there are no readings: look at the columns of its pixels
    columns = """(() => {
        const canvas = document.querySelector('canvas'), over = document.querySelector('.u-over').getBoundingClientRect();
        const at = canvas.getBoundingClientRect(), pen = canvas.getContext('2d');
        const drawn = (part) => { const x = Math.round(over.left - at.left + over.width * part);
            const data = pen.getImageData(x - 3, over.top - at.top, 7, over.height).data;
            let found = 0;
            for (let i = 0; i < data.length; i += 4) found += data[i + 3] > 100 && data[i] < 60 && data[i + 2] > 120;
            return found; };
        return [drawn(0.1), drawn(0.41), drawn(0.55), drawn(0.8)]; })()"""
    before, gap, still, after = await page.until(columns)
    assert before > 0
    assert (gap, still) == (0, 0)
    assert after > 0
    await page.run(f"location.hash = '#/plots?a=D1.meter.7&from={START + 9 * DAY}&to={START + 10 * DAY}'")
    await page.sees("No readings in this range.")
    await page.click("Go there")
    await page.until("document.querySelectorAll('canvas').length === 2")
    assert f"from={START}" in await page.run("location.hash")
    page.trouble = [each for each in page.trouble if "getImageData" not in each]  # Chromium's word on this test
    pages.check()


async def test_names_of_assets_are_anybodys(pages: Pages) -> None:
    name = "D1.<svg&lt;>&a=b%41#?+;"
    await fill(pages.window, readings(range(90), name))
    page = await pages.page(f"plots?{DAY_OF_READINGS}")
    await page.until("document.querySelectorAll('canvas').length === 2")
    await page.sees(f"{name}: lowest 50, highest 109")
    await page.run("document.querySelector('.picker').open = true")
    await page.until("document.querySelectorAll('.picker input[type=checkbox]:checked').length === 1")
    assert await page.run("document.querySelectorAll('svg').length") == 0
    pages.check()


async def test_what_is_typed_stays_and_what_is_told_again_is_not_drawn_again(pages: Pages) -> None:
    await fill(pages.window, readings(range(90)))
    page = await pages.page(f"plots?a=D1.meter.7&{DAY_OF_READINGS}")
    await page.until("document.querySelectorAll('canvas').length === 2")
    await page.run("Object.assign(document.querySelector('input[type=number]'), {value: '12'}).focus()")
    await page.run("dispatchEvent(new Event('hashchange'))")
    await page.until(
        "performance.getEntriesByType('resource').filter((each) => each.name.includes('/plot?')).length >= 4"
    )
    assert await page.run("document.activeElement.value") == "12"
    await page.click("Fleet")
    await page.sees("2 of 2 devices")
    await page.run("window.row = document.querySelector('tbody tr')")
    await page.run("document.querySelector('input[type=search]').dispatchEvent(new Event('input'))")
    async with await pages.window.connect("D2"):
        await page.until("document.querySelectorAll('.dot.on').length === 1")
    assert await page.run("document.contains(window.row)")
    pages.check()


async def test_the_receiving_side_alone_has_plots(tmp_path: Path) -> None:
    if command() is None:
        pytest.skip(NEEDS)
    directory = Bridge(tmp_path)
    _, key = directory.account("mirror", "--all")
    config = load(None, {"http.listen": "127.0.0.1:0", "store.data": str(directory.data)}, environ={})
    ready, stop = asyncio.get_running_loop().create_future(), asyncio.Event()
    async with asyncio.TaskGroup() as group, chromium(tmp_path / "profile") as browser:
        group.create_task(cloud(config, lambda addresses: ready.set_result(addresses.http), stop))
        url = f"http://{await ready}"
        async with ClientSession() as session:
            rows, headers = readings(range(90)), {"X-API-Key": key}
            async with session.post(f"{url}/ingest/v1/power", json=rows, headers=headers) as answer:
                assert answer.status == 200
        page = await browser.page()
        await page.go(f"{url}/ui/#/plots?{DAY_OF_READINGS}")
        await page.until("Boolean(document.querySelector('input[name=key]'))")
        await page.run(f"document.querySelector('input[name=key]').value = {key!r}")
        await page.run("document.querySelector('form').requestSubmit()")
        await page.until("document.querySelectorAll('canvas').length === 2")
        assert await page.run("document.querySelector('nav').innerText") == "Plots"
        assert page.trouble == []
        stop.set()


class TestWithoutKeys:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"broker.allow_anonymous": True}

    async def test_nothing_is_asked_where_nobody_needs_a_key(self, pages: Pages) -> None:
        page = await pages.browser.page()
        await page.go(f"{pages.window.url}/ui/")
        await page.sees("2 of 2 devices")
        pages.open.append(page)
        pages.check()


async def test_nothing_to_show_is_said(pages: Pages) -> None:
    page = await pages.page("plots")
    await page.sees("No readings have come yet.")
    pages.check()


async def test_autumn_and_spring_in_the_assets_own_zone(pages: Pages) -> None:
    """The browser is in Shanghai, the asset in Berlin."""
    day = 1_761_429_600_000  # 2025-10-26 00:00 in Berlin, a day of 25 hours
    rows = [
        {
            "asset": "D1",
            "timestamp": day + i * MINUTE,
            "timezone": "Europe/Berlin",
            "values": {"total_active_power": 5, "total_active_energy": i / 60},
        }
        for i in range(25 * 60)
    ]
    await fill(pages.window, rows)
    page = await pages.page(f"plots?a=D1&r=day&from={day}&to={day + 25 * HOUR}", zone="Asia/Shanghai")
    await page.until("document.querySelectorAll('canvas').length === 2")
    await page.sees("Times are of Europe/Berlin.")
    await page.sees("2025-10-26 00:00 – 2025-10-27 00:00")
    await page.run("[...document.querySelectorAll('section details')][1].querySelector('summary').click()")
    rows_ = await page.until(
        "[...document.querySelectorAll('section table tbody tr')].map((each) => each.firstChild.textContent)"
    )
    assert len(rows_) == 25
    assert rows_[2:4] == ["2025-10-26 02:00 GMT+2", "2025-10-26 02:00 GMT+1"]
    for _ in range(3):  # nothing is waited for in between
        await page.click("Later")
    await page.until(f"location.hash.includes('from={day + 73 * HOUR}&to={day + 97 * HOUR}')")
    for _ in range(2):
        await page.click("Earlier")
    await page.until(f"location.hash.includes('from={day + 25 * HOUR}&to={day + 49 * HOUR}')")
    for name, months in (
        ("Week", "2025-10-27 00:00 – 2025-11-03 00:00"),
        ("Month", "2025-10-01 00:00 – 2025-11-01 00:00"),
        ("Year", "2025-01-01 00:00 – 2026-01-01 00:00"),
    ):
        await page.click(name)
        await page.sees(months)
    zones = """(async () => { const { instant, exactText } = await import(MODULE('zones.js'));
        const z = 'Europe/Berlin';
        return [instant(z, 2025, 3, 30, 2, 30), instant(z, 2025, 10, 26, 2, 30), instant(z, 2025, 13, 1),
            instant('Asia/Kolkata', 2025, 1, 1), instant('Australia/Lord_Howe', 2025, 4, 6, 1, 45),
            exactText(1761438600000, z)]; })()"""
    assert await page.run(module(zones)) == [
        1_743_296_400_000,  # skipped: the change
        1_761_438_600_000,  # twice: its first coming
        1_767_222_000_000,
        1_735_669_800_000,
        1_743_864_300_000,
        "2025-10-26 02:30 GMT+2",
    ]
    pages.check()


async def test_a_store_and_a_server_that_are_gone(pages: Pages) -> None:
    """503 and no answer at all are said in words, and what comes after is shown."""
    await fill(pages.window, readings(range(1440)))
    page = await pages.page(f"plots?a=D1.meter.7&{DAY_OF_READINGS}")
    await page.until("document.querySelectorAll('canvas').length === 2")
    await page.call(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    await page.click("Zoom in")
    await page.sees("The bridge cannot be reached.")
    assert await page.run("document.querySelectorAll('canvas').length") == 2
    await page.call(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    await page.until("document.querySelector('#say').textContent === ''")
    words = """(async () => { const { Failure } = await import(MODULE('api.js'));
        return [503, 403, 429, 500].map((each) => new Failure(each, '', '').words); })()"""
    unavailable, forbidden, many, failed = await page.run(module(words))
    assert "store cannot be used" in unavailable
    assert "may not" in forbidden
    assert "Too many" in many
    assert "500" in failed


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280], ids=["phone", "desktop"])
async def test_looks(pages: Pages, width: int, dark: bool, language: str) -> None:
    """Nothing sticks out to the side, all is in the language, and there is a picture of it to look at."""
    window = pages.window
    await fill(window, readings(range(1440)))
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), b"x" * 500)
    await window.call(
        "POST",
        "/api/v1/devices/D1/commands",
        {"feature": "streaming_overdemand", "action": "create", "data": LIMIT, "hold_s": 60},
    )
    page = await pages.page(width=width, height=800, dark=dark, language=language)
    spoken = language[:2]
    for place, words in (
        ("fleet", {"en": "Newest power", "zh": "最新功率"}),
        (f"plots?a=D1.meter.7&{DAY_OF_READINGS}", {"en": "altogether", "zh": "合计"}),
        ("commands", {"en": "accepted", "zh": "已受理"}),
        ("dead", {"en": "not_json", "zh": "not_json"}),
    ):
        await page.run(f"location.hash = '#/{place}'")
        await page.until(f"document.querySelector('main').textContent.includes({words[spoken]!r})")
        await pages.picture(page, f"{place.partition('?')[0]}-{width}-{spoken}-{'dark' if dark else 'light'}")
        assert await page.run("document.documentElement.scrollWidth <= innerWidth"), place
        paper = await page.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(18, 24, 30)" if dark else "rgb(255, 255, 255)")
        assert await page.run(UNNAMED) == 0
    assert await page.run("document.documentElement.lang") == spoken
    await page.click("English" if spoken == "zh" else "中文")
    await page.sees("死信" if spoken == "en" else "Dead letters")
    pages.check()
