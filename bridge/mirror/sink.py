"""What one sink is: its address, its format, what it wants, how it is let in. The words are those of [[mirror.sinks]]."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Format = Literal["readings", "samples", "influx", "enos", "template", "events"]


class Filter(Struct, frozen=True, kw_only=True):
    """Which readings a sink gets: shell patterns, any of them; none is all. Of an asset's point at most one reading in each
    `min_interval_s` by the clock of the readings, 0 for all."""

    devices: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    min_interval_s: float = 0.0


class AuthConfig(Struct, frozen=True, kw_only=True):
    """How requests say who we are; see docs/mirror.md."""

    type: Literal["bearer", "basic", "api_key", "oauth2", "enos"] = "bearer"
    username: str = ""
    password: str = ""
    header: str = "X-API-Key"
    key: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    client_auth: Literal["basic", "body"] = "basic"
    scope: str = ""
    audience: str = ""


class InfluxConfig(Struct, frozen=True, kw_only=True):
    """Line protocol: the measurement and tags beside `asset` and `device`."""

    measurement: str = "readings"
    tags: dict[str, str] = {}


class EnosConfig(Struct, frozen=True, kw_only=True):
    """Measure points: how our assets and points are called there."""

    product_key: str = ""
    encoding: Literal["multipart", "json"] = "multipart"
    assets: dict[str, str] = {}
    points: dict[str, str] = {}


class TemplateConfig(Struct, frozen=True, kw_only=True):
    """JSON of a row and of a batch (bridge/templates.py); an empty batch is NDJSON."""

    row: str = ""
    batch: str = '"{rows}"'
    content_type: str = ""
    gzip: bool = False


class SinkConfig(Struct, frozen=True, kw_only=True):
    """One HTTP endpoint. Batches hold at most `batch_rows` rows and about `batch_bytes` before gzip, and wait at most
    `batch_age_s` for more. `token` goes as `Authorization: Bearer`. With a `secret` bodies are signed, and not packed. Of
    format `events` it is a webhook: one request an event."""

    name: str
    url: str
    format: Format = "readings"
    token: str = ""
    secret: str = ""
    auth: AuthConfig = AuthConfig()
    filter: Filter = Filter()
    influx: InfluxConfig = InfluxConfig()
    enos: EnosConfig = EnosConfig()
    template: TemplateConfig = TemplateConfig()
    batch_rows: int = 1_000
    batch_bytes: int = 1 << 20
    batch_age_s: float = 1.0
    timeout_s: float = 30.0
    gzip: bool = True

    @property
    def webhook(self) -> bool:
        """Whether it gets events."""
        return self.format == "events"
