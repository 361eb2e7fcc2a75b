"""The certificate of one listener, replaced while it listens."""

from __future__ import annotations

import asyncio
import logging
import ssl
from time import time
from typing import Final

from bridge import certificates
from bridge.certificates import Files
from bridge.errors import ConfigError

log = logging.getLogger(__name__)

WARN_S: Final = 14 * 86_400.0
"""A certificate that ends within two weeks is named in the log."""


class Certificate:
    """`context` is what the next handshake uses. Raises ConfigError when the files cannot be used."""

    def __init__(self, files: Files, alpn: str) -> None:
        self._files = files
        self._alpn = alpn
        self.ends = 0.0
        """Epoch seconds; 0 when it has ended already."""
        self.context = self._load()

    async def reload(self) -> bool:
        """Read the files again; False, and the old certificate stays, when they cannot be used."""
        try:
            self.context = await asyncio.to_thread(self._load)
        except ConfigError as error:
            log.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the message is all
            return False
        log.info("read again: %s", self._files.certificate)
        return True

    def identity(self, transport: asyncio.BaseTransport) -> str | None:
        """The name in the client's verified certificate; None where it showed none."""
        seen = transport.get_extra_info("ssl_object")
        return certificates.identity_of(seen.getpeercert(), self._files.identity) if seen is not None else None

    def _load(self) -> ssl.SSLContext:
        context = certificates.server_context(self._files, self._alpn)
        wrong, ends = certificates.validity(context, self._files)
        if wrong:
            log.warning("%s %s: clients that look will not connect", self._files.certificate, wrong)
        elif 0 < ends - time() < WARN_S:
            log.warning("%s ends in %d days", self._files.certificate, (ends - time()) // 86_400)
        self.ends = ends
        return context
