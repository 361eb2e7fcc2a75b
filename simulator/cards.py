"""What an EMS says about the things of its site: itself, cabinets, meters, inverter, pile, branches, and how its storage is
protected (pages sub-device, sub-elemeter, overdemand, the charge strategies, power-node, charge-depth, safety)."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.identity import METER_IDS, PILE_KW, Identity, SubDevice
from simulator.readouts import Fields
from simulator.site import BUILDING, GATEWAY, LOAD, PILES, PV, STORAGE

_METER_NAMES = {
    GATEWAY: "关口电表",
    STORAGE: "储能电表",
    PV: "光伏电表",
    LOAD: "负荷电表",
    PILES: "充电桩电表",
    BUILDING: "楼宇电表",
}
_COMMISSIONED = "2024-04-24T02:11:01Z"


PHOTOVOLTAIC_ID = PILE_ID = 1
"""A site has one photovoltaic device and one charging pile."""

METER_NODES = {GATEWAY: 1, STORAGE: 2, PV: 3, LOAD: 4}
"""Place of a meter -> its power node. The cabinets' nodes come after, below the storage meter's; then, below the load's,
those of piles and building."""

_NOT_IN_STRATEGIES = ("application_proto_type", "dlt_addr", "virtual_type")


def rfc3339(at: float) -> str:
    """Epoch seconds as RFC 3339 UTC text."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def device_info(identity: Identity, sub: SubDevice | None = None) -> Fields:
    """DeviceInfo of the level-2 EMS itself, or of one of its cabinets."""
    return {
        "id": 100 if sub is None else sub.id,
        "name": identity.name if sub is None else sub.name,
        "site_name": identity.site_name,
        "location": identity.location,
        "longitude": identity.longitude,
        "latitude": identity.latitude,
        "statistics_port": 1504,
        "level": 2 if sub is None else 1,
        "type": "ems",
        "running_status": 1,
        "host": identity.host if sub is None else sub.host,
        "port": 1502,
        "license": identity.license if sub is None else sub.license,
    }


def storage_device(identity: Identity, sub: SubDevice) -> Fields:
    """The longer form that a demand strategy lists for each cabinet that it steers."""
    return device_info(identity, sub) | {
        "uid": sub.uid,
        "cooling_method": 1,
        "charges": None,
        "pcs_reboot": 0,
        "bms_reboot": 0,
        "proto_type": 1,
        "proto_id": 0,
        "slave_id": 1,
        "com_addr": "",
        "com_no": 0,
        "baud_rate": 0,
        "data_bits": 0,
        "stop_bits": 0,
        "parity": "",
        "created_at": _COMMISSIONED,
        "updated_at": _COMMISSIONED,
    }


def meter_info(identity: Identity, place: int) -> Fields:
    """EleMeter of the meter at one of a site's places. What it tells has been multiplied by pt and ct already."""
    return {
        "id": METER_IDS[place],
        "proto_id": 1,
        "proto_type": 1,
        "application_proto_type": 2,
        "host": identity.host.rsplit(".", 1)[0] + f".{2 + place}",
        "port": 502,
        "com_addr": "",
        "com_no": 0,
        "baud_rate": 9600,
        "data_bits": 8,
        "stop_bits": 1,
        "parity": "N",
        "dlt_addr": "",
        "slave_id": place + 1,
        "uid": "",
        "station_name": identity.site_name,
        "name": _METER_NAMES[place],
        "virtual_type": 2,
        "ele_device_type_id": 1,
        "ele_device_type": {"id": 1, "device_type": 1, "name": "Acrel-ADW300"},
        "running_status": 1,
        "direction": 1,
        "pt": 1,
        "ct": identity.ct[place],
        "purpose": 1 if place == GATEWAY else 2,
        "meter_ids": None,
        "associate_meters": [],
    }


def strategy_meter(identity: Identity, place: int) -> Fields:
    """The shorter form that a demand strategy shows of its meter."""
    return {name: value for name, value in meter_info(identity, place).items() if name not in _NOT_IN_STRATEGIES}


def photovoltaic(identity: Identity) -> Fields:
    """The device that a photovoltaic strategy lists."""
    return device_info(identity) | {"id": PHOTOVOLTAIC_ID, "name": "光伏1", "host": _beside(identity, 8)}


