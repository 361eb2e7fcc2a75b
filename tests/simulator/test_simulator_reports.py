"""Reports: every documented field is there, decodes, and tells of the same site."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest

from schemas import kinds
from schemas.emu import EmuReportRegular
from schemas.readings import Sample, extract
from simulator.device import Device
from simulator.emu import words
from simulator.identity import VERSIONS, Identities, Version, device_specs
from simulator.readouts import CELLS

START = 1_750_003_200.0


def make(version: Version, n: int = 1) -> Device:
    spec = device_specs(n + 1, versions=(version,), schemes=("wudun", "user"))[n]
    identity, site = Identities().of(spec)
    return Device(spec, identity, site, START, 60.0)


def report(device: Device, at: float) -> list[tuple[str, bytes]]:
    device.due(START)
    device.next_due = at
    return [(topic, payload) for topic, payload in device.due(at) if topic.endswith("report/regular/post")]


def samples(device: Device, at: float) -> dict[str, Sample]:
    found = {}
    for topic, payload in report(device, at):
        kind, message = kinds.resolve(topic.split("/", 4)[4], payload)
        assert kind.key.endswith(f":{device.spec.version}")
        assert kinds.unknown_keys(kind, payload) == ()
        found.update({sample.part: sample for sample in extract(kind, message)})
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("hour", [0.5, 4, 9, 11, 13.3, 18, 23.9, 300])
def test_reports_decode_without_unknown_keys_and_give_readings(version: Version, hour: float) -> None:
    found = samples(make(version), START + hour * 3600)
    assert found
    for sample in found.values():
        assert all(math.isfinite(value) for value in sample.values.values())


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("hour", [1, 10.5, 11.5, 13, 17])
def test_reported_powers_add_up(version: Version, hour: float) -> None:
    device = make(version)
    found = samples(device, START + hour * 3600)
    power = {
        name: sample.values["total_active_power"]
        for name, sample in found.items()
        if "total_active_power" in sample.values
    }
    pv = power["meter.11"] if version == "v1" else power["pv_meter.0.0"]
    assert power["meter.9"] == pytest.approx(power["meter.12"] - pv + power["meter.10"], abs=0.003)
    cabinets = [sample.values["pcs_total_active_power"] for part, sample in found.items() if part.startswith("pcs.")]
    assert len(cabinets) == device.site.spec.battery.cabinets
    assert sum(cabinets) == pytest.approx(power["meter.10"], abs=0.003)
    assert found[""].values["pcs_total_active_power"] == power["meter.10"]
    assert found["branch.9"].values["pcs_total_active_power"] == power["meter.10"]
    for sample in found.values():
        values = sample.values
        if "active_power_phase_a" in values:
            phases = sum(values[f"active_power_phase_{phase}"] for phase in "abc")
            assert phases == pytest.approx(values["total_active_power"], abs=1e-9)


def test_versions_tell_of_the_same_site() -> None:
    one, two = samples(make("v1"), START + 38_000), samples(make("v2"), START + 38_000)
    for part in ("meter.9", "meter.12", "pcs.1.0", "battery.1.0"):
        shared = one[part].values.keys() & two[part].values.keys()
        assert len(shared) >= 7
        assert {name: one[part].values[name] for name in shared} == {name: two[part].values[name] for name in shared}


def test_energy_between_two_reports_is_the_power_between_them() -> None:
    device = make("v2")
    start = START + 36_000
    before = samples(device, start)["meter.12"].values["total_forward_active_energy"]
    energy = 0.0
    for n in range(1, 61):
        after = samples(device, start + n * 60)["meter.12"].values
        energy += after["total_active_power"] / 60
    assert after["total_forward_active_energy"] - before == pytest.approx(energy, abs=0.02)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_documented_field_is_filled(version: Version) -> None:
    """Fields that stay out: alternatives that this site has not, and the vendor's undocumented spellings."""
    missing: set[str] = set()
    for topic, payload in report(make(version), START + 40_000):
        _, message = kinds.resolve(topic.split("/", 4)[4], payload)
        missing |= set(unset(message.data))
    allowed = {
        *("charge_strategy", "protection_strategy", "fire_alarm_status", "scenario"),
        *("highest_voltage_id_cell", "lowest_voltage_id_cell", "cell_voltage_range", "cell_temperature_range"),
        *("current_dischargeable_energy", "max_allowed_discharge_current"),
        "vehicle_soc",  # of nobody
        *("index", "inlet_temp", "outlet_temp", "inlet_pressure", "outlet_pressure"),
    }
    assert missing <= allowed


def test_every_documented_field_of_an_emu_is_filled() -> None:
    ((topic, payload),) = report(make("emu"), START + 40_000)
    assert topic == "v1/user/T1/EMU00002/report/regular/post"
    data = msgspec.json.decode(payload)["data"]
    for group in ("aircon", "battery_array", "battery_rack", "fire", "pcs"):
        assert (
            len(data[group]) >= {"aircon": 50, "battery_array": 240, "battery_rack": 97, "fire": 12, "pcs": 133}[group]
        )
    left_out = set(unset(msgspec.json.decode(msgspec.json.encode(data), type=EmuReportRegular)))
    undocumented = (
        "_di_",
        "_do_",
        "_rly_",
        "reset",
        "_fan_start",
        "_fan_stop",
        "insulation",
        "minimum",
        "_clear_",
        "heating_point",
    )
    assert [
        x for x in left_out if not any(word in x for word in (*undocumented, "exhaust_temp_sensor", "remote_control"))
    ] == []
    assert len(data["battery_rack"]["cell_voltage"]) == CELLS
    assert all(2.5 < volt < 3.7 for volt in data["battery_rack"]["cell_voltage"])


def unset(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in unset(item)]
    if not isinstance(value, msgspec.Struct):
        return []
    found = [name for name in value.__struct_fields__ if getattr(value, name) in (msgspec.UNSET, None)]
    return found + [name for field in value.__struct_fields__ for name in unset(getattr(value, field))]


def test_registers_in_words() -> None:
    assert words("x", 70_000.9) == {"x_low": 4464, "x_high": 1}


def test_versions_are_the_ones_of_the_type() -> None:
    assert get_args(Version) == VERSIONS
