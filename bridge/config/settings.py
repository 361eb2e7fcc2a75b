"""Every setting, its type, its bounds, its default and its meaning: the one table that the reader, the checks, the
printed configuration and docs/configuration.md follow. Defaults suit one small box."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from bridge.config.belimo import Belimo
from bridge.config.cloud import Cloud
from bridge.config.enos import Enos
from bridge.config.mirror import GIB, KIB, MIB, Mirror
from bridge.config.statistics import Statistics


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS of one listener; without a certificate it has none. SIGHUP reads the files again."""

    certificate: Annotated[
        str, Meta(description="PEM file of the server's certificate and its intermediates; empty for no TLS")
    ] = ""
    key: Annotated[str, Meta(description="PEM file of its private key; empty when it stands in the same file")] = ""
    ca: Annotated[str, Meta(description="PEM file of the certificates that sign clients' certificates")] = ""
    client_certificate: Annotated[
        Literal["none", "optional", "required"], Meta(description="whether clients are asked for a certificate")
    ] = "none"
    identity: Annotated[
        Literal["cn", "san"],
        Meta(
            description="what names the device in its certificate: `cn`, or the first DNS name, URI or mail of its `san`"
        ),
    ] = "cn"


class Listener(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more way into the broker."""

    listen: Annotated[str, Meta(description="HOST:PORT, or unix:/path/of.sock")]
    transport: Annotated[
        Literal["tcp", "websocket"], Meta(description="`tcp`: MQTT as it is; `websocket`: in WebSocket, at /mqtt and /")
    ] = "tcp"
    proxy_protocol: Annotated[
        bool, Meta(description="every connection begins with a PROXY header, version 1 or 2, that names the client")
    ] = False
    tls: Tls = Tls()


class HttpListener(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more way to the HTTP window."""

    listen: Annotated[str, Meta(description="HOST:PORT, or unix:/path/of.sock")]
    proxy_protocol: Annotated[
        bool, Meta(description="every connection begins with a PROXY header, version 1 or 2, that names the client")
    ] = False
    tls: Tls = Tls()


class External(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker that there is already, with mode = "external"."""

    url: Annotated[
        str, Meta(description="mqtt://HOST[:1883] or mqtts://HOST[:8883] of a broker that speaks MQTT 5")
    ] = ""
    username: Annotated[str, Meta(description="the bridge's user name there; empty for none")] = ""
    password: Annotated[str, Meta(description="its password; better from the environment", extra={"secret": True})] = ""
    ca: Annotated[str, Meta(description="PEM file of the certificates to trust; empty for the system's")] = ""
    certificate: Annotated[str, Meta(description="PEM file of the bridge's own certificate, where it needs one")] = ""
    key: Annotated[str, Meta(description="PEM file of its key; empty when it stands in the same file")] = ""
    client_id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.-]{1,64}$",
            description="its name there: sessions are NAME-0, NAME-1, …, the shared subscription is $share/NAME; keep it",
        ),
    ] = "ems-bridge"
    lines: Annotated[int, Meta(ge=1, le=64, description="connections that share the messages")] = 1
    silent_s: Annotated[
        float, Meta(gt=0, le=86_400, description="a device that has said nothing for so long counts as gone")
    ] = 300.0


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The MQTT door."""

    listen: Annotated[
        str, Meta(description="HOST:PORT of the plain MQTT listener; port 0 takes a free one, empty is none")
    ] = "0.0.0.0:1883"
    listeners: Annotated[tuple[Listener, ...], Meta(description="further ways in: TLS, WebSocket, UNIX sockets")] = ()
    mode: Annotated[
        Literal["embedded", "external"],
        Meta(
            description="`embedded`: the bridge is the broker; `external`: it is a client of the one in broker.external"
        ),
    ] = "embedded"
    external: External = External()
    routing_only: Annotated[
        bool,
        Meta(description="a plain broker: permissions hold, but nothing is validated, stored, mirrored or answered"),
    ] = False
    allow_anonymous: Annotated[
        bool, Meta(description="let clients in without a password or key; all listeners must then be loopback")
    ] = False
    other_topics: Annotated[
        bool,
        Meta(description="route topics outside the schemes as plain MQTT, unvalidated (implied by allow_anonymous)"),
    ] = False
    max_packet_bytes: Annotated[
        int, Meta(ge=1 * KIB, le=256 * MIB, description="largest MQTT packet; refused from its header")
    ] = 256 * KIB
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="a connection that sent no CONNECT by then is closed")
    ] = 10.0
    max_connections: Annotated[int, Meta(ge=1, description="connections at the same time")] = 10_000
    max_connections_per_address: Annotated[
        int, Meta(ge=0, description="of one address; 0: a fifth of all, and all from this machine itself")
    ] = 0
    connect_rate: Annotated[
        float, Meta(ge=0, description="connections a second in all, twice as many at once; 0 is no bound")
    ] = 10_000.0
    connect_rate_per_address: Annotated[
        float,
        Meta(
            ge=0,
            description="of one address, twice as many at once; 0: 100 after a fifth of all at once, from this machine no bound",
        ),
    ] = 0.0
    login_failures: Annotated[
        int,
        Meta(ge=1, description="failed logins of one user name from one address within a minute, then they are banned"),
    ] = 5
    login_failures_per_address: Annotated[
        int,
        Meta(ge=0, description="of one address, wrong API keys included; 0: 100, and 1000 from this machine itself"),
    ] = 0
    login_ban_s: Annotated[
        float, Meta(gt=0, le=86_400, description="the first ban; each further one lasts twice as long")
    ] = 10.0
    login_ban_max_s: Annotated[float, Meta(gt=0, le=86_400, description="longest ban")] = 900.0
    inflight: Annotated[int, Meta(ge=1, le=65_535, description="unacknowledged QoS 1 and 2 messages to one client")] = (
        100
    )
    queue_messages: Annotated[int, Meta(ge=1, description="messages kept for one client that is offline or slow")] = (
        1_000
    )
    queue_bytes: Annotated[int, Meta(ge=1 * KIB, description="bytes kept for one client that is offline or slow")] = (
        16 * MIB
    )
    queue_total_bytes: Annotated[int, Meta(ge=1 * MIB, description="the same of all clients together")] = 256 * MIB
    max_sessions: Annotated[int, Meta(ge=1, description="sessions kept for clients that are away")] = 100_000
    session_expiry_s: Annotated[
        int, Meta(ge=1, le=0xFFFF_FFFF, description="longest that a session is kept for a client that is away")
    ] = 30 * 86_400
    max_keep_alive_s: Annotated[
        int, Meta(ge=1, le=65_535, description="MQTT 5: clients with a longer keep-alive, or none, get this one")
    ] = 65_535
    topic_aliases: Annotated[
        int, Meta(ge=0, le=65_535, description="MQTT 5: topic aliases of each direction of a connection")
    ] = 64
    max_subscriptions: Annotated[int, Meta(ge=1, description="subscriptions of one session")] = 1_000
    retained_messages: Annotated[int, Meta(ge=0, description="retained messages in all")] = 100_000
    retained_bytes: Annotated[int, Meta(ge=0, description="their bytes in all")] = 64 * MIB
    publish_rate: Annotated[
        float,
        Meta(
            ge=0,
            description="publishes a second of one client, twice as many at once; then it is read more slowly; 0 is no bound",
        ),
    ] = 5_000.0
    publish_bytes_rate: Annotated[
        float, Meta(gt=0, description="their bytes a second, twice as many at once; holds where publish_rate is not 0")
    ] = 8.0 * MIB
    throttle_s: Annotated[
        float, Meta(gt=0, description="a client that is too fast for so long without a pause is disconnected")
    ] = 60.0
    sys_interval_s: Annotated[float, Meta(ge=0, description="between two updates of the $SYS topics; 0 is none")] = 10.0
    plugins: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="amqtt authentication and topic plugins beside the device registry: class path = its settings"
        ),
    ] = field(default_factory=dict)


