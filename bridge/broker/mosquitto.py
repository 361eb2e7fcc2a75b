"""Our registry in the words of Mosquitto: its password file and its access control list (mosquitto.conf(5), acl_file)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bridge.core.permissions import Permissions
from bridge.core.registry import Account, Device

BRIDGE = "ems-bridge"
"""The user name of the bridge itself."""


class Files(NamedTuple):
    """`left_out` are (name, why) of those who cannot log in there."""

    passwords: str
    acl: str
    left_out: list[tuple[str, str]]


def files(permissions: Permissions, bridge_hash: str) -> Files:
    """Everybody who may log in, and what he may do; `bridge_hash` is the hash of the bridge's own password there."""
    registry = permissions.registry
    left_out: list[tuple[str, str]] = []
    passwords, acl = [f"{BRIDGE}:{bridge_hash}"], [_section(BRIDGE, ["readwrite #", "read $SYS/#"])]
    members: list[tuple[str, str | None, list[str]]] = [
        (device.uid, device.broker_hash, _device(permissions, device))
        for device in registry.devices()
        if device.enabled and device.secret_hash is not None
    ]
    members += [(each.name, each.broker_hash, _account(permissions, each)) for each in registry.accounts()]
    for name, stored, rights in sorted(members):
        why = _why_not(name, stored)
        if why:
            left_out.append((name, why))
            continue
        passwords.append(f"{name}:{stored}")
        acl.append(_section(name, rights))
    return Files("\n".join(passwords) + "\n", "\n".join(acl), left_out)


def _why_not(name: str, stored: str | None) -> str:
    if ":" in name:
        return "Mosquitto's user names have no colon"
    if name == BRIDGE:
        return "that is the bridge's own user name there"
    return "" if stored is not None else "its secret is older than this: give it a new one (rotate, or remove and add)"


def _section(name: str, rights: Iterable[str]) -> str:
    return "\n".join((f"user {name}", *(f"topic {right}" for right in rights))) + "\n"


def _device(permissions: Permissions, device: Device) -> list[str]:
    prefixes = permissions.prefixes(device)
    writes = [f"write {prefix}/+/+/{kind}" for prefix in prefixes for kind in ("post", "result")]
    reads = [f"read {prefix}/#" for prefix in prefixes]
    return writes + reads + [f"read bridge/v1/{owner}/{device.uid}/#" for _, owner in device.owners]


def _account(permissions: Permissions, account: Account) -> list[str]:
    own = "read $SYS/#"
    if account.grants is None:
        schemes = [f"{version}/{scheme}/+" for version in ("v1", "v2") for scheme in ("wudun", "user")]
        prefixes = schemes + [custom.prefix.rstrip("/") for custom in permissions.custom]
        return ["read #", own, *(f"write {prefix}/+/+/+/command" for prefix in prefixes)]
    rights = [own, f"read bridge/v1/+/{account.name}/#"]
    for grant in sorted(account.grants):
        for prefix in permissions.granted_prefixes(grant):
            rights += [f"read {prefix}/#", f"write {prefix}/+/+/+/command"]
        rights.append(f"read bridge/v1/{grant[1]}/#")
    return rights
