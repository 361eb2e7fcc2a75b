"""The vendor's Python samples, which `make enos` fetches: each module has functions that ask one question with `enos-poseidon`.

`EMS_ENOS_SAMPLES` is a checkout to take as it is, or another git URL of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from conformance import fetched

URL = "https://github.com/EnvisionIot/sample-code-python"
COMMIT = "e57cbac546f99419ebbe8ccd36c3d157b4c375f0"
"""The head of its branch alert-service-sample-code."""
NEEDS = "needs EnvisionIot/sample-code-python: make enos fetches it"


def folder() -> Path | None:
    """Where they are, if they are."""
    given = os.environ.get("EMS_ENOS_SAMPLES")
    found = Path(given) if given and (Path(given) / "tsdbData").is_dir() else _kept()
    return found if (found / "tsdbData").is_dir() else None


def fetch() -> Path:
    """The same, fetched where they are not. Raises fetched.NotThere."""
    found = folder()
    if found is None:
        fetched.checkout(_kept(), os.environ.get("EMS_ENOS_SAMPLES") or URL, COMMIT, "EMS_ENOS_SAMPLES")
    return found or _kept()


def _kept() -> Path:
    return fetched.cache() / f"sample-code-python-{COMMIT[:12]}"
