"""The header of the vendor's Python client `enos-poseidon`: pin$key$secret$access$refresh under an RSA key (http_apis.md
A.4).

It is our key only where the client was told so (`poseidon.poseidon.pubkey`). What is in it is secret: none of it is ever
logged. The time is not sent: both digests are made of it, so it is looked for around now. The client's constant is no secret.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

CONSTANT: Final = b"knoczslufdasvhbivbewnrvuywachsrawqdpzesccknrhhetgmrcwfqfudywbeon"
ACCESS_MS, REFRESH_MS = 2 * 3_600_000, 30 * 86_400_000
APART_MS: Final = 5_000
"""Between the two times that a client reads, one after the other."""
LEAST_BITS: Final = 2_048
MAX_HEADER: Final = 2_048
VENDORS_LENGTH: Final = 344
"""Characters of a header under the vendor's own key, which has 2048 bits."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Shown(NamedTuple):
    """What a header says."""

    pin: str
    key: str
    secret: str
    access: str
    refresh: str


def load(path: str) -> RSAPrivateKey:
    """The private key of a PEM file. Raises ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm  # all of it takes 40 ms to import, and few need it
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(Path(path).read_bytes(), None)
    except OSError as error:
        raise ConfigError("enos.private_key", f"{path} cannot be read: {error.strerror}", "a PEM file") from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            "enos.private_key", f"{path} is no PEM of a private key", "one without a passphrase"
        ) from None
    if not isinstance(found, RSAPrivateKey) or found.key_size < LEAST_BITS:
        hint = f"RSA of {LEAST_BITS} bits or more: openssl genrsa -out FILE {LEAST_BITS}"
        raise ConfigError("enos.private_key", f"{path} is another sort of key", hint)
    return found


def looks_like_one(header: str, length: int | None = None) -> bool:
    """Whether a header has the shape of that client's, of a key of any size or as long as that."""
    size = len(header)
    fits = size == length if length is not None else VENDORS_LENGTH <= size <= MAX_HEADER
    return fits and _BASE64.fullmatch(header) is not None


def decrypt(key: RSAPrivateKey, header: str) -> Shown | None:
    """What is in a header under our key; None for any other. Half a millisecond: call it in a thread."""
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.hashes import SHA1

    padding = OAEP(MGF1(SHA1()), SHA1(), None)  # noqa: S303 - the client's choice
    try:
        parts = key.decrypt(b64decode(header, validate=True), padding).decode().split("$")
    except ValueError:
        return None
    return Shown(*parts) if len(parts) == len(Shown._fields) else None


def pin_of(key: str, secret: str) -> str | None:
    """The pin of a key and a secret; None where the client could not make one."""
    try:
        return str(int(key.split("-")[1] + secret.split("-")[1], 16)).zfill(9)[:6]
    except (IndexError, ValueError):
        return None


def made_at(shown: Shown, now: int, within: int) -> int | None:
    """When its digests were made, ms; None when that is not `within` ms of now. Call it in a thread."""
    for away in range(within + 1):
        for at in (now - away, now + away):
            if _digest(shown.pin, at + ACCESS_MS) == shown.access:
                later = (_digest(shown.pin, at + each + REFRESH_MS) for each in range(APART_MS))
                return at if any(hmac.compare_digest(each, shown.refresh) for each in later) else None
    return None


def _digest(pin: str, at: int) -> str:
    return hmac.digest(CONSTANT, f"{pin}{at}".encode(), "sha256").hex()
