"""Request bodies, bounded: refused by their announced length before a byte is read, and while they grow, as sent and
unpacked; and what else requests of this room have in common."""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web

from bridge.errors import Refused

READ_TIMEOUT_S = 60.0
"""A body that takes longer is a stalled or hostile sender; ours are a megabyte."""
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31


class TooLarge(Refused):
    """A body over the limit."""


def key_of(request: web.Request) -> str | None:
    """The API key in a request's headers: `Authorization: Bearer`, or `X-API-Key`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-API-Key") or None


def error(status: int, refused: Refused) -> web.Response:
    """What is wrong with a request, in our own words."""
    said = {"error": {"code": refused.code, "message": refused.detail, "path": refused.path}}
    response = web.json_response(said, status=status)
    if status in (408, 413):
        response.force_close()  # the rest of the body is not wanted
    return response


async def read(request: web.Request, limit: int) -> bytes:
    """The body, unpacked when its Content-Encoding is gzip; neither the sent nor the unpacked bytes may pass `limit`.

    Works whether or not the server unpacks by itself. Raises TooLarge, or Refused with the code bad_encoding,
    unsupported_encoding or timeout.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge("too_large", f"the body may have {limit} bytes")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Refused("unsupported_encoding", f"Content-Encoding {encoding!r}; gzip or none is understood")
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _gather(request, limit, "gzip" in encoding)
    except TimeoutError as error:
        raise Refused("timeout", f"the body did not come within {READ_TIMEOUT_S:.0f} s") from error
    except (zlib.error, web.RequestPayloadError) as error:
        raise Refused("bad_encoding", "the body is not gzip, though its Content-Encoding says so") from error


async def _gather(request: web.Request, limit: int, packed: bool) -> bytes:
    parts: list[bytes] = []
    size = sent = 0
    unpack: _Gunzip | None = None
    async for chunk in request.content.iter_any():
        if not sent and packed and chunk.startswith(_GZIP_MAGIC):
            unpack = _Gunzip()
        sent += len(chunk)
        part = chunk if unpack is None else unpack.take(chunk, limit + 1 - size)
        size += len(part)
        if size > limit or sent > limit:
            raise TooLarge("too_large", f"the body may have {limit} bytes, unpacked too")
        parts.append(part)
    if unpack is not None and not unpack.whole:
        raise zlib.error("truncated")
    return b"".join(parts)


class _Gunzip:
    """One or more gzip members, never more than asked for."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def whole(self) -> bool:
        return self._inner.eof

    def take(self, chunk: bytes, room: int) -> bytes:
        """Unpack `chunk`; more than `room` bytes mean that the rest was left out."""
        found = b""
        while chunk and len(found) < room:
            if self._inner.eof:
                self._inner = zlib.decompressobj(_GZIP_WINDOW)
            found += self._inner.decompress(chunk, room - len(found))
            chunk = self._inner.unused_data if self._inner.eof else b""
        return found
