"""The PROXY protocol as a function of bytes: every header whole, at every truncation, and what is none."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.broker.proxy import HEAD, MAX_BODY, MAX_LINE, SIGNATURE, ProxyError, missing, parse
from bridge.core.peer import Peer

V4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4711, 1883)
V6 = ipaddress.IPv6Address("2001:db8::9").packed + ipaddress.IPv6Address("::1").packed + struct.pack(">HH", 65535, 1883)
MAPPED = ipaddress.IPv6Address("::ffff:203.0.113.9").packed + bytes(16) + struct.pack(">HH", 1, 2)
TLVS = b"\x01\x00\x04mqtt" + b"\x02\x00\x09localhost" + b"\x04\x00\x00" + b"\x20\x00\x05\x01\x00\x00\x00\x00"


def v2(first: int, family: int, body: bytes = b"") -> bytes:
    return SIGNATURE + bytes([first, family]) + struct.pack(">H", len(body)) + body


WHOLE = [
    (v2(0x21, 0x11, V4), Peer("203.0.113.9", 4711)),
    (v2(0x21, 0x11, V4 + TLVS), Peer("203.0.113.9", 4711)),
    (v2(0x21, 0x11, V4 + bytes(MAX_BODY - len(V4))), Peer("203.0.113.9", 4711)),
    (v2(0x21, 0x21, V6), Peer("2001:db8::9", 65535)),
    (v2(0x21, 0x21, V6 + TLVS), Peer("2001:db8::9", 65535)),
    (v2(0x21, 0x21, MAPPED), Peer("203.0.113.9", 1)),
    (v2(0x21, 0x31, bytes(216)), None),
    (v2(0x21, 0x00), None),
    (v2(0x21, 0x00, TLVS), None),
    (v2(0x20, 0x00), None),
    (v2(0x20, 0x11, V4), None),
    (v2(0x20, 0xFF, b"whatever"), None),
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n", Peer("203.0.113.9", 4711)),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Peer("255.255.255.255", 65535)),
    (b"PROXY TCP6 2001:db8::9 ::1 0 1883\r\n", Peer("2001:db8::9", 0)),
    (b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0009 ::1 5 1883\r\n", Peer("2001:db8::9", 5)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN " + b"f" * 90 + b"\r\n", None),
]

NONE = [
    v2(0x11, 0x11, V4),
    v2(0x31, 0x11, V4),
    v2(0x22, 0x11, V4),
    v2(0x2F, 0x11, V4),
    v2(0x21, 0x11, V4[:-1]),
    v2(0x21, 0x21, V6[:-1]),
    v2(0x21, 0x21, V4),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11),
    v2(0x21, 0x12, V4),
    v2(0x21, 0x22, V6),
    v2(0x21, 0x32, bytes(216)),
    v2(0x21, 0x41, bytes(216)),
    v2(0x21, 0x11, V4 + bytes(MAX_BODY - len(V4) + 1)),
    SIGNATURE + b"\x21\x11\xff\xff",
    b"PROXY \r\n",
    b"PROXY\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883 7\r\n",
    b"PROXY TCP4  203.0.113.9 10.0.0.1 4711 1883\r\n",
    b"PROXY TCP4 203.0.113.999 10.0.0.1 4711 1883\r\n",
    b"PROXY TCP4 localhost 10.0.0.1 4711 1883\r\n",
    b"PROXY TCP4 2001:db8::9 ::1 4711 1883\r\n",
    b"PROXY TCP6 203.0.113.9 10.0.0.1 4711 1883\r\n",
    b"PROXY TCP6 fe80::1%\n ::1 4711 1883\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 1883\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 -1 1883\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 \xb2 1883\r\n",
    b"PROXY UDP4 203.0.113.9 10.0.0.1 1 1883\r\n",
    b"PROXY UNKNOWN" + b"x" * MAX_LINE,
    b"proxy TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n",
    b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c",
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/1.1\r\n",
    b"\r\n\r\n\x00\r\nQUIZ\n" + bytes(20),
]


def read(stream: bytes, most: int = 1 << 16) -> tuple[Peer | None, int]:
    """(the client, bytes taken) as a socket hands them out, at most `most` at a time. Raises ProxyError or EOFError."""
    data = b""
    while wanted := missing(data):
        assert 0 < wanted <= HEAD + MAX_BODY
        more = stream[len(data) : len(data) + min(wanted, most)]
        if not more:
            raise EOFError
        data += more
    return parse(data), len(data)


@pytest.mark.parametrize(("header", "peer"), WHOLE, ids=[repr(row[0][:30]) for row in WHOLE])
@pytest.mark.parametrize("most", [1, 2, 7, 1 << 16])
def test_a_header_in_pieces_and_not_a_byte_of_what_follows(header: bytes, peer: Peer | None, most: int) -> None:
    for behind in (b"", b"\x10\x1a", b"\r\n", b"PROXY ", SIGNATURE):
        assert read(header + behind, most) == (peer, len(header))


@pytest.mark.parametrize(("header", "peer"), WHOLE, ids=[repr(row[0][:30]) for row in WHOLE])
def test_every_truncation_is_waited_for(header: bytes, peer: Peer | None) -> None:
    _ = peer
    for size in range(len(header)):
        with pytest.raises(EOFError):
            read(header[:size])


@pytest.mark.parametrize("header", NONE, ids=[repr(row[:40]) for row in NONE])
@pytest.mark.parametrize("most", [1, 1 << 16])
def test_what_is_none(header: bytes, most: int) -> None:
    with pytest.raises(ProxyError):
        read(header, most)


def test_what_cannot_become_a_header_is_told_at_its_first_wrong_byte() -> None:
    for stream in (b"G", b"\x10", b"\x16", b"PX", b"\r\n\r\r"):
        with pytest.raises(ProxyError):
            missing(stream)


@given(st.binary(max_size=300))
def test_garbage_is_waited_for_or_refused(data: bytes) -> None:
    for stream in (data, SIGNATURE + data, b"PROXY " + data, b"PROXY TCP4 " + data + b"\r\n"):
        try:
            peer, taken = read(stream)
        except (ProxyError, EOFError):
            continue
        assert taken <= len(stream)
        assert peer is None or ipaddress.ip_address(peer.host)


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=200), st.binary(max_size=50), st.integers(1, 60))
def test_every_address_comes_back(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, tlvs: bytes, behind: bytes, most: int
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    peer = Peer(str(mapped or address), port)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed * 2 + struct.pack(">HH", port, 1) + tlvs
    header = v2(0x21, family, body)
    assert read(header + behind, most) == (peer, len(header))
    line = f"PROXY TCP{address.version} {address} {address} {port} 1883\r\n".encode()
    assert read(line + behind, most) == (peer, len(line))
