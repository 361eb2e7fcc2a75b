"""AsyncAPI 3 of all topics and messages: what platforms send and devices receive, what devices send and platforms receive, and
what the bridge says itself."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.examples import Example, examples
from schemas.export import Document, schemas
from schemas.kind import Kind
from schemas.kinds import KINDS, find, result_of
from schemas.notices import NOTICES, Notice

ASYNCAPI = "3.0.0"
"""Every tool of AsyncAPI 3 reads it; nothing of 3.1 is needed."""
TITLE = "ems-bridge devices"
REFERENCES = "#/components/schemas/{name}"


def asyncapi(version: str = "1") -> Document:
    """The document. Operations named `device_…` are a device's, the others a platform's."""
    references, components = schemas(KINDS, REFERENCES)
    shapes = tuple(dict.fromkeys(notice.shape for notice in NOTICES))
    _, own = msgspec.json.schema_components(shapes, ref_template=REFERENCES)
    suffixes = tuple(dict.fromkeys(suffix for kind in KINDS for suffix in (kind.suffix, *kind.also)))
    messages = {_name(kind): _message(kind, schema) for kind, schema in zip(KINDS, references, strict=True)}
    messages |= {shape.__name__: _own_message(shape) for shape in shapes}
    channels = {_word(suffix): _channel(suffix) for suffix in suffixes}
    channels |= {f"bridge_{notice.key}": _own_channel(notice) for notice in NOTICES}
    operations = {_word(suffix): _operation(suffix, "platform") for suffix in suffixes}
    operations |= {f"device_{_word(suffix)}": _operation(suffix, "device") for suffix in suffixes}
    operations |= {f"bridge_{notice.key}": _own_operation(notice) for notice in NOTICES}
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": TITLE, "version": version, "description": _DESCRIPTION, "tags": _TAGS},
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "parameters": _PARAMETERS,
            "schemas": components | own,
            "securitySchemes": _SECURITY,
        },
    }


_DESCRIPTION = """\
Devices post reports and answer commands; platforms send commands and hear of everything. The bridge is the broker between them.

**Topics** are `{prefix}/{device}/{feature}/{action}/{kind}`. The prefixes shown are v1 and v2 of the schemes wudun and user; a
configuration may name others. A device that is registered under a product key and a tenant is one device: what is posted or
answered under one prefix reaches the subscribers of all of them, once each; a command under any of them reaches it once.

**Devices are read tolerantly, platforms strictly**: schemas of commands refuse unknown keys, those of posts and
results do not.

**Commands** take a mid of the sender's, a UUID; its answer carries it as `reply`. What becomes of a command is told on
`bridge_command_status`, what was refused, and why, on `bridge_error`.

