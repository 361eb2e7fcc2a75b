"""`python -m bridge.client.generate` writes features.py from the table of kinds; a test finds it out of date."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from schemas import kinds
from schemas.kinds import Kind

FILE = Path(__file__).with_name("features.py")
WIDTH = 120
HEAD = '''"""Every command of the table of kinds, typed. Generated: `python -m bridge.client.generate`."""

from __future__ import annotations

from typing import Any

from bridge.client.command import AnyDevice, Feature, Read, Rows, Write
'''


def text() -> str:
    """The module as it should be."""
    features: dict[str, list[Kind]] = {}
    for kind in kinds.KINDS:
        if kind.kind == "command":
            features.setdefault(kind.feature, []).append(kind)
    used: dict[str, str] = {}
    blocks = [_feature(name, rows, used) for name, rows in features.items()]
    members = "".join(f"    {name}: {_title(name)}\n" for name in features)
    device = f'class Device(AnyDevice):\n    """A device: its commands by feature and action."""\n\n{members}'
    return "\n\n".join([HEAD + _imports(used), *blocks, device])


def _feature(name: str, rows: list[Kind], used: dict[str, str]) -> str:
    lines = "".join(f"    {kind.action}: {_call(kind, used)}\n" for kind in rows)
    return f'class {_title(name)}(Feature):\n    """{name}"""\n\n{lines}'


def _call(kind: Kind, used: dict[str, str]) -> str:
    result = kinds.result_of(kind)
    answer = "Any" if result is None or result.data is None else _named(result.data, used)
    return f"Read[{answer}]" if kind.data is None else f"Write[{_named(kind.data, used)}, {answer}]"


def _named(kind: Any, used: dict[str, str]) -> str:
    """A type as it is written, its Structs noted in `used`: name -> module. Raises TypeError for what it cannot write."""
    if get_origin(kind) is types.UnionType:
        return " | ".join(_named(part, used) for part in get_args(kind))
    if get_origin(kind) is list:
        return f"Rows[{_named(get_args(kind)[0], used)}]"
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise TypeError(f"{kind!r} is no Struct, list or union of these")
    if used.setdefault(kind.__name__, kind.__module__) != kind.__module__:
        raise TypeError(f"two Structs are named {kind.__name__}")
    return kind.__name__


def _imports(used: dict[str, str]) -> str:
    found = ""
    for module in sorted(set(used.values())):
        names = sorted(name for name, where in used.items() if where == module)
        line = f"from {module} import {', '.join(names)}\n"
        if len(line) > WIDTH + 1:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
        found += line
    return found


def _title(feature: str) -> str:
    return "".join(word.title() for word in feature.split("_")) + "Commands"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
