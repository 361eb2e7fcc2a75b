"""Schemathesis reads the OpenAPI document of a running service with simulated devices, and asks what it allows and what it does
not: no answer may be a 5xx, and each must be one that the document names, of the shape that it gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.process import PRODUCT_KEY, SCRIPT, TENANT, Bridge, Secret, environment

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
)
STRICT = ("negative_data_rejection", "missing_required_header", "ignored_auth")
"""Not of EnOS's routes, which answer errors with HTTP status 200 as EnOS does."""
ENDLESS = "/api/v1/events"
ENOS = "/(tsdb|apim-token)-service"
CONFIG = """
[http]
max_wait_s = 0.2

[broker]
login_failures = 1000000
login_failures_per_address = 1000000
"""
DEVICES = ("EMS001", "EMS002")
AIMED = """
[parameters]
"path.uid" = "EMS001"
"query.device_uid" = "EMS001"
"""
"""So that requests come as far as a device."""
FEW = 20
"""So many are a run of half a minute without the phases that take one each."""
PATIENCE_S = 3_000.0


def run(count: int, seed: int, home: Path) -> str:
    """`count` requests of each sort for each operation; gives a line about them. Raises with what is found."""
    every = "examples,coverage,fuzzing,stateful" if count > FEW else "fuzzing"
    bridge = Bridge(home, CONFIG).start()
    fleet = None
    try:
        account = bridge.account("fuzz")
        fleet = _fleet(bridge, [bridge.device(uid) for uid in DEVICES])
        lines = [
            _ask(
                bridge,
                account,
                home,
                count,
                seed,
                (*CHECKS, *STRICT),
                ["--exclude-path-regex", f"^({ENDLESS}|{ENOS})"],
                every,
            ),
            _ask(bridge, account, home, count, seed, CHECKS, ["--include-path-regex", f"^{ENOS}"], every),
            _ask(bridge, account, home, count, seed + 1, CHECKS, ["--exclude-path", ENDLESS], "fuzzing", AIMED),
        ]
        assert bridge.stop() == 0, bridge.tail()
    finally:
        if fleet is not None:
            fleet.terminate()
            fleet.wait()
        bridge.kill()
    log = bridge.tail(50_000_000)
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:4_000]
    return f"openapi: {'; '.join(lines)}"


def _fleet(bridge: Bridge, devices: list[Secret]) -> subprocess.Popen[bytes]:
    file = bridge.home / "credentials"
    owners = {"product_key": PRODUCT_KEY, "tenant": TENANT}
    file.write_text("".join(json.dumps({"uid": uid, "secret": secret, **owners}) + "\n" for uid, secret in devices))
    broker = f"mqtt://127.0.0.1:{bridge.mqtt[1]}"
    command = [SCRIPT / "ems-sim", "run", "--broker", broker, "--credentials", file, "--interval", "5"]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _ask(
    bridge: Bridge,
    account: Secret,
    home: Path,
    count: int,
    seed: int,
    checks: tuple[str, ...],
    which: list[str],
    phases: str,
    config: str = "",
) -> str:
    settings = home / "schemathesis.toml"
    settings.write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"]
    command += [f"{bridge.http}/api/v1/openapi.json", "-H", f"Authorization: Bearer {account.secret}", *which]
    command += ["--checks", ",".join(checks), "--phases", phases, "--max-examples", count]
    command += ["--seed", seed, "--request-timeout", 30, "--suppress-health-check", "all", "--warnings", "off"]
    command += ["--continue-on-failure", "--no-shrink"]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**environment(), "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]
    return next(line.strip() for line in done.stdout.splitlines() if "generated" in line)
