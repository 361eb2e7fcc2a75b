"""The running bridge, as the command line talks to it: plain HTTP, found by --url or by what `serve` left in its data."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from bridge.cli.options import data_directory
from bridge.errors import BridgeError, ConfigError, Refused

LOCAL = "local.json"
"""Written by `serve` with mode 0600: {"http": url, "mqtt": "host:port", "token": …}."""
TIMEOUT_S = 30.0


class Remote:
    """One bridge. Raises ConfigError when it cannot be reached, Refused when it refuses, BridgeError when it fails."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query:
            raise ConfigError("--url", f"{url!r} is no address", "http://HOST:PORT")
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname, port, parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", **({"X-API-Key": key} if key else {})}

    def get(self, path: str, **query: object) -> Any:
        """GET path?query, decoded."""
        return self.call("GET", path, query)

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: object = None,
        timeout: float = TIMEOUT_S,
    ) -> Any:
        """One request, decoded."""
        connection, response = self._open(method, path, query or {}, body, timeout)
        try:
            return _decoded(self.url, response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def events(self, path: str, **query: object) -> Iterator[tuple[str, Any]]:
        """Server-sent events of path?query: (type, data), until the bridge ends the stream."""
        connection, response = self._open("GET", path, query, None, TIMEOUT_S * 4)
        try:
            if response.status != 200:
                _decoded(self.url, response.status, response.read())
            kind, data = "", ""
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data += value
                elif not line and kind:
                    yield kind, json.loads(data)
                    kind = data = ""
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise ConfigError(self.url, "sent no events of the bridge", "is it an EMS bridge?") from None
        finally:
            connection.close()

    def _open(
        self, method: str, path: str, query: dict[str, Any], body: object, timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        given = {name: value for name, value in query.items() if value is not None}
        target = self._base + path + (f"?{urlencode(given, errors='surrogateescape')}" if given else "")
        connection: http.client.HTTPConnection
        if self._secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        headers = dict(self._headers)
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, payload, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> ConfigError:
        return ConfigError(
            self.url, f"no bridge answers: {error or type(error).__name__}", "is `ems-bridge serve` running?"
        )


def find(url: str | None, key: str | None, config_file: str | None, data: str | None) -> Remote:
    """The bridge at `url`, or the one that serves the data directory on this machine."""
    if url:
        return Remote(url, key)
    directory = data_directory(config_file, data)
    try:
        local = json.loads((directory / LOCAL).read_bytes())
        return Remote(local["http"], key or local["token"])
    except FileNotFoundError:
        hint = "start `ems-bridge serve`, or name one with --url and --key"
        raise ConfigError(str(directory), "no bridge serves this data directory", hint) from None
    except OSError as error:
        raise ConfigError(str(directory / LOCAL), f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(str(directory / LOCAL), "is damaged", "restart `ems-bridge serve`") from None


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="", errors="surrogateescape")


def read_json(text: str) -> object:
    """A JSON argument: the text itself, @FILE, or - for stdin. Raises ConfigError naming what is wrong where."""
    where = text if text.startswith("@") else "stdin" if text == "-" else "DATA"
    try:
        if text == "-":
            import sys

            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise ConfigError(where, f"cannot be read: {error.strerror}", "JSON, @FILE or - for stdin") from None
    except json.JSONDecodeError as error:
        what = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigError(where, what, "JSON, @FILE or - for stdin") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, f"not JSON: {error}", "JSON, @FILE or - for stdin") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _decoded(url: str, status: int, payload: bytes) -> Any:
    try:
        body = json.loads(payload)
    except ValueError:
        raise ConfigError(url, f"answered {status} without JSON", "is it an EMS bridge?") from None
    if status < 400:
        return body
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        raise ConfigError(url, f"answered {status}", "is it an EMS bridge?")
    if status == 401:
        raise ConfigError("--key", "the bridge refused it", "an API key of `ems-bridge account add`")
    message, path = str(error.get("message")), str(error.get("path", ""))
    if status >= 500:
        raise BridgeError(f"{url}: {message}")
    raise Refused(str(error.get("code")), f"{path}: {message}" if path else message, path)
