"""Certificates for tests: a CA of their own, servers' and devices' certificates as PEM files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme


class Pki:
    """A CA whose files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def server(self, name: str = "server", ends: datetime | None = None) -> tuple[Path, Path]:
        """Certificate and key for 127.0.0.1 and localhost; written over what was there."""
        return self._write(name, self._ca.issue_cert("127.0.0.1", "localhost", not_after=ends))

    def device(self, cn: str, *sans: str) -> tuple[Path, Path]:
        """Certificate and key of a device; `sans` are DNS names."""
        return self._write(cn.replace("/", "_"), self._ca.issue_cert(*(sans or ("device.invalid",)), common_name=cn))

    def expired(self) -> tuple[Path, Path]:
        """A server's certificate that ended long ago."""
        return self.server("expired", datetime(2021, 1, 1, tzinfo=UTC))

    def client(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a client with this certificate trusts and shows."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if pair is not None:
            context.load_cert_chain(*map(str, pair))
        return context

    def mutual(self) -> ssl.SSLContext:
        """What a server has that asks for a certificate of this CA."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        context.load_cert_chain(*map(str, self.server()))
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _write(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key
