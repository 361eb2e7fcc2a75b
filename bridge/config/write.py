"""The effective configuration as TOML, secrets masked."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Struct

from bridge.config.settings import Config
from bridge.config.values import settings

MASK = '"********"'
"""What stands in the place of a secret."""

_SECRET_NAME = re.compile(r"(?!.*(?:file|path|url)$).*(?:secret|token|password|passwd|api_?key|private)", re.IGNORECASE)


def effective(config: Config) -> str:
    """Every setting with the value that holds, as TOML that `load` reads; secrets show as asterisks."""
    out: list[str] = []
    for name in settings(Config):
        section = getattr(config, name)
        if isinstance(section, Struct):
            _table(out, name, section)
        else:
            for entry in section:
                _table(out, name, entry, item=True)
    return "\n".join(out).strip() + "\n"


def _table(out: list[str], title: str, section: Struct, *, item: bool = False) -> None:
    out.append(f"\n[[{title}]]" if item else f"\n[{title}]")
    known = settings(type(section))
    nested = []
    for name, setting in known.items():
        value = getattr(section, name)
        if setting.item is not None or isinstance(value, Struct):
            nested.append((f"{title}.{name}", value))
        else:
            shown = _mask(setting.meta.min_length or 0) if setting.secret and value else _literal(value)
            out.append(f"{name} = {shown}")
    for inner, value in nested:
        if isinstance(value, Struct):
            _table(out, inner, value)
        else:
            for entry in value:
                _table(out, inner, entry, item=True)


def _mask(least: int) -> str:
    """Asterisks that are long enough to be read again."""
    return f'"{"*" * least}"' if least > len(MASK) - 2 else MASK


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = (f"{_quoted(str(key))} = {_masked(str(key), inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _masked(key: str, value: Any) -> str:
    """A plugin's own settings: whatever is named like a secret is one."""
    return MASK if isinstance(value, str) and _SECRET_NAME.match(key) else _literal(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
