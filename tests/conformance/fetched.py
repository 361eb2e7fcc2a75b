"""What is fetched to be run and never committed: kept outside the tree, at versions that are pinned here.

`EMS_CONFORMANCE_CACHE` says where (default: `ems-bridge/conformance` under the user's cache); `EMS_CONFORMANCE_PAHO` is a
checkout of the Paho suite to take as it is, or another git URL of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PAHO_URL = "https://github.com/eclipse/paho.mqtt.testing"
PAHO_COMMIT = "9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103"
HERE = Path(__file__).resolve().parent
FETCH_S = 300.0


class NotThere(Exception):
    """It could not be fetched; the text says what to do."""


def cache() -> Path:
    """The folder of everything that is fetched."""
    given = os.environ.get("EMS_CONFORMANCE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ems-bridge" / "conformance"


def paho() -> tuple[Path, str]:
    """(folder of the suite, what it is). Raises NotThere."""
    source = os.environ.get("EMS_CONFORMANCE_PAHO") or PAHO_URL
    if (Path(source) / "interoperability").is_dir():
        return Path(source) / "interoperability", "the checkout that EMS_CONFORMANCE_PAHO names"
    kept = cache() / f"paho.mqtt.testing-{PAHO_COMMIT[:12]}"
    checkout(kept, source, PAHO_COMMIT, "EMS_CONFORMANCE_PAHO")
    return kept / "interoperability", f"commit {PAHO_COMMIT[:12]}"


def checkout(kept: Path, source: str, commit: str, variable: str) -> None:
    """Make a folder of one commit of a git repository, unless it is there; `variable` names another one. Raises NotThere."""
    if not kept.is_dir():
        _into(kept, lambda folder: _clone(folder, source, commit, variable))


def modules(locked: Path = HERE) -> Path | None:
    """The `node_modules` of the lock file in that folder (of this one: MQTT.js), when it was installed."""
    found = _modules_folder(locked) / "node_modules"
    return found if found.is_dir() else None


def install(what: str, locked: Path = HERE) -> Path:
    """The same, installed where it is not yet. Raises NotThere."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotThere("needs node and npm (Debian: apt-get install nodejs npm)")
    if modules(locked) is None:
        _into(_modules_folder(locked), lambda folder: _npm(folder, locked, what))
    return _modules_folder(locked) / "node_modules"


def _modules_folder(locked: Path) -> Path:
    lock = (locked / "package-lock.json").read_bytes()
    return cache() / f"{json.loads(lock)['name']}-{hashlib.sha256(lock).hexdigest()[:12]}"


def _clone(folder: Path, source: str, commit: str, variable: str) -> None:
    for command in (
        ["git", "init", "--quiet"],
        ["git", "fetch", "--quiet", "--depth", "1", source, commit],
        ["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"],
    ):
        _run(command, folder, f"{source} is out of reach: set {variable} to a checkout of it")


def _npm(folder: Path, locked: Path, what: str) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(locked / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    _run(command, folder, f"npm cannot install {what}")


def _run(command: list[str], folder: Path, advice: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotThere(f"{advice} ({error})") from error
    if done.returncode:
        raise NotThere(f"{advice} ({done.stderr.strip()[-300:]})")


def _into(kept: Path, fill: object) -> None:
    """Fill a folder beside it and move it there: what is there is whole."""
    assert callable(fill)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-") as folder:
        fill(Path(folder))
        try:
            Path(folder).rename(kept)
        except OSError:
            if not kept.is_dir():  # somebody else was faster
                raise
            return
        Path(folder).mkdir()  # for the clean-up
