"""Types of single values: readings with units, the vendor's value lists, identities, epoch milliseconds.

Device side: `Maybe[...]`, the value, null, or absent (`msgspec.UNSET`), and numbers without limits, because devices send
values that no table lists. The lists stand in the JSON Schema as `x-values`, units as `x-unit`.
Sender side (commands): `Literal` and limits, which msgspec enforces.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from msgspec import Meta, UnsetType

T = TypeVar("T")

Maybe: TypeAlias = T | UnsetType | None
"""An optional field of a device's report: null and absent stay different."""

Many: TypeAlias = T | list[T]
"""Tables say one object where samples show an array (CATALOG.md, tolerances 2 and 9)."""


def values(**names: str) -> Meta:
    """What the values of an integer mean: `values(_0="off", _1="on")`. Says, does not check."""
    return Meta(extra_json_schema={"x-values": {name.lstrip("_"): text for name, text in names.items()}})


def _unit(unit: str) -> Meta:
    return Meta(extra_json_schema={"x-unit": unit})


KW: TypeAlias = Maybe[Annotated[float, _unit("kW")]]
KVar: TypeAlias = Maybe[Annotated[float, _unit("kVar")]]
KVA: TypeAlias = Maybe[Annotated[float, _unit("kVA")]]
KWh: TypeAlias = Maybe[Annotated[float, _unit("kWh")]]
HWh: TypeAlias = Maybe[Annotated[float, _unit("hWh")]]
Volt: TypeAlias = Maybe[Annotated[float, _unit("V")]]
Amp: TypeAlias = Maybe[Annotated[float, _unit("A")]]
Hertz: TypeAlias = Maybe[Annotated[float, _unit("Hz")]]
Percent: TypeAlias = Maybe[Annotated[float, _unit("%")]]
DegC: TypeAlias = Maybe[Annotated[float, _unit("°C")]]
Bar: TypeAlias = Maybe[Annotated[float, _unit("bar")]]
WattPerM2: TypeAlias = Maybe[Annotated[float, _unit("W/m²")]]
KOhm: TypeAlias = Maybe[Annotated[float, _unit("kΩ")]]
Anything: TypeAlias = Maybe[Any]
Number: TypeAlias = Maybe[float]
Whole: TypeAlias = Maybe[int]
Text: TypeAlias = Maybe[str]
Flag: TypeAlias = Maybe[bool]
EpochSeconds: TypeAlias = Maybe[Annotated[int, _unit("s")]]

Port: TypeAlias = int | str
"""Tabled as text, sampled as a number."""

SMALLEST = -(2**63)
LARGEST = 2**63 - 1
SubDeviceId: TypeAlias = Annotated[int, Meta(ge=SMALLEST, le=LARGEST)] | Annotated[str, Meta(max_length=256)]
"""A record id, or text where the vendor's samples show a placeholder."""

EpochMillis: TypeAlias = Annotated[int, Meta(ge=1, le=2**53, extra_json_schema={"x-unit": "ms"})]
"""Milliseconds since 1970, positive. Whether it is in seconds or far in the future is judged by who holds a clock."""

RecordId: TypeAlias = Annotated[int, Meta(ge=0)]
OnOff: TypeAlias = Annotated[int, values(_1="enabled", _2="disabled")]
