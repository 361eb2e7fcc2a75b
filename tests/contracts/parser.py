"""`@asyncapi/parser`, which `make contracts` fetches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from conformance import fetched

HERE = Path(__file__).resolve().parent
NEEDS = "needs @asyncapi/parser: make contracts fetches it"
PATIENCE_S = 120.0
EXPECTED = {"asyncapi-latest-version"}
"""It would have 3.1.0 in the first line, which tools of 3.0 refuse."""


def there() -> bool:
    return shutil.which("node") is not None and fetched.modules(HERE) is not None


def fetch() -> None:
    """Raises fetched.NotThere."""
    fetched.install("@asyncapi/parser", HERE)


def parse(document: bytes) -> Any:
    """{"diagnostics": [{severity (0 is an error), code, message, path}], "operations": […]} of an AsyncAPI document."""
    modules = fetched.modules(HERE)
    assert modules is not None, NEEDS
    done = subprocess.run(
        ["node", HERE / "asyncapi.cjs"],
        input=document,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "NODE_PATH": str(modules)},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)
