"""`node-red-contrib-belimo-cloud-connector`, which `make belimo` fetches: a client, and the vendor's own OpenAPI document."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from conformance import fetched
from jsonschema import Draft4Validator

HERE = Path(__file__).resolve().parent
PACKAGE = "node-red-contrib-belimo-cloud-connector"
NEEDS = f"needs {PACKAGE}: make belimo fetches it"


def there() -> bool:
    return shutil.which("node") is not None and fetched.modules(HERE) is not None


def fetch() -> Path:
    """Its folder. Raises fetched.NotThere."""
    return fetched.install(PACKAGE, HERE) / PACKAGE


def folder() -> Path:
    modules = fetched.modules(HERE)
    assert modules is not None, NEEDS
    return modules / PACKAGE


@cache
def document() -> dict[str, Any]:
    """The vendor's OpenAPI document (Swagger 2.0)."""
    text = (folder() / "dist" / "clientapi-v3-openapi-spec.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def check(method: str, path: str, body: Any) -> None:
    """A 200 of ours against the vendor's schema, and against its example: what is in it is in ours."""
    answer = document()["paths"][path][method]["responses"]["200"]
    Draft4Validator({**answer["schema"], "definitions": document()["definitions"]}).validate(body)
    example = json.loads(answer["examples"]["application/json"])
    missing = fields(example) - fields(body) - OPTIONAL
    assert not missing, (path, missing)


OPTIONAL = {
    "software", "runningSoftwareModules", "owner.email", "createdBy.email", "filter.search", "filter.state", "filter.owner",
    "confirmedAt", "confirmedBy", "result",
}  # fmt: skip
MAPS = {"datapoints", "properties", "featureValues", "runningSoftwareModules", "software"}
"""Objects whose keys are data."""


def fields(value: Any, path: str = "") -> set[str]:
    """`owner.displayName`, `data[].id`: the fields of an answer, but for maps."""
    if isinstance(value, list):
        return {name for each in value for name in fields(each, path)}
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for name, inner in value.items():
        full = f"{path}.{name}" if path else name
        last = full.removeprefix("data.")
        found.add(last)
        if name not in MAPS or isinstance(inner, list):
            found |= {each.removeprefix("data.") for each in fields(inner, full)}
    return found
