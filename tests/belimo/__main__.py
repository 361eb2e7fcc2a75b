"""`make belimo`: fetch the vendor's npm client, and its OpenAPI document with it, where they are not there yet."""

from __future__ import annotations

import sys

from conformance.fetched import run

from belimo import connector

if __name__ == "__main__":
    sys.exit(run(connector.fetch, connector.PACKAGE))
