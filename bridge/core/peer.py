"""The other end of a connection."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

HOSTS = 4_096
"""Addresses whose meaning is remembered."""
LOCAL_SOCKET = "unix"
"""The host of whoever comes by a UNIX socket."""


class Peer(NamedTuple):
    """Where a client is. `identity` is the name in its certificate where one was verified ("" when it has none that counts);
    None where there was no certificate."""

    host: str
    port: int
    identity: str | None = None

    def __str__(self) -> str:
        """As it stands in logs."""
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.identity is None else f"{where} ({self.identity!r} by certificate)"


@lru_cache(HOSTS)
def place(host: str) -> str:
    """What bounds per address count by: an IPv6 host owns the 2^64 addresses of its network."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@lru_cache(HOSTS)
def is_local(host: str) -> bool:
    """Whether it is this machine itself."""
    if host == LOCAL_SOCKET:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
