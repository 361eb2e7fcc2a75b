"""[mirror]: readings to HTTP sinks."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class SinkFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sink gets. Patterns are the shell's: `*`, `?`, `[ab]`."""

    devices: Annotated[tuple[str, ...], Meta(description="patterns of device uids; empty for all")] = ()
    owners: Annotated[
        tuple[str, ...], Meta(description="patterns of the product keys and tenants of devices; empty for all")
    ] = ()
    assets: Annotated[tuple[str, ...], Meta(description="patterns of assets, such as `*.meter.*`; empty for all")] = ()
    points: Annotated[tuple[str, ...], Meta(description="patterns of points, such as `*_power`; empty for all")] = ()
    min_interval_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="of a point at most one reading in so many seconds, by its own time; 0: all"),
    ] = 0.0


class SinkAuth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the bridge says who it is."""

    type: Annotated[
        Literal["bearer", "basic", "api_key", "oauth2", "enos"],
        Meta(
            description="`bearer`: the sink's `token`, if any; `oauth2`: client credentials; `enos`: apim token and signature"
        ),
    ] = "bearer"
    username: Annotated[str, Meta(description="of type basic")] = ""
    password: Annotated[str, Meta(description="of type basic", extra={"secret": True})] = ""
    header: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`~-]{1,100}$", description="of type api_key: the header's name")
    ] = "X-API-Key"
    key: Annotated[str, Meta(description="of type api_key: the header's value", extra={"secret": True})] = ""
    token_url: Annotated[str, Meta(description="of types oauth2 and enos: where tokens are had")] = ""
    client_id: Annotated[str, Meta(description="of type oauth2; of type enos the application's key")] = ""
    client_secret: Annotated[
        str, Meta(description="of type oauth2; of type enos the application's secret", extra={"secret": True})
    ] = ""
    client_auth: Annotated[
        Literal["basic", "body"], Meta(description="of type oauth2: id and secret as HTTP Basic, or in the form")
    ] = "basic"
    scope: Annotated[str, Meta(description="of type oauth2; empty for none")] = ""
    audience: Annotated[str, Meta(description="of type oauth2; empty for none")] = ""


class SinkTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS towards a sink and its token_url."""

    ca: Annotated[str, Meta(description="PEM file of the certificates to trust; empty for the system's")] = ""
    certificate: Annotated[str, Meta(description="PEM file of the bridge's own certificate, where it needs one")] = ""
    key: Annotated[str, Meta(description="PEM file of its key; empty when it stands in the same file")] = ""


class SinkInflux(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of format influx."""

    measurement: Annotated[str, Meta(min_length=1, description="of format influx: name of the measurement")] = (
        "readings"
    )
    tags: Annotated[
        dict[str, str], Meta(description="of format influx: tags of every line beside `asset` and `device`")
    ] = {}


class SinkEnos(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of format enos."""

    product_key: Annotated[
        str, Meta(description="of format enos: assets are device keys of this product; empty: they are asset ids")
    ] = ""
    encoding: Annotated[
        Literal["multipart", "json"],
        Meta(
            description="of format enos: the message as a form's part `enos-message`, as EnOS documents it, or by itself"
        ),
    ] = "multipart"
    assets: Annotated[dict[str, str], Meta(description="of format enos: what assets are called there")] = {}
    points: Annotated[dict[str, str], Meta(description="of format enos: what points are called there")] = {}


class SinkTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of format template."""

    row: Annotated[str, Meta(description="of format template: JSON of one row with {places}")] = ""
    batch: Annotated[
        str, Meta(description="of format template: JSON around the {rows}; empty for one row a line (NDJSON)")
    ] = '"{rows}"'
    content_type: Annotated[
        str, Meta(description="of format template: empty for application/json, or application/x-ndjson")
    ] = ""
    gzip: Annotated[bool, Meta(description="of format template, in place of `gzip`: compress batches")] = False


class Sink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One HTTP endpoint that readings are mirrored to. Each has its own cursor and its own failures."""

    name: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="its name in metrics and cursors; keep it for ever")
    ]
    url: Annotated[str, Meta(description="http:// or https:// address that batches are posted to")]
    format: Annotated[
        Literal["readings", "samples", "influx", "enos", "template"],
        Meta(
            description="`readings`: one line a value; `samples`: one line a timestamp (best for our own endpoint);"
            " `influx`: line protocol; `enos`: measure points; `template`: JSON of your own"
        ),
    ] = "readings"
    token: Annotated[str, Meta(description="bearer token; better from the environment", extra={"secret": True})] = ""
    secret: Annotated[
        str,
        Meta(
            description="what bodies are signed with, as webhooks are; empty for no signature", extra={"secret": True}
        ),
    ] = ""
    auth: SinkAuth = SinkAuth()
    tls: SinkTls = SinkTls()
    filter: SinkFilter = SinkFilter()
    influx: SinkInflux = SinkInflux()
    enos: SinkEnos = SinkEnos()
    template: SinkTemplate = SinkTemplate()
    batch_rows: Annotated[int, Meta(ge=1, le=100_000, description="rows of one batch at most")] = 1_000
    batch_bytes: Annotated[
        int, Meta(ge=1 * KIB, le=64 * MIB, description="bytes of one batch at most, before gzip")
    ] = 1 * MIB
    batch_age_s: Annotated[
        float, Meta(ge=0, le=3600, description="a batch that is not full is posted after this many seconds")
    ] = 1.0
    timeout_s: Annotated[float, Meta(gt=0, le=600, description="seconds until an attempt counts as failed")] = 30.0
    gzip: Annotated[
        bool, Meta(description="compress batches; never those of format enos, nor where there is a secret")
    ] = True


class Mirror(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Readings to HTTP sinks."""

    local: Annotated[bool, Meta(description="post to our own ingestion endpoint, which the query APIs read")] = True
    outbox_max_bytes: Annotated[
        int,
        Meta(ge=1 * MIB, description="bytes of unsent readings to keep; alarm at 80 %, then the oldest are dropped"),
    ] = 2 * GIB
    outbox_max_age_days: Annotated[float, Meta(ge=7, description="days that unsent readings are kept; at least 7")] = (
        30.0
    )
    sinks: Annotated[tuple[Sink, ...], Meta(description="further endpoints")] = ()
