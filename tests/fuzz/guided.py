"""The codec under atheris, which looks for inputs that reach code not reached before. It is no
dependency: `pip install atheris`."""

from __future__ import annotations

import sys
from typing import Any

from fuzz import codec


def run(count: int) -> int:
    """Until `count` inputs are done (0: until interrupted) or one fails."""
    try:
        import atheris  # type: ignore[import-not-found]
    except ImportError:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    tools: Any = atheris
    for name in [name for name in sys.modules if name.startswith("bridge.mqtt")]:
        module = sys.modules[name]
        for each in list(vars(module).values()):
            if callable(each) and getattr(each, "__module__", "") == name and hasattr(each, "__code__"):
                tools.instrument_func(each)

    def one(data: bytes) -> None:
        if data:
            cut = data[0] % len(data)
            codec.check(data[1:], (data[1 : 1 + cut], data[1 + cut :]), 4 + (data[0] & 1))

    tools.Setup([sys.argv[0], *([f"-runs={count}"] if count else [])], one)
    tools.Fuzz()
    return 0
