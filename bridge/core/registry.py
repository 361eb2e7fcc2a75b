"""Who belongs here: devices and platform accounts, in memory, read from the ledger and followed when it changes.

The command line writes the same tables while the service runs; triggers raise one version number that `follow` watches, and
an unknown name at login looks at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from time import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from bridge.core import secrets
from bridge.core.passwords import Passwords
from bridge.core.principal import LOCAL, Grant, Principal
from bridge.errors import Conflict, NotFound, Unprocessable
from bridge.store.database import Database
from bridge.store.members import Account, Device, Members
from bridge.store.platform import Platform
from schemas.points import FAMILIES

FOLLOW_S = 0.1
"""How soon a running service sees what the command line changed; a look is one indexed row."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@-]{0,126}[A-Za-z0-9_-])?")
"""What a uid, product key, tenant or account name may look like: safe in topics, URLs and comma-separated lists."""
LICENSE = re.compile(r"[A-Za-z0-9_-]{8,128}")
"""What a license code may look like: it is a secret, so short ones are refused."""

__all__ = ["NAME", "Account", "Device", "Registry"]


class Registry:
    """Devices and accounts of one ledger. `changed(ended)` is called after every change, with the
    (kind, name) of those whose credentials ended."""

    def __init__(self, database: Database, local_token: str | None = None) -> None:
        self._members = Members(database)
        self._platform = Platform(database)
        self._local = secrets.digest(local_token) if local_token else None
        self._devices: dict[str, Device] = {}
        self._accounts: dict[str, Account] = {}
        self._keys: dict[bytes, Account] = {}
        self._version = -1
        self._reading = asyncio.Lock()
        self._passwords = Passwords()
        self.revision = 0
        self.changed: Callable[[set[tuple[str, str]]], None] = lambda _names: None

    # Reading.

    def device(self, uid: str) -> Device | None:
        """The device, or None."""
        return self._devices.get(uid)

    async def find_device(self, uid: str) -> Device | None:
        """The device, or None; an unknown one is looked for in the ledger: it may have been added a moment ago."""
        if uid not in self._devices:
            await self.refresh()
        return self._devices.get(uid)

    def devices(self) -> list[Device]:
        """All devices, by uid."""
        return sorted(self._devices.values(), key=lambda device: device.uid)

    def accounts(self) -> list[Account]:
        """All accounts, by name."""
        return sorted(self._accounts.values(), key=lambda account: account.name)

    def account(self, name: str) -> Account | None:
        """The account, or None."""
        return self._accounts.get(name)

    def find(self, kind: str, name: str) -> Principal | None:
        """The principal of that kind and name with its present grants; None when it is gone."""
        if kind == "device":
            device = self._devices.get(name)
            return Principal("device", name) if device is not None and device.enabled else None
        account = self._accounts.get(name)
        return _principal(account) if account is not None else None

    def may_touch(self, principal: Principal, device: Device) -> bool:
        """Whether `principal` may see and command `device`."""
        if principal.kind == "device":
            return principal.name == device.uid
        return principal.grants is None or any(grant in principal.grants for grant in device.owners)

    def visible(self, principal: Principal) -> list[str] | None:
        """The uids that `principal` may see; None means all."""
        if principal.grants is None:
            return None
        return [device.uid for device in self._devices.values() if self.may_touch(principal, device)]

    def admit(self, uid: str, scheme: str, owner: str, now: int) -> Device:
        """Take up a device that an anonymous broker saw for the first time, or under a second owner. The caller commits the
        `device_seen` row."""
        known = self._devices.get(uid)
        device = known or Device(uid, None, None, "", None, {}, None, True, now, None)
        if scheme == "wudun":
            device = msgspec.structs.replace(device, product_key=device.product_key or owner)
        else:
            device = msgspec.structs.replace(device, tenant=device.tenant or owner)
        if device == known:
            return device
        self._devices[uid] = device
        self.revision += 1
        return device

    # Credentials.

    async def authenticate(self, username: str, password: str) -> Principal | None:
        """The principal of an MQTT user name and password, or None. A device's user name is its uid."""
        if username not in self._devices and username not in self._accounts:
            await self.refresh()
        found = self.recognised(username, password)
        if found is not None or self._secret(username) is not None:
            return found
        account = self._accounts.get(username)
        if account is None or account.password_hash is None:
            return None
        return _principal(account) if await self._passwords.check(username, password, account.password_hash) else None

    def recognised(self, username: str, password: str) -> Principal | None:
        """The part of `authenticate` that costs nothing, and that nobody guesses: a secret that was made here."""
        secret = self._secret(username)
        if secret is not None:
            return Principal("device", username) if secrets.matches(password, secret) else None
        account = self._accounts.get(username)
        right = account is not None and secrets.matches(password, account.key_hash)
        return _principal(account) if account is not None and right else None

    async def certified(self, name: str) -> Principal | None:
        """The provisioned, enabled device that a verified certificate names, or None."""
        if name not in self._devices:
            await self.refresh()
        return self.certain(name)

    def certain(self, name: str) -> Principal | None:
        """The part of `certified` that is known without a look into the ledger."""
        return Principal("device", name) if self._secret(name) is not None else None

    def _secret(self, uid: str) -> bytes | None:
        """What hides the secret of a provisioned, enabled device."""
        device = self._devices.get(uid)
        return device.secret_hash if device is not None and device.enabled else None

    def known_key(self, key: str) -> Principal | None:
        """The principal of an API key as far as it is known without a look into the ledger."""
        found = secrets.digest(key)
        if self._local is not None and found == self._local:
            return LOCAL
        account = self._keys.get(found)
        return _principal(account) if account else None

    async def authenticate_key(self, key: str) -> Principal | None:
        """The principal of an API key, or None."""
        found = self.known_key(key)
        if found is None:
            await self.refresh()
            found = self.known_key(key)
        return found

    # Changing.

    async def add_device(
        self,
        uid: str,
        product_key: str | None = None,
        tenant: str | None = None,
        name: str = "",
        timezone: str | None = None,
        signs: dict[str, float] | None = None,
        license_code: str | None = None,
    ) -> str:
        """Register a device and give its secret, which is kept only as a hash. Who knows its license code may bind it by the
        vendor's platform API. Raises Unprocessable or Conflict."""
        _check_name("uid", uid)
        if product_key is None and tenant is None:
            raise Unprocessable("invalid", "a device needs a product key, a tenant or both")
        for label, value in (("product key", product_key), ("tenant", tenant)):
            if value is not None:
                _check_name(label, value)
        _check_timezone(timezone)
        _check_signs(signs or {})
        _check_license(license_code)
        await self.refresh()
        if uid in self._accounts:
            raise Conflict("exists", f"{uid!r} is the name of an account")
        known = self._devices.get(uid)
        if known is not None and known.secret_hash is not None:
            raise Conflict("exists", f"device {uid!r} exists already; `rotate` gives it a new secret")
        if license_code is not None:
            profile = await self._platform.profile(uid)
            await self._platform.put_profile(profile._replace(license_code=license_code, updated_at=_now()))
        secret = secrets.new_secret()
        hashed = secrets.digest(secret)
        await self._put_device(
            Device(
                uid,
                product_key,
                tenant,
                name,
                timezone,
                signs or {},
                hashed,
                True,
                _now(),
                None,
                secrets.broker_hash(secret),
            )
        )
        return secret

    async def rotate_device(self, uid: str) -> str:
        """Give the device a new secret; the old one ends at once. Raises NotFound."""
        await self.refresh()
        device = self._devices.get(uid)
        if device is None:
            raise NotFound("unknown_device", f"there is no device {uid!r}")
        secret = secrets.new_secret()
        changed = msgspec.structs.replace(
            device,
            secret_hash=secrets.digest(secret),
            rotated_at=_now(),
            broker_hash=secrets.broker_hash(secret),
        )
        await self._put_device(changed)
        return secret

    async def describe_device(self, uid: str, name: str, owner: Grant | None = None) -> None:
        """Give the device another name, and an owner in a scheme in which it has none. Raises NotFound and Conflict."""
        await self.refresh()
        if uid not in self._devices:
            raise NotFound("unknown_device", f"there is no device {uid!r}")
        scheme, value = owner or ("", None)
        keys = (value if scheme == "wudun" else None, value if scheme == "user" else None)
        if not await self._members.describe_device(uid, name, *keys):
            raise Conflict("exists", f"device {uid!r} has an owner in scheme {scheme} already")
        await self.refresh()

    async def remove_device(self, uid: str) -> None:
        """Forget the device; its stored reports stay until retention takes them. Raises NotFound."""
        if not await self._members.delete_device(uid):
            raise NotFound("unknown_device", f"there is no device {uid!r}")
        await self.refresh()

    async def add_account(self, name: str, grants: Iterable[Grant] | None, password: str | None = None) -> str:
        """Make a platform account; gives its secret: the MQTT password of user `name`, and its API key. A chosen `password`
        is accepted for MQTT too. Raises Unprocessable or Conflict."""
        _check_name("account name", name)
        wanted = None if grants is None else frozenset(grants)
        if wanted is not None and not wanted:
            raise Unprocessable("invalid", "an account needs at least one product key or tenant, or all of them")
        await self.refresh()
        if name in self._accounts or name in self._devices:
            raise Conflict("exists", f"{name!r} exists already")
        secret = secrets.new_secret()
        hashed = None if password is None else await secrets.hash_password(password)
        account = Account(name, wanted, secrets.digest(secret), hashed, _now(), secrets.broker_hash(secret))
        await self._members.put_account(account)
        await self.refresh()
        return secret

    async def remove_account(self, name: str) -> None:
        """Remove the account and end its connections. Raises NotFound."""
        if not await self._members.delete_account(name):
            raise NotFound("unknown_account", f"there is no account {name!r}")
        await self.refresh()

    async def _put_device(self, device: Device) -> None:
        """Store a device. The tables are read again only when somebody else has changed them as well: ten thousand devices would
        be read fifty million times."""
        async with self._reading:
            await self._members.put_device(device)
            version = await self._members.version()
            if version != self._version + 1:
                await self._read()
                return
            was = self._devices.get(device.uid)
            self._devices[device.uid] = device
            self._version = version
            self.revision += 1
            self.changed(_ended({device.uid: was} if was else {}, {device.uid: device}))

    # Following the ledger.

    async def refresh(self) -> None:
        """Read the tables again if anybody changed them. One at a time: an older reading never comes after a newer one."""
        async with self._reading:
            await self._read()

    async def _read(self) -> None:
        version = await self._members.version()
        if version == self._version:
            return
        devices, accounts = await self._members.load()
        ended = _ended(self._devices, devices) | _ended(self._accounts, accounts)
        self._devices, self._accounts = devices, accounts
        self._keys = {account.key_hash: account for account in accounts.values()}
        self._version = version
        self.revision += 1
        self.changed(ended)

    async def follow(self) -> None:
        """Refresh for as long as the service runs."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            await self.refresh()


def _ended(old: Mapping[str, Device | Account], new: Mapping[str, Device | Account]) -> set[tuple[str, str]]:
    """(kind, name) of those whose credentials or rights are no longer what they were."""
    ended = set()
    for name, was in old.items():
        now = new.get(name)
        if isinstance(was, Device):
            stays = isinstance(now, Device) and now.enabled and now.secret_hash == was.secret_hash
            if was.secret_hash is not None and not stays:
                ended.add(("device", name))
        elif now is None or now != was:
            ended.add(("account", name))
    return ended


def _check_name(label: str, value: str) -> None:
    if not NAME.fullmatch(value):
        raise Unprocessable(
            "invalid",
            f"{label} {value!r}: use 1 to 128 letters, digits, '.', '_', ':', '@' or '-', beginning with a letter or digit",
        )


def _check_timezone(name: str | None) -> None:
    try:
        if name is not None:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unprocessable("invalid", f"time zone {name!r} is not an IANA name such as Europe/Berlin") from None


def _check_license(code: str | None) -> None:
    if code is not None and not LICENSE.fullmatch(code):
        raise Unprocessable("invalid", f"license code {code!r}: use 8 to 128 letters, digits, '_' or '-'")


def _check_signs(signs: dict[str, float]) -> None:
    for family in signs:
        if family not in FAMILIES:
            raise Unprocessable(
                "invalid", f"sign of {family!r}: no part is called so; there are: {', '.join(FAMILIES)}"
            )


def _principal(account: Account) -> Principal:
    return Principal("account", account.name, account.grants)


def _now() -> int:
    return int(time() * 1000)
