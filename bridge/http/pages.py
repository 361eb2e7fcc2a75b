"""Pages for people: the files of `ui/` beside this one, as they are. They ask the native API with the key that a person
types.

The page itself is asked for anew each time (ETag); all that it refers to stands under a folder named by its content, for
ever. Nothing is secret in them, so they need no key.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import web

from bridge.errors import NotFound
from bridge.http.table import RECEIVING, Answer, Call, Route

FOLDER: Final = Path(__file__).with_name("ui")
PAGE: Final = "index.html"
TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
LANGUAGES: Final = ("en", "zh")
"""What the pages speak; the first where a browser asks for none of them."""
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Nothing but these files runs, nothing but this server is asked, and no other site shows them."""
LASTING: Final = "public, max-age=31536000, immutable"


class File(NamedTuple):
    """One file, ready to be sent."""

    body: bytes
    packed: bytes
    tag: str
    media: str


class Pages(NamedTuple):
    """All of them. `version` names their content; `pages` are the first page in each language."""

    version: str
    files: dict[str, File]
    pages: dict[str, File]


PAGES = web.AppKey("pages", Pages)


def pages(*, keyless: bool, whole: bool) -> Pages:
    """Read the folder. The page names the version wherever it says @VERSION@, its language for @LANGUAGE@, and for
    @ABILITIES@ whether it needs no key and whether there is more than plots."""
    found = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
    page = found.pop(PAGE).decode()
    digest = hashlib.sha256(page.encode())
    for name, body in found.items():
        digest.update(name.encode() + b"\0" + body)
    version = digest.hexdigest()[:16]
    abilities = " ".join([*(["keyless"] if keyless else []), *(["whole"] if whole else [])])
    page = page.replace("@VERSION@", version).replace("@ABILITIES@", abilities)
    spoken = {each: _file(PAGE, page.replace("@LANGUAGE@", each).encode()) for each in LANGUAGES}
    return Pages(version, {name: _file(name, body) for name, body in found.items()}, spoken)


def add_routes(app: web.Application, *, whole: bool) -> None:
    """Read the files, and send who forgets the slash to the page. `whole`: not the receiving side alone."""
    app[PAGES] = pages(keyless=app[RECEIVING].allow_anonymous, whole=whole)
    app.router.add_get("/ui", _slash)


async def page(call: Call) -> Answer:
    """GET /ui/"""
    language = language_of(call.request.headers.get("Accept-Language", ""))
    file = call.request.app[PAGES].pages[language]
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding, Accept-Language", "Content-Language": language}
    return _answer(call.request, file, headers)


async def part(call: Call) -> Answer:
    """GET /ui/{version}/{file}"""
    known = call.request.app[PAGES]
    file = known.files.get(call.path("file")) if call.path("version") == known.version else None
    if file is None:
        raise NotFound("unknown_file", "no such file, or not in this version; GET /ui/ names the present one")
    return _answer(call.request, file, {"Cache-Control": LASTING, "Vary": "Accept-Encoding"})


def language_of(accepted: str) -> str:
    """The language that an Accept-Language header likes best, of those there are."""
    best, weight = LANGUAGES[0], 0.0
    for each in accepted[:1_000].split(","):
        found = _RANGE.fullmatch(each.strip())
        if found is None or found[1].lower() not in LANGUAGES:
            continue
        liked = float(found[2] or 1)
        if liked > weight:
            best, weight = found[1].lower(), liked
    return best


_RANGE: Final = re.compile(r"([A-Za-z]{2})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?", re.ASCII)


def _file(name: str, body: bytes) -> File:
    media = TYPES[Path(name).suffix]
    return File(body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:16], media)


def _answer(request: web.Request, file: File, headers: dict[str, str]) -> web.Response:
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f"{file.tag}-gzip" if packs else file.tag
    headers = {**SAFE, **headers, "ETag": f'"{tag}"'}
    if any(each.value in (tag, "*") for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    body = file.packed if packs else file.body
    return web.Response(body=body, content_type=file.media, charset="utf-8", headers=headers)


async def _slash(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": "/ui/"})


ROUTES = (
    Route("GET", "/ui/", page, "Pages for people", {200: ("text/html", "the page")}, open=True, tag="ui"),
    Route(
        "GET",
        "/ui/{version}/{file}",
        part,
        "What the page refers to, under a name that changes with its content",
        {
            200: (("text/javascript", "text/css", "text/plain", "image/svg+xml"), "the file"),
            404: (None, "no such file"),
        },
        open=True,
        tag="ui",
    ),
)
