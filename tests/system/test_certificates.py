"""docs/broker.md as a reader would follow it: its listeners are right, its commands make certificates that let a device in."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.process import Bridge, cli

from bridge.config import problems

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "data" / "device-event-1__report_regular_post_7.json"
SECONDS = 30

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]


def blocks(kind: str) -> list[str]:
    text = (ROOT / "docs" / "broker.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shell(folder: Path, script: str) -> None:
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("authority")
    shell(made, blocks("sh")[0])
    return made


def test_the_commands_make_certificates_that_strict_clients_take(folder: Path) -> None:
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    strict = "openssl verify -x509_strict -CAfile ca.pem -purpose"
    shell(folder, f"{strict} sslserver server.pem; {strict} sslclient EMS001.pem")


def test_the_listeners_are_right(folder: Path, tmp_path: Path) -> None:
    (text,) = (block for block in blocks("toml") if "[[broker.listeners]]" in block)
    path = tmp_path / "bridge.toml"
    path.write_text(text.replace("/etc/ems-bridge", str(folder)), encoding="utf-8")
    assert problems(path, environ={}) == []
    assert cli("check", "--config", path).returncode == 0


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")
@pytest.mark.parametrize("identity", ["cn", "san"])
def test_a_device_comes_in_by_its_certificate(folder: Path, tmp_path: Path, identity: str) -> None:
    text = (
        f'[[broker.listeners]]\nlisten = "127.0.0.1:0"\ntls = {{ certificate = "{folder}/server.pem",'
        f' key = "{folder}/server.key", ca = "{folder}/ca.pem", client_certificate = "required",'
        f' identity = "{identity}" }}\n'
    )
    bridge = Bridge(tmp_path, text).start()
    try:
        bridge.device("EMS001")
        match = re.search(r"listening: mqtts://127\.0\.0\.1:(\d+)", bridge.tail())
        assert match is not None, bridge.tail()
        publish = blocks("sh")[1].replace("-p 8884", f"-p {match[1]}").replace("report.json", str(SAMPLE))
        assert "mosquitto_pub" in publish
        shell(folder, publish)
        assert "EMS001" in bridge.cli("device", "list").stdout
        with pytest.raises(AssertionError):
            shell(folder, publish.replace("--cert EMS001.pem --key EMS001.key", ""))
        with pytest.raises(AssertionError):
            shell(folder, publish + " -u EMS002")
    finally:
        assert bridge.stop() == 0
