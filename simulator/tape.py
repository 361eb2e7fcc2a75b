"""A recorded fleet as a file: JSON lines, compressed as the name says (.gz, .xz, .zst where the library zstandard is there).

The first line is the header `{"format": "ems-tape/1", "started": epoch ms, "filters": [...]}`. Each other line is a message,
`{"t": ms since the start, "topic": …, "payload": text}` (`"base64"` instead of `payload` for what is no UTF-8), or a gap
`{"t": …, "gap": why}`: the recorder had no connection before it.
"""

from __future__ import annotations

import base64
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec

FORMAT: Final = "ems-tape/1"
SUFFIXES: Final = (".gz", ".xz", ".zst")


class Bad(Exception):
    """A file that is no tape."""


class Message(NamedTuple):
    """One message, `at` seconds after the start."""

    at: float
    topic: str
    payload: bytes


class Gap(NamedTuple):
    """From here backwards messages may be missing."""

    at: float
    why: str


class Head(msgspec.Struct):
    """The first line. `started` is epoch ms."""

    format: str = ""
    started: int = 0
    filters: list[str] = []


class _Line(msgspec.Struct, omit_defaults=True):
    t: int = 0
    topic: str = ""
    payload: str | None = None
    base64: str | None = None
    gap: str | None = None


class Writer:
    """A tape that is being written. What `flush` has seen survives a kill."""

    def __init__(self, path: Path, started_ms: int, filters: Sequence[str]) -> None:
        """Raises OSError, Bad for a suffix that cannot be written here."""
        self._file = _open(path, "wb")
        self._write(Head(FORMAT, started_ms, list(filters)))

    def message(self, at: float, topic: str, payload: bytes) -> None:
        """Add one."""
        line = _Line(int(at * 1000), topic)
        try:
            line.payload = payload.decode()
        except UnicodeDecodeError:
            line.base64 = base64.b64encode(payload).decode()
        self._write(line)

    def gap(self, at: float, why: str) -> None:
        """Say that messages may be missing."""
        self._write(_Line(int(at * 1000), gap=why))

    def flush(self) -> None:
        """Bring to the file what can be."""
        if isinstance(self._file, gzip.GzipFile):
            self._file.flush(zlib.Z_SYNC_FLUSH)
        elif not isinstance(self._file, lzma.LZMAFile):
            self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _write(self, line: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")


class Reader:
    """A tape to read. `truncated` says, in the end, that its writer was cut off: the rest of a line is passed over."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, Bad."""
        self.truncated = False
        self._file = _open(path, "rb")
        self._path = path
        try:
            self.head = _head(next(self._lines(), b""))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._file.close()
            raise Bad(f"{path} is no tape: its first line has no format {FORMAT}") from None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Message | Gap]:
        for number, text in enumerate(self._lines(), 2):
            try:
                line = _read(text)
                payload = base64.b64decode(line.base64) if line.base64 is not None else (line.payload or "").encode()
            except (msgspec.MsgspecError, ValueError):
                raise Bad(f"{self._path}:{number}: no line of a tape") from None
            yield Gap(line.t / 1000, line.gap) if line.gap is not None else Message(line.t / 1000, line.topic, payload)

    def _lines(self) -> Iterator[bytes]:
        while True:
            try:
                line = self._file.readline()
            except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile):
                self.truncated = True
                return
            if not line.endswith(b"\n"):
                self.truncated = self.truncated or bool(line)
                return
            yield line


def _open(path: Path, mode: str) -> IO[bytes]:
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, mode))
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, mode, 6) if "w" in mode else gzip.open(path, mode))
    if path.suffix == ".zst":
        try:
            zstandard: Any = __import__("zstandard")
        except ImportError:
            raise Bad(f"{path}: .zst needs the library zstandard; .gz and .xz do not") from None
        return cast("IO[bytes]", zstandard.open(path, mode))
    raise Bad(f"{path}: a tape ends in {', '.join(SUFFIXES)}")


def _head(line: bytes) -> Head:
    head = msgspec.json.decode(line, type=Head)
    if head.format != FORMAT:
        raise msgspec.ValidationError(head.format)
    return head


_read = msgspec.json.Decoder(_Line).decode
