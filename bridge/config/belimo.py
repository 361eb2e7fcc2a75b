"""[belimo]: who asks for OAuth2 tokens, and how values are told."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class OAuthClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that asks for OAuth2 tokens. Every account is a client too: its name and key are id and secret."""

    id: Annotated[str, Meta(min_length=1, max_length=256, description="its client_id")]
    secret: Annotated[
        str,
        Meta(
            description="its client_secret, better from the environment; empty for a public client, which has to use PKCE",
            extra={"secret": True},
        ),
    ] = ""
    account: Annotated[
        str, Meta(description="the account that it is by itself (client_credentials); empty: it acts for users alone")
    ] = ""
    redirect_uris: Annotated[
        tuple[str, ...], Meta(description="where /oauth/authorize may send its users back to, exactly")
    ] = ()


class Belimo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API as Belimo Cloud has it."""

    clients: Annotated[tuple[OAuthClient, ...], Meta(description="programs with ids and secrets of their own")] = ()
    access_token_s: Annotated[int, Meta(ge=10, le=31_536_000, description="seconds that an access token holds")] = (
        86_400
    )
    refresh_token_days: Annotated[
        float, Meta(gt=0, le=3_650, description="days that a refresh token holds; each use gives a new one")
    ] = 30.0
    units: Annotated[
        Literal["stored", "si"],
        Meta(description="`stored`: kWh and kW as devices tell; `si`: J, W, var and VA, as Belimo's own devices have"),
    ] = "stored"
    data_rate: Annotated[
        float,
        Meta(ge=0, description="requests for device data a second and account, twice as many at once; 0: no bound"),
    ] = 0.0
