"""The PROXY protocol, versions 1 and 2: what a load balancer says about its client before the client's first byte. Sans-io."""

from __future__ import annotations

import ipaddress
from typing import Final

from bridge.core.peer import Peer

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
HEAD: Final = 16
"""Bytes of a version 2 header before its addresses."""
MAX_BODY: Final = 2_048
"""Bytes of addresses and TLVs in version 2: what is in use has a few hundred."""
MAX_LINE: Final = 107
"""Bytes of a version 1 line, by its specification."""
_TCP4, _TCP6, _UNIX = 0x11, 0x21, 0x31
_SIZES: Final = {_TCP4: 12, _TCP6: 36, _UNIX: 216}


class ProxyError(ValueError):
    """What came is no header."""


def missing(data: bytes) -> int:
    """How many bytes must still be read of a header that begins with `data`; never more than belong to it. 0 when it is whole.
    Raises ProxyError as soon as it cannot become one."""
    if not data:
        return len(SIGNATURE)  # the shortest line of version 1 has 15 bytes
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        if len(data) < HEAD:
            return HEAD - len(data)
        size = int.from_bytes(data[14:16], "big")
        if size > MAX_BODY:
            raise ProxyError(f"a header of {HEAD + size} bytes")
        return HEAD + size - len(data)
    if data[:6] != b"PROXY "[: len(data)]:
        raise ProxyError("neither version 1 nor 2")
    if data.endswith(b"\r\n"):
        return 0
    if len(data) >= MAX_LINE:
        raise ProxyError("a line without an end")
    return 1


def parse(data: bytes) -> Peer | None:
    """The client of a whole header; None when the proxy speaks for itself (LOCAL, UNKNOWN): then it is the peer."""
    return _version_2(data) if data.startswith(SIGNATURE) else _version_1(data)


def _version_2(data: bytes) -> Peer | None:
    if data[12] >> 4 != 2:
        raise ProxyError(f"version {data[12] >> 4}")
    command, family, body = data[12] & 15, data[13], data[HEAD:]
    if command == 0:
        return None
    if command != 1:
        raise ProxyError(f"command {command}")
    if len(body) < _SIZES.get(family, 0):
        raise ProxyError("addresses cut short")
    if family == _TCP4:
        return Peer(_shown(ipaddress.IPv4Address(body[:4])), int.from_bytes(body[8:10], "big"))
    if family == _TCP6:
        return Peer(_shown(ipaddress.IPv6Address(body[:16])), int.from_bytes(body[32:34], "big"))
    if family in (0, _UNIX):
        return None
    raise ProxyError(f"address family 0x{family:02x}")


def _version_1(data: bytes) -> Peer | None:
    words = data[:-2].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyError("a line that is none of version 1")
    host, port = words[2], words[4]
    try:
        address = ipaddress.ip_address("" if "%" in host else host)
    except ValueError:
        raise ProxyError("no address") from None
    if address.version != int(words[1][3]) or not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ProxyError("no address")
    return Peer(_shown(address), int(port))


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
