"""Who may say and hear what: default deny.

A device touches only the topics under its own prefixes; a platform account only those of its owners; anonymous (loopback,
by flag) everything. A subscription of an account that is wider than its grants is accepted and each delivery is asked about.
"""

from __future__ import annotations

from bridge.core.principal import Grant, Principal
from bridge.core.registry import Device, Registry
from schemas.topics import SCHEMES, Address, CustomPrefix, Topics

VERSIONS = (1, 2)

BROKER = "$SYS/"
"""What the broker says of itself, to every account."""


class Permissions:
    """The rules over one registry and one set of topic prefixes."""

    def __init__(
        self, registry: Registry, topics: Topics, custom: tuple[CustomPrefix, ...] = (), other_topics: bool = False
    ) -> None:
        self.registry = registry
        self.topics = topics
        self.custom = custom
        self.other_topics = other_topics
        self._prefixes: dict[tuple[str, tuple[int, ...]], tuple[str, ...]] = {}
        self._revision = -1

    def prefixes(self, device: Device, versions: tuple[int, ...] = VERSIONS) -> tuple[str, ...]:
        """Every prefix of those versions that the device may use, its uid included."""
        if self._revision != self.registry.revision:
            self._prefixes.clear()
            self._revision = self.registry.revision
        known = self._prefixes.get((device.uid, versions))
        if known is None:
            known = self._prefixes[device.uid, versions] = self._make_prefixes(device, versions)
        return known

    def _make_prefixes(self, device: Device, versions: tuple[int, ...]) -> tuple[str, ...]:
        found = [
            f"{self.topics.prefix(scheme, version, owner)}/{device.uid}"
            for version in versions
            for scheme, owner in device.owners
        ]
        owners = {owner for _, owner in device.owners}
        custom = (entry for entry in self.custom if entry.owner in owners and entry.version in versions)
        found += [f"{entry.prefix.rstrip('/')}/{device.uid}" for entry in custom]
        return tuple(dict.fromkeys(found))

    def granted_prefixes(self, grant: Grant) -> tuple[str, ...]:
        """The prefixes before a device that a grant opens."""
        scheme, owner = grant
        fixed = [self.topics.prefix(scheme, version, owner) for version in VERSIONS] if scheme in SCHEMES else []
        return (*fixed, *(each.prefix.rstrip("/") for each in self.custom if (each.scheme, each.owner) == grant))

    def device_prefixes(self, uid: str) -> tuple[str, ...]:
        """The same by uid; empty when there is no such device."""
        device = self.registry.device(uid)
        return self.prefixes(device) if device else ()

    def owner_names(self, uid: str) -> tuple[str, ...]:
        """The owners in whose name the bridge's own topics of a device are published."""
        device = self.registry.device(uid)
        return tuple(dict.fromkeys(owner for _, owner in device.owners)) if device else ()

    def twins(self, device: Device, address: Address) -> tuple[str, ...]:
        """The topic of `address`, then the same message's topics under the device's other prefixes of that version; an answer's
        under all, since a command goes to whichever prefix the device listens on, and its sender waits beside it."""
        prefixes = self.prefixes(device, (address.version,))
        if address.kind == "result":
            prefixes += self.prefixes(device)
        return tuple(dict.fromkeys((address.topic, *(f"{prefix}/{address.suffix}" for prefix in prefixes))))

    def command_topics(self, uid: str, prefix: str, suffix: str) -> tuple[str, ...]:
        """Where the device may be listening for a command that came under `prefix`: there first, then its other prefixes."""
        return tuple(f"{each}/{suffix}" for each in dict.fromkeys((f"{prefix}/{uid}", *self.device_prefixes(uid))))

    def may_publish(self, principal: Principal, address: Address, device: Device | None) -> bool:
        """Whether the message may come from `principal`. `device` is that of the address if it is registered with the owner of
        the address, else None."""
        if principal.kind == "anonymous":
            return True
        if device is None:
            return False
        if principal.kind == "device":
            return principal.name == device.uid and address.kind != "command"
        return self.may_command(principal, address)

    def may_command(self, principal: Principal, address: Address) -> bool:
        """Whether commands to devices of this owner may come from `principal`, if there is such a device."""
        return principal.kind == "account" and address.kind == "command" and self._granted(principal, address)

    def may_read(self, principal: Principal, topic: str) -> bool:
        """Whether a delivery on `topic` may reach `principal`."""
        if principal.kind == "anonymous":
            return True
        if principal.kind == "device":
            return self._own_topic(principal.name, topic)
        if topic.startswith("bridge/v1/"):
            return self._may_read_bridge(principal, topic)
        if principal.grants is None or topic.startswith(BROKER):
            return True
        address = self.topics.parse(topic)
        return self.other_topics if address is None else self._granted(principal, address)

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """Whether the filter may be subscribed to: for a device, all that it can match must be its own; for an account, its
        literal owner must not be somebody else's."""
        if principal.kind == "anonymous":
            return True
        if principal.kind == "device":
            return self._own_topic(principal.name, topic_filter)
        if principal.grants is None or topic_filter.startswith(BROKER):
            return True
        return self._may_match(principal, topic_filter)

    def _own_topic(self, uid: str, topic: str) -> bool:
        device = self.registry.device(uid)
        if device is None:
            return False
        bridge = tuple(f"bridge/v1/{owner}/{uid}" for _, owner in device.owners)
        return any(topic.startswith(f"{prefix}/") for prefix in (*self.prefixes(device), *bridge))

    def _may_read_bridge(self, principal: Principal, topic: str) -> bool:
        parts = topic.split("/", 4)
        if len(parts) < 5:
            return principal.grants is None
        _, _, owner, name, _ = parts
        if name == principal.name:
            return True
        device = self.registry.device(name)
        if device is None:
            return principal.grants is None
        return any(held == owner and principal.may_touch((scheme, held)) for scheme, held in device.owners)

    def _may_match(self, principal: Principal, topic_filter: str) -> bool:
        levels = topic_filter.split("/")
        grants = principal.grants or frozenset()
        if levels[0] == "bridge" and len(levels) > 2:
            return levels[2] in {"+", "#"} | {owner for _, owner in grants}
        if len(levels) > 2 and levels[1] in ("wudun", "user", "+") and levels[2] not in ("+", "#"):
            schemes = ("wudun", "user") if levels[1] == "+" else (levels[1],)
            return any((scheme, levels[2]) in grants for scheme in schemes) or bool(self.custom)
        return True

    def _granted(self, principal: Principal, address: Address) -> bool:
        if address.scheme in ("wudun", "user"):
            return principal.may_touch((address.scheme, address.owner))
        return any(principal.may_touch((scheme, address.owner)) for scheme in ("wudun", "user"))

    def belongs(self, address: Address, device: Device) -> bool:
        """Whether the device is registered with the owner of the address."""
        if address.scheme in ("wudun", "user"):
            return (address.scheme, address.owner) in device.owners
        return any(owner == address.owner for _, owner in device.owners)
