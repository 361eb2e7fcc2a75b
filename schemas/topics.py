"""Address <-> topic: `{prefix}/{device}/{feature}/{action}/{kind}`, parsed from the right (PRODUCT.md §3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KINDS = frozenset({"post", "command", "result"})
SCHEMES = frozenset({"wudun", "user"})
VERSIONS = {"v1": 1, "v2": 2}


class CustomPrefix(NamedTuple):
    """A prefix named in the configuration. Slashes at its end do not count."""

    prefix: str
    owner: str
    version: int = 1
    scheme: str = "custom"


class Address(NamedTuple):
    """One topic, taken apart. `prefix` is what stands before the device."""

    scheme: str
    version: int
    owner: str
    device: str
    feature: str
    action: str
    kind: str
    prefix: str

    @property
    def topic(self) -> str:
        """The topic that parses to this address."""
        return f"{self.prefix}/{self.device}/{self.feature}/{self.action}/{self.kind}"

    @property
    def suffix(self) -> str:
        """`feature/action/kind`: the key of the table of kinds."""
        return f"{self.feature}/{self.action}/{self.kind}"

    def with_kind(self, kind: str) -> Address:
        """The same feature and action with another kind: where a command's answer goes."""
        return self._replace(kind=kind)


class Topics:
    """Both schemes, both versions and the configured prefixes. A custom prefix goes before a scheme's."""

    __slots__ = ("_by_owner", "_custom")

    def __init__(self, custom: Iterable[CustomPrefix] = ()) -> None:
        """Raise ValueError for a prefix that is empty, has wildcards, or is given twice."""
        self._custom: dict[str, CustomPrefix] = {}
        self._by_owner: dict[tuple[str, int, str], str] = {}
        for entry in custom:
            prefix = entry.prefix.rstrip("/")
            if not prefix or not _plain(prefix):
                raise ValueError(f"custom prefix {entry.prefix!r}: must be a topic without +, # and NUL, not empty")
            if prefix in self._custom:
                raise ValueError(f"custom prefix {entry.prefix!r} is given twice")
            self._custom[prefix] = entry
            self._by_owner.setdefault((entry.scheme, entry.version, entry.owner), prefix)

    def parse(self, topic: str) -> Address | None:
        """The address of `topic`; None when it lies outside the schemes."""
        parts = topic.rsplit("/", 4)
        if len(parts) != 5:
            return None
        prefix, device, feature, action, kind = parts
        if kind not in KINDS or not (device and feature and action) or not _plain(topic):
            return None
        if self._custom:
            entry = self._custom.get(prefix)
            if entry is not None:
                return Address(entry.scheme, entry.version, entry.owner, device, feature, action, kind, prefix)
        head = prefix.split("/")
        if len(head) != 3 or head[1] not in SCHEMES or not head[2]:
            return None
        version = VERSIONS.get(head[0])
        return None if version is None else Address(head[1], version, head[2], device, feature, action, kind, prefix)

    def prefix(self, scheme: str, version: int, owner: str) -> str:
        """The prefix of an owner's topics. Raise ValueError when there is none."""
        found = self._by_owner.get((scheme, version, owner))
        if found is not None:
            return found
        if scheme in SCHEMES and version in VERSIONS.values() and owner and "/" not in owner and _plain(owner):
            return f"v{version}/{scheme}/{owner}"
        raise ValueError(f"no topic prefix for scheme {scheme!r}, version {version!r}, owner {owner!r}")


def _plain(text: str) -> bool:
    return "+" not in text and "#" not in text and "\0" not in text
