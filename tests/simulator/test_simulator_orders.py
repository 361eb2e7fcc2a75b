"""The control file: what somebody writes is obeyed once, however it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulator.orders import MOST, Orders


def write(path: Path, text: str, how: str = "w") -> None:
    """As a shell does; the time of a file is made to differ, however coarse the disk's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    with path.open(how) as file:
        file.write(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_lines_that_are_added_are_given_once(tmp_path: Path) -> None:
    path = tmp_path / "control"
    write(path, "storm\nho")
    orders = Orders(path)
    assert orders.lines() == []
    write(path, "nest\nsum", "a")
    assert orders.lines() == ["nest"]
    write(path, "mary\n\n", "a")
    assert orders.lines() == ["summary", ""]
    assert orders.lines() == []
    orders.close()


def test_a_file_that_is_written_anew_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control"
    orders = Orders(path)
    for text in ("storm", "honest", "stop", "stop", "faults silent=1"):
        write(path, f"{text}\n")
        assert orders.lines() == [text]
    path.unlink()
    assert orders.lines() == []
    write(path.with_name("new"), "summary\n")
    path.with_name("new").replace(path)
    assert orders.lines() == ["summary"]
    write(path, "half")
    assert orders.lines() == []
    write(path, "storm\n")
    assert orders.lines() == ["storm"]
    write(path, "x" * (MOST + 1))
    with pytest.raises(OSError, match="larger than 1 MiB"):
        orders.lines()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="a file no longer"):
        orders.lines()
    orders.close()


def test_a_fifo(tmp_path: Path) -> None:
    path = tmp_path / "control"
    os.mkfifo(path)
    orders = Orders(path)
    assert orders.lines() == []
    path.write_bytes(b"storm\nst\xff")
    assert orders.lines() == ["storm"]
    path.write_bytes(b"\n")
    assert orders.lines() == ["st\ufffd"]
    orders.close()


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nowhere/control"])
def test_what_cannot_be_one(path: str) -> None:
    with pytest.raises(OSError, match=r"neither a file|Is a directory|No such file"):
        Orders(Path(path))
