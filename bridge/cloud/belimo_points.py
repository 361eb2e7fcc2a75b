"""The points of our messages as Belimo's datapoints: ids, features, dataprofiles. All of it follows from the message Structs.

A reading's datapoint is `PART.POINT`, `ems.total_active_power` or `meter.12.total_active_power`; one that can be written is
`FEATURE.FIELD` of a command, `pcs_control.pcs_device_startup`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from bridge.store.series import Asset
from schemas import kinds
from schemas.points import POINTS
from schemas.readings import MEASURED

VERSION: Final = "1.0"
WHOLE: Final = "ems"
"""The part that is the device itself."""
ASPECT: Final = "default"
GUI: Final = "display"
SI: Final = {
    "kWh": ("J", 3.6e6),
    "kW": ("W", 1e3),
    "kVar": ("var", 1e3),
    "kVA": ("VA", 1e3),
}
"""Unit -> (the same without a prefix or hours, how many of it)."""


class Datapoint(NamedTuple):
    """One that a device tells. `factor` is what its stored values are multiplied by."""

    id: str
    asset: str
    point: str
    unit: str
    factor: float = 1.0


class Setting(NamedTuple):
    """One that a command sets. `basetype` is real, int or bool."""

    id: str
    feature: str
    field: str
    basetype: str
    unit: str
    restriction: str


def datapoints(device: str, assets: Iterable[Asset], si: bool = False) -> dict[str, Datapoint]:
    """Those that the assets of a device tell, by id."""
    found: dict[str, Datapoint] = {}
    for asset in assets:
        part = _part(device, asset.name)
        for point, (unit, _) in asset.points.items():
            told, factor = SI.get(unit, (unit, 1.0)) if si else (unit, 1.0)
            name = f"{part}.{point}"
            found.setdefault(name, Datapoint(name, asset.name, point, told, factor))
    return found


def profile_id(device: str, assets: Iterable[Asset]) -> str:
    """Devices that tell the same points of the same parts have one dataprofile."""
    shape = sorted((_part(device, asset.name), _digest(tuple(asset.points))) for asset in assets)
    return f"ems-{hashlib.sha256(repr(shape).encode()).hexdigest()[:12]}"


def profile(name: str, device: str, assets: Iterable[Asset], si: bool, expanded: bool = True) -> dict[str, Any]:
    """The definition of a dataprofile, of any device that has it."""
    families: dict[str, list[dict[str, Any]]] = {}
    for point in datapoints(device, assets, si).values():
        families.setdefault(family_of(point.id), []).append(_reading(point))
    families = {family: families[family] for family in sorted(families)}
    for setting in SETTINGS.values():
        families.setdefault(setting.feature, []).append(_setting(setting))
    families["metadata"] = [_metadata(each) for each in METADATA.values()]
    found: dict[str, Any] = {
        "id": name,
        "version": VERSION,
        "ref": f"{name}/{VERSION}",
        "name": f"ems-bridge.{name}",
        "state": "PRODUCTIVE",
        "properties": {},
        "subprofileRefs": [f"{family}/{VERSION}" for family in families],
        "aggregatedSupportedAspects": list(_SUPPORTED),
    }
    if expanded:
        found["aspects"] = list(ASPECTS.values())
        found["subprofiles"] = [
            {**_subprofile(family), "supportedAspects": list(_SUPPORTED), "datapoints": [each["id"] for each in points]}
            for family, points in families.items()
        ]
        found["datapoints"] = [
            {**each, "definedBy": f"{family}/{VERSION}"} for family, points in families.items() for each in points
        ]
    return found


def subprofile(family: str, points: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The definition of a subprofile that has these datapoints."""
    return {**_subprofile(family), "supportedAspects": list(ASPECTS.values()), "datapoints": list(points)}


def family_of(name: str) -> str:
    """The subprofile that a datapoint is of: the first word of its id."""
    return name.partition(".")[0]


def _subprofile(family: str) -> dict[str, Any]:
    return {
        "id": family,
        "version": VERSION,
        "ref": f"{family}/{VERSION}",
        "name": f"ems-bridge.{family}",
        "state": "LOCKED",
        "properties": {},
    }


def _part(device: str, asset: str) -> str:
    return WHOLE if asset == device else asset.removeprefix(f"{device}.")


@cache
def _digest(points: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(points)).encode()).hexdigest()


