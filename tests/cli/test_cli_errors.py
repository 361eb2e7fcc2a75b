"""A wrong option, file or value: exit code 2 and one clear line on stderr, from the real process."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness.process import ROOT, cli

from bridge.cli import COMMANDS

DOCUMENT = ROOT / "docs" / "cli.md"
DEAD_PORT = "http://127.0.0.1:9"

WRONG = [
    ("bogus", "No such command 'bogus'"),
    ("--bogus", "No such option '--bogus'"),
    ("serve --nope", "No such option '--nope'"),
    ("serve extra", "unexpected extra argument"),
    ("serve --mqtt", "--mqtt"),
    ("serve --mqtt nix", "--mqtt: broker.listen: 'nix' has no port"),
    ("serve --mqtt 127.0.0.1:99999", "'99999' is no port number"),
    ("serve --http ::1:80", "--http: http.listen: an IPv6 address stands in brackets"),
    ("serve --config {tmp}/nope.toml", "nope.toml: cannot be read: No such file or directory"),
    ("serve --config {tmp}/bad.toml", "bad.toml:2: unknown key broker.lsten (did you mean broker.listen?)"),
    ("serve --config {tmp}", "cannot be read: Is a directory"),
    ("serve --allow-anonymous --mqtt 0.0.0.0:0", "without passwords a listener binds loopback only"),
    ("serve --data ''", '--data: store.data is "" (a string that is not empty)'),
    ("cloud --mqtt 127.0.0.1:0", "No such option '--mqtt'"),
    ("cloud --http nix", "--http: http.listen"),
    ("demo --nope", "No such option '--nope'"),
    ("check --config {tmp}/nope.toml", "cannot be read"),
    ("check extra", "unexpected extra argument"),
    ("device bogus", "device: No such command 'bogus'"),
    ("device add --data {tmp}/data", "Missing argument 'UID'"),
    ("device add D1 --data {tmp}/data", "product key, a tenant or both"),
    ("device add a/b --tenant t --data {tmp}/data", "'a/b'"),
    ("device add D1 --tenant t --timezone Mars/Base --data {tmp}/data", "Mars/Base"),
    ("device add D1 --tenant t --sign metre=-1 --data {tmp}/data", "sign of 'metre'"),
    ("device add D1 --tenant t --data {tmp}/bad.toml", "bad.toml"),
    ("device show D9 --data {tmp}/made", "there is no device 'D9'"),
    ("device rotate D9 --data {tmp}/made", "there is no device 'D9'"),
    ("device remove D9 --data {tmp}/made", "there is no device 'D9'"),
    ("device add KNOWN --tenant t --data {tmp}/made", "exists already"),
    ("device list --data {tmp}/none", "no data directory of the bridge"),
    ("account add A --data {tmp}/made", "--product-key or --tenant, or say --all"),
    ("account add A --all --tenant t --data {tmp}/made", "--all alone"),
    ("account add A --all --password-stdin --data {tmp}/made", "stdin is empty"),
    ("account add KNOWN --all --data {tmp}/made", "exists already"),
    ("account remove A --data {tmp}/made", "there is no account 'A'"),
    ("send", "Missing argument 'DEVICE'"),
    ("send D1", "Missing argument 'FEATURE/ACTION'"),
    ("send D1 nonsense", "'nonsense' is no command"),
    ("send D1 a/b/c", "'a/b/c' is no command"),
    ("send D1 a/b '{{'", "DATA: not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
    ("send D1 a/b NaN", "DATA: not JSON: NaN is no JSON number"),
    ("send D1 a/b @{tmp}/nope.json", "nope.json: cannot be read"),
    ("send D1 a/b --timeout soon", "'soon' is not a valid float"),
    ("send D1 a/b --timeout 0", "0<x<=86400"),
    ("send D1 a/b --hold 999999999", "999999999"),
    ("send D1 a/b --url nowhere", "--url: 'nowhere' is no address"),
    (f"send D1 a/b --url {DEAD_PORT}", "no bridge answers"),
    ("send D1 a/b --data {tmp}/made", "no bridge serves this data directory"),
    ("send D1 a/b --data {tmp}/damaged", "local.json: is damaged"),
    ("watch 'a/#/b'", "is no topic filter"),
    (f"watch --url {DEAD_PORT}", "no bridge answers"),
    ("dead list --source nowhere", "'nowhere' is not one of 'mqtt', 'mirror', 'webhook'"),
    ("dead list --limit 0", "0 is not in the range"),
    ("dead show x", "'x' is not a valid integer"),
    ("dead replay", "name IDs, or filters, or --all"),
    ("dead replay 1 --device D1", "name IDs, or filters, or --all"),
    ("dead purge", "name IDs, or filters, or --all"),
    ("dead purge 3 --all", "name IDs, or filters, or --all"),
    ("dead show 1 --data {tmp}/made", "no bridge serves this data directory"),
    ("schema bogus", "No such command 'bogus'"),
    ("schema jsonschema alarm/detail/post", "near: alarm/details/post"),
    ("backup", "Missing argument 'FILE'"),
    ("backup {tmp}/b.tar --data {tmp}/none", "no data directory of the bridge"),
    ("backup {tmp}/bad.toml --data {tmp}/made", "exists already"),
    ("backup {tmp}/no/b --data {tmp}/made", "its directory does not exist"),
    ("verify --data {tmp}/none", "no data directory of the bridge"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wrong configuration, a data directory with a device, and one with a damaged local.json."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "bad.toml").write_text("[broker]\nlsten = 1\n", encoding="utf-8")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "local.json").write_text("{", encoding="utf-8")
    cli("device", "add", "KNOWN", "--tenant", "t", "--data", folder / "made")
    return folder


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_usage_is_one_line_and_exit_code_2(home: Path, line: str, said: str) -> None:
    done = cli(*words(line.format(tmp=home)), expect=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Usage" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_tells_every_mistake_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("[http]\nlisten = 3\n[broker]\ninflight = 0\nx = 1\n", encoding="utf-8")
    done = cli("check", "--config", path, expect=2)
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{path}:{line}" for line in (2, 4, 5)]
    assert done.stdout == ""


def test_check_prints_the_effective_configuration_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("[[mirror.sinks]]\nname='a'\nurl='http://h/'\ntoken='hush'\n", encoding="utf-8")
    done = cli("check", "--config", path, env={"EMS_BRIDGE__HTTP__LISTEN": "127.0.0.1:81"})
    assert 'listen = "127.0.0.1:81"' in done.stdout
    assert 'token = "********"' in done.stdout
    assert "hush" not in done.stdout


def test_an_address_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = cli("serve", "--mqtt", address, "--http", "127.0.0.1:0", "--data", tmp_path / "data", expect=2)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ems-bridge: ")]
    assert len(lines) == 1
    assert "address already in use" in lines[0].lower()


def test_provisioning_shows_each_secret_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    added = json.loads(cli("device", "add", "D1", "--product-key", "PK", "--json", "--data", data).stdout)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", added["secret"])
    rotated = json.loads(cli("device", "rotate", "D1", "--json", "--data", data).stdout)
    assert rotated["secret"] != added["secret"]
    plain = cli(
        "account", "add", "backend", "--tenant", "t", "--password-stdin", "--data", data, stdin="hunter2\n"
    ).stdout
    secret = plain.splitlines()[-1]
    assert len(secret) == 43
    shown = "".join(
        cli(*words(line), "--data", data).stdout
        for line in ("device list", "device list --json", "device show D1", "account list", "account list --json")
    )
    for hidden in (added["secret"], rotated["secret"], secret, "hunter2"):
        assert hidden not in shown
    assert "wudun:PK" in shown
    assert "user:t" in shown
    cli("device", "remove", "D1", "--data", data)
    cli("account", "remove", "backend", "--data", data)
    assert cli("device", "list", "--data", data).stdout == cli("account", "list", "--data", data).stdout == ""


def test_a_license_code_is_one_devices(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cli("device", "add", "D1", "--product-key", "PK", "--license", "6rDMfM0MVoB8jQ", "--data", data)
    again = cli("device", "add", "D2", "--product-key", "PK", "--license", "6rDMfM0MVoB8jQ", "--data", data, expect=2)
    assert "another device has that license code" in again.stderr
    short = cli("device", "add", "D2", "--product-key", "PK", "--license", "short", "--data", data, expect=2)
    assert "8 to 128" in short.stderr
    cli("device", "remove", "D1", "--data", data)
    cli("device", "add", "D2", "--product-key", "PK", "--license", "6rDMfM0MVoB8jQ", "--data", data)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_stands_in_the_document(name: str) -> None:
    done = cli(name, "--help")
    assert done.stdout.startswith(f"Usage: ems-bridge {name} ")
    assert f"`{name}" in DOCUMENT.read_text(encoding="utf-8")


def test_every_option_stands_in_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    groups = {"device": ["add", "list", "show", "rotate", "remove"], "account": ["add", "list", "remove"]}
    groups |= {"dead": ["list", "show", "replay", "purge"], "schema": ["asyncapi", "openapi", "jsonschema"]}
    lines = [[name, sub] for name in COMMANDS for sub in groups.get(name, [""])]
    for line in lines:
        helped = cli(*filter(None, line), "--help").stdout
        for option in re.findall(r"--[a-z-]+", helped.split("Options:")[1]):
            assert option in text, f"{' '.join(line)} {option}"


def test_python_m_bridge_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "bridge", "bogus"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command" in done.stderr


@pytest.mark.parametrize("line", ["", "device", "--help"])
def test_help_is_no_error(line: str) -> None:
    done = cli(*words(line))
    assert done.stdout.startswith("Usage:")
    assert done.stderr == ""


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{Path(sys.executable).parent / 'ems-bridge'} check | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def words(line: str) -> list[str]:
    import shlex

    return shlex.split(line)