Operations named `device_…` are a device's, the others a platform's."""

_TAGS: list[Document] = [
    {"name": "platform", "description": "What a platform backend sends and receives."},
    {"name": "device", "description": "What a device sends and receives."},
    {"name": "bridge", "description": "What the bridge says by itself."},
]

_PARAMETERS: Document = {
    "version": {"description": "Version of the scheme.", "enum": ["v1", "v2"], "default": "v1"},
    "scheme": {"description": "wudun: by product key; user: by tenant.", "enum": ["wudun", "user"], "default": "wudun"},
    "owner": {"description": "The product key or the tenant.", "examples": ["PK001", "acme"]},
    "device": {"description": "uid of the device that owns the connection.", "examples": ["EMS001"]},
    "mid": {"description": "The command's mid.", "examples": ["ee2e8f09-b280-4e4d-bcb9-1529b703cfed"]},
    "account": {"description": "Name of a platform account.", "examples": ["backend"]},
}
_ADDRESS = ("version", "scheme", "owner", "device")

_SECURITY: Document = {
    "login": {
        "type": "userPassword",
        "description": "A device's uid and its secret, or an account's name and its secret.",
    },
    "certificate": {"type": "X509", "description": "A client certificate, where the listener asks for one."},
}


def _server(protocol: str, port: int, what: str, pathname: str | None = None) -> Document:
    schemes = ("login", "certificate") if protocol.endswith("s") else ("login",)
    return {
        "host": "{host}:{port}",
        "protocol": protocol,
        **({"pathname": pathname} if pathname else {}),
        "description": f"{what}, MQTT 3.1.1 and 5.",
        "variables": {
            "host": {"default": "localhost", "description": "Where the bridge runs."},
            "port": {"default": str(port), "description": "As its configuration says."},
        },
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes],
    }


_SERVERS: Document = {
    "mqtt": _server("mqtt", 1883, "The plain listener"),
    "mqtts": _server("mqtts", 8883, "A listener with TLS, where one is configured"),
    "ws": _server("ws", 8080, "In WebSocket, beside HTTP", "/mqtt"),
    "wss": _server("wss", 8443, "In WebSocket with TLS, where a listener is configured", "/mqtt"),
}


def _name(kind: Kind) -> str:
    return str(kind.model.__name__)


def _word(suffix: str) -> str:
    return suffix.replace("/", "_")


def _parameters(names: tuple[str, ...]) -> Document:
    return {name: {"$ref": f"#/components/parameters/{name}"} for name in names}


def _channel(suffix: str) -> Document:
    return {
        "address": f"{{version}}/{{scheme}}/{{owner}}/{{device}}/{suffix}",
        "title": suffix,
        "parameters": _parameters(_ADDRESS),
        "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in find(suffix)},
    }


def _operation(suffix: str, who: str) -> Document:
    kinds = find(suffix)
    first = kinds[0]
    sends = (first.kind == "command") == (who == "platform")
    operation: Document = {
        "action": "send" if sends else "receive",
        "title": f"{who}: {suffix}",
        "summary": _SUMMARIES[first.kind],
        "tags": [{"name": who}],
        "channel": {"$ref": f"#/channels/{_word(suffix)}"},
        "messages": [_reference(suffix, kind) for kind in kinds],
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": "0.2.0"}},
    }
    answer = result_of(first)
    if answer is not None:
        operation["description"] = _expected(first, answer)
        operation["x-changes-device"] = first.changes
        operation["x-timeout-s"] = first.timeout_s
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{_word(answer.suffix)}"},
            "messages": [_reference(answer.suffix, answer)],
        }
    return operation


_SUMMARIES = {
    "command": "A platform asks a device.",
    "result": "A device answers a command; `reply` is the command's mid.",
    "post": "A device reports by itself.",
}


def _expected(command: Kind, answer: Kind) -> str:
    said = [f"The device has {command.timeout_s:g} s to answer, unless the sender asks for another time."]
    if command.changes:
        said.append("It changes the device: one such command of a device runs at a time, the others wait in order.")
    if answer.verdict is not None:
        said.append("Several answers may come: their data says whether another one follows.")
    if answer.also:
        said.append(f"Devices may answer on {' or '.join(answer.also)} as well.")
    return " ".join(said)


def _reference(suffix: str, kind: Kind) -> Document:
    return {"$ref": f"#/channels/{_word(suffix)}/messages/{_name(kind)}"}


def _message(kind: Kind, schema: Document) -> Document:
    field = "reply" if kind.kind == "result" else "mid"
    message: Document = {
        "name": kind.type,
        "title": kind.key,
        "contentType": "application/json",
        "correlationId": {"location": f"$message.payload#/{field}"},
        "payload": schema,
    }
    shown = [_example(kind, number, example) for number, example in enumerate(examples(kind), 1)]
    if shown:
        message["examples"] = shown
    return message


def _example(kind: Kind, number: int, example: Example) -> Document:
    summary = f"The vendor's sample {example.source}" if example.source else "An example of ours"
    return {"name": f"{_name(kind)}{number}", "summary": summary, "payload": example.payload}


def _own_channel(notice: Notice) -> Document:
    name = notice.shape.__name__
    return {
        "address": notice.address,
        "title": notice.key.replace("_", " "),
        "description": notice.summary + ".",
        "parameters": _parameters(notice.parameters),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _own_operation(notice: Notice) -> Document:
    channel = f"bridge_{notice.key}"
    return {
        "action": "receive",
        "title": f"bridge: {notice.key.replace('_', ' ')}",
        "summary": notice.summary + ".",
        "tags": [{"name": "bridge"}],
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{notice.shape.__name__}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": notice.retained, "bindingVersion": "0.2.0"}},
    }


def _own_message(shape: Any) -> Document:
    name = shape.__name__
    message: Document = {
        "name": name,
        "title": name,
        "contentType": "application/json",
        "payload": {"$ref": REFERENCES.format(name=name)},
        "examples": [{"name": f"{name}1", "payload": _SHOWN[name]}],
    }
    if "mid" in shape.__struct_fields__:
        message["correlationId"] = {"location": "$message.payload#/mid"}
    return message


_SHOWN: dict[str, Document] = {
    "CommandStatus": {
        "mid": "ee2e8f09-b280-4e4d-bcb9-1529b703cfed",
        "state": "succeeded",
        "code": 200,
        "msg": "",
        "at": 1705980251899,
    },
    "ErrorNotice": {
        "mid": "ee2e8f09-b280-4e4d-bcb9-1529b703cfed",
        "topic": "v1/wudun/PK001/EMS001/streaming_overdemand/delete/command",
        "reason": "invalid",
        "path": "$.data.id",
        "detail": "required, but missing",
        "at": 1705980251899,
    },
    "PresenceNotice": {"online": True, "since": 1705980251899, "scheme": "wudun"},
}
