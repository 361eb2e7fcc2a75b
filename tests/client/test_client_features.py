"""The generated module is what the table says."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from bridge.client import Device, Outcome
from bridge.client import generate as generator
from bridge.client.command import AnyDevice, Asked, Feature, Read, Write
from schemas import kinds
from schemas.kinds import Kind

COMMANDS = [kind for kind in kinds.KINDS if kind.kind == "command"]


class Nowhere:
    """A transport that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def ask(self, asked: Asked) -> Outcome[Any]:
        self.asked.append(asked)
        return Outcome(mid=asked.mid, device=asked.device, command="", state="accepted")


def test_it_is_up_to_date() -> None:
    written = generator.FILE.read_text(encoding="utf-8")
    assert written == generator.text(), "python -m bridge.client.generate"


@pytest.mark.parametrize("kind", COMMANDS, ids=repr)
async def test_a_command_is_an_attribute(kind: Kind) -> None:
    feature = get_type_hints(Device)[kind.feature]
    declared = get_type_hints(feature)[kind.action]
    assert declared.__origin__ is (Read if kind.data is None else Write)
    assert kind.data is None or get_args(declared)[0] == kind.data
    transport = Nowhere()
    device = Device(transport, "D1")
    call = getattr(getattr(device, kind.feature), kind.action)
    assert repr(call) == f"<{kind.feature}/{kind.action} of D1>"
    if kind.data is None:
        assert not (await call(wait_s=0)).settled
        ((uid, sent, data, mid, options),) = transport.asked
        assert (uid, sent, data, options) == ("D1", kind, None, {"wait_s": 0})
        assert mid


def test_no_name_is_taken_twice() -> None:
    features = {kind.feature for kind in COMMANDS}
    assert set(get_type_hints(Device)) == features
    assert not features & (set(dir(AnyDevice)) | {"uid"})
    assert not {kind.action for kind in COMMANDS} & set(dir(Feature))
    assert repr(Device(Nowhere(), "D1")) == "<device D1>"


@pytest.mark.parametrize("kind", [int, dict[str, int], str | None])
def test_what_cannot_be_written(kind: Any) -> None:
    with pytest.raises(TypeError):
        generator._named(kind, {})
