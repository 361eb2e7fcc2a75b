"""What the parts of a report tell of their work and their faults."""

from __future__ import annotations

import pytest
from msgspec import Struct

from schemas.emu import EmuPcsData
from schemas.emu_battery import EmuBatteryArrayData
from schemas.meters_v2 import DirectChargePailData, PhotovoltaicInverterData, SubEleMeterDataV2
from schemas.reports_v1 import RegularReportBMSV1, RegularReportPCSV1
from schemas.states import activity
from schemas.storage_v2 import (
    EMSDataTotalV2,
    RegularReportSubEMSBMSV2,
    RegularReportSubEMSMPPTV2,
    RegularReportSubEMSPCSV2,
)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (RegularReportPCSV1(running_status=3), (True, False)),
        (RegularReportPCSV1(running_status=2, pcs_fault_status=1), (False, True)),
        (RegularReportPCSV1(pcs_fault_status=0), (False, False)),
        (RegularReportPCSV1(pcs_total_active_power=5.0), None),
        (RegularReportPCSV1(running_status=None), None),
        (RegularReportSubEMSPCSV2(running_status=5), (True, False)),
        (RegularReportSubEMSPCSV2(running_status=7), (False, True)),
        (RegularReportBMSV1(running_status=4, total_fault_status=1), (True, True)),
        (RegularReportSubEMSBMSV2(running_status=6), (False, False)),
        (EmuPcsData(running_status=1, total_fault_status=0), (True, False)),
        (EmuBatteryArrayData(operating_status=2, machine_fault=1), (False, True)),
        (PhotovoltaicInverterData(running_status=5), (True, False)),
        (RegularReportSubEMSMPPTV2(pv_running_status=1, pv_fault_status=1), (False, True)),
        (DirectChargePailData(charging_status=5), (True, False)),
        (DirectChargePailData(charging_status=2), (False, True)),
        (EMSDataTotalV2(running_status=2), (True, False)),
        (EMSDataTotalV2(running_status=0), (False, False)),
        (SubEleMeterDataV2(total_active_power=1.0), None),
    ],
)
def test_activity(part: Struct, told: tuple[bool, bool] | None) -> None:
    assert activity(part) == told
