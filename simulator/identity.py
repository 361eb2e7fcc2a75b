"""Who a simulated device is: uid, names and place, network addresses, the size of its site. All of it follows from the seed."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from faker import Faker

from simulator.battery import lfp
from simulator.piles import Piles
from simulator.site import Spec

Version = Literal["v1", "v2", "emu"]
"""Which form `report/regular` takes: the V1 or V2 form of a level-2 EMS, or the form of an EMU."""

VERSIONS: tuple[Version, ...] = ("v1", "v2", "emu")

GATEWAY_METER_ID = 9
"""Id of every site's gateway meter: the one of the vendor's own overdemand samples, so those can be sent as they are."""

METER_IDS = (GATEWAY_METER_ID, 10, 11, 12, 13, 14)
"""Ids of a site's meters: gateway, storage, PV, load, of that piles and building; as `simulator.site` orders them."""

CABINET_KWH = 104.5
CABINET_KW = 50.0
PILE_KW = 60.0
FAULT_SHARE = 1 / 17_520
"""Of half hours, for each fault of a site: about one in a year."""


class DeviceSpec(NamedTuple):
    """One device of a fleet, as the broker knows it. `owner` is the product key (wudun) or the tenant (user); `prefix` replaces
    the scheme's own topic prefix (everything before the device)."""

    uid: str
    scheme: str = "wudun"
    owner: str = "PK1"
    version: Version = "v2"
    username: str | None = None
    password: str | None = None
    seed: int = 1
    prefix: str | None = None


class SubDevice(NamedTuple):
    """A level-1 EMS (one storage cabinet) below a level-2 EMS."""

    id: int
    uid: str
    name: str
    host: str
    license: str


class Identity(NamedTuple):
    """Names and addresses of one device. Places are in China, where the vendor's devices are. `ct`: the ratio of the current
    transformers of each meter; voltages are measured directly."""

    name: str
    site_name: str
    location: str
    longitude: float
    latitude: float
    host: str
    license: str
    cabinets: tuple[SubDevice, ...]
    ct: tuple[int, ...] = (1,) * len(METER_IDS)


