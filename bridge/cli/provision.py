"""device and account: provisioning, on the data directory itself. A service that runs on it follows within a second."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bridge.cli.options import config_option, data_directory, data_option, json_option
from bridge.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from bridge.core.principal import Grant
    from bridge.core.registry import Account, Device, Registry

T = TypeVar("T")

LEDGER = "bridge.db"


@click.group()
def device() -> None:
    """Provision devices. A device logs in with its uid as user name and its secret as password."""


@device.command("add")
@click.argument("uid")
@click.option("--product-key", metavar="PK", help="Product key: topics v1|v2/wudun/PK/UID/…")
@click.option("--tenant", metavar="T", help="Tenant: topics v1|v2/user/T/UID/…")
@click.option("--name", default="", help="A name for people.")
@click.option("--timezone", metavar="ZONE", help="IANA time zone (default: [devices] timezone).")
@click.option(
    "--sign",
    "signs",
    metavar="FAMILY=1|-1",
    multiple=True,
    callback=lambda _context, _option, values: dict(_sign(value) for value in values),
    help="What makes import and charging positive for meter, pcs, battery, …; repeatable (default: [devices] signs).",
)
@click.option(
    "--license",
    "license_code",
    metavar="CODE",
    help="Who knows it may bind the device to his tenant by the vendor's platform API.",
)
@json_option
@config_option
@data_option
def device_add(
    uid: str,
    product_key: str | None,
    tenant: str | None,
    name: str,
    timezone: str | None,
    signs: dict[str, float],
    license_code: str | None,
    as_json: bool,
    config_file: str | None,
    data: str | None,
) -> None:
    """Register device UID and print its secret, once."""

    async def work(registry: Registry) -> str:
        return await registry.add_device(uid, product_key, tenant, name, timezone, signs, license_code)

    secret = _with_registry(data_directory(config_file, data), work, make=True)
    if as_json:
        _print({"uid": uid, "secret": secret, "product_key": product_key, "tenant": tenant})
    else:
        click.echo(f"device {uid} added; its secret is shown this once:\n{secret}")


def _sign(text: str) -> tuple[str, float]:
    family, _, sign = text.partition("=")
    if not family.isidentifier() or sign not in ("1", "-1"):
        raise click.BadParameter(f"{text!r} is no sign; meter=-1 would be one", param_hint="--sign")
    return family, float(sign)


@device.command("list")
@json_option
@config_option
@data_option
def device_list(as_json: bool, config_file: str | None, data: str | None) -> None:
    """List devices, one a line."""
    found = _with_registry(data_directory(config_file, data), _devices)
    for one in found:
        if as_json:
            _print(_device(one))
        else:
            owners = " ".join(f"{scheme}:{owner}" for scheme, owner in one.owners)
            click.echo("\t".join(filter(None, (one.uid, owners, one.name, one.timezone))))


@device.command("show")
@click.argument("uid")
@json_option
@config_option
@data_option
def device_show(uid: str, as_json: bool, config_file: str | None, data: str | None) -> None:
    """Show device UID."""
    found = {one.uid: one for one in _with_registry(data_directory(config_file, data), _devices)}
    if uid not in found:
        raise NotFound("unknown_device", f"there is no device {uid!r}")
    shown = _device(found[uid])
    if as_json:
        _print(shown)
        return
    for name, value in shown.items():
        click.echo(
            f"{name}: {json.dumps(value) if isinstance(value, dict | bool) else value if value is not None else '-'}"
        )


@device.command("rotate")
@click.argument("uid")
@json_option
@config_option
@data_option
def device_rotate(uid: str, as_json: bool, config_file: str | None, data: str | None) -> None:
    """Give device UID a new secret and print it, once. The old one ends, and so does its connection."""

    async def work(registry: Registry) -> str:
        return await registry.rotate_device(uid)

    secret = _with_registry(data_directory(config_file, data), work)
    if as_json:
        _print({"uid": uid, "secret": secret})
    else:
        click.echo(f"device {uid} has a new secret; it is shown this once:\n{secret}")


@device.command("remove")
@click.argument("uid")
@config_option
@data_option
def device_remove(uid: str, config_file: str | None, data: str | None) -> None:
    """Forget device UID. What it sent stays until retention takes it."""

    async def work(registry: Registry) -> None:
        await registry.remove_device(uid)

    _with_registry(data_directory(config_file, data), work)
    click.echo(f"device {uid} removed")


@click.group()
def account() -> None:
    """Provision platform accounts: MQTT logins of backends, and API keys."""


@account.command("add")
@click.argument("name")
@click.option(
    "--product-key", "product_keys", metavar="PK", multiple=True, help="May touch this product key's devices."
)
@click.option("--tenant", "tenants", metavar="T", multiple=True, help="May touch this tenant's devices.")
@click.option("--all", "everything", is_flag=True, help="May touch every device.")
@click.option("--password-stdin", is_flag=True, help="Read a further MQTT password of your choice from stdin.")
@json_option
@config_option
@data_option
def account_add(
    name: str,
    product_keys: tuple[str, ...],
    tenants: tuple[str, ...],
    everything: bool,
    password_stdin: bool,
    as_json: bool,
    config_file: str | None,
    data: str | None,
) -> None:
    """Make account NAME and print its secret, once: its MQTT password and its API key."""
    grants: list[Grant] = [("wudun", owner) for owner in product_keys]
    grants += [("user", owner) for owner in tenants]
    if everything == bool(grants):
        raise click.UsageError("name --product-key or --tenant, or say --all alone")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    if password == "":
        raise click.UsageError("--password-stdin: stdin is empty; a password on its first line is wanted")

    async def work(registry: Registry) -> str:
        return await registry.add_account(name, None if everything else grants, password)

    secret = _with_registry(data_directory(config_file, data), work, make=True)
    if as_json:
        _print({"name": name, "secret": secret, "grants": None if everything else grants})
    else:
        click.echo(f"account {name} added; its secret (MQTT password and API key) is shown this once:\n{secret}")


@account.command("list")
@json_option
@config_option
@data_option
def account_list(as_json: bool, config_file: str | None, data: str | None) -> None:
    """List accounts, one a line."""

    async def work(registry: Registry) -> list[Account]:
        return registry.accounts()

    for one in _with_registry(data_directory(config_file, data), work):
        grants = None if one.grants is None else sorted(one.grants)
        if as_json:
            _print({"name": one.name, "grants": grants, "created_at": one.created_at})
        else:
            words = "all" if grants is None else " ".join(f"{scheme}:{owner}" for scheme, owner in grants)
            click.echo(f"{one.name}\t{words}")


@account.command("remove")
@click.argument("name")
@config_option
@data_option
def account_remove(name: str, config_file: str | None, data: str | None) -> None:
    """Remove account NAME; its connections end."""

    async def work(registry: Registry) -> None:
        await registry.remove_account(name)

    _with_registry(data_directory(config_file, data), work)
    click.echo(f"account {name} removed")


async def _devices(registry: Registry) -> list[Device]:
    return registry.devices()


def _device(one: Device) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "product_key": one.product_key,
        "tenant": one.tenant,
        "name": one.name,
        "timezone": one.timezone,
        "signs": one.signs,
        "enabled": one.enabled,
        "has_secret": one.secret_hash is not None,
        "created_at": _time(one.created_at),
        "rotated_at": _time(one.rotated_at),
    }


def _time(at: int | None) -> str | None:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds") if at is not None else None


def _print(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _with_registry(data: Path, work: Callable[[Registry], Awaitable[T]], *, make: bool = False) -> T:
    """Do `work` on the registry of a data directory; only `make` may make a new one."""
    from bridge.core.registry import Registry
    from bridge.store.database import Database

    path = data / LEDGER
    if data.exists() and not data.is_dir():
        raise ConfigError(str(data), "is no directory", "--data DIR")
    if not make and not path.is_file():
        raise ConfigError(str(data), "no data directory of the bridge", f"--data DIR with a {LEDGER} in it")

    async def main() -> T:
        database = await Database.open(path, "bridge")
        try:
            registry = Registry(database)
            await registry.refresh()
            return await work(registry)
        finally:
            await database.close()

    return asyncio.run(main())
