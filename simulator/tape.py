"""A recorded fleet as a file: JSON lines, compressed as the name says (`packed`).

The first line is the header `{"format": "ems-tape/1", "started": epoch ms, "filters": [...]}`. Each other line is a message,
`{"t": ms since the start, "topic": …, "payload": text}` (`"base64"` instead of `payload` for what is no UTF-8; `"qos"` unless it
is 1; `"retain": true` where it was), or a gap `{"t": …, "gap": why}`: the recorder had no connection before it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from bridge.mqtt.errors import Malformed
from bridge.mqtt.topics import check_name
from simulator.packed import Bad, Packed, Unpacked

__all__ = ["Bad", "Gap", "Message", "Reader", "Writer"]

FORMAT: Final = "ems-tape/1"


class Message(NamedTuple):
    """One message, `at` seconds after the start."""

    at: float
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Gap(NamedTuple):
    """From here backwards messages may be missing."""

    at: float
    why: str


_Millis = Annotated[int, msgspec.Meta(ge=0, le=10**14)]


class Head(msgspec.Struct):
    """The first line. `started` is epoch ms."""

    format: str = ""
    started: _Millis = 0
    filters: list[str] = []


class _Line(msgspec.Struct, omit_defaults=True):
    t: _Millis = 0
    topic: str = ""
    payload: str | None = None
    base64: str | None = None
    qos: Annotated[int, msgspec.Meta(ge=0, le=2)] = 1
    retain: bool = False
    gap: str | None = None


class Writer:
    """A tape that is being written. What `flush` has seen survives a kill (of an .xz, what is older than `packed.STREAM_S`)."""

    def __init__(self, path: Path, started_ms: int, filters: Sequence[str]) -> None:
        """Raises OSError, Bad for a suffix that cannot be written here."""
        self._file = Packed(path)
        self._write(Head(FORMAT, started_ms, list(filters)))

    def message(self, at: float, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Add one."""
        line = _Line(int(at * 1000), topic, qos=qos, retain=retain)
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
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _write(self, line: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")


class Reader:
    """A tape to read. `problem` says, in the end, where and why it does not go on: its writer was cut off (`truncated`), or the
    file is broken. Everything before that was given."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, Bad."""
        self.problem = ""
        self.truncated = False
        self._path = path
        self._file = Unpacked(path)
        self._lines = iter(self._file)
        try:
            self.head = _head(next(self._lines, b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._file.close()
            why = f" ({self._file.problem})" if self._file.problem else ""
            raise Bad(f"{path} is no tape: its first line has no format {FORMAT}{why}") from None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Message | Gap]:
        number = 1
        for text in self._lines:
            number += 1
            try:
                entry = _entry(text)
            except (msgspec.MsgspecError, ValueError, RecursionError, Malformed) as error:
                self.problem = f"{self._path}:{number}: no line of a tape: {error}"
                return
            yield entry
        if self._file.problem:
            self.problem = f"{self._path}:{number + 1}: {self._file.problem}"
            self.truncated = self._file.cut_off


def _entry(text: bytes) -> Message | Gap:
    line = _read(text)
    if line.gap is not None:
        return Gap(line.t / 1000, line.gap)
    check_name(line.topic)
    payload = base64.b64decode(line.base64, validate=True) if line.base64 is not None else (line.payload or "").encode()
    return Message(line.t / 1000, line.topic, payload, line.qos, line.retain)


def _head(line: bytes) -> Head:
    head = msgspec.json.decode(line, type=Head)
    if head.format != FORMAT:
        raise msgspec.ValidationError(head.format)
    return head


_read = msgspec.json.Decoder(_Line).decode
