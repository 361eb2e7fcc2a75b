"""Lines in a compressed file that grows: what `flush` has seen can be read after a kill. .gz, .xz, and .zst where the library
zstandard is there.
"""

from __future__ import annotations

import lzma
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Protocol

SUFFIXES: Final = (".gz", ".xz", ".zst")
CHUNK: Final = 1 << 16
MORSEL: Final = 512
"""Unpacked at once: what stands with damage in one morsel is lost with it."""
LONGEST_LINE: Final = 512 << 20
"""A line that is longer is none: MQTT's longest payload takes less."""
XZ_MEMORY: Final = 256 << 20
"""What unpacking an .xz may take; `xz -9` needs a quarter of it."""
STREAM_S: Final = 10.0
"""An .xz cannot be flushed: a new stream begins so often, and what is written since is lost in a kill."""


class Bad(Exception):
    """A file that is no tape."""


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Packed:
    """A file to write lines to."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, Bad."""
        self._kind = _kind(path)
        self._library: Any = _zstandard(path) if self._kind == ".zst" else None
        self._packer = self._new()
        self._fresh = True
        self._began = time.monotonic()
        self._file: IO[bytes] = path.open("wb")

    def write(self, data: bytes) -> None:
        """Add to it. Raises OSError."""
        self._fresh = False
        packed = self._packer.compress(data)
        if packed:
            self._file.write(packed)

    def flush(self) -> None:
        """Bring to the file what can be. Raises OSError."""
        if self._fresh:
            return
        if self._kind == ".gz":
            self._file.write(self._flushed(zlib.Z_SYNC_FLUSH))
        elif self._kind == ".zst":
            self._file.write(self._flushed(self._library.COMPRESSOBJ_FLUSH_BLOCK))
        elif time.monotonic() - self._began >= STREAM_S:
            self._file.write(self._packer.flush())
            self._packer, self._began = self._new(), time.monotonic()
        else:
            return
        self._fresh = True
        self._file.flush()

    def close(self) -> None:
        """Finish the file. Raises OSError."""
        with self._file:
            self._file.write(self._packer.flush())

    def _flushed(self, how: int) -> bytes:
        packer: Any = self._packer
        return bytes(packer.flush(how))

    def _new(self) -> _Packer:
        if self._kind == ".gz":
            return zlib.compressobj(6, wbits=31)
        if self._kind == ".xz":
            return lzma.LZMACompressor()
        return self._library.ZstdCompressor(write_checksum=True).compressobj()  # type: ignore[no-any-return]


class Unpacked:
    """A file to read lines from. After the last one `problem` says why there are no more: empty where its writer had finished,
    else what is wrong, and `cut_off` whether it only ends too early."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, Bad."""
        self.problem = ""
        self.cut_off = False
        self._kind = _kind(path)
        self._library: Any = _zstandard(path) if self._kind == ".zst" else None
        self._file = path.open("rb")

    def close(self) -> None:
        """Read no more."""
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Whole lines, without their end."""
        kept: list[bytes] = []
        size = 0
        for chunk in self._chunks():
            first, *others = chunk.split(b"\n")
            kept.append(first)
            size += len(first)
            if others:
                yield b"".join(kept)
                yield from others[:-1]
                kept, size = [others[-1]], len(others[-1])
            elif size > LONGEST_LINE:
                self.problem = "a line without an end"
                return
        if size and not self.problem:
            self._ended("a line")

    def _chunks(self) -> Iterator[bytes]:
        unpacker: _Unpacker | None = None
        for morsel in self._morsels():
            packed = morsel
            while packed:
                if unpacker is None:
                    if not packed.strip(b"\0"):  # what some disks put behind an end
                        break
                    unpacker = self._new()
                try:
                    yield unpacker.decompress(packed)
                except self._errors() as error:
                    self.problem = f"broken compression ({error})"
                    return
                if not unpacker.eof:
                    break
                packed, unpacker = unpacker.unused_data, None
        if unpacker is not None:
            self._ended("its compression")

    def _morsels(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK):
            for at in range(0, len(chunk), MORSEL):
                yield chunk[at : at + MORSEL]

    def _ended(self, what: str) -> None:
        self.problem, self.cut_off = f"cut off in the middle of {what}", True

    def _new(self) -> _Unpacker:
        if self._kind == ".gz":
            return zlib.decompressobj(wbits=31)
        if self._kind == ".xz":
            return lzma.LZMADecompressor(memlimit=XZ_MEMORY)
        return self._library.ZstdDecompressor().decompressobj()  # type: ignore[no-any-return]

    def _errors(self) -> tuple[type[Exception], ...]:
        own = (zlib.error, lzma.LZMAError, EOFError)
        return own if self._library is None else (*own, self._library.ZstdError)


def _kind(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise Bad(f"{path}: a tape ends in {', '.join(SUFFIXES)}")
    return path.suffix


def _zstandard(path: Path) -> Any:
    try:
        return __import__("zstandard")
    except ImportError:
        raise Bad(f"{path}: .zst needs zstandard: pip install 'ems-bridge[zst]' (.gz and .xz do not)") from None
