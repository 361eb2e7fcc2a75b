"""Mosquitto's command line clients and MQTT.js, each in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from conformance import fetched
from conformance.network import Link
from conformance.peers import EXPIRY_S, SECONDS, Client, Filters, Got, Inbox, Will

TOOLS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
LINE = "GOT|%q|%r|%t|%x|%R|%D"
_GOT = re.compile(r"GOT\|(\d)\|(\d)\|([^|]*)\|([0-9a-f]*)\|([^|]*)\|(.*)")
_DUP = re.compile(r".* received PUBLISH \(d([01]),")


class Mosquitto:
    """mosquitto_sub while connected; a mosquitto_pub or mosquitto_rr for each message."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.will_at_close = version == 5
        self.inbox = Inbox()
        self.subscribed = asyncio.Event()
        self.said: list[str] = []
        self.process: asyncio.subprocess.Process | None = None

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        self.link = link
        self.response = filters[0][0] if filters else ""
        options = ["-i", client_id, "-d", "-F", LINE, "-q", str(filters[0][1] if filters else 0)]
        options += [word for topic_filter, _ in filters for word in ("-t", topic_filter)] or ["-t", f"none/{client_id}"]
        if keep:
            options += ["-c", *(["-x", str(EXPIRY_S)] if self.version == 5 else [])]
        if will is not None:
            options += [
                "--will-topic",
                will.topic,
                "--will-payload",
                will.payload.decode(),
                "--will-qos",
                str(will.qos),
            ]
        self.process = await self._start("mosquitto_sub", *options)
        self.reading = asyncio.create_task(self._read(self.process))
        async with asyncio.timeout(SECONDS):
            await self.subscribed.wait()
        assert any(line.startswith("Subscribed") for line in self.said), self.said

    async def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool = False, more: tuple[str, ...] = ()
    ) -> None:
        what = ["-m", payload.decode()] if payload else ["-n"]
        options = [*what, *(["-r"] if retain else []), *more]
        await self._finish(await self._start("mosquitto_pub", "-t", topic, "-q", str(qos), *options))

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        """mosquitto_rr subscribes for itself; this object's own subscription hears the answer too."""
        options = ["-t", topic, "-e", response, "-m", payload.decode(), "-q", "1", "-F", LINE]
        options += ["-D", "publish", "correlation-data", correlation.decode()]
        said = await self._finish(await self._start("mosquitto_rr", *options))
        found = _GOT.search(said)
        assert found is not None, said
        return got(found, None)

    async def answer(self, request: Got, payload: bytes) -> None:
        more = ("-D", "publish", "correlation-data", request.correlation.decode())
        await self.publish(request.response, payload, 1, more=more)

    async def receive(self) -> Got:
        return await self.inbox.get()

    async def close(self) -> None:
        assert self.process is not None
        self.process.terminate()  # it says DISCONNECT
        await self._gone()

    async def drop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self._gone()

    async def _gone(self) -> None:
        assert self.process is not None
        async with asyncio.timeout(SECONDS):
            await self.process.wait()
            await self.reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        dup = False
        async for raw in process.stdout:
            line = raw.decode().rstrip("\n")
            self.said.append(line)
            if found := _GOT.fullmatch(line):
                self.inbox.put(got(found, dup))
            elif found := _DUP.match(line):
                dup = found[1] == "1"
            elif line.startswith("Subscribed"):
                self.subscribed.set()
        self.subscribed.set()  # it has ended: whoever waits shall look

    async def _start(self, tool: str, *options: str) -> asyncio.subprocess.Process:
        link = self.link
        host = "localhost" if link.way.tls else link.host  # it does not look for addresses in certificates
        words = ["-h", host, "-p", str(link.port), "-u", link.username, "-P", link.password]
        words += ["-V", "mqttv5" if self.version == 5 else "mqttv311"]
        words += ["--cafile", str(link.ca)] if link.way.tls else []
        return await asyncio.create_subprocess_exec(
            *_line_by_line(tool),
            *words,
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def _finish(self, process: asyncio.subprocess.Process) -> str:
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, output
        return output.decode()


def _line_by_line(tool: str) -> list[str]:
    """C's stdout is buffered where it is no terminal."""
    stdbuf = shutil.which("stdbuf")
    return [stdbuf, "-oL", tool] if stdbuf else [tool]


def got(found: re.Match[str], dup: bool | None) -> Got:
    qos, retain, topic, payload, response, correlation = found.groups()
    return Got(topic, bytes.fromhex(payload), int(qos), retain == "1", dup, response, correlation.encode())


class MqttJs:
    """MQTT.js by way of mqttjs.cjs."""

    will_at_close = False

    def __init__(self, version: int) -> None:
        self.version = version
        self.inbox = Inbox()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        modules = fetched.modules()
        assert modules is not None
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).with_name("mqttjs.cjs")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(modules)},
        )
        self.reading = asyncio.create_task(self._read(self.process))
        scheme = {"tcp": "mqtt", "tls": "mqtts"}.get(link.way.scheme, link.way.scheme)
        options: dict[str, Any] = {
            "protocolVersion": self.version,
            "clientId": client_id,
            "username": link.username,
            "password": link.password,
            "clean": not resume if self.version == 5 else not keep,
        }
        if self.version == 5 and keep:
            options["properties"] = {"sessionExpiryInterval": EXPIRY_S}
        if link.way.tls:
            options["ca"] = str(link.ca)
        if will is not None:
            options["will"] = {"topic": will.topic, "payload": plain(will.payload), "qos": will.qos, "retain": False}
        path = link.path if link.way.websocket else ""
        await self._do("connect", url=f"{scheme}://{link.host}:{link.port}{path}", options=options)
        for topic_filter, qos in [] if resume else filters:
            assert await self._do("subscribe", filter=topic_filter, qos=qos) == [qos]

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        *,
        retain: bool = False,
        response: str = "",
        correlation: bytes = b"",
    ) -> None:
        more = {"response": response, "correlation": plain(correlation)}
        await self._do("publish", topic=topic, payload=plain(payload), qos=qos, retain=retain, **more)

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        await self.publish(topic, payload, 1, response=response, correlation=correlation)
        return await self.receive()

    async def answer(self, request: Got, payload: bytes) -> None:
        await self.publish(request.response, payload, 1, correlation=request.correlation)

    async def receive(self) -> Got:
        return await self.inbox.get()

    async def close(self) -> None:
        await self._do("end")
        await self.drop()

    async def drop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # it ends
        async with asyncio.timeout(SECONDS):
            await self.process.wait()
            await self.reading

    async def _do(self, what: str, **more: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        async with asyncio.timeout(SECONDS):
            answer = await self.answers.get()
        assert "failed" not in answer, answer
        return answer["done"]

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = json.loads(raw)
            if "topic" in line:
                payload, correlation = (base64.b64decode(line[name]) for name in ("payload", "correlation"))
                head = line["topic"], payload, line["qos"], line["retain"], line["dup"]
                self.inbox.put(Got(*head, line["response"], correlation))
            else:
                self.answers.put_nowait(line)


def plain(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _mqttjs_missing() -> str:
    if shutil.which("node") is None:
        return "needs node"
    return "" if fetched.modules() else "needs MQTT.js: make conformance fetches it"


PROCESSES = {
    "mosquitto": Client(
        Mosquitto, websocket=False, missing="" if all(map(shutil.which, TOOLS)) else "needs mosquitto-clients"
    ),
    "MQTT.js": Client(MqttJs, missing=_mqttjs_missing()),
}
