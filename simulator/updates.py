"""Updates over the air: of the EMS with two answers, of the EMUs below it by stages (pages ota and ota-emu, neither released).

Every image is a good one. Without power an update fails: an EMS says so when it is back, an EMU when it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.envelope import Message
from simulator.readouts import Fields
from simulator.strategies import Answer, Later

if TYPE_CHECKING:
    from simulator.device import Device
    from simulator.identity import SubDevice

UPGRADE_S: Final = 8.0
"""From the first answer of an EMS to the second, by its own clock."""
EMU_S: Final = 20.0
"""From the order to an EMU until it runs the new image."""

REFUSED, PREPARED, UPDATED, ROLLED_BACK = 1, 2, 4, 5
PASSED_ON, NOT_PASSED_ON = 1, 6
UPGRADED: Final = 0b110000001
"""`emu_upgrade_success` after an update: transferred, the EMU done, everything done."""
UNFINISHED: Final = 0b1000000000

_EMU = 3
_TRANSFERRING, _DONE = 3, 5
_STAGES: Final = ((0.1, 1), (0.2, 2), (0.7, _TRANSFERRING), (1.0, 4))
"""Until which share of `EMU_S` it is in which stage."""


def upgrade(device: Device, message: Message, _now: float) -> Answer:
    """ota/upgrade: prepared at once, updated later; refused while another goes on."""
    kept = device.settings.setdefault(("ota", 0), {"updates": 0})
    old, new = _version(kept["updates"]), _version(kept["updates"] + 1)
    commit = message.data.md5_code[:12]
    begun = {"source": message.data.source, "version": old, "target_version": new, "target_commit_sha": commit}
    if device.done_at is not None:
        return Answer(data=begun | {"status": REFUSED})

    def end(cut: bool) -> Fields:
        if cut:
            return begun | {"final_version": old, "status": ROLLED_BACK}
        kept["updates"] += 1
        return begun | {"version": new, "final_version": new, "final_commit_sha": commit, "status": UPDATED}

    return Answer(data=begun | {"status": PREPARED}, later=Later(UPGRADE_S, end))


def emu_upgrade(device: Device, sub: SubDevice, now: float) -> Answer:
    """ota/emu_upgrade: the order goes to the EMU, unless that is being updated."""
    kept = device.settings.setdefault(("ota", sub.id), {"updates": 0})
    _settle(kept, now)
    if "began" in kept:
        return Answer(data={"device_id": sub.id, "download_status": NOT_PASSED_ON})
    kept |= {"began": now, "success": 0}
    return Answer(data={"device_id": sub.id, "download_status": PASSED_ON})


def emu_state(device: Device, sub: SubDevice, now: float) -> Fields:
    """What runs on an EMU, and how its last update went or goes."""
    kept = device.settings.get(("ota", sub.id), {"updates": 0})
    _settle(kept, now)
    told: Fields = {
        "device_id": sub.id,
        "status": 1,
        "emu_upgrade_success": kept.get("success", 0),
        "emu_upgrade_device": _EMU if "success" in kept else None,
        "emu_upgrade_status": None,
        "emu_upgrade_content": None,
        "emu_product_sn": f"emu-{_version(kept['updates'])}",
    }
    if "began" in kept:
        share = max(0.0, (now - kept["began"]) / EMU_S)
        stage = next(number for until, number in _STAGES if share < until)
        sent = round(100.0 * (share - 0.2) / 0.5) if stage == _TRANSFERRING else 100 * int(stage > _TRANSFERRING)
        told |= {"emu_upgrade_status": stage, "emu_upgrade_content": sent}
    elif kept.get("success") == UPGRADED:
        told |= {"emu_upgrade_status": _DONE, "emu_upgrade_content": 100}
    return told


def cut(device: Device, now: float) -> None:
    """The power was gone: updates of EMUs that were under way stay unfinished."""
    for (feature, number), kept in device.settings.items():
        if feature == "ota" and number:
            _settle(kept, now)
            if kept.pop("began", None) is not None:
                kept["success"] = UNFINISHED


def _settle(kept: Fields, now: float) -> None:
    """An update whose time is over has been done."""
    if "began" in kept and now - kept["began"] >= EMU_S:
        del kept["began"]
        kept["updates"] += 1
        kept["success"] = UPGRADED


def _version(updates: int) -> str:
    return f"v1.{updates}.0"
