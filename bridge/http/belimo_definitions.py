"""The Belimo-compatible API: dataprofiles, subprofiles, datapoints and aspects, made from the Structs of the messages."""

from __future__ import annotations

from typing import Any, Final

from bridge.cloud.belimo_points import ASPECTS, VERSION, family_of, profile, profile_id, subprofile
from bridge.errors import NotFound
from bridge.http.belimo import MISSING, collection, get, reply
from bridge.http.belimo_devices import Place, places
from bridge.http.belimo_shapes import COLLECTION, OBJECT, Profiles
from bridge.http.table import Answer, Call

NEWEST: Final = "last"


async def listing(call: Call) -> Answer:
    """GET /definitions/dataprofiles"""
    asked, si = call.query(Profiles), call.receiving.belimo.settings.si
    found = dict(sorted(_profiles(call).items(), reverse=asked.sortDirection == "DESC"))
    page = list(found.items())[asked.offset : asked.offset + asked.limit]
    items = [profile(name, each.uid, each.assets, si, asked.expanded) for name, each in page]
    return reply(collection(items, asked, asked.sortBy, len(found)))


async def dataprofile(call: Call) -> Answer:
    """GET /definitions/dataprofiles/{profile}/{version}"""
    name = call.path("profile")
    each = _profiles(call).get(name) if _known(call) else None
    if each is None:
        raise _missing(call, name)
    return reply(profile(name, each.uid, each.assets, call.receiving.belimo.settings.si))


async def one_subprofile(call: Call) -> Answer:
    """GET /definitions/subprofiles/{profile}/{version}"""
    family = call.path("profile")
    points = [point for name, point in _datapoints(call).items() if family_of(name) == family] if _known(call) else []
    if not points:
        raise _missing(call, family)
    return reply(subprofile(family, points))


async def datapoint(call: Call) -> Answer:
    """GET /definitions/datapoints/{datapoint}/{version}"""
    name = call.path("datapoint")
    found = _datapoints(call).get(name) if _known(call) else None
    if found is None:
        raise _missing(call, name)
    return reply({**found, "definedBy": f"{family_of(name)}/{VERSION}"})


async def aspect(call: Call) -> Answer:
    """GET /definitions/aspects/{profile}/{version}"""
    found = ASPECTS.get(call.path("profile")) if _known(call) else None
    if found is None:
        raise _missing(call, call.path("profile"))
    return reply(found)


def _known(call: Call) -> bool:
    return call.path("version") in (VERSION, NEWEST)


def _missing(call: Call, name: str) -> NotFound:
    return NotFound("not_found", f"there is no definition {name[:200]!r} in version {call.path('version')[:20]!r}")


def _profiles(call: Call) -> dict[str, Place]:
    """Each dataprofile that the caller's devices have, with one of them."""
    found: dict[str, Place] = {}
    for each in places(call):
        found.setdefault(profile_id(each.uid, each.assets), each)
    return found


def _datapoints(call: Call) -> dict[str, dict[str, Any]]:
    """Every datapoint of every dataprofile."""
    si = call.receiving.belimo.settings.si
    found: dict[str, dict[str, Any]] = {}
    for name, each in _profiles(call).items():
        for point in profile(name, each.uid, each.assets, si)["datapoints"]:
            found.setdefault(point["id"], {key: value for key, value in point.items() if key != "definedBy"})
    return found


ROUTES: Final = (
    get("/definitions/dataprofiles", listing, "What the devices tell, each sort of device once", COLLECTION, Profiles),
    get("/definitions/dataprofiles/{profile}/{version}", dataprofile, "A dataprofile with its datapoints", OBJECT,
        more=MISSING),
    get("/definitions/subprofiles/{profile}/{version}", one_subprofile, "The datapoints of one family", OBJECT,
        more=MISSING),
    get("/definitions/datapoints/{datapoint}/{version}", datapoint, "A datapoint with its features", OBJECT,
        more=MISSING),
    get("/definitions/aspects/{profile}/{version}", aspect, "What features there are", OBJECT, more=MISSING),
)  # fmt: skip
