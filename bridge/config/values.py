"""What a setting's type asks for, in words, and the few values that a type cannot describe."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

UNIX = "unix:"
UNIX_BYTES = 107
"""What the system has room for."""


class Setting(NamedTuple):
    """One key: its bare type, its bounds and meaning, its default (NODEFAULT when the key is required)."""

    type: Any
    meta: Meta
    default: Any

    @property
    def item(self) -> type[Struct] | None:
        """The Struct of one item, when this key is an array of tables."""
        args = get_args(self.type)
        of_structs = get_origin(self.type) is tuple and isinstance(args[0], type) and issubclass(args[0], Struct)
        return args[0] if of_structs else None

    @property
    def secret(self) -> bool:
        """Whether the value is never printed."""
        return bool((self.meta.extra or {}).get("secret"))


def settings(cls: type[Struct]) -> dict[str, Setting]:
    """The keys of a section, in order."""
    found = {}
    for info in msgspec.structs.fields(cls):
        kind, meta = info.type, Meta()
        if get_origin(kind) is Annotated:
            kind, meta, *_ = get_args(kind)
        default = info.default_factory() if info.default_factory is not msgspec.NODEFAULT else info.default
        found[info.name] = Setting(kind, meta, default)
    return found


def wanted(setting: Setting) -> str:
    """What would be right, in words: `an integer of at least 1 and at most 65535`."""
    kind, origin = setting.type, get_origin(setting.type)
    if origin is Literal:
        return "one of " + ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in get_args(kind))
    if origin is tuple:
        return _wanted_array(get_args(kind)[0])
    if origin is dict or (isinstance(kind, type) and issubclass(kind, Struct)):
        return _wanted_table(kind)
    names: dict[object, str] = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
    return names[kind] + _bounds(setting.meta)


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT or [IPV6]:PORT to (host, port). Raises ValueError saying what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} has no port")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{port!r} is no port number")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets: [{host}]:{port}")
    if not host or any(char.isspace() or char == "/" for char in host):
        raise ValueError(f"{text!r} names no host")
    return host, int(port)


def parse_listen(text: str) -> tuple[str, int] | Path:
    """HOST:PORT, or unix:/path to the path of a socket. Raises ValueError saying what is wrong."""
    if not text.startswith(UNIX):
        return parse_address(text)
    path = Path(text.removeprefix(UNIX))
    if not path.is_absolute() or path.name in ("", ".."):
        raise ValueError(f"{text!r} names no absolute path")
    if len(bytes(path)) > UNIX_BYTES:
        raise ValueError(f"a socket's path has at most {UNIX_BYTES} bytes, this one has {len(bytes(path))}")
    return path


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wanted_array(item: Any) -> str:
    if get_origin(item) is Literal:
        return "an array of " + ", ".join(f'"{value}"' for value in get_args(item))
    kind, meta = item, Meta()
    if get_origin(item) is Annotated:
        kind, meta, *_ = get_args(item)
    if kind is int:
        return "an array of integers" + _bounds(meta).replace(" of at least", ", at least")
    return "an array of strings" if kind is str else "an array of tables"


def _wanted_table(kind: Any) -> str:
    if get_origin(kind) is dict and get_origin(get_args(kind)[1]) is Literal:
        return "a table whose values are " + " or ".join(str(value) for value in get_args(get_args(kind)[1]))
    return "a table"


def _bounds(meta: Meta) -> str:
    words = []
    if meta.gt is not None:
        words.append(f"above {meta.gt}")
    if meta.ge is not None:
        words.append(f"of at least {meta.ge}")
    if meta.le is not None:
        words.append(f"at most {meta.le}")
    if meta.min_length:
        words.append("that is not empty" if meta.min_length == 1 else f"of at least {meta.min_length} characters")
    if meta.pattern:
        words.append(f"like {meta.pattern}")
    return " " + " and ".join(words) if words else ""
