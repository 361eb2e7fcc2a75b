"""The file of `--control`: lines that somebody writes while a run lasts. A file that is appended to, written anew or replaced,
or a FIFO.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 1 << 20
"""Bytes that a file may have, and that are taken from a FIFO at once."""


class Orders:
    """What was there when it was made is not obeyed; each line that comes later is given once."""

    def __init__(self, path: Path) -> None:
        """Makes the file where there is none. Raises OSError, ValueError for what cannot be a path."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        mode = os.fstat(self._file).st_mode
        self._is_fifo = stat.S_ISFIFO(mode)
        if not (self._is_fifo or stat.S_ISREG(mode)):
            self.close()
            raise OSError(errno.EINVAL, "neither a file nor a FIFO")
        self._rest = b""
        self._seen = b""
        self._state: tuple[int, ...] = ()
        if not self._is_fifo:
            self._look()

    def close(self) -> None:
        """Read no more."""
        os.close(self._file)

    def lines(self) -> list[str]:
        """Those that are whole since the last look. Raises OSError."""
        new = self._poured() if self._is_fifo else self._look()  # which may forget the rest
        *lines, rest = (self._rest + new).split(b"\n")
        self._rest = rest[:MOST]
        return [line.decode(errors="replace") for line in lines]

    def _poured(self) -> bytes:
        try:
            return os.read(self._file, MOST)
        except BlockingIOError:
            return b""

    def _look(self) -> bytes:
        """What has been added; all of it where it no longer begins with what was there, or was written anew."""
        try:
            state = _state(self._path)
            if state == self._state:
                return b""
            with self._path.open("rb") as file:
                now = file.read(MOST + 1)
            if len(now) > MOST:
                raise OSError(errno.EFBIG, f"larger than {MOST >> 20} MiB")
            if state != _state(self._path):  # somebody writes; the next look sees it
                return b""
        except FileNotFoundError:  # about to be replaced
            return b""
        before, self._seen, self._state = self._seen, now, state
        if len(now) > len(before) and now.startswith(before):
            return now[len(before) :]
        self._rest = b""
        return now


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a file no longer")
    return found.st_size, found.st_mtime_ns, found.st_ino
