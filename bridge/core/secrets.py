"""Secrets: made here, shown once, kept as hashes.

A device secret or an API key is 256 random bits: one SHA-256 hides it, since nothing shorter than guessing 2^256 values
undoes it. A password that a person chose goes through argon2id, in a thread: 50 ms of work must not hold up the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

BROKER_SALT, BROKER_ROUNDS = 12, 101
_hasher = PasswordHasher()


def new_secret() -> str:
    """256 random bits, URL-safe base64 without padding: 43 characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """SHA-256 of a random secret; of anything that somebody sends in its place, too."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Whether `secret` is the random secret that was stored, in constant time."""
    return hmac.compare_digest(digest(secret), stored)


def broker_hash(secret: str) -> str:
    """A random secret as Mosquitto 2's password file has it: PBKDF2 with SHA-512, as often as mosquitto_passwd does."""
    salt = secrets.token_bytes(BROKER_SALT)
    key = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, BROKER_ROUNDS)
    return f"$7${BROKER_ROUNDS}${b64encode(salt).decode()}${b64encode(key).decode()}"


async def hash_password(password: str) -> str:
    """argon2id of a chosen password, made in a thread."""
    return await asyncio.to_thread(_hasher.hash, password)


async def check_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that was stored; computed in a thread."""

    def check() -> bool:
        try:
            return _hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False

    return await asyncio.to_thread(check)
