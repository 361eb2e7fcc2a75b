"""Certificate files to TLS contexts, and what is wrong with them. Standard library only."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from bridge.errors import ConfigError

Demand = Literal["none", "optional", "required"]
Field = Literal["cn", "san"]

_EXPIRED: Final = 10
_NOT_YET: Final = 9
"""X509_V_ERR_CERT_HAS_EXPIRED and …_NOT_YET_VALID of OpenSSL."""
_SAN_ORDER: Final = ("DNS", "URI", "email")


class Files(NamedTuple):
    """PEM files of one listener. `key` is "" when it stands in the certificate's file; `ca` signs clients' certificates."""

    certificate: str
    key: str = ""
    ca: str = ""
    client_certificate: Demand = "none"
    identity: Field = "cn"


class ClientFiles(NamedTuple):
    """PEM files of a client. Without `ca` the system's own authorities are trusted; `certificate` is shown where asked."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


def client_context(files: ClientFiles, where: str) -> ssl.SSLContext:
    """A context for TLS 1.2 and later that checks the server's name. Raises ConfigError naming the key under `where`."""
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{where}.ca", f"{files.ca} cannot be used: {error}", "a PEM file of certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate:
        try:
            context.load_cert_chain(files.certificate, files.key or None, password=_no_password)
        except _EncryptedError:
            raise ConfigError(f"{where}.key", "is encrypted", "a key without a passphrase") from None
        except (OSError, ssl.SSLError) as error:
            what = f"{files.certificate} cannot be used: {error}"
            raise ConfigError(f"{where}.certificate", what, "PEM files of a certificate and of its key") from None
    return context


def server_context(files: Files, alpn: str) -> ssl.SSLContext:
    """A context for TLS 1.2 and later. Raises ConfigError naming the file."""
    key = files.key or files.certificate
    _has(files.certificate, "BEGIN CERTIFICATE", "a PEM file with the server's certificate and its intermediates")
    _has(key, "PRIVATE KEY", "a PEM file with the certificate's private key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([alpn])
    try:
        context.load_cert_chain(files.certificate, key, password=_no_password)
    except _EncryptedError:
        raise ConfigError(key, "is encrypted", "a key without a passphrase, readable by this user alone") from None
    except (OSError, ValueError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise ConfigError(key, f"is not the key of {files.certificate}", "the key that belongs to it") from None
        raise ConfigError(files.certificate, f"cannot be used: {_reason(error)}") from None
    if files.client_certificate != "none":
        _has(files.ca, "BEGIN CERTIFICATE", "a PEM file with the certificates that sign clients' certificates")
        try:
            context.load_verify_locations(files.ca)
        except (OSError, ValueError) as error:
            raise ConfigError(files.ca, f"cannot be used: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED if files.client_certificate == "required" else ssl.CERT_OPTIONAL
    return context


def has_private_key(path: str) -> None:
    """Raises ConfigError for a file that has no private key in PEM."""
    _has(path, "PRIVATE KEY", "a PEM file with a private key")


def validity(context: ssl.SSLContext, files: Files) -> tuple[str, float]:
    """(what a client would object to: "has expired", …; or "", when it ends in epoch seconds; 0 when that is not known).

    A client that trusts exactly this certificate shakes hands with us in memory: the library judges, not a parser of ours.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        trusting.load_verify_locations(files.certificate)
    except (OSError, ValueError) as error:  # replaced while it is read, or broken behind its first certificate
        return f"cannot be used: {_reason(error)}", 0.0
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 3:
        try:
            side.do_handshake()
            if side is client:
                break
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            words = {_EXPIRED: "has expired", _NOT_YET: "is not valid yet"}
            return words.get(error.verify_code, error.verify_message), 0.0
        except ssl.SSLError as error:
            return f"cannot be used: {_reason(error)}", 0.0
    ends = str((client.getpeercert() or {}).get("notAfter", ""))
    return "", float(ssl.cert_time_to_seconds(ends)) if ends else 0.0


def identity_of(certificate: dict[str, Any] | None, field: Field) -> str | None:
    """The name in a verified certificate, as SSLObject.getpeercert() gives it: its CN, or the first DNS name, URI or mail
    address of its SAN. "" when it has none, or several CNs; None without a certificate."""
    if not certificate:
        return None
    if field == "san":
        names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
        return next((value for kind in _SAN_ORDER for name, value in names if name == kind), "")
    names = tuple(pair for part in certificate.get("subject", ()) for pair in part if pair[0] == "commonName")
    return names[0][1] if len(names) == 1 else ""


class _EncryptedError(Exception):
    """The library asks for a passphrase."""


def _no_password() -> str:
    raise _EncryptedError


def _has(path: str, words: str, hint: str) -> None:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", hint) from None
    if words.encode() not in text:
        raise ConfigError(path, f"has no {words.removeprefix('BEGIN ').lower()} in PEM", hint)


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error).replace("_", " ").lower()
