"""One attempt to hand a body to a sink: headers, signature, and what became of it."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Final

import aiohttp

from bridge.mirror.answers import Answer, Failure
from bridge.mirror.auth import NoToken, auth_of, read_most
from bridge.mirror.influx import in_milliseconds
from bridge.mirror.retry import retry_after
from bridge.mirror.rows import Row
from bridge.mirror.shapes import Shape
from bridge.mirror.signature import HEADER, sign
from bridge.mirror.sink import SinkConfig

GZIP_LEVEL: Final = 2
"""A megabyte of readings to about a tenth in 8 ms; level 6 takes three times as long for a few per cent."""
CONNECT_S: Final = 10.0


class Sender:
    """Requests of one sink. `clock` gives ms; `tls` is how https is spoken, None for the system's way."""

    def __init__(self, sink: SinkConfig, shape: Shape, clock: Callable[[], int], tls: ssl.SSLContext | None) -> None:
        self._sink = sink
        self._shape = shape
        self._clock = clock
        self._tls = tls
        self._auth = auth_of(sink, clock)
        self._packs = packs(sink)
        self._url = in_milliseconds(sink.url) if sink.format == "influx" else sink.url

    def session(self) -> aiohttp.ClientSession:
        """What requests go through: neither cookies nor proxies."""
        sink = self._sink
        timeout = aiohttp.ClientTimeout(total=sink.timeout_s, sock_connect=min(CONNECT_S, sink.timeout_s))
        connector = aiohttp.TCPConnector(ssl=self._tls) if self._tls is not None else None
        return aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    async def packed(self, plain: bytes, key: str, content_type: str) -> tuple[bytes, dict[str, str]]:
        """The body as it goes on the wire, and the headers of every attempt."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key}
        if self._packs:
            headers["Content-Encoding"] = "gzip"
            plain = await asyncio.to_thread(_gzip, plain)
        return plain, headers

    async def attempt(
        self, session: aiohttp.ClientSession, payload: bytes, headers: dict[str, str], rows: Sequence[Row]
    ) -> Answer:
        """One request, or two when the first one's token was not accepted."""
        try:
            answer = await self._once(session, payload, headers, rows)
            if isinstance(answer, Failure) and answer.login and self._auth.forget():
                answer = await self._once(session, payload, headers, rows)
        except TimeoutError:
            return Failure("timeout")
        except NoToken as error:
            return Failure(str(error))
        except aiohttp.ClientConnectorCertificateError as error:
            return Failure(f"certificate: {error}")
        except aiohttp.ClientSSLError as error:
            return Failure(f"tls: {error}")
        except (
            aiohttp.ClientError,
            OSError,
            ValueError,
        ) as error:  # ValueError: what can stand in no header, no address
            return Failure(f"connection: {error or type(error).__name__}")
        return answer

    async def _once(
        self, session: aiohttp.ClientSession, payload: bytes, headers: dict[str, str], rows: Sequence[Row]
    ) -> Answer:
        url = self._url
        sent = {**headers, **await self._auth.headers(session, url, payload)}
        if self._sink.secret:
            sent[HEADER] = sign(self._sink.secret, self._clock() // 1000, payload)
        async with session.post(url, data=BytesIO(payload), headers=sent, allow_redirects=False) as response:
            if 200 <= response.status < 300 and not self._shape.reads:
                return None
            text = (await read_most(response, self._shape.answer_bytes)).decode("utf-8", "replace")
            wait = retry_after(response.headers.get("Retry-After"), self._clock() / 1000)
            return self._shape.answer(response.status, text, wait, rows)


def packs(sink: SinkConfig) -> bool:
    """Whether bodies go as gzip: not where they are signed, nor where nobody said that the sink can read it."""
    if sink.secret or sink.webhook or sink.format == "enos" or sink.auth.type == "enos":
        return False
    return sink.template.gzip if sink.format == "template" else sink.gzip


def _gzip(plain: bytes) -> bytes:
    """The same bytes for the same input: no time in the header."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(plain) + packer.flush()
