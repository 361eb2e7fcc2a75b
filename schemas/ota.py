"""Updates over the air: of the EMS, and of the EMUs below it. Source: ota and ota-emu pages, neither of them released.

Answers carry no code: what became of it is in their data.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from schemas.kind import Verdict
from schemas.scalars import Maybe, Text, Whole, values


class OtaUpgradeStatus(Struct, gc=False, kw_only=True):
    """How far an update of the EMS has come. It answers once when it has prepared (2), and again at the end (4 to 6)."""

    source: Text = UNSET
    version: Text = UNSET
    target_commit_sha: Text = UNSET
    target_version: Text = UNSET
    final_commit_sha: Text = UNSET
    final_version: Text = UNSET
    status: Maybe[
        Annotated[
            int,
            values(
                _1="update refused",
                _2="prepared",
                _3="preparation failed",
                _4="updated",
                _5="rolled back",
                _6="rollback failed",
            ),
        ]
    ] = UNSET


class EmuVersion(Struct, gc=False, kw_only=True):
    """What runs on an EMU, and how its last update went. Figures of an EMU that is offline are null.

    `emu_upgrade_success` is a mask: bit 0 transferred, 1 to 6 boards, 7 the EMU, 8 everything, 9 unfinished.
    """

    device_id: int
    status: Annotated[int, values(_1="running", _2="offline", _3="fault")]
    emu_upgrade_success: Whole = UNSET
    emu_upgrade_device: Maybe[Annotated[int, values(_3="EMU", _21="communication board 1", _26="board 6")]] = UNSET
    emu_upgrade_status: Maybe[
        Annotated[
            int,
            values(_1="preparing upgrade", _2="preparing transfer", _3="transferring", _4="verifying", _5="done"),
        ]
    ] = UNSET
    emu_upgrade_content: Maybe[float] = UNSET
    emu_product_sn: Text = UNSET


class EmuUpgradeDownload(Struct, gc=False, kw_only=True):
    """What became of the request to update an EMU."""

    device_id: int
    download_status: Annotated[
        int,
        values(
            _1="order passed to the EMU",
            _2="download failed",
            _3="MD5 mismatch",
            _4="clearing the folder failed",
            _5="unpacking failed",
            _6="passing the order failed",
        ),
    ]


class EmuUpgrade(Struct, kw_only=True, forbid_unknown_fields=True):
    """ota/emu_upgrade: the image for an EMU; the envelope's sub-device says which."""

    download_url: Annotated[str, Meta(min_length=1)]
    md5_code: Annotated[str, Meta(min_length=1)]


class OtaUpgrade(EmuUpgrade, kw_only=True):
    """ota/upgrade: the image for a component (`source`) of the EMS."""

    source: Annotated[str, Meta(min_length=1)]


def upgraded(data: Any) -> Verdict | None:
    """What an answer to ota/upgrade says. Refused or failed in preparation is the end: nothing follows."""
    status = data.status if isinstance(data, OtaUpgradeStatus) else UNSET
    if status is UNSET or status is None:
        return None
    return _STEPS.get(status, _UNKNOWN)


def downloaded(data: Any) -> Verdict | None:
    """What an answer to ota/emu_upgrade says. How the update itself goes is asked by ota/emu_upgrade_result."""
    return _DOWNLOADS.get(data.download_status) if isinstance(data, EmuUpgradeDownload) else None


_UNKNOWN = Verdict("progress", "a status that no table has")
_STEPS = {
    1: Verdict("rejected", "update refused"),
    2: Verdict("progress", "prepared"),
    3: Verdict("rejected", "preparation failed"),
    4: Verdict("succeeded", "updated"),
    5: Verdict("rejected", "rolled back"),
    6: Verdict("rejected", "rollback failed"),
}
_DOWNLOADS = {
    1: Verdict("succeeded", "order passed to the EMU"),
    2: Verdict("rejected", "download failed"),
    3: Verdict("rejected", "MD5 mismatch"),
    4: Verdict("rejected", "clearing the folder failed"),
    5: Verdict("rejected", "unpacking failed"),
    6: Verdict("rejected", "passing the order failed"),
}
