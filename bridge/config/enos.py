"""[enos]: applications of EnOS, and how they may sign."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class App(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An application of EnOS: what it calls its access key and secret key, and the account that it is here."""

    key: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_-]{8,128}$", description="its appKey (access key); `enos-poseidon` wants a UUID"),
    ]
    secret: Annotated[
        str,
        Meta(
            min_length=16,
            max_length=256,
            description="its appSecret (secret key), better from the environment; `enos-poseidon` wants a UUID",
            extra={"secret": True},
        ),
    ]
    account: Annotated[str, Meta(min_length=1, description="the account whose assets it may read")]


class Enos(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API as EnOS has it."""

    apps: Annotated[tuple[App, ...], Meta(description="applications with keys and secrets of their own")] = ()
    token_s: Annotated[
        int, Meta(ge=60, le=2_592_000, description="seconds that a token of the token service holds")
    ] = 7_200
    clock_s: Annotated[
        float, Meta(ge=1, le=3_600, description="how far the time of a signed request may be from the time here")
    ] = 300.0
    private_key: Annotated[
        str, Meta(description="PEM file of the RSA key for headers of `enos-poseidon`; empty: none is understood")
    ] = ""
    unverified_poseidon: Annotated[
        Literal["off", "loopback", "anywhere"],
        Meta(description="from where `enos-poseidon` may come under the vendor's key, which proves nothing: for tests"),
    ] = "off"