def pile(identity: Identity) -> Fields:
    """The charging pile that a pile strategy lists. Its load is part of the site's."""
    return {
        "id": PILE_ID,
        "proto_id": 6,
        "proto_type": 1,
        "application_proto_type": 2,
        "host": _beside(identity, 9),
        "port": 1510,
        "com_addr": "",
        "com_no": 0,
        "baud_rate": 9600,
        "data_bits": 8,
        "stop_bits": 1,
        "parity": "N",
        "dlt_addr": "",
        "slave_id": 1,
        "uid": "",
        "station_name": identity.site_name,
        "name": "充电桩1",
        "model": 1,
        "ele_meter_id": METER_IDS[PILES],
        "pt": 0,
        "ct": 0,
        "direction": 0,
        "charge_power": PILE_KW,
        "point_table_proto_type": {"id": 0, "device_type": 0, "name": ""},
        "running_status": 1,
        "charges": None,
        "power_node_pail": None,
    }


def power_nodes(identity: Identity) -> list[Fields]:
    """The branches of a site: the gateway meter, below it those of storage, PV and load, below storage the cabinets, below the
    load piles and building."""
    root = METER_NODES[GATEWAY]
    nodes = []
    for place, number in METER_NODES.items():
        parent, path = (0, "-0-") if number == root else (root, f"-0-{root}-")
        nodes.append(_meter_node(identity, place, number, parent, path))
    storage = METER_NODES[STORAGE]
    for number, sub in enumerate(identity.cabinets, len(nodes) + 1):
        info = device_info(identity, sub)
        device = {name: info[name] for name in _NODE_DEVICE} | {"uid": sub.uid, "charges": None}
        nodes.append(_node(number, 2, device, storage, f"-0-{root}-{storage}-"))
    load = METER_NODES[LOAD]
    for place in (PILES, BUILDING):
        nodes.append(_meter_node(identity, place, len(nodes) + 1, load, f"-0-{root}-{load}-"))
    return nodes


def charge_depth() -> Fields:
    """In which steps a cabinet's power is throttled towards full and empty; the vendor's own figures."""
    out: Fields = {}
    for way, cell, steps in (
        ("charge", 3.6, ((99, 0), (98, 15), (97, 30), (96, 50))),
        ("discharge", 3.0, ((2, 0), (3, 30), (4, 50), (5, 70))),
    ):
        out[f"{way}_depth_on"] = 1
        for n, (soc, power) in enumerate(steps, 1):
            out[f"{way}_energy_soc_{n}"] = soc
            out[f"{way}_cell_voltage_{n}"] = cell if n == 1 else 0
            out[f"{way}_cell_power_{n}"] = power
    return out


def safety() -> Fields:
    """What stops a cabinet."""
    return {
        "bms_3": 1,
        "fire_control": 1,
        "flooding": 1,
        "aircon": 1,
        "aircon_mins": 10,
        "temp": 1,
        "temp_celsius": 45,
        "grounded": 0,
        "grounded_mins": 5,
        "bms_2": 1,
        "bms_2_kw": 25,
        "meter_offline_power0": 1,
        "meter_offline_mins": 5,
    }


def _meter_node(identity: Identity, place: int, number: int, parent: int, path: str) -> Fields:
    meter = meter_info(identity, place)
    device = {name: meter[name] for name in ("com_addr", "slave_id", "direction", "station_name", "name")}
    device |= {"uid": f"{identity.license[:20]}-{number}", "port": number, "running_status": 1}
    return _node(number, 1, device | {"rate": meter["pt"] * meter["ct"]}, parent, path)


def _node(number: int, sort: int, device: Fields, parent: int, path: str) -> Fields:
    return {
        "id": number,
        "name": device["name"],
        "type": sort,
        "device": device,
        "parent_id": parent,
        "path": path,
        "running_status": 1,
        "children": None,
    }


def _beside(identity: Identity, last: int) -> str:
    return identity.host.rsplit(".", 1)[0] + f".{last}"


_NODE_DEVICE = (
    *("name", "site_name", "location", "longitude", "latitude", "level", "type"),
    *("running_status", "host", "port", "license"),
)
