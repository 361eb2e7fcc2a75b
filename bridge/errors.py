"""One tree of errors. Expected failures carry their facts as attributes; nobody parses a message.

BridgeError
├── ConfigError      a setting is wrong: where, what, what would be right
├── Refused          a request that cannot be done, with a stable `code` and a JSON `path`
│   ├── NotFound     unknown device, command, dead letter
│   ├── Conflict     the same mid with another payload; a device that exists already
│   ├── Exhausted    too many open commands of one device
│   ├── Denied       the principal may not do this
│   └── Unprocessable  a body that the schemas refuse
├── Unreachable      a client got no answer from the bridge, or none in time
└── StoreError       the ledger could not commit (disk full, corrupt file)
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of everything that the bridge raises on purpose."""


class ConfigError(BridgeError):
    """A setting is wrong. `where` is `file:line`, an option or an environment name; `hint` says what would be right."""

    def __init__(self, where: str, what: str, hint: str = "") -> None:
        super().__init__(f"{where}: {what}" + (f" ({hint})" if hint else ""))
        self.where = where
        self.what = what
        self.hint = hint


class Refused(BridgeError):
    """A request that cannot be done. `code` is a stable word, `path` a JSON path (`$.data.id`) or empty."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path


class NotFound(Refused):
    """There is no such device, command, asset or dead letter."""


class Conflict(Refused):
    """It exists already, and differs."""


class Exhausted(Refused):
    """A bound is reached; later it may be possible again."""


class Denied(Refused):
    """The principal may not do this."""


class Unprocessable(Refused):
    """The body is not what the schemas ask for; `path` says where."""


class Unreachable(BridgeError):
    """The bridge did not answer, or not in time. `mid` is the command whose outcome is not known; empty for other requests."""

    def __init__(self, what: str, mid: str = "") -> None:
        super().__init__(what)
        self.mid = mid


class StoreError(BridgeError):
    """A commit failed; nothing of its batch may be acknowledged."""