class Http(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP window."""

    listen: Annotated[str, Meta(description="HOST:PORT of the HTTP listener; port 0 takes a free one")] = "0.0.0.0:8080"
    listeners: Annotated[
        tuple[HttpListener, ...], Meta(description="further ways to the same routes: HTTPS, UNIX sockets")
    ] = ()
    max_body_bytes: Annotated[
        int,
        Meta(ge=1 * KIB, le=64 * MIB, description="largest body of an API request (ingestion has its own, see cloud)"),
    ] = 1 * MIB
    max_wait_s: Annotated[float, Meta(ge=0, le=3600, description="longest wait_s that a request may ask for")] = 60.0
    max_streams: Annotated[int, Meta(ge=1, description="event streams open at the same time")] = 100
    heartbeat_s: Annotated[float, Meta(gt=0, le=600, description="an idle event stream gets a comment this often")] = (
        15.0
    )


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data directory."""

    data: Annotated[str, Meta(min_length=1, description="data directory; made when it is not there")] = (
        "ems-bridge-data"
    )
    reports_max_bytes: Annotated[
        int, Meta(ge=1 * MIB, description="bytes of stored messages to keep; the oldest go first")
    ] = 4 * GIB
    reports_max_age_days: Annotated[float, Meta(gt=0, description="days that stored messages are kept")] = 30.0


class Commands(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deadlines of commands."""

    timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds that a device has to answer, counted from sending")
    ] = 10.0
    hold_s: Annotated[
        float, Meta(ge=0, le=604_800, description="seconds that a command waits for a device that is offline or busy")
    ] = 60.0
    max_hold_s: Annotated[float, Meta(ge=0, le=604_800, description="longest hold_s that a caller may ask for")] = (
        604_800.0
    )


class CustomTopics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic prefix of your own, beside v1/v2 wudun and user."""

    prefix: Annotated[str, Meta(min_length=1, description="all levels before the device, such as `plant/7`")]
    owner: Annotated[str, Meta(min_length=1, description="the owner that accounts are granted")]
    version: Annotated[Literal[1, 2], Meta(description="protocol version of this prefix")] = 1


class Topics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic schemes."""

    custom: Annotated[tuple[CustomTopics, ...], Meta(description="further prefixes")] = ()


class Devices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for a device that does not say otherwise."""

    timezone: Annotated[str, Meta(description="IANA time zone of devices that name none")] = "UTC"
    signs: Annotated[
        dict[str, Literal[1, -1]],
        Meta(description="sign by part family (`meter`, `pcs`, `battery`, …) that makes import and charging positive"),
    ] = field(default_factory=dict)


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One HTTP endpoint that is told what happens. Each has its own cursor and its own failures."""

    name: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="its name in metrics and cursors; keep it for ever")
    ]
    url: Annotated[str, Meta(description="http:// or https:// address that each event is posted to")]
    secret: Annotated[
        str,
        Meta(
            min_length=16,
            description="what events are signed with, 16 characters or more; better from the environment",
            extra={"secret": True},
        ),
    ]
    events: Annotated[
        tuple[Literal["command", "dead_letter", "alarm", "presence"], ...],
        Meta(description="what it is told: commands with their outcome, refused messages, alarms, who comes and goes"),
    ] = ("command", "dead_letter", "alarm", "presence")
    devices: Annotated[tuple[str, ...], Meta(description="of these devices alone; empty for all")] = ()
    owners: Annotated[
        tuple[str, ...], Meta(description="of the devices of these product keys and tenants alone; empty for all")
    ] = ()
    timeout_s: Annotated[float, Meta(gt=0, le=600, description="seconds until an attempt counts as failed")] = 15.0


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes to stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least serious line that is written")
    ] = "info"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. `Config()` is what an empty file gives."""

    broker: Broker = Broker()
    http: Http = Http()
    store: Store = Store()
    commands: Commands = Commands()
    topics: Topics = Topics()
    devices: Devices = Devices()
    cloud: Cloud = Cloud()
    belimo: Belimo = Belimo()
    enos: Enos = Enos()
    mirror: Mirror = Mirror()
    webhooks: Annotated[tuple[Webhook, ...], Meta(description="endpoints that are told what happens")] = ()
    statistics: Statistics = Statistics()
    log: Log = Log()
