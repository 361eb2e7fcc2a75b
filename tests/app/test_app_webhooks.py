"""Which events a webhook gets, and what `check` shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.app.settings import webhook_sink, webhook_wants
from bridge.config import effective, load
from bridge.config.settings import Webhook
from bridge.mirror.rows import events
from bridge.store.outbox import OutboxLine

SECRET = "a secret that nobody sees"
OWNERS = {"D1": ("PK1", "acme"), "D2": ("PK2",)}


def line(kind: str, device: str, extra: str = "") -> OutboxLine:
    text = f'"id":"e1","type":"{kind}","at":7,"device":"{device}","data":{{}}{extra}'
    return OutboxLine(1, 7, device, f"{{{text}}}")


@pytest.mark.parametrize(
    ("settings", "kind", "device", "wanted"),
    [
        ({}, "command", "D1", True),
        ({}, "dead_letter", "", True),
        ({"events": ("alarm",)}, "command", "D1", False),
        ({"events": ("alarm",)}, "alarm", "D1", True),
        ({"devices": ("D1",)}, "command", "D1", True),
        ({"devices": ("D1",)}, "command", "D2", False),
        ({"owners": ("acme",)}, "command", "D1", True),
        ({"owners": ("acme",)}, "command", "D2", False),
        ({"owners": ("acme",)}, "dead_letter", "", False),
        ({"owners": ("acme",), "devices": ("D2",)}, "command", "D1", False),
    ],
)
def test_which_events(settings: dict[str, tuple[str, ...]], kind: str, device: str, wanted: bool) -> None:
    webhook = Webhook(name="w", url="http://h/", secret=SECRET, **settings)  # type: ignore[arg-type]
    (row,) = events(line(kind, device))
    assert webhook_wants(webhook, lambda uid: OWNERS.get(uid, ()))(row) is wanted


def test_one_that_is_posted_again_is_for_its_own_webhook() -> None:
    (row,) = events(line("alarm", "D1", ',"to":"w"'))
    assert row.body == b'{"id":"e1","type":"alarm","at":7,"device":"D1","data":{}}'
    for name, wanted in (("w", True), ("v", False)):
        webhook = Webhook(name=name, url="http://h/", secret=SECRET)
        assert webhook_wants(webhook, lambda uid: ())(row) is wanted


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(f'[[webhooks]]\nname = "w"\nurl = "http://h/"\nsecret = "{SECRET}"\ndevices = ["D1"]\n')
    config = load(path, environ={"EMS_BRIDGE__WEBHOOKS__0__EVENTS": '["alarm"]'})
    (webhook,) = config.webhooks
    assert (webhook.events, webhook.devices, webhook.owners) == (("alarm",), ("D1",), ())
    shown = effective(config)
    assert SECRET not in shown
    path.write_text(shown)
    assert load(path, environ={}).webhooks[0].devices == ("D1",)
    assert SECRET not in repr(webhook_sink(webhook).url)
