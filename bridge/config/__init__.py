"""The only reader of files and environment: one TOML file, then EMS_BRIDGE__SECTION__KEY, then options; the last wins."""

from __future__ import annotations

from bridge.config.cloud import Cloud
from bridge.config.mirror import Mirror, Sink
from bridge.config.read import load, problems
from bridge.config.settings import (
    Broker,
    Commands,
    Config,
    CustomTopics,
    Devices,
    Http,
    HttpListener,
    Listener,
    Log,
    Store,
    Tls,
    Topics,
)
from bridge.config.values import is_loopback, parse_address, parse_listen
from bridge.config.write import effective

__all__ = [
    "Broker",
    "Cloud",
    "Commands",
    "Config",
    "CustomTopics",
    "Devices",
    "Http",
    "HttpListener",
    "Listener",
    "Log",
    "Mirror",
    "Sink",
    "Store",
    "Tls",
    "Topics",
    "effective",
    "is_loopback",
    "load",
    "parse_address",
    "parse_listen",
    "problems",
]
