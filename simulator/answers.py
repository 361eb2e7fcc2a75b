"""What a simulated device does for each command that is no strategy's: tell what is so, take settings, update itself.

An EMS serves the pages of the level-2 EMS, an EMU its own schedule (page emu-charge-policy).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from schemas import kinds
from schemas.envelope import Message
from simulator import cards, charging, controls, updates
from simulator.identity import METER_IDS, SubDevice
from simulator.readouts import Fields
from simulator.site import GATEWAY
from simulator.strategies import BY_FEATURE, VERBS, Answer, refuse

if TYPE_CHECKING:
    from simulator.device import Device

Work = Callable[["Device", Message, float], Answer]

CONTROLS: dict[str, Fields] = {
    "pcs_control": {
        "pcs_fault_reset": 0,
        "pcs_device_startup": 1,
        "pcs_device_stop": 0,
        "pcs_remote_emergency_stop": 0,
        "pcs_reset_cumulative_charge": 0,
        "pcs_reset_cumulative_discharge": 0,
        "pcs_remote_local_setting": 1,
    },
    "bms_control": {"battery_system_reset": 0, "high_voltage_command": 1},
    "condition_control": {"power_on": 1, "target_heating_point": 15.0, "target_cooling_point": 25.0},
}
"""Feature -> what a cabinet was set to at the works."""

POLICIES: dict[str, Fields] = {
    "charge_percentage": cards.charge_depth(),
    "safety": cards.safety(),
    "air_strategy": {
        "cooling_point": 25,
        "cooling_hysteresis": 2,
        "heating_point": 12,
        "heating_hysteresis": 2,
        "high_temp_point": 45,
        "low_temp_point": 0,
        "high_humidity_point": 80,
    },
    "reactive_power_control": {"phase_min_power_factor_a": 0.9, "period": 500, "step": 0.1, "mode": 1},
    "voltage_control": {"phase_rated_voltage_a": 220, "period": 500, "step": 5},
}
"""The same of the EMS as a whole."""


def work_of(device: Device, feature: str, action: str) -> Work | None:
    """What the device does for a command; None for one that is not its own."""
    if device.spec.version == "emu":
        return _EMU_WORK.get((feature, action))
    row, verb = BY_FEATURE.get(feature), VERBS.get(action)
    if row is not None and verb is not None:
        return lambda device, message, now: verb(device, row, message, now)
    return _EMS_WORK.get((feature, action))


def addressed(device: Device, message: Message) -> tuple[SubDevice | None, bool]:
    """The cabinet that a command speaks of (None: the EMS itself), and whether there is such a one."""
    uid, key = message.sub_device_uid, message.sub_device_id
    if uid in (None, "", device.spec.uid) and key in (None, "", 0):
        return None, True
    for sub in device.identity.cabinets:
        if uid in (None, "", sub.uid) and (key in (None, "", 0) or str(key) in (str(sub.id), sub.uid)):
            return sub, True
    return None, False


def _device_sync(device: Device, message: Message, _now: float) -> Answer:
    return Answer(data=cards.device_info(device.identity, addressed(device, message)[0]))


def _device_list(device: Device, _message: Message, _now: float) -> Answer:
    return Answer(data=[cards.device_info(device.identity, sub) for sub in device.identity.cabinets])


def _meter_sync(device: Device, _message: Message, _now: float) -> Answer:
    """The command names no meter: the gateway meter is told."""
    return Answer(data=cards.meter_info(device.identity, GATEWAY))


def _meter_list(device: Device, _message: Message, _now: float) -> Answer:
    return Answer(data=[cards.meter_info(device.identity, place) for place in range(len(METER_IDS))])


def _node_sync(device: Device, _message: Message, _now: float) -> Answer:
    return Answer(data=cards.power_nodes(device.identity))


def kept_policy(device: Device, feature: str) -> Fields:
    """What is set of a policy."""
    return dict(device.settings.get((feature, 0), POLICIES[feature]))


def _policy_set(feature: str) -> Work:
    """What a command names is set. What a device posts of itself, it posts then."""
    post = feature if kinds.find(f"{feature}/details/post") else None

    def work(device: Device, message: Message, now: float) -> Answer:
        kept = device.settings.setdefault((feature, 0), dict(POLICIES[feature]))
        kept.update(msgspec.to_builtins(message.data))
        controls.policy_acts(device, feature, kept, now)
        if feature == "air_strategy":
            _cool_alike(device, kept)
        return Answer(post=post)

    return work


def _cool_alike(device: Device, kept: Fields) -> None:
    """The points of the EMS are those of every cabinet from now on."""
    points = {
        "target_cooling_point": float(kept["cooling_point"]),
        "target_heating_point": float(kept["heating_point"]),
    }
    for sub in device.identity.cabinets:
        device.settings.setdefault(("condition_control", sub.id), dict(CONTROLS["condition_control"])).update(points)


def _policy_sync(feature: str) -> Work:
    """What is set."""

    def work(device: Device, _message: Message, _now: float) -> Answer:
        return Answer(data=kept_policy(device, feature))

    return work


def _control_set(feature: str) -> Work:
    """What a command names is set, of one cabinet or, without a sub-device, of all."""

    def work(device: Device, message: Message, now: float) -> Answer:
        wanted: Fields = msgspec.to_builtins(message.data)
        sub, _ = addressed(device, message)
        for place, each in enumerate(device.identity.cabinets):
            if sub in (None, each):
                kept = device.settings.setdefault((feature, each.id), dict(CONTROLS[feature]))
                kept.update(wanted)
                controls.control_acts(device, feature, place, kept, wanted, now)
        return Answer()

    return work


def _control_sync(feature: str) -> Work:
    """The settings of one cabinet; without a sub-device, of the first."""

    def work(device: Device, message: Message, _now: float) -> Answer:
        sub = addressed(device, message)[0] or device.identity.cabinets[0]
        return Answer(data=dict(device.settings.get((feature, sub.id), CONTROLS[feature])))

    return work


def _emu_version(device: Device, _message: Message, now: float) -> Answer:
    return Answer(data=[updates.emu_state(device, sub, now) for sub in device.identity.cabinets])


def _emu_upgrade(device: Device, message: Message, now: float) -> Answer:
    return updates.emu_upgrade(device, addressed(device, message)[0] or device.identity.cabinets[0], now)


def _emu_upgrade_result(device: Device, message: Message, now: float) -> Answer:
    return Answer(data=updates.emu_state(device, addressed(device, message)[0] or device.identity.cabinets[0], now))


def _schedule(device: Device, message: Message, now: float) -> Answer:
    """An EMU's schedule replaces the one before."""
    fields: Fields = msgspec.to_builtins(message.data)
    if wrong := charging.slots_wrong(fields):
        return refuse(wrong)
    device.settings["charge", 0] = fields
    orders = tuple(charging.orders_of(fields, range(device.site.spec.battery.cabinets)))
    device.follow(msgspec.structs.replace(device.site.plan, orders=orders), now)
    return Answer()


_EMS_WORK: dict[tuple[str, str], Work] = {
    ("device_info", "sync"): _device_sync,
    ("device_info", "list"): _device_list,
    ("elemeter_info", "sync"): _meter_sync,
    ("elemeter_info", "list"): _meter_list,
    ("power_node", "sync"): _node_sync,
    **{(feature, "set"): _policy_set(feature) for feature in POLICIES},
    **{(feature, "sync"): _policy_sync(feature) for feature in POLICIES},
    **{(feature, "set"): _control_set(feature) for feature in CONTROLS},
    **{(feature, "sync"): _control_sync(feature) for feature in CONTROLS},
    ("ota", "upgrade"): updates.upgrade,
    ("ota", "emu_version"): _emu_version,
    ("ota", "emu_upgrade"): _emu_upgrade,
    ("ota", "emu_upgrade_result"): _emu_upgrade_result,
}

_EMU_WORK: dict[tuple[str, str], Work] = {("charge", "setting"): _schedule}