def _reading(point: Datapoint) -> dict[str, Any]:
    known = POINTS.get(point.point)
    part = point.id.removesuffix(f".{point.point}")
    words = _heading(known.text if known else point.point.replace("_", " "))
    of = "" if part == WHOLE else f" of {part}"
    unit = f" in {point.unit}" if point.unit else ""
    return {
        "id": point.id,
        "featureValues": _features(
            f"/{point.id.replace('.', '/')}",
            f"{words}{of}{unit}",
            "r",
            _basetype(point.point),
            point.unit,
            f"{words}{of}",
        ),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    words = _heading(setting.field.replace("_", " "))
    unit = f" in {setting.unit}" if setting.unit else ""
    name = f"/{setting.feature}/{setting.field}"
    features = _features(name, words + unit, "w", setting.basetype, setting.unit, words)
    if setting.restriction:
        features[f"{ASPECT}.restriction"] = setting.restriction
    return {"id": setting.id, "featureValues": features}


def _metadata(meta: Meta) -> dict[str, Any]:
    features = _features(meta.name, meta.text, "rw" if meta.writable else "r", meta.basetype, "", meta.text)
    if meta.longest:
        features[f"{ASPECT}.restriction"] = f"len:[0,{meta.longest}]"
    return {"id": meta.id, "featureValues": features}


def _features(name: str, text: str, access: str, basetype: str, unit: str, label: str) -> dict[str, str]:
    features = {
        f"{ASPECT}.name": name,
        f"{ASPECT}.description": text,
        f"{ASPECT}.access": access,
        f"{ASPECT}.basetype": basetype,
        f"{GUI}.displayname": label,
    }
    if unit:
        features[f"{ASPECT}.unit"] = unit
    return features


def _heading(text: str) -> str:
    """`active energy, AC side` as Belimo's own descriptions are written: clients look for `Energy` in them."""
    return re.sub(r"(^|[ (,/-])([a-z])", lambda found: found[1] + found[2].upper(), text)


def _basetype(point: str) -> str:
    return "int" if point in _WHOLE_NUMBERS else "real"


def _types(kind: Any) -> set[type]:
    """The plain types in an annotation."""
    if isinstance(kind, type):
        return {kind}
    return {found for part in get_args(kind) for found in _types(part)}


def _numbers() -> frozenset[str]:
    """Points that are integers in every Struct that has them."""
    types: dict[str, set[type]] = {}
    for struct in MEASURED:
        for info in msgspec.structs.fields(struct):
            if info.name in POINTS:
                types.setdefault(info.name, set()).update(_types(info.type))
    return frozenset(name for name, found in types.items() if int in found and float not in found)


_WHOLE_NUMBERS = _numbers()


def _settings() -> dict[str, Setting]:
    found = {}
    for kind in kinds.KINDS:
        if (kind.kind, kind.action) != ("command", "set"):
            continue  # these carry single values
        feature = kind.feature
        schema = msgspec.json.schema(kind.data)["$defs"][kind.data.__name__]["properties"]
        for info in msgspec.structs.fields(kind.data):
            said = schema[info.encode_name]
            said = next((each for each in said.get("anyOf", ()) if each != {"type": "null"}), said)
            name = f"{feature}.{info.encode_name}"
            found[name] = Setting(
                name, feature, info.encode_name, _said_type(info.type, said), said.get("x-unit", ""), _restriction(said)
            )
    return found


def _said_type(kind: Any, said: Mapping[str, Any]) -> str:
    if _has_float(kind) or said.get("type") == "number":
        return "real"
    return "int"


def _has_float(kind: Any) -> bool:
    return kind is float or (get_origin(kind) is not Literal and any(_has_float(part) for part in get_args(kind)))


def _restriction(said: Mapping[str, Any]) -> str:
    """In Belimo's words: `enum:0,1`, `[0,100]`."""
    if "enum" in said:
        return "enum:" + ",".join(str(each) for each in said["enum"])
    low, high = said.get("minimum"), said.get("maximum")
    return f"[{'' if low is None else low},{'' if high is None else high}]" if (low, high) != (None, None) else ""


SETTINGS: Final = _settings()


class Meta(NamedTuple):
    """One of Belimo's own metadata datapoints that mean something for a device of ours."""

    id: str
    name: str
    text: str
    writable: bool = True
    longest: int = 255
    basetype: str = "text"


DEVICE_NAME, PROJECT, CITY, COUNTRY = "metadata.1001", "metadata.1002", "metadata.1009", "metadata.1011"
OWNER, PROFILE, REMOTE = "metadata.2", "metadata.3", "metadata.5"
METADATA: Final = {
    each.id: each
    for each in (
        Meta(OWNER, "/metadata/server/owner", "Owner", writable=False),
        Meta(PROFILE, "/metadata/server/dataProfile", "Data profile", writable=False),
        Meta(
            REMOTE, "/metadata/server/cloudControlEnabled", "Cloud control enabled", writable=False, longest=0,
            basetype="bool",
        ),
        Meta(DEVICE_NAME, "/metadata/deviceName", "Device name"),
        Meta(PROJECT, "/metadata/projectName", "Project name"),
        Meta("metadata.1003", "/metadata/buildingType", "Type of building"),
        Meta("metadata.1004", "/metadata/location/name", "Device location"),
        Meta("metadata.1005", "/metadata/location/address/description", "Address description"),
        Meta("metadata.1006", "/metadata/location/address/line1", "Address line 1", longest=50),
        Meta("metadata.1007", "/metadata/location/address/line2", "Address line 2", longest=50),
        Meta("metadata.1008", "/metadata/location/address/zip", "ZIP", longest=10),
        Meta(CITY, "/metadata/location/address/city", "City", longest=50),
        Meta("metadata.1010", "/metadata/location/address/state", "State, county or region", longest=50),
        Meta(COUNTRY, "/metadata/location/address/countryCode", "Country code", longest=2),
        Meta("metadata.1012", "/metadata/location/coord/lat", "Latitude", longest=0, basetype="real"),
        Meta("metadata.1013", "/metadata/location/coord/long", "Longitude", longest=0, basetype="real"),
        Meta("metadata.1014", "/metadata/location/coord/source", "Coordinates Source"),
        Meta("metadata.1015", "/metadata/applicationType", "Type of application"),
    )
}  # fmt: skip


def _aspect(name: str, features: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "id": name,
        "version": VERSION,
        "ref": f"{name}/{VERSION}",
        "name": name,
        "properties": {},
        "features": [{"name": feature, "optional": optional} for feature, optional in features.items()],
    }


ASPECTS: Final = {
    ASPECT: _aspect(
        ASPECT,
        {
            "name": False, "access": False, "basetype": False, "description": True, "unit": True, "format": True,
            "restriction": True, "privacy": True,
        },
    ),
    GUI: _aspect(GUI, {"displayname": False}),
}  # fmt: skip
_SUPPORTED: Final = tuple(f"{name}/{VERSION}" for name in ASPECTS)
