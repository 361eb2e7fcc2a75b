"""JSON that is nearly right, as text: values of other sorts, odd numbers, keys twice, depth, cut and broken bytes. Seeded."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    7,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    0.5,
    -0.0,
    1e308,
    1.0,
    "",
    "1",
    "x",
    "x" * 5000,
    "\0",
    "é" * 200,
    "𐏿\u2028",
    "null",
    [],
    {},
    [None],
    [[1]],
    {"a": 1},
    [0] * 300,
    {"type": "ems"},
    {"type": 5},
    {"type": "sub_ems", "data": {"pcs": {}}},
    [{"type": "new", "data": [1]}],
    "EMS001",
    1_705_980_251_899,
)
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    "1" + "0" * 400,
    "9" * 5000,
    "1e2",
    "-0",
    "0.1e-400",
    "01",
    "1.",
    ".5",
    "+1",
    "0x1f",
    "1_0",
    "1E+2",
)
TEXTS = (
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '"\\x"',
    '"\t"',
    "'a'",
    "nul",
    '"' + "a" * 70_000 + '"',
    '"\\/\\b\\f"',
)
BYTES = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"//x\n",
    b",",
    b"{",
    b"]",
    b'"',
    b"\\",
)


def changed(chance: random.Random, body: Any, most: int = 3) -> Any:
    """A copy with up to `most` values or keys that are others, missing or too many."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(0, most)):
        node = body
        while isinstance(node, dict | list) and node:
            key: Any = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.7:
                node = node[key]
                continue
            _change(chance, node, key)
            break
    return body


def _change(chance: random.Random, node: Any, key: Any) -> None:
    what = chance.random()
    if what < 0.2:
        del node[key]
    elif what < 0.3 and isinstance(node, dict):
        node[chance.choice(("x", "", "é\0", "k" * 3000, "type", "data", "__proto__"))] = copy.deepcopy(
            chance.choice(ODD)
        )
    elif what < 0.4 and isinstance(node, list):
        node += [copy.deepcopy(node[key]) for _ in range(chance.choice((1, 2, 50)))]
    elif what < 0.5:
        node[key] = [copy.deepcopy(node[key])]
    elif what < 0.6 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = chance.choice((-node[key], node[key] + 1, node[key] * 1000, float(node[key]), str(node[key])))
    else:
        node[key] = copy.deepcopy(chance.choice(ODD))


def text(chance: random.Random, body: Any) -> bytes:
    """The body as JSON, broken now and then in ways that only text can be."""
    said = json.dumps(body, ensure_ascii=chance.random() < 0.5, separators=chance.choice(((",", ":"), (", ", ": "))))
    what = chance.random()
    if what < 0.12:
        said = _put(chance, said, chance.choice(NUMBERS + TEXTS))
    elif what < 0.18:
        said = _twice(chance, said)
    elif what < 0.2:
        deep = chance.choice((20, 900, 5_000, 100_000))
        said = _put(
            chance, said, "[" * deep + "]" * deep if chance.random() < 0.5 else '{"a":' * deep + "1" + "}" * deep
        )
    data = said.encode("utf-8", "surrogatepass")
    if what > 0.9:
        data = _broken(chance, data)
    return data


def _put(chance: random.Random, said: str, value: str) -> str:
    """In the place of one value."""
    spots = [at for at, sign in enumerate(said) if sign in ":[" and at + 1 < len(said)]
    if not spots:
        return value
    start = chance.choice(spots) + 1
    end = start
    while end < len(said) and said[end] not in ",]}":
        end += 1
    return said[:start] + value + said[end:]


def _twice(chance: random.Random, said: str) -> str:
    """A key that came before comes again, with another value."""
    keys = [part.rpartition('"')[2] for part in said.split('":')[:-1]]
    if not keys or not said.endswith("}"):
        return said + said
    value = json.dumps(chance.choice(ODD))
    return f"{said[:-1]},{json.dumps(chance.choice(keys))}:{value}}}"


def _broken(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    what = chance.randrange(4)
    if what == 0:
        return data[:at]
    if what == 1:
        return data[:at] + chance.choice(BYTES) + data[at:]
    if what == 2:
        return data[:at] + chance.randbytes(chance.randrange(1, 5)) + data[at + 1 :]
    return data + data[: at // 2]