def device_specs(
    count: int,
    *,
    schemes: Sequence[str] = ("wudun",),
    versions: Sequence[Version] = ("v2",),
    product_key: str = "PK1",
    tenant: str = "T1",
    seed: int = 1,
) -> list[DeviceSpec]:
    """`count` devices `EMS00001`, `EMU00002`, …, split evenly over schemes and report versions, without credentials."""
    owners = {"wudun": product_key, "user": tenant}
    made = []
    for n in range(count):
        scheme = schemes[n % len(schemes)]
        version = versions[n // len(schemes) % len(versions)]
        uid = f"{'EMU' if version == 'emu' else 'EMS'}{n + 1:05d}"
        made.append(DeviceSpec(uid, scheme, owners[scheme], version, seed=seed))
    return made


def with_credentials(
    rows: Sequence[Mapping[str, object]],
    count: int | None,
    *,
    schemes: Sequence[str],
    versions: Sequence[Version],
    seed: int,
) -> list[DeviceSpec]:
    """Devices for the rows of a credentials file: `uid`, `secret`, and `product_key` or `tenant` or both.

    A row with both owners takes the fleet's schemes in turn; one owner decides the scheme. Raises ValueError that says which row.
    """
    rows = rows if count is None else rows[:count]
    if count is not None and len(rows) < count:
        raise ValueError(f"the credentials file names {len(rows)} devices, {count} are asked for")
    return [_credential(n, row, schemes, versions, seed) for n, row in enumerate(rows)]


def _credential(
    n: int, row: Mapping[str, object], schemes: Sequence[str], versions: Sequence[Version], seed: int
) -> DeviceSpec:
    uid, secret = row.get("uid"), row.get("secret")
    if not isinstance(uid, str) or not isinstance(secret, str) or not uid:
        raise ValueError(f"row {n + 1} of the credentials needs the strings uid and secret")
    owners = {"wudun": row.get("product_key"), "user": row.get("tenant")}
    wanted = schemes[n % len(schemes)]
    for scheme in (wanted, "wudun", "user"):
        owner = owners[scheme]
        if isinstance(owner, str) and owner:
            version = versions[n // len(schemes) % len(versions)]
            return DeviceSpec(uid, scheme, owner, version, uid, secret, seed)
    raise ValueError(f"row {n + 1} of the credentials ({uid}) needs a product_key or a tenant")


def device_seed(spec: DeviceSpec) -> int:
    """A 32-bit seed of this device alone; another uid or fleet seed gives another."""
    return zlib.crc32(f"{spec.seed}:{spec.uid}".encode())


class Identities:
    """Makes identities; holds the one Faker of a fleet (building one costs tens of milliseconds)."""

    __slots__ = ("_faker",)

    def __init__(self) -> None:
        self._faker = Faker("zh_CN")

    def of(self, spec: DeviceSpec) -> tuple[Identity, Spec]:
        """The identity of a device and the site that it stands on."""
        seed = device_seed(spec)
        dice = random.Random(seed)  # noqa: S311 - a simulation must repeat
        self._faker.seed_instance(seed)
        town = self._faker.city_name()
        cabinets = dice.randint(1, 3)
        latitude, longitude = round(dice.uniform(22.5, 40.5), 5), round(dice.uniform(104.0, 121.8), 5)
        subnet = f"192.168.{dice.randint(1, 250)}"
        hosts = _hosts(subnet, dice)
        identity = Identity(
            name=f"{town}{spec.uid[-3:]}",
            site_name=self._faker.company(),
            location=self._faker.address(),
            longitude=longitude,
            latitude=latitude,
            host=next(hosts),
            license=_token(dice, 28),
            cabinets=tuple(
                SubDevice(n + 1, _token(dice, 15), f"储能柜{n + 1}", next(hosts), _token(dice, 28))
                for n in range(cabinets)
            ),
        )
        site = _site(seed, dice, cabinets, latitude, longitude)
        return identity._replace(ct=_ratios(site)), site


def _site(seed: int, dice: random.Random, cabinets: int, latitude: float, longitude: float) -> Spec:
    swing = dice.uniform(1.5, 4.0) * CABINET_KW * cabinets
    return Spec(
        seed=seed,
        base_kw=swing * dice.uniform(0.15, 0.3),
        swing_kw=swing,
        pv_peak_kw=swing * dice.uniform(0.3, 0.9),
        battery=lfp(CABINET_KWH * cabinets, CABINET_KW * cabinets, cabinets),
        latitude=latitude,
        longitude=longitude,
        transformer_kva=float(next(k for k in _TRANSFORMERS if k >= swing * 1.6)),
        phases=_phases(dice),
        piles=Piles(1, PILE_KW, dice.uniform(2.0, 10.0)),
        fault_share=FAULT_SHARE,
    )


def _ratios(site: Spec) -> tuple[int, ...]:
    """Current transformers to 5 A for what each meter may carry at 400 V."""
    mains = site.transformer_kva
    piles = site.piles.count * site.piles.power_kw
    rated_kva = (mains, 1.1 * site.battery.power_kw, site.pv_peak_kw, mains, piles, mains)
    amps = [kva * 1000.0 / (400.0 * math.sqrt(3.0)) for kva in rated_kva]
    return tuple(next(primary for primary in _PRIMARIES if primary >= each) // 5 for each in amps)


def _phases(dice: random.Random) -> tuple[float, float, float]:
    a, b = dice.uniform(0.28, 0.38), dice.uniform(0.28, 0.38)
    return a, b, 1.0 - a - b


def _hosts(subnet: str, dice: random.Random) -> Iterator[str]:
    for host in dice.sample(range(10, 250), 16):
        yield f"{subnet}.{host}"


def _token(dice: random.Random, length: int) -> str:
    return "".join(dice.choices(_ALPHABET, k=length))


_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_TRANSFORMERS = (160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250)
_PRIMARIES = (50, 75, 100, 150, 200, 250, 300, 400, 500, 600, 750, 800, 1000, 1200, 1500, 2000, 2500)
"""Amperes of usual current transformers."""
