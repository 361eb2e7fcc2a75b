"""What an EMS says about the things of its site: itself, cabinets, meters (pages sub-device, sub-elemeter, overdemand)."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.identity import METER_IDS, Identity, SubDevice
from simulator.readouts import Fields
from simulator.site import GATEWAY, LOAD, PV, STORAGE

_METER_NAMES = {GATEWAY: "关口电表", STORAGE: "储能电表", PV: "光伏电表", LOAD: "负荷电表"}
_COMMISSIONED = "2024-04-24T02:11:01Z"


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
    """EleMeter of the meter at one of a site's places."""
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
        "ct": 1,
        "purpose": 1 if place == GATEWAY else 2,
        "meter_ids": None,
        "associate_meters": [],
    }


def strategy_meter(identity: Identity, place: int) -> Fields:
    """The shorter form that a demand strategy shows of its meter."""
    return {name: value for name, value in meter_info(identity, place).items() if name not in _NOT_IN_STRATEGIES}
