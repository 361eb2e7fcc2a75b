"""Debian's Chromium without a screen, driven by its DevTools protocol: pages, what they asked for, what they complained of."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

NEEDS = "needs Chromium"
PATIENCE_S = 30.0
LOOK_S = 0.05
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def command() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One running Chromium; every page has a profile of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._socket.close()

    async def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        try:
            await self._socket.send_json(message if session is None else {**message, "sessionId": session})
            async with asyncio.timeout(PATIENCE_S):
                return await answer
        finally:
            del self._answers[number]

    async def page(
        self, *, width: int = 1280, height: int = 900, language: str = "en", dark: bool = False, zone: str = "UTC"
    ) -> Page:
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.call(f"{domain}.enable")
        agent = (await self.call("Browser.getVersion"))["userAgent"]
        await page.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        await page.call("Emulation.setTimezoneOverride", timezoneId=zone)
        await page.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.call("Emulation.setEmulatedMedia", features=[scheme])
        return page

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                answer = self._answers.get(told["id"])
                if answer is None or answer.done():
                    continue
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]))
                else:
                    answer.set_result(told["result"])
            elif told.get("sessionId") in self._pages:
                self._pages[told["sessionId"]].told(told["method"], told["params"])


class Page:
    """One tab. `requests` are (method, URL) of all that it asked for, `trouble` what it threw or complained of."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[tuple[str, str]] = []
        self.trouble: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        return await self._browser.call(method, self._session, **params)

    def told(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append((params["request"]["method"], params["request"]["url"]))
        elif method == "Runtime.exceptionThrown":
            self.trouble.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.trouble.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.trouble.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def resize(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def go(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """What an expression comes to; promises are waited for."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """What an expression comes to as soon as that is truthy. The page changes by itself, and tells nobody."""
        found: Any = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not found:
                    with suppress(AssertionError):  # between two documents
                        found = await self.run(script)
                    if not found:
                        await asyncio.sleep(LOOK_S)
        except TimeoutError:
            seen = await self.run("document.body?.innerText")
            raise AssertionError(f"never: {script}\n{seen}\n{self.trouble}") from None
        return found

    async def sees(self, text: str) -> None:
        await self.until(f"document.body && document.body.innerText.includes({text!r})")

    async def click(self, text: str) -> None:
        """A button, link or summary by its words or label."""
        place = f"""[...document.querySelectorAll('button, a, summary')].find((each) =>
            each.innerText.trim() === {text!r} || each.getAttribute('aria-label') === {text!r})"""
        await self.until(f"Boolean({place})")
        await self.run(f"{place}.click()")

    async def press(self, key: str, text: str = "") -> None:
        for sort in ("keyDown", "keyUp"):
            more = {"text": text} if text and sort == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=sort, key=key, **more)

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        steps = (
            ("mouseMoved", start, 0),
            ("mousePressed", start, 1),
            ("mouseMoved", end, 1),
            ("mouseReleased", end, 0),
        )
        for sort, (x, y), buttons in steps:
            held = {"button": "left", "buttons": buttons, "clickCount": 1}
            await self.call("Input.dispatchMouseEvent", type=sort, x=x, y=y, **held)

    async def picture(self, path: Path) -> None:
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = await self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Browser]:
    program = command()
    assert program is not None, NEEDS
    options = [*OPTIONS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    process = await asyncio.create_subprocess_exec(
        program, *options, "about:blank", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile)},
    )  # fmt: skip
    assert process.stderr is not None
    draining: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (
                found := re.search(rb"DevTools listening on (ws://\S+)", line := await process.stderr.readline())
            ):
                assert line, "Chromium ended at once"
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as http, http.ws_connect(found[1].decode(), max_msg_size=0) as socket:
            browser = Browser(socket)
            try:
                yield browser
            finally:
                with suppress(AssertionError, TimeoutError, ConnectionError):
                    await browser.call("Browser.close")
                await browser.close()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        if draining is not None:
            await draining
